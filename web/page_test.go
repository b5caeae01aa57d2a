package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport/test/apmsim"
)

const (
	patience = 30 * time.Second // on a machine that others use too
	password = "correct horse \u00fc\u20ac"
	token    = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMk"
)

var browser context.Context

func TestMain(m *testing.M) {
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "start browser:", err)
		os.Exit(1)
	}
	browser = ctx
	code := m.Run()
	cancel()
	cancelAlloc()
	os.Exit(code)
}

// gateway is the stand-in's logon page in front of a policy that lets everybody in and remembers what was posted.
type gateway struct {
	server *httptest.Server
	policy string // Content-Security-Policy of the site
	mu     sync.Mutex
	posted url.Values
}

func newGateway(t *testing.T, c *fakeCloud) *gateway {
	sim := apmsim.New(apmsim.Config{Script: c.tag(), ModernScript: apmsim.ExternalScript{Address: c.modernAddress()}}).Handler()
	g := &gateway{}
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.policy != "" {
			w.Header().Set("Content-Security-Policy", g.policy)
		}
		if r.Method != http.MethodPost {
			sim.ServeHTTP(w, r)
			return
		}
		_ = r.ParseForm()
		g.mu.Lock()
		g.posted = r.PostForm
		g.mu.Unlock()
		_, _ = w.Write([]byte(`<h1 id="in">in</h1>`))
	}))
	t.Cleanup(g.server.Close)
	return g
}

func (g *gateway) url(path string) string {
	return strings.Replace(g.server.URL, "127.0.0.1", "localhost", 1) + path
}

func (g *gateway) form() url.Values {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.posted
}

// tab is one page in a browser of its own, as far as cookies go.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	console []string
}

func newTab(t *testing.T) *tab {
	t.Helper()
	return newTabIn(t, browser, chromedp.WithNewBrowserContext())
}

func newTabIn(t *testing.T, parent context.Context, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, opts...)
	t.Cleanup(cancel)
	must(t, chromedp.Do(ctx))                             // opens the tab; a deadline here would be the whole browser's
	ctx, stop := context.WithTimeout(ctx, 10*time.Minute) // each step has a shorter one
	t.Cleanup(stop)
	p := &tab{t: t, ctx: ctx}
	must(t, chromedp.Listen(ctx, p.listen))
	call(p, runtime.Enable, cdp.Empty{})
	call(p, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	p.width(1280, 800)
	return p
}

// call runs one command of the browser's protocol.
func call[P, R any](p *tab, cmd cdp.Command[P, R], params P) R {
	p.t.Helper()
	r, err := chromedp.Call(p.ctx, cmd, params)
	must(p.t, err)
	return r
}

func (p *tab) listen(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		text := ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			text += " " + e.Description
		}
		p.t.Errorf("exception in the page: %s", text)
	case *runtime.EventConsoleAPICalled:
		for _, a := range ev.Args {
			p.console = append(p.console, string(a.Value)+a.Description)
		}
	}
}

// navigate does not wait for the page to finish loading: some of them never do.
func navigate(p *tab, address string) error {
	_, err := chromedp.Call(p.ctx, cdppage.Navigate, cdppage.NavigateParams{URL: address})
	return err
}

func (p *tab) open(address string) {
	p.t.Helper()
	must(p.t, chromedp.Do(p.ctx, chromedp.Navigate(address)))
}

// early runs a script before any of the page's.
func (p *tab) early(script string) {
	p.t.Helper()
	call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

const inShadow = `const host = document.getElementById('sallyport'), shadow = host && host.shadowRoot, $ = id => shadow && shadow.getElementById(id);`

// eval returns what an expression gives; $ finds an element of the overlay by id.
func (p *tab) eval(expr string) any {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`JSON.stringify((() => { `+inShadow+` return (`+expr+`) ?? null; })())`))
	must(p.t, err)
	var v any
	must(p.t, json.Unmarshal([]byte(text), &v))
	return v
}

func (p *tab) text(expr string) string {
	p.t.Helper()
	s, _ := p.eval(expr).(string)
	return s
}

// until waits for an expression to become true. Evaluations that hit a page on its way out are repeated.
func (p *tab) until(expr string) {
	p.t.Helper()
	end := time.Now().Add(patience)
	for {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`(() => { `+inShadow+` return !!(`+expr+`); })()`))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) || p.ctx.Err() != nil {
			p.t.Fatalf("never became true: %s (%v); screen %q", expr, err, p.screen())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.ctx.Done():
		}
	}
}

func (p *tab) screen() string {
	p.t.Helper()
	return p.text(`host && host.dataset.screen`)
}

func (p *tab) untilScreen(name string) {
	p.t.Helper()
	p.until(`host && host.dataset.screen === '` + name + `'`)
}

func (p *tab) click(id string) {
	p.t.Helper()
	p.until(`$('` + id + `')`)
	p.eval(`$('` + id + `').click()`)
}

// write types into a field of the overlay, key by key.
func (p *tab) write(id, text string) {
	p.t.Helper()
	p.until(`$('` + id + `')`)
	p.eval(`$('` + id + `').focus()`)
	must(p.t, chromedp.Do(p.ctx, chromedp.KeyEvent(text)))
}

func (p *tab) enter() { p.t.Helper(); must(p.t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Enter))) }

// signIn types user name and password and presses Enter.
func (p *tab) signIn(user, pass string) {
	p.t.Helper()
	p.untilScreen("signin")
	p.write("username", user)
	p.write("password", pass)
	p.enter()
}

// untilIn waits until the gateway's form was posted.
func (p *tab) untilIn() { p.t.Helper(); p.until(`document.getElementById('in')`) }

// nativeShown tells whether the page's own fields can be seen and used.
const nativeShown = `(() => { const f = [...document.querySelectorAll('form input')].find(i => i.type !== 'hidden');
	return !!f && f.checkVisibility({visibilityProperty: true, opacityProperty: true}) && f.getBoundingClientRect().width > 0; })()`

func (p *tab) width(w, h int64) {
	p.t.Helper()
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: w, Height: h, DeviceScaleFactor: 1, Mobile: w < 500})
}

func (p *tab) dark(on bool) {
	p.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
}

// shots photographs the screen in both sizes and colours when SALLYPORT_SHOTS names a folder.
func (p *tab) shots(name string) {
	p.t.Helper()
	dir := os.Getenv("SALLYPORT_SHOTS")
	if dir == "" {
		return
	}
	must(p.t, os.MkdirAll(dir, 0o755))
	for _, size := range []struct {
		name string
		w, h int64
	}{{"desktop", 1280, 800}, {"phone", 320, 640}} {
		for _, dark := range []bool{false, true} {
			p.width(size.w, size.h)
			p.dark(dark)
			png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
			must(p.t, err)
			colour := map[bool]string{false: "light", true: "dark"}[dark]
			must(p.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", name, size.name, colour)), png, 0o644))
		}
	}
	p.width(1280, 800)
	p.dark(false)
}
