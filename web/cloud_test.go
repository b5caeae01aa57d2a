package web_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/embed"
	"github.com/sallyport/sallyport/internal/sealed"
	"github.com/sallyport/sallyport/web"
)

const (
	tenant      = sallyport.TenantID("st-marys")
	integration = sallyport.IntegrationID("vpn-1")
	phone       = "Alice's iPhone"
)

var b64u = base64.RawURLEncoding

// fakeCloud speaks docs/protocol/browser.md as cloud and appliance in one, with real keys, and does what a test tells it.
type fakeCloud struct {
	t      *testing.T
	server *httptest.Server
	root   *ecdsa.PrivateKey
	key    *ecdh.PrivateKey
	arrive chan *fakeLogin

	mu     sync.Mutex
	logins map[string]*fakeLogin
	count  map[string]int // requests by kind
	// before may answer a request itself (true) instead of the cloud. Kinds: script, part, begin, credentials, events, messages.
	before func(kind string, w http.ResponseWriter, r *http.Request) bool
	// statement may change the key statement before it is signed.
	statement func(map[string]any)
	// more are parts of another release, by name.
	more map[string]string
	// elsewhere puts the cloud on another site than the gateway's.
	elsewhere bool
	// language is that of the integration.
	language string
}

type fakeLogin struct {
	c        *fakeCloud
	id       string
	user     string
	claim    json.RawMessage // to be remembered
	cookies  []*http.Cookie
	password string
	origin   string
	language string
	shows    []string
	channel  sealed.Channel
	said     chan map[string]any

	mu      sync.Mutex
	version uint32
	view    map[string]any
	changed chan struct{}
	body    string // of the first credentials, to answer a repetition alike
	answer  []byte
}

func newCloud(t *testing.T) *fakeCloud {
	t.Helper()
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	key, err := sealed.NewBrowserKey()
	must(t, err)
	c := &fakeCloud{t: t, root: root, key: key, arrive: make(chan *fakeLogin, 16), logins: map[string]*fakeLogin{}, count: map[string]int{}}
	mux := http.NewServeMux()
	scripts, err := embed.NewServer(t.Context(), nil)
	must(t, err)
	mux.HandleFunc("GET /embed/v1/abc/f5.js", c.handle("script", c.script))
	mux.HandleFunc("GET /embed/v1/part/{file}", c.handle("part", c.part(scripts)))
	mux.HandleFunc("POST /v1/logins", c.handle("begin", c.begin))
	mux.HandleFunc("POST /v1/logins/{id}/credentials", c.handle("credentials", c.credentials))
	mux.HandleFunc("GET /v1/logins/{id}/events", c.handle("events", c.events))
	mux.HandleFunc("POST /v1/logins/{id}/messages", c.handle("messages", c.messages))
	mux.HandleFunc("POST /v1/logins/{id}/remembered", c.handle("remembered", c.remembered))
	c.server = httptest.NewServer(cors(mux))
	t.Cleanup(func() {
		c.server.CloseClientConnections()
		c.server.Close()
	})
	return c
}

func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if path.Base(r.URL.Path) == "credentials" || path.Base(r.URL.Path) == "remembered" { // with cookies, from any page of the test
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *fakeCloud) handle(kind string, next func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.count[kind]++
		before := c.before
		c.mu.Unlock()
		if before == nil || !before(kind, w, r) {
			next(w, r)
		}
	}
}

// intercept sets what happens to the next requests.
func (c *fakeCloud) intercept(f func(kind string, w http.ResponseWriter, r *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = f
}

func (c *fakeCloud) requests(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[kind]
}

func (c *fakeCloud) url() string {
	if c.elsewhere {
		return c.server.URL
	}
	return strings.Replace(c.server.URL, "127.0.0.1", "localhost", 1)
}

func (c *fakeCloud) accessToken() string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil,
		`{"tenantId": %q, "contextData": {"authAppId": "f5-big-ip", "authInstanceId": %q}}`, tenant, integration))
}

func (c *fakeCloud) rootPoint() []byte {
	p, err := c.root.PublicKey.ECDH()
	must(c.t, err)
	return p.Bytes()
}

func (c *fakeCloud) pin() string {
	h := sha256.Sum256(c.rootPoint())
	return b64u.EncodeToString(h[:])
}

func (c *fakeCloud) tag() string {
	return fmt.Sprintf(`%s<script src="%s/embed/v1/abc/f5.js" crossorigin="anonymous" data-access-token="%s" data-key="%s" data-lang="%s"></script>`,
		web.Guard, c.url(), c.accessToken(), c.pin(), c.language)
}

func (c *fakeCloud) modernAddress() string {
	t := strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(c.accessToken()), "=")
	return c.url() + "/embed/v1/abc/f5.js#t=" + t + "&k=" + c.pin() + "&l=" + c.language
}

func (c *fakeCloud) script(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	overlay := web.Overlay()
	for name, part := range c.more {
		own := regexp.MustCompile(`"` + name + `":"[A-Za-z0-9_-]{64}",?`)
		overlay = bytes.Replace(own.ReplaceAll(overlay, nil), []byte("var PARTS = {"), []byte(`var PARTS = {"`+name+`":"`+web.PartHash([]byte(part))+`",`), 1)
	}
	_, _ = w.Write(overlay)
}

func (c *fakeCloud) part(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, part := range c.more {
			if r.PathValue("file") == web.PartHash([]byte(part))+".js" {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = w.Write([]byte(part))
				return
			}
		}
		next.ServeHTTP(w, r)
	}
}

func (c *fakeCloud) begin(w http.ResponseWriter, r *http.Request) {
	var in struct{ AccessToken string }
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.AccessToken != c.accessToken() {
		refuse(w, 400, sallyport.CodeInvalid)
		return
	}
	now := time.Now().Unix()
	st := map[string]any{
		"v": 1, "tenant": tenant, "root": b64u.EncodeToString(c.rootPoint()), "kid": "k1",
		"pub": b64u.EncodeToString(c.key.PublicKey().Bytes()), "iat": now, "exp": now + 900,
	}
	if c.statement != nil {
		c.statement(st)
	}
	statement, err := json.Marshal(st)
	must(c.t, err)
	h := sha256.Sum256(append([]byte("sallyport/v1 keys\n"), statement...))
	x, y, err := ecdsa.Sign(rand.Reader, c.root, h[:])
	must(c.t, err)
	id := sallyport.NewID()
	reply(w, map[string]any{"loginId": id, "expiresInMs": 900000, "keys": map[string]any{
		"statement": b64u.EncodeToString(statement), "signature": b64u.EncodeToString(p1363(x, y)),
	}})
}

func p1363(x, y *big.Int) []byte {
	out := make([]byte, 64)
	x.FillBytes(out[:32])
	y.FillBytes(out[32:])
	return out
}

func (c *fakeCloud) credentials(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var in struct {
		AccessToken, UserName, Kid, Enc, Ciphertext, Language string
		Shows                                                 []string
		Iat                                                   int64
		Remembered                                            json.RawMessage
	}
	if err != nil || json.Unmarshal(raw, &in) != nil {
		refuse(w, 400, sallyport.CodeInvalid)
		return
	}
	id := r.PathValue("id")
	c.mu.Lock()
	old := c.logins[id]
	c.mu.Unlock()
	if old != nil {
		if old.body != string(raw) {
			refuse(w, 409, sallyport.CodeConflict)
			return
		}
		_, _ = w.Write(old.answer)
		return
	}
	enc, err1 := b64u.DecodeString(in.Enc)
	box, err2 := b64u.DecodeString(in.Ciphertext)
	cred, err3 := sealed.OpenCredentials(c.key, enc, box, sealed.Binding{
		Tenant: tenant, Integration: integration, Login: sallyport.LoginID(id), UserName: in.UserName,
		Origin: r.Header.Get("Origin"), KeyID: in.Kid, StatementIAT: in.Iat,
	})
	if err1 != nil || err2 != nil || err3 != nil {
		c.t.Errorf("credentials do not open: %v %v %v", err1, err2, err3)
		refuse(w, 400, sallyport.CodeInvalid)
		return
	}
	l := &fakeLogin{
		c: c, id: id, claim: in.Remembered, cookies: r.Cookies(), language: in.Language, shows: in.Shows, user: in.UserName, password: string(cred.Password), channel: cred.Channel, body: string(raw),
		origin: r.Header.Get("Origin"), said: make(chan map[string]any, 16), changed: make(chan struct{}),
	}
	c.mu.Lock()
	c.logins[id] = l
	c.mu.Unlock()
	c.arrive <- l
	select { // the test decides what comes first
	case <-l.wait(0):
	case <-r.Context().Done():
		return
	}
	l.answer, err = json.Marshal(map[string]any{"session": "s-" + id, "view": l.now()})
	must(c.t, err)
	_, _ = w.Write(l.answer)
}

// remembered gives a browser its cookie.
func (c *fakeCloud) remembered(w http.ResponseWriter, r *http.Request) {
	l := c.login(r)
	if l == nil {
		refuse(w, 404, sallyport.CodeNotFound)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "__Host-sallyport-x", Value: l.id, Path: "/", MaxAge: 3600, Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true})
	w.WriteHeader(http.StatusNoContent)
}

func (c *fakeCloud) login(r *http.Request) *fakeLogin {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.logins[r.PathValue("id")]
	if l == nil || r.Header.Get("Authorization") != "Bearer s-"+l.id {
		return nil
	}
	return l
}

func (c *fakeCloud) events(w http.ResponseWriter, r *http.Request) {
	l := c.login(r)
	if l == nil {
		refuse(w, 404, sallyport.CodeNotFound)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		l.stream(w, r)
		return
	}
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 32)
	if err != nil {
		refuse(w, 400, sallyport.CodeInvalid)
		return
	}
	select {
	case <-l.wait(uint32(after)):
		reply(w, l.now())
	case <-time.After(5 * time.Second):
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	}
}

func (l *fakeLogin) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for seen := uint32(0); ; {
		select {
		case <-l.wait(seen):
		case <-r.Context().Done():
			return
		}
		v := l.now()
		seen = v["version"].(uint32)
		data, err := json.Marshal(v)
		must(l.c.t, err)
		_, _ = fmt.Fprintf(w, ": here\n\nevent: view\ndata: %s\n\n", data)
		_ = flush.Flush()
		if v["phase"] == "done" || v["phase"] == "denied" {
			return
		}
	}
}

func (c *fakeCloud) messages(w http.ResponseWriter, r *http.Request) {
	l := c.login(r)
	var in struct {
		Version uint32
		Sealed  string
	}
	if l == nil || json.NewDecoder(r.Body).Decode(&in) != nil {
		refuse(w, 404, sallyport.CodeNotFound)
		return
	}
	if v := l.now(); in.Version != v["version"].(uint32) {
		refuse(w, 409, sallyport.CodeConflict)
		return
	}
	box, err := b64u.DecodeString(in.Sealed)
	must(c.t, err)
	plain, err := sealed.Open(l.channel.Up, box, sealed.MessageAAD(sallyport.LoginID(l.id), in.Version))
	if err != nil {
		c.t.Errorf("message does not open: %v", err)
	}
	said := map[string]any{}
	must(c.t, json.Unmarshal(plain, &said))
	l.said <- said
	select { // the test answers with the next view
	case <-l.wait(in.Version):
		reply(w, l.now())
	case <-r.Context().Done():
	}
}

// wait returns a channel that is closed once the version is above after.
func (l *fakeLogin) wait(after uint32) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		for {
			l.mu.Lock()
			ok, changed := l.version > after, l.changed
			l.mu.Unlock()
			if ok {
				close(done)
				return
			}
			select {
			case <-changed:
			case <-l.c.t.Context().Done():
				return
			}
		}
	}()
	return done
}

func (l *fakeLogin) now() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view
}

// show seals the next prompt for the browser.
func (l *fakeLogin) show(phase string, prompt map[string]any) {
	l.showSealed(phase, prompt, l.channel.Down)
}

func (l *fakeLogin) showSealed(phase string, prompt map[string]any, key []byte) {
	plain, err := json.Marshal(prompt)
	must(l.c.t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version++
	box := sealed.Seal(key, plain, sealed.ViewAAD(sallyport.LoginID(l.id), l.version, phase))
	l.view = map[string]any{"version": l.version, "phase": phase, "sealed": b64u.EncodeToString(box)}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *fakeLogin) push() {
	l.show("waiting", map[string]any{
		"kind": "push", "number": "42", "device": phone, "remainingMs": 30000, "methods": []string{"push", "code"}, "delivery": "sent",
	})
}

func (l *fakeLogin) done() {
	l.show("done", map[string]any{"kind": "done", "token": token})
}

func (l *fakeLogin) deny(reason sallyport.Reason) {
	l.show("denied", map[string]any{"kind": "denied", "reason": reason, "supportCode": "ABCD-1234"})
}

// heard waits for what the person said.
func (l *fakeLogin) heard() map[string]any {
	l.c.t.Helper()
	select {
	case m := <-l.said:
		return m
	case <-time.After(patience):
		l.c.t.Fatal("the page said nothing")
		return nil
	}
}

// next waits for credentials.
func (c *fakeCloud) next() *fakeLogin {
	c.t.Helper()
	select {
	case l := <-c.arrive:
		return l
	case <-time.After(patience):
		c.t.Fatal("no credentials came")
		return nil
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code sallyport.Code) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": string(code), "message": "no", "supportCode": "ABCD-1234"})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
