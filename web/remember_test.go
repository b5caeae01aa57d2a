package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/browserkey"
)

// recordID is the name under which the test's appliance remembers.
const recordID = "QUFBQUFBQUFBQUFBQUFBQQ"

// offered is a push with the offer to remember this device.
func (l *fakeLogin) offered(on bool) {
	l.show("waiting", prompt{"kind": "push", "number": "42", "device": phone, "remainingMs": 60000, "methods": []string{"push", "code"}, "remember": prompt{"hours": 720, "on": on}})
}

// ticks has the person tick the box, and returns the key that the appliance is told.
func (l *fakeLogin) ticks(p *tab) []byte {
	l.c.t.Helper()
	l.offered(false)
	p.untilScreen("push")
	p.click("remember")
	m := l.heard()
	text, _ := m["key"].(string)
	key, err := b64u.DecodeString(text)
	must(l.c.t, err)
	if _, err := browserkey.ParseKey(key); err != nil || m["action"] != "remember" || m["on"] != true {
		l.c.t.Fatalf("said %v: %v", m, err)
	}
	l.offered(true)
	p.until(`$('remember').checked && $('number').textContent === '42'`)
	return key
}

// remembered ends a login whose browser is remembered from now on.
func (l *fakeLogin) remembered(p *tab) {
	l.c.t.Helper()
	l.show("done", prompt{"kind": "done", "token": token, "remembered": prompt{"id": recordID, "hours": 720}})
	p.untilIn()
}

// remember has a browser remembered for alice.
func remember(t *testing.T, c *fakeCloud, g *gateway, p *tab) (key []byte) {
	t.Helper()
	p.open(g.url("/"))
	p.signIn("alice", password)
	l := c.next()
	if l.claim != nil {
		t.Errorf("a browser that was not remembered claims %s", l.claim)
	}
	key = l.ticks(p)
	l.remembered(p)
	return key
}

// again logs in and returns the login, which the test ends.
func again(t *testing.T, c *fakeCloud, g *gateway, p *tab, user string) *fakeLogin {
	t.Helper()
	p.open(g.url("/"))
	p.signIn(user, password)
	return c.next()
}

// wantClaim checks what the browser says of itself.
func (l *fakeLogin) wantClaim(key []byte, uses uint32) {
	l.c.t.Helper()
	var got struct {
		ID        sallyport.RememberedID
		N         uint32
		Signature string
	}
	if l.claim == nil {
		l.c.t.Fatal("the browser says nothing of being remembered")
	}
	must(l.c.t, json.Unmarshal(l.claim, &got))
	signature, err := b64u.DecodeString(got.Signature)
	must(l.c.t, err)
	claim := browserkey.Claim{Tenant: tenant, Integration: integration, Login: sallyport.LoginID(l.id), UserName: l.user, ID: recordID, Uses: uses}
	if got.ID != recordID || got.N != uses || !claim.SignedBy(key, signature) {
		l.c.t.Errorf("claim %s, want use %d", l.claim, uses)
	}
}

func TestARememberedBrowserSignsEachLogin(t *testing.T) {
	c := newCloud(t)
	c.elsewhere = true // it has no cookies but its own
	g, p := newGateway(t, c), newTab(t)
	key := remember(t, c, g, p)
	if n := c.requests("remembered"); n != 1 {
		t.Errorf("asked for a cookie %d times", n)
	}
	for uses, name := range []string{"alice", "Alice", "ALICE"} {
		l := again(t, c, g, p, name)
		l.wantClaim(key, uint32(uses)+1)
		if len(l.cookies) != 1 || l.cookies[0].Name != "__Host-sallyport-x" {
			t.Errorf("cookies %v", l.cookies)
		}
		l.done()
		p.untilIn()
	}
	if l := again(t, c, g, p, "bob"); l.claim != nil || len(l.cookies) > 0 {
		t.Errorf("for another user: %s, %v", l.claim, l.cookies)
	}
	private := newTab(t)
	if l := again(t, c, g, private, "alice"); l.claim != nil {
		t.Errorf("in a private window: %s", l.claim)
	}
	// The box that is ticked again, as after the time was shortened, takes another key.
	l := again(t, c, g, p, "alice")
	l.wantClaim(key, 4)
	second := l.ticks(p)
	l.remembered(p)
	l = again(t, c, g, p, "alice")
	l.wantClaim(second, 1)
}

func TestTheKeyOfARememberedBrowserCannotLeaveIt(t *testing.T) {
	c := newCloud(t)
	g, p := newGateway(t, c), newTab(t)
	remember(t, c, g, p)
	p.open(g.url("/"))
	p.eval(`(() => { indexedDB.open('sallyport').onsuccess = e => {
		const all = e.target.result.transaction('remembered').objectStore('remembered').getAll();
		all.onsuccess = () => Promise.all(all.result.map(v => Promise.all(['pkcs8', 'jwk', 'raw'].map(f => crypto.subtle.exportKey(f, v.key).then(() => 'exported', e => e.name)))
			.then(how => [v.key.type, v.key.extractable, ...how].join(' ')))).then(r => { window.kept = r.join('; '); });
	}; })()`)
	p.until(`window.kept !== undefined`)
	if got := p.text(`window.kept`); got != "private false InvalidAccessError InvalidAccessError InvalidAccessError" {
		t.Errorf("kept %q", got)
	}
}

func TestWhereNothingCanBeKeptItIsNotOffered(t *testing.T) {
	for name, script := range map[string]string{
		"no IndexedDB":         `Object.defineProperty(window, 'indexedDB', {value: undefined})`,
		"blocked":              `Object.defineProperty(window, 'indexedDB', {get() { throw new DOMException('blocked', 'SecurityError'); }})`,
		"refused":              `IDBFactory.prototype.open = () => { const r = new EventTarget(); setTimeout(() => r.onerror(new Event('error', {cancelable: true}))); return r; }`,
		"never answers":        `IDBFactory.prototype.open = () => ({})`,
		"takes no key":         `IDBObjectStore.prototype.put = () => { throw new DOMException('no', 'DataCloneError'); }`,
		"no key can be made":   `SubtleCrypto.prototype.generateKey = (real => function (a, ...r) { return a.name === 'ECDSA' ? Promise.reject(new Error('no')) : real.call(this, a, ...r); })(SubtleCrypto.prototype.generateKey)`,
		"the disk is full":     `IDBFactory.prototype.open = (real => function (...a) { const r = real.apply(this, a); r.addEventListener('success', () => { IDBDatabase.prototype.transaction = (real => function (...a) { const t = real.apply(this, a); setTimeout(() => { try { t.abort(); } catch (e) {} }); return t; })(IDBDatabase.prototype.transaction); }); return r; })(IDBFactory.prototype.open)`,
		"no locks, but a disk": `Object.defineProperty(Navigator.prototype, 'locks', {value: undefined})`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			g, p := newGateway(t, c), newTab(t)
			p.early(script)
			p.open(g.url("/"))
			p.untilScreen("signin")
			p.until(`performance.now() > 2500`) // the page has found out
			p.signIn("alice", password)
			l := c.next()
			if l.claim != nil {
				t.Errorf("claim %s", l.claim)
			}
			l.offered(false)
			p.untilScreen("push")
			if works := p.eval(`!!$('remember')`); works != (name == "no locks, but a disk") {
				t.Errorf("offered: %v", works)
			}
			l.done()
			p.untilIn()
		})
	}
}

func TestClearedStorageIsAskedAgainAndRememberedAnew(t *testing.T) {
	c := newCloud(t)
	g, p := newGateway(t, c), newTab(t)
	remember(t, c, g, p)
	p.open(`about:blank`)
	p.open(g.url("/in"))
	p.eval(`(() => { indexedDB.deleteDatabase('sallyport').onsuccess = () => { window.cleared = true; }; })()`)
	p.until(`window.cleared`)
	key := remember(t, c, g, p)
	again(t, c, g, p, "alice").wantClaim(key, 1)
}

func TestATickedBoxWithoutAnEndRemembersNothing(t *testing.T) {
	c := newCloud(t)
	g, p := newGateway(t, c), newTab(t)
	p.open(g.url("/"))
	p.signIn("alice", password)
	l := c.next()
	l.ticks(p)
	l.done() // the appliance could not keep it
	p.untilIn()
	if l := again(t, c, g, p, "alice"); l.claim != nil {
		t.Errorf("claim %s", l.claim)
	}
}

// Two pages at once would look like a copy of the browser.
func TestOnePageAtATimeIsTheRememberedOne(t *testing.T) {
	c := newCloud(t)
	g, p := newGateway(t, c), newTab(t)
	key := remember(t, c, g, p)
	first := again(t, c, g, p, "alice") // and is not answered yet
	first.wantClaim(key, 1)
	other := newTabIn(t, p.ctx)
	second := again(t, c, g, other, "alice")
	if second.claim != nil {
		t.Errorf("the second page claims %s", second.claim)
	}
	second.done()
	other.untilIn()
	first.done()
	p.untilIn()
	again(t, c, g, other, "alice").wantClaim(key, 2)
}

func TestAnAnswerThatCookiesKeepFromBeingReadIsAskedForWithout(t *testing.T) {
	c := newCloud(t)
	g, p := newGateway(t, c), newTab(t)
	key := remember(t, c, g, p)
	c.intercept(func(kind string, w http.ResponseWriter, r *http.Request) bool {
		if kind == "credentials" && len(r.Cookies()) > 0 {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Del("Access-Control-Allow-Credentials")
		}
		return false
	})
	l := again(t, c, g, p, "alice")
	l.wantClaim(key, 1)
	l.done()
	p.untilIn()
	if n := c.requests("credentials"); n != 3 { // remembering, and this one twice
		t.Errorf("%d requests", n)
	}
}

// In a browser that blocks the cookies of other sites: the gateway is localhost, the cloud 127.0.0.1.
func TestRememberedWithThirdPartyCookiesBlocked(t *testing.T) {
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("test-third-party-cookie-phaseout", true))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	c := newCloud(t)
	c.elsewhere = true
	c.intercept(func(kind string, w http.ResponseWriter, _ *http.Request) bool {
		if kind == "remembered" { // one of the old kind, to see that those are blocked
			http.SetCookie(w, &http.Cookie{Name: "tracker", Value: "x", Path: "/", MaxAge: 3600, Secure: true, SameSite: http.SameSiteNoneMode})
		}
		return false
	})
	g, p := newGateway(t, c), newTabIn(t, alloc)
	key := remember(t, c, g, p)
	l := again(t, c, g, p, "alice")
	l.wantClaim(key, 1)
	if u, err := url.Parse(l.origin); err != nil || u.Hostname() != "localhost" || strings.Contains(c.url(), "localhost") {
		t.Fatalf("gateway %s, cloud %s", l.origin, c.url())
	}
	names := ""
	for _, cookie := range l.cookies {
		names += cookie.Name + " "
	}
	if names != "__Host-sallyport-x " {
		t.Errorf("cookies %q", names)
	}
	l.done()
	p.untilIn()
}

func TestALoginIsNotKeptWaitingByItsMemory(t *testing.T) {
	c := newCloud(t)
	g, p := newGateway(t, c), newTab(t)
	remember(t, c, g, p)
	p.early(`IDBFactory.prototype.open = () => ({})`)
	p.open(g.url("/"))
	p.untilScreen("signin")
	start := time.Now()
	p.signIn("alice", password)
	l := c.next()
	if l.claim != nil || time.Since(start) > patience/3 {
		t.Errorf("claim %s after %v", l.claim, time.Since(start))
	}
	l.done()
	p.untilIn()
}
