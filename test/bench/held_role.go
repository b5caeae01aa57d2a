package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/appliance-connector/activity"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/legacy"
	"github.com/sallyport/sallyport/appliance-connector/standing"
)

// legacySettings are those of an appliance whose users log in by RADIUS alone.
type legacySettings struct {
	Dir string
	// Clock is its time, which stands still: a push lives for 30 s, and on a small machine it takes longer than that
	// to make 10,000 of them.
	Clock time.Time
	Most  int // logins that it holds
}

// longPush is as long as the token service lets a challenge live.
const longPush = 5 * time.Minute

// patientPhones has pushes live longer, and prints a line for each that is made.
type patientPhones struct{ *devices.Client }

func (p patientPhones) Create(ctx context.Context, c login.Challenge) error {
	c.Life = longPush
	if err := p.Client.Create(ctx, c); err != nil {
		return err
	}
	_, err := fmt.Fprintln(os.Stdout, "push made")
	return err
}

// noTokens refuses gateway tokens.
type noTokens struct{}

func (noTokens) VerifyNow(*radius.Query) (radius.Verdict, bool) { return radius.Verdict{}, true }
func (noTokens) Verify(context.Context, radius.Query) radius.Verdict {
	return radius.Verdict{}
}

// askPlainly has pushes without a number, as a gateway needs them that shows no challenge: they are held.
func (h *ward) askPlainly(ctx context.Context) (err error) {
	e, err := openEngine(ctx, h.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	w, err := e.db.LoginWorkflow(ctx)
	if err != nil {
		return err
	}
	w.NumberMatching = false
	_, err = e.db.SetLoginWorkflow(ctx, w)
	return err
}

// runLegacy is an appliance wired as package appliance wires it for the legacy experience, but with a directory that
// finds every password right, and a clock that stands still.
func runLegacy(ctx context.Context, settings []byte, log *slog.Logger, say func(ready) error) (err error) {
	var set legacySettings
	if err := json.Unmarshal(settings, &set); err != nil {
		return err
	}
	e, err := openEngine(ctx, set.Dir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	return e.hold(ctx, set, say)
}

func (e *engine) hold(ctx context.Context, set legacySettings, say func(ready) error) error {
	now := func() time.Time { return set.Clock }
	standings := standing.New(e.db, now, e.log)
	records := activity.New(activity.Options{Store: e.db, Appliance: e.trust.Appliance, Life: login.Life, Now: time.Now, Log: e.log})
	engine := login.New(login.Config{
		Directory: &everybody{}, Standings: standings, Devices: standings, Challenges: patientPhones{e.phones}, TemporaryCodes: e.db, Counters: e.db,
		Codes:    &passcode.Checker{Store: e.db, Temporary: e.db, Now: now, Log: e.log},
		Recorder: records, Key: e.ring.Derive("login"), Now: now, Sleep: pause, Log: e.log,
	})
	door := legacy.New(legacy.Options{
		Engine: engine, Steps: e.db, Tokens: noTokens{}, States: login.Keeper{Key: e.ring.Derive("radius state")}, Key: e.ring.Derive("radius steps"),
		Now: now, Sleep: pause, Log: e.log, Hold: time.Hour, MostWaiting: set.Most,
	})
	list, err := e.db.Integrations(ctx)
	if err != nil {
		return err
	}
	server, err := radius.Listen(radius.Options{
		Address: "127.0.0.1:0", Integrations: list, Log: e.log, Observer: records, Verifier: door, ReplyWindow: 90 * time.Second,
	})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(ctx) })
	g.Go(func() error { return records.Run(ctx) })
	g.Go(func() error { collectWhenTold(ctx); return nil })
	g.Go(func() error { return say(ready{RADIUS: server.Addr().String()}) })
	return g.Wait()
}

var _ login.Challenges = patientPhones{}

var _ radius.InstantVerifier = noTokens{}
