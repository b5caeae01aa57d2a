// Package texts_test sends codes by text message all the way: from an appliance's store and settings, by its client
// and mutual TLS, through a token service with a real Redis, to gateways.
package texts_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/texts"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/redisconn"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc"
)

const alice sallyport.AccountName = `hospital\alice`

// world is an appliance's part, a token service, and gateways.
type world struct {
	t     *testing.T
	store *store.Store
	sim   *smssim.Sim
	texts *texts.Service
	log   *book
	stop  func() // the token service
}

// book keeps what is logged.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: &book{}}
	var err error
	if w.store, err = store.Open(t.Context(), t.TempDir()+"/a.db", sallyport.Key(strings.Repeat("m", 32))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	if w.sim, err = smssim.Start(smssim.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sim.Close)
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client := w.tokenService(log)
	w.texts = &texts.Service{Store: w.store, Courier: client, Log: log}
	return w
}

func (w *world) tokenService(log *slog.Logger) *devices.Client {
	t := w.t
	t.Helper()
	rdb, err := redisconn.Open(t.Context(), harness.StartRedis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.ServerCertificate(time.Now(), time.Hour, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	svc, err := tokensvc.New(tokensvc.Config{Redis: rdb, GRPCAddr: "127.0.0.1:0", DeviceAddr: "127.0.0.1:0", GRPCTLS: pki.ServerTLS(cert, ca.Pool()),
		Texts: tokensvc.TextConfig{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("token service: %v", err)
		}
		_ = rdb.Close()
	})
	t.Cleanup(w.stop)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ca.SignAppliance(csr, pki.Identity{Tenant: "hospital", Appliance: "a1"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	own := func() (*tls.Certificate, error) { return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil }
	client, err := devices.Dial(svc.GRPCAddr(), pki.ClientTLS(own, ca.Pool(), "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// set puts settings in place as the console does.
func (w *world) set(v texts.Settings, secret sallyport.Secret) {
	w.t.Helper()
	ctx := w.t.Context()
	text, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	_, version, err := w.store.Section(ctx, texts.Section)
	if err != nil {
		w.t.Fatal(err)
	}
	_, secretVersion, err := w.store.SealedSection(ctx, texts.SecretSection)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.SetSection(ctx, texts.Section, text, version); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.SetSealedSection(ctx, texts.SecretSection, secret, secretVersion); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) gateways() map[smssim.Side]func() {
	return map[smssim.Side]func(){
		smssim.Twilio: func() {
			w.set(texts.Settings{Kind: texts.Twilio, URL: w.sim.TwilioURL, User: smssim.Account, From: "Hospital", Authority: w.sim.Authority, Region: "GB"}, smssim.Token)
		},
		smssim.SMPP: func() {
			w.set(texts.Settings{Kind: texts.SMPP, URL: w.sim.SMPPSURL, User: smssim.SystemID, From: "Hospital", Authority: w.sim.Authority, Region: "GB"}, smssim.Password)
		},
		smssim.Webhook: func() {
			w.set(texts.Settings{Kind: texts.Webhook, URL: w.sim.WebhookURL, Authority: w.sim.Authority, Region: "GB"}, smssim.Secret)
		},
	}
}

func (w *world) enrol() sallyport.Phone {
	w.t.Helper()
	number, err := w.texts.Number(w.t.Context(), "+44 7400 123456")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.AddPhone(w.t.Context(), sallyport.Phone{ID: "p1", Account: alice, Number: number, Enrolled: time.Now()}); err != nil {
		w.t.Fatal(err)
	}
	phones, err := w.texts.Phones(w.t.Context(), alice)
	if err != nil || len(phones) != 1 {
		w.t.Fatalf("%+v, %v", phones, err)
	}
	return phones[0]
}

func code(p sallyport.Phone) texts.Message {
	return texts.Message{ID: sallyport.NewID(), Phone: p, Code: "246810", Life: 5 * time.Minute, Language: "de-AT", Application: "Klinik-VPN"}
}

func TestACodeReachesThePhoneOnceThroughEveryGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.enrol()
	for side, choose := range w.gateways() {
		choose()
		before, m := len(w.sim.Messages()), code(p)
		for range 3 {
			if err := w.texts.Send(t.Context(), m); err != nil {
				t.Fatalf("%s: %v", side, err)
			}
		}
		all := w.sim.Messages()
		if len(all) != before+1 {
			t.Fatalf("%s: %d messages arrived", side, len(all)-before)
		}
		if got := all[before]; got.Side != side || got.To != "+447400123456" || got.Text != "Ihr Code zur Anmeldung: 246810 (Klinik-VPN)" {
			t.Errorf("%s: %+v", side, got)
		}
	}
	if a, err := w.texts.SendTest(t.Context(), p.Number); err != nil || a.Outcome != texts.Sent {
		t.Errorf("a test message: %+v, %v", a, err)
	}
	w.quiet()
}

// quiet fails when a log has what it must not have.
func (w *world) quiet() {
	w.t.Helper()
	for _, secret := range []string{"7400123456", "246810", smssim.Token, smssim.Password, smssim.Secret} {
		if strings.Contains(w.log.String(), secret) {
			w.t.Errorf("%q stands in a log", secret)
		}
	}
}

// What goes wrong is told to whom it concerns: the person what to do, the log what it was.
func TestWhatGoesWrongIsToldToWhomItConcerns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.enrol()
	if err := w.texts.Send(t.Context(), code(p)); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("without a gateway: %v", err)
	}
	for side, choose := range w.gateways() {
		choose()
		for what, want := range map[smssim.What]sallyport.Code{
			smssim.BadNumber: sallyport.CodeInvalid, smssim.Credential: sallyport.CodeUnavailable, smssim.Rejected: sallyport.CodeUnavailable,
		} {
			w.sim.ClearFaults()
			w.sim.AddFault(smssim.Fault{Side: side, What: what})
			err := w.texts.Send(t.Context(), code(p))
			if sallyport.ErrorCode(err) != want || !strings.Contains(sallyport.ErrorMessage(err), "another way") {
				t.Errorf("%s, %s: %v", side, what, err)
			}
		}
		w.sim.ClearFaults()
		w.sim.AddFault(smssim.Fault{Side: side, What: smssim.Gone})
		if err := w.texts.Send(t.Context(), code(p)); err != nil {
			t.Errorf("%s: what may have been sent: %v", side, err)
		}
		w.sim.ClearFaults()
	}
	for _, line := range []string{`outcome="bad number"`, "outcome=credential", "outcome=uncertain", `outcome="no gateway"`, "Look at the account and the secret"} {
		if !strings.Contains(w.log.String(), line) {
			t.Errorf("the log lacks %s", line)
		}
	}
	w.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := w.texts.Send(ctx, code(p)); sallyport.ErrorCode(err) != sallyport.CodeUnavailable || !strings.Contains(sallyport.ErrorMessage(err), "could not be sent") {
		t.Errorf("without a token service: %v", err)
	}
	w.quiet()
}
