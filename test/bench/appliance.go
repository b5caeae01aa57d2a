package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	"github.com/sallyport/sallyport/test/radiusload"
)

// netbios is the domain of radiusload's users.
const netbios = "hospital"

const radiusSecret = sallyport.Secret("benchmark shared secret 22")

// founded is an enterprise with one appliance that has trust and keys, as an administrator makes it.
type founded struct {
	domain      sallyport.DomainID
	dir         string
	ring        *keyring.Ring
	integration sallyport.IntegrationID
}

// found makes an enterprise at the cloud at cloudURL, and its gateway.
func (w *world) found(ctx context.Context, cloudURL, origin string, change ...func(*sallyport.Integration)) (*founded, error) {
	tenant, code, err := w.newEnterprise(ctx)
	if err != nil {
		return nil, err
	}
	f := &founded{dir: w.file("appliance-" + string(tenant)), integration: "gateway"}
	_, _, err = trust.Establish(ctx, trust.Request{Dir: f.dir, CloudURL: cloudURL, Tenant: tenant, Code: code, Name: "bench",
		Client: &http.Client{Timeout: 20 * time.Second}})
	if err != nil {
		return nil, err
	}
	if f.ring, err = keyring.New(tenant); err != nil {
		return nil, err
	}
	if err := f.ring.Save(f.dir); err != nil {
		return nil, err
	}
	store, err := appliance.OpenStore(ctx, f.dir, "", f.ring, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	// Its controllers cannot be reached, and are not asked: gateway tokens are checked without them.
	hospital, failed := store.PutDomain(ctx, sallyport.Domain{Name: "hospital.test", NetBIOS: netbios, Servers: []string{"ldaps://127.0.0.1:1"},
		BindName: "nobody@hospital.test", BindPassword: "never sent"})
	gateway := sallyport.Integration{
		ID: f.integration, Kind: "f5-big-ip", Nickname: "Hospital VPN", Secret: radiusSecret, MessageAuthenticator: sallyport.MessageAuthenticatorAlways,
		Clients: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Origins: []string{origin},
	}
	for _, c := range change {
		c(&gateway)
	}
	_, err = store.PutIntegration(ctx, gateway)
	f.domain = hospital.ID
	return f, errors.Join(failed, err, store.Close())
}

// wholeAppliance is an appliance under RADIUS load.
type wholeAppliance struct {
	*founded
	tokens gatewaytoken.Ring
	addr   string
}

func (w *world) startWholeAppliance(ctx context.Context) (*wholeAppliance, error) {
	_, at, err := w.startCloud(ctx, "cloud", false, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	f, err := w.found(ctx, "http://"+at.Addr, "https://gateway.example")
	if err != nil {
		return nil, err
	}
	a := &wholeAppliance{founded: f}
	if a.tokens, err = f.ring.Tokens(); err != nil {
		return nil, err
	}
	_, at, err = w.start(ctx, "appliance", "appliance", f.dir, nil)
	a.addr = at.RADIUS
	return a, err
}

// load has n fresh tokens checked, rate of them a second, or as many as are answered.
func (a *wholeAppliance) load(ctx context.Context, n int, rate float64) (radiusload.Result, error) {
	p, err := radiusload.Prepare(radiusload.Load{
		Address: a.addr, Secret: radiusSecret, Rate: rate, Logins: radiusload.Mint(a.tokens, a.integration, n, radiusUsers, time.Now()),
	})
	if err != nil {
		return radiusload.Result{}, err
	}
	r, err := p.Run(ctx)
	if err == nil && r.Accepted != r.Requests {
		err = fmt.Errorf("load the appliance: %d of %d accepted, %d rejected, %d lost", r.Accepted, r.Requests, r.Rejected, r.Lost)
	}
	return r, err
}

// runAppliance is an appliance as 'sallyport appliance run' runs it. Its domain's controllers
// cannot be reached, and are not asked.
func runAppliance(ctx context.Context, settings []byte, log *slog.Logger, say func(ready) error) error {
	var dir string
	if err := json.Unmarshal(settings, &dir); err != nil {
		return err
	}
	s, err := appliance.New(ctx, appliance.Config{
		DataDir: dir, RADIUSListen: "127.0.0.1:0", Version: "bench",
	}, log)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error {
		err := until(ctx, startTime, "the tunnel stands", func() (bool, error) { return s.Connected(), nil })
		if err != nil {
			return err
		}
		return say(ready{RADIUS: s.RADIUSAddr()})
	})
	return g.Wait()
}
