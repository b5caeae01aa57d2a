package selfservice_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/console"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/selfservice"
	"github.com/sallyport/sallyport/appliance-connector/standing"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

const (
	password = "correct horse"
	alice    = sallyport.AccountName(`hospital\alice`)
)

// world is the page as the console serves it, over real HTTPS, with a real store, engine and policy; directory and token service are scripted.
type world struct {
	t     *testing.T
	store *store.Store
	ca    []byte
	// language is the enterprise's.
	language string
	url      string

	mu      sync.Mutex
	now     time.Time
	events  chan login.ChallengeEvent
	pushed  login.Challenge
	follows chan sallyport.Device // apps that follow an invitation
	invited sallyport.AccountName
	sent    string // the code of the last text message
}

func newWorld(t *testing.T, from ...netip.Prefix) *world {
	t.Helper()
	w := &world{t: t, now: time.Now().Truncate(time.Second), events: make(chan login.ChallengeEvent, 4), follows: make(chan sallyport.Device, 4)}
	clock := w.clock
	log := slog.New(slog.DiscardHandler)
	ring, err := keyring.New("t1")
	check(t, err)
	dir := t.TempDir()
	w.store, err = store.Open(t.Context(), filepath.Join(dir, "a.db"), ring.Derive("store"), store.WithNow(clock))
	check(t, err)
	tokens, err := ring.Tokens()
	check(t, err)
	standings := standing.New(w.store, clock, log)
	codes := &passcode.Checker{Store: w.store, Temporary: w.store, Tokens: w.store, PINs: w.store, Claims: w.store, Now: clock, Log: log}
	engine := login.New(login.Config{Directory: w, Standings: standings, Devices: standings, Challenges: w, Codes: codes, TemporaryCodes: w.store, Tokens: tokens,
		Counters: w.store, Key: ring.Derive("login"), Apps: w, Texts: texter{w}, OTPTokens: codes, Now: clock, Sleep: func(context.Context, time.Duration) {}, Log: log})
	if from == nil {
		from = selfservice.PrivateNetworks()
	}
	service, err := admin.New(admin.Config{Store: w.store, Key: ring.Derive("administration"), Now: clock, Log: log})
	check(t, err)
	cert, err := console.OwnCertificate(dir, time.Now)
	check(t, err)
	server, err := console.New(console.Config{Admin: service, Listen: "127.0.0.1:0", Certificate: cert, Key: ring.Derive("notes"), Now: clock, Log: log,
		SelfService: func(asset func(string) string) (http.Handler, error) {
			return selfservice.New(selfservice.Config{Engine: engine, Standings: standings, Store: w.store, From: from, Key: ring.Derive("self-service"), Enterprise: "St. Mary’s Hospital",
				Enrols: []sallyport.AuthenticatorKind{sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorOTP}, Asset: asset, Language: func(context.Context) string { return w.language }, HashPIN: passcode.HashPIN, Now: clock, Log: log})
		}})
	check(t, err)
	w.url = "https://localhost:" + server.Addr()[strings.LastIndex(server.Addr(), ":")+1:]
	hello, err := cert.Get(&tls.ClientHelloInfo{ServerName: "localhost"})
	check(t, err)
	w.ca = hello.Certificate[len(hello.Certificate)-1]
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, w.store.Close()); err != nil {
			t.Error(err)
		}
	})
	w.people()
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) forward(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// people puts alice and bob into the list of users, with remote access.
func (w *world) people() {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.store.PutDomain(ctx, conformance.NewDomain("hospital"))
	check(w.t, err)
	for _, name := range []string{"alice", "bob"} {
		sum := sha256.Sum256([]byte(name))
		_, err := w.store.ApplyUsers(ctx, "hospital", []store.UserChange{{GUID: hex.EncodeToString(sum[:16]), State: sallyport.UserActive, Account: sallyport.NewAccountName("hospital", name),
			DN: "CN=" + name + ",OU=Staff,DC=hospital,DC=example"}})
		check(w.t, err)
	}
	w.rule(sallyport.UnenrolledOther, false)
}

// rule sets what unenrolled users may do.
func (w *world) rule(unenrolled sallyport.UnenrolledAccess, onSite bool) {
	w.t.Helper()
	ctx := w.t.Context()
	r, err := w.store.PutEnrolRule(ctx, sallyport.EnrolRule{Name: "Rule " + sallyport.NewID()[:6], Unenrolled: unenrolled, PromptOnSite: onSite})
	check(w.t, err)
	p, err := w.store.DefaultUserPolicy(ctx)
	check(w.t, err)
	p.Licensed, p.RemoteAccess, p.EnrolRule = true, true, r.ID
	_, err = w.store.PutUserPolicy(ctx, p)
	check(w.t, err)
	f, err := w.store.LoginWorkflow(ctx)
	check(w.t, err)
	f.Allowed, f.NumberMatching = []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.PasswordAndOTP}, true
	_, err = w.store.SetLoginWorkflow(ctx, f)
	check(w.t, err)
}

// phone is a device with its key.
type phone struct {
	sallyport.Device
	key *ecdsa.PrivateKey
}

func (w *world) phone(account sallyport.AccountName, name string) phone {
	w.t.Helper()
	key, err := deviceproto.NewKey()
	check(w.t, err)
	der, err := deviceproto.MarshalPublicKey(&key.PublicKey)
	check(w.t, err)
	id := deviceproto.Thumbprint(&key.PublicKey)
	keys := deviceproto.DeriveKeys([]byte(sallyport.NewID() + "01234567890123456789")[:32], id)
	return phone{sallyport.Device{ID: id, Account: account, Name: name, Platform: "cli", PublicKey: der, Seed: keys.Seed, DetailsKey: keys.Details, Enrolled: w.clock()}, key}
}

func (w *world) enrolled(account sallyport.AccountName, name string) phone {
	w.t.Helper()
	p := w.phone(account, name)
	check(w.t, w.store.PutDevice(w.t.Context(), p.Device))
	return p
}

func (w *world) code(p phone) string {
	w.t.Helper()
	c, err := deviceproto.TokenCode(p.Seed, w.clock())
	check(w.t, err)
	return string(c)
}

func (w *world) Present(context.Context, string) (sallyport.AccountState, sallyport.Account, error) {
	return sallyport.AccountUnknown, sallyport.Account{}, nil
}

func (w *world) Verify(_ context.Context, name string, typed sallyport.Secret, onBind func() error) (sallyport.AccountState, sallyport.Account, error) {
	if err := onBind(); err != nil {
		return "", sallyport.Account{}, err
	}
	if typed != password {
		return sallyport.AccountWrongPassword, sallyport.Account{}, nil
	}
	return sallyport.AccountOK, sallyport.Account{Name: sallyport.NewAccountName("hospital", name), Domain: "hospital"}, nil
}

func (w *world) Create(_ context.Context, c login.Challenge) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pushed = c
	return nil
}

func (w *world) Watch(ctx context.Context, _ sallyport.ChallengeID, event func(login.ChallengeEvent) bool) error {
	for {
		select {
		case ev := <-w.events:
			if !event(ev) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) Cancel(context.Context, sallyport.ChallengeID) error { return nil }

func (w *world) Invite(_ context.Context, account sallyport.AccountName) (login.Invitation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.invited = account
	return login.Invitation{ID: "e1", Link: "https://cloud.example/device/#e=t1.e1.c2VjcmV0"}, nil
}

func (w *world) Await(ctx context.Context, account sallyport.AccountName, _ login.Invitation) (string, error) {
	select {
	case d := <-w.follows:
		d.Account = account
		return d.Name, w.store.PutDevice(ctx, d)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// texter is what sends text messages.
type texter struct{ *world }

func (w texter) Phones(ctx context.Context, account sallyport.AccountName) ([]sallyport.Phone, error) {
	return w.store.Phones(ctx, account)
}

func (w texter) Send(_ context.Context, m login.TextMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = string(m.Code)
	return nil
}

func (w texter) Parse(_ context.Context, typed string) (sallyport.PhoneNumber, error) {
	return sallyport.PhoneNumber(typed), nil
}

func (w texter) Enrol(ctx context.Context, account sallyport.AccountName, number sallyport.PhoneNumber) error {
	return w.store.AddPhone(ctx, sallyport.Phone{ID: sallyport.PhoneID(sallyport.NewID()), Account: account, Number: number, Enrolled: w.clock()})
}

// client is a browser without scripts.
type client struct {
	w *world
	http.Client
	accept string // languages
}

type answer struct {
	status int
	path   string
	body   string
}

func (w *world) client() *client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	check(w.t, err)
	roots := x509.NewCertPool()
	ca, err := x509.ParseCertificate(w.ca)
	check(w.t, err)
	roots.AddCert(ca)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &client{w: w, Client: http.Client{Jar: jar, Transport: tr, Timeout: 30 * time.Second}}
}

func (c *client) send(method, path, form string) answer {
	c.w.t.Helper()
	req, err := http.NewRequestWithContext(c.w.t.Context(), method, c.w.url+path, strings.NewReader(form))
	check(c.w.t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", c.w.url)
	}
	if c.accept != "" {
		req.Header.Set("Accept-Language", c.accept)
	}
	res, err := c.Do(req)
	check(c.w.t, err)
	body, err := io.ReadAll(res.Body)
	check(c.w.t, errors.Join(err, res.Body.Close()))
	return answer{res.StatusCode, res.Request.URL.RequestURI(), string(body)}
}

func (c *client) get(path string) answer { c.w.t.Helper(); return c.send(http.MethodGet, path, "") }

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// post sends a form with the token of the page that is shown now.
func (c *client) post(path string, fields ...string) answer {
	c.w.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	if m := csrfField.FindStringSubmatch(c.get("/me").body); m != nil {
		v.Set("csrf", m[1])
	}
	return c.send(http.MethodPost, path, v.Encode())
}

// in signs alice in by the code of her phone.
func (c *client) in(p phone) {
	c.w.t.Helper()
	c.post("/me/sign-in", "name", "alice", "password", password)
	c.post("/me/act", "do", "use", "method", "code")
	if a := c.post("/me/act", "do", "code", "code", c.w.code(p)); a.status != http.StatusOK || !strings.Contains(a.body, "What you have") {
		c.w.t.Fatalf("%d %s %s", a.status, a.path, a.body)
	}
}

// cookie is what the browser carries.
func (c *client) cookie() string {
	u, err := url.Parse(c.w.url)
	check(c.w.t, err)
	for _, k := range c.Jar.Cookies(u) {
		if k.Name == "__Host-sallyport-me" {
			return k.Value
		}
	}
	return ""
}

func (c *client) carry(value string) {
	u, err := url.Parse(c.w.url)
	check(c.w.t, err)
	c.Jar.SetCookies(u, []*http.Cookie{{Name: "__Host-sallyport-me", Value: value, Path: "/", Secure: true}})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
