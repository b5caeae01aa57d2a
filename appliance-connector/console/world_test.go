package console

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/adminapi"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/logfile"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

const goodPassword = "correct horse battery staple"

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logs are what the console logged.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a console over real HTTPS with a store of its own, and what tests need of it.
type world struct {
	t     testing.TB
	clock *clock
	store *store.Store
	admin *admin.Service
	cert  *Certificate
	url   string
	key   sallyport.Key
	logs  *logs
	files *logfile.Files
	slept []time.Duration
	mu    sync.Mutex
}

// worldOptions change how a world is made.
type worldOptions struct {
	directory admin.Directory
	watched   admin.Watched
	groups    admin.Groups
	pages     func(*Server)
	url       string
	// admin changes what the administration works with.
	admin func(*admin.Config)
}

// morning is when all worlds begin.
var morning = time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)

// certificate is the pair of files that all worlds have, by name: the browser that they share trusts its key.
var certificate = sync.OnceValues(func() (files map[string][]byte, err error) {
	dir, err := os.MkdirTemp("", "sallyport-console-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := OwnCertificate(dir, func() time.Time { return morning })
	if err != nil {
		return nil, err
	}
	files = map[string][]byte{}
	for _, path := range []string{c.certFile, c.keyFile} {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return files, nil
})

// putCertificate puts the pair into a data directory.
func putCertificate(t testing.TB, dir string) {
	t.Helper()
	files, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newWorld(t testing.TB, o worldOptions) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: morning}, logs: &logs{}, key: sallyport.Key(strings.Repeat("k", 32))}
	ctx, stop := context.WithCancel(context.Background())
	dir := t.TempDir()
	var err error
	w.store, err = store.Open(ctx, filepath.Join(dir, "a.db"), sallyport.Key(strings.Repeat("m", 32)), store.WithNow(w.clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	if w.files, err = logfile.Open(filepath.Join(dir, "logs")); err != nil {
		t.Fatal(err)
	}
	log := slog.New(w.files.Handler(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	domains, err := directory.New(directory.Options{Log: log, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(domains.Close)
	cfg := admin.Config{Store: w.store, Key: w.key, Domains: domains, Directory: o.directory, Watched: o.watched, Groups: o.groups, Logs: w.files,
		Served:     admin.Served{Methods: []sallyport.Method{sallyport.MethodPush, sallyport.MethodCode, sallyport.MethodTemporary}},
		Enterprise: admin.Enterprise{Tenant: "hospital-1", CloudURL: "https://cloud.example", Fingerprint: strings.Repeat("f", 43)}, Now: w.clock.Now, Sleep: w.sleep, Log: log}
	if o.admin != nil {
		o.admin(&cfg)
	}
	w.admin, err = admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	putCertificate(t, dir)
	if w.cert, err = OwnCertificate(dir, w.clock.Now); err != nil {
		t.Fatal(err)
	}
	api, err := adminapi.New(adminapi.Config{Admin: w.admin, Now: w.clock.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Admin: w.admin, API: api, Listen: "127.0.0.1:0", URL: o.url, Certificate: w.cert, Key: w.key, Enterprise: "St. Mary’s Hospital", Now: w.clock.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if o.pages != nil {
		o.pages(s)
	}
	w.url = "https://localhost:" + s.Addr()[strings.LastIndex(s.Addr(), ":")+1:]
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := errors.Join(w.store.Close(), w.files.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) sleep(_ context.Context, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slept = append(w.slept, d)
}

// seed is the code generator of everybody in these tests.
var seed = sallyport.Key("01234567890123456789")

func (w *world) code() string {
	w.t.Helper()
	return codeOf(w.t, seed, w.clock.Now())
}

func codeOf(t testing.TB, seed sallyport.Key, now time.Time) string {
	t.Helper()
	c, err := deviceproto.TokenCode(seed, now)
	if err != nil {
		t.Fatal(err)
	}
	return string(c)
}

// someone makes an administrator with a password of their own and, unless it is "", the code generator.
func (w *world) someone(name string, role sallyport.Role, withCode bool) sallyport.Administrator {
	w.t.Helper()
	ctx := context.Background()
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Name: "root@test", Role: sallyport.RoleSuper}
	a, first, err := w.admin.PutAdministrator(ctx, root, sallyport.Administrator{Name: name, DisplayName: strings.ToUpper(name[:1]) + name[1:] + " Example", Mail: name + "@hospital.test", Role: role})
	if err != nil {
		w.t.Fatal(err)
	}
	session, err := w.admin.SignIn(ctx, admin.SignInRequest{Name: name, Password: first, Visitor: admin.Visitor{Address: "192.0.2.200", Origin: w.url}})
	if err != nil {
		w.t.Fatal(err)
	}
	offer, err := w.admin.OfferTOTP(ctx, session)
	if err != nil {
		w.t.Fatal(err)
	}
	own, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(offer.Secret))
	if err != nil {
		w.t.Fatal(err)
	}
	session, _, err = w.admin.EnrolTOTP(ctx, session, offer.State, sallyport.Secret(codeOf(w.t, own, w.clock.Now())))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.admin.ChangePassword(ctx, session, "", goodPassword); err != nil {
		w.t.Fatal(err)
	}
	if err := w.admin.SignOut(ctx, session); err != nil {
		w.t.Fatal(err)
	}
	var kept sallyport.Key
	if withCode {
		kept = seed
	}
	if err := w.store.SetTOTP(ctx, a.ID, kept); err != nil {
		w.t.Fatal(err)
	}
	if a, err = w.store.Administrator(ctx, a.ID); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// client is a browser without scripts.
type client struct {
	w    *world
	http *http.Client
	// change changes every request before it is sent.
	change func(*http.Request)
}

func (w *world) client() *client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(w.cert.current.Leaf)
	return &client{w: w, http: &http.Client{Jar: jar, Timeout: 2 * time.Minute,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: w.clock.Now}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (c *client) do(req *http.Request) answer {
	c.w.t.Helper()
	if c.change != nil {
		c.change(req)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.w.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		c.w.t.Fatal(err)
	}
	return answer{res, string(body)}
}

func (c *client) get(path string) answer {
	c.w.t.Helper()
	req, err := http.NewRequest("GET", c.w.url+path, nil)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return c.do(req)
}

// post sends a form as a browser does.
func (c *client) post(path string, pairs ...string) answer {
	c.w.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequest("POST", c.w.url+path, strings.NewReader(v.Encode()))
	if err != nil {
		c.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", c.w.url)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return c.do(req)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf is the token in the forms of a page.
func (c *client) csrf(path string) string {
	c.w.t.Helper()
	page := c.get(path)
	m := csrfField.FindStringSubmatch(page.body)
	if m == nil {
		c.w.t.Fatalf("no form with a token on %s: %d %s\n%s", path, page.StatusCode, page.Header.Get("Location"), page.body)
	}
	return m[1]
}

// token is the session's cookie.
func (c *client) token() string {
	u, err := url.Parse(c.w.url)
	if err != nil {
		c.w.t.Fatal(err)
	}
	for _, k := range c.http.Jar.Cookies(u) {
		if k.Name == sessionCookie {
			return k.Value
		}
	}
	return ""
}

// signIn goes all the way in. Codes are good once, so the clock goes on first.
func (c *client) signIn(name string) {
	c.w.t.Helper()
	c.w.clock.forward(2 * time.Minute)
	if a := c.post("/sign-in", "name", name, "password", goodPassword); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/sign-in/factor" {
		c.w.t.Fatalf("sign-in: %d %s\n%s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
	if a := c.post("/sign-in/code", "csrf", c.csrf("/sign-in/factor"), "code", c.w.code()); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" {
		c.w.t.Fatalf("second factor: %d %s\n%s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
}

// in is a client who is signed in.
func (w *world) in(name string) *client {
	w.t.Helper()
	c := w.client()
	c.signIn(name)
	return c
}

// spki is what Chromium takes for a certificate that it shall trust.
func (w *world) spki() string {
	sum := sha256.Sum256(w.cert.current.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// domain adds a directory.
func (w *world) domain() sallyport.DomainID {
	w.t.Helper()
	d, err := w.store.PutDomain(context.Background(), sallyport.Domain{Name: "hospital.test", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://dc1.hospital.test"}, BindName: "svc@hospital.test", BindPassword: "secret"})
	if err != nil {
		w.t.Fatal(err)
	}
	return d.ID
}

// logins adds a day of them.
func (w *world) logins() {
	w.t.Helper()
	var list []sallyport.LoginRecord
	outcomes := []sallyport.Outcome{sallyport.OutcomeGranted, sallyport.OutcomeGranted, sallyport.OutcomeGranted, sallyport.OutcomeDenied, sallyport.OutcomeAbandoned}
	for i := range 200 {
		at := w.clock.Now().Add(-time.Duration(i*i%1380) * time.Minute)
		list = append(list, sallyport.LoginRecord{ID: sallyport.NewID(), Time: at, Ended: at.Add(time.Second), SupportCode: sallyport.NewSupportCode(), UserName: "alice",
			Door: sallyport.DoorOverlay, Outcome: outcomes[i%len(outcomes)]})
	}
	if err := w.store.RecordLogins(context.Background(), list, nil); err != nil {
		w.t.Fatal(err)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
