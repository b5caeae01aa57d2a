package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/activity"
	"github.com/sallyport/sallyport/appliance-connector/claims"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/overlay"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/tokencheck"
	"github.com/sallyport/sallyport/appliance-connector/standing"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/appliance-connector/tunnel"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// runEngine is an appliance wired as package appliance wires it, but with a directory that finds
// every password right at once. It prints when that was, for each user.
func runEngine(ctx context.Context, settings []byte, log *slog.Logger, say func(ready) error) (err error) {
	var dir string
	if err := json.Unmarshal(settings, &dir); err != nil {
		return err
	}
	e, err := openEngine(ctx, dir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	return e.run(ctx, say)
}

func openEngine(ctx context.Context, dir string, log *slog.Logger) (e *engine, err error) {
	e = &engine{log: log}
	if e.trust, err = trust.Load(dir); err != nil {
		return nil, err
	}
	if e.ring, err = keyring.Load(dir); err != nil {
		return nil, err
	}
	if e.db, err = appliance.OpenStore(ctx, dir, "", e.ring, log); err != nil {
		return nil, err
	}
	if e.phones, err = devices.Dial(e.trust.TokenService, e.trust.TLS("")); err != nil {
		return nil, errors.Join(err, e.db.Close())
	}
	return e, nil
}

func (e *engine) close() error { return errors.Join(e.phones.Close(), e.db.Close()) }

// engine is the parts of that appliance.
type engine struct {
	ring   *keyring.Ring
	trust  *trust.Trust
	db     *store.Store
	phones *devices.Client
	log    *slog.Logger
	door   *overlay.Door
}

func (e *engine) run(ctx context.Context, say func(ready) error) error {
	tokens, err := e.ring.Tokens()
	if err != nil {
		return err
	}
	codes := &passcode.Checker{Store: e.db, Temporary: e.db, Now: time.Now, Log: e.log}
	dir := &everybody{}
	standings := standing.New(e.db, time.Now, e.log)
	records := activity.New(activity.Options{Store: e.db, Appliance: e.trust.Appliance, Life: login.Life, Now: time.Now, Log: e.log})
	engine := login.New(login.Config{
		Directory: dir, Standings: standings, Devices: standings, Challenges: e.phones, Codes: codes, TemporaryCodes: e.db, Tokens: tokens, Counters: e.db,
		Recorder: records, Key: e.ring.Derive("login"), Now: time.Now, Sleep: pause, Log: e.log,
	})
	e.door = &overlay.Door{
		Tenant: e.trust.Tenant, Keys: e.ring, States: login.Keeper{Key: e.ring.Derive("login state")},
		Integrations: standings, Once: e.db, Now: time.Now, Log: e.log, Engine: engine,
	}
	client, err := tunnel.New(tunnel.Config{
		Addresses: []string{e.trust.TunnelAddress}, Handler: e, Version: "bench", Log: e.log,
		TLS: func() (*tls.Config, error) { return e.trust.TLS(""), nil }, Statement: e.statement,
	})
	if err != nil {
		return err
	}
	claimer := claims.New(claims.Options{Appliance: e.trust.Appliance, Cloud: client, Log: e.log})
	defer claimer.Close()
	list, err := e.db.Integrations(ctx)
	if err != nil {
		return err
	}
	server, err := radius.Listen(radius.Options{
		Address: "127.0.0.1:0", Integrations: list, Log: e.log, Observer: records,
		Verifier: tokencheck.New(tokencheck.Options{
			Keys: func() gatewaytoken.Ring { return tokens }, Claimer: claimer, Directory: dir, Standings: standings, Codes: codes,
			Recorder: records, SupportCode: engine.SupportCode,
		}),
	})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return client.Run(ctx) })
	g.Go(func() error { return server.Serve(ctx) })
	g.Go(func() error { return records.Run(ctx) })
	g.Go(func() error {
		if err := until(ctx, startTime, "the tunnel stands", func() (bool, error) { return client.Connected(), client.Status().LastError }); err != nil {
			return err
		}
		return say(ready{RADIUS: server.Addr().String()})
	})
	return g.Wait()
}

func (e *engine) statement() *tunnelpb.KeyStatement {
	text, signature, err := e.ring.Statement(time.Now())
	if err != nil {
		e.log.Error("key statement not signed", "err", err)
		return nil
	}
	return &tunnelpb.KeyStatement{Statement: text, Signature: signature}
}

// Handle works on the cloud's requests, as package appliance does.
func (e *engine) Handle(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response {
	view, err := e.door.Step(ctx, req.GetLoginStep(), func() error { progress(); return ctx.Err() })
	if err != nil {
		return &tunnelpb.Response{Body: &tunnelpb.Response_Failure{Failure: &tunnelpb.Failure{
			Code: string(sallyport.ErrorCode(err)), Message: err.Error(),
		}}}
	}
	return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: view}}
}

// everybody is a directory in which everybody exists and every password is right.
type everybody struct{ mu sync.Mutex }

func (d *everybody) Present(_ context.Context, name string) (sallyport.AccountState, sallyport.Account, error) {
	return sallyport.AccountOK, sallyport.Account{Name: sallyport.NewAccountName(netbios, name)}, nil
}

func (d *everybody) Verify(_ context.Context, name string, _ sallyport.Secret, onBind func() error) (sallyport.AccountState, sallyport.Account, error) {
	if err := onBind(); err != nil {
		return "", sallyport.Account{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := fmt.Fprintf(os.Stdout, "%s %d\n", name, time.Now().UnixNano())
	return sallyport.AccountOK, sallyport.Account{Name: sallyport.NewAccountName(netbios, name)}, err
}

func (d *everybody) IdentifyNow(typed string) (sallyport.AccountName, bool) {
	return sallyport.NewAccountName(netbios, typed), true
}

func (d *everybody) Identify(_ context.Context, typed string) (sallyport.AccountName, error) {
	return sallyport.NewAccountName(netbios, typed), nil
}
