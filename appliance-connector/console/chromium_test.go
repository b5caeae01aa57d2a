package console

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
)

const patience = 20 * time.Second

// tab is a page of the console in Chromium.
type tab struct {
	t   *testing.T
	w   *world
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// chromium trusts the certificate that all worlds have: passkeys do not work otherwise.
var chromium harness.SharedBrowser

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Close()
	os.Exit(code)
}

// browser opens a tab with cookies and storage of its own.
func (w *world) browser(t *testing.T) *tab {
	t.Helper()
	p := &tab{t: t, w: w, ctx: chromium.PrivateTab(t, 1280, 900, chromedp.Flag("ignore-certificate-errors-spki-list", w.spki()))}
	if err := chromedp.Listen(p.ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.problems {
			t.Errorf("the browser complains: %s", e)
		}
	})
	return p
}

// listen notes what the browser complains of: scripts that fail, and what the policy keeps out.
func (p *tab) listen(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, fmt.Sprintf("%s %s", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description))
	case *cdplog.EventEntryAdded:
		if strings.Contains(e.Entry.Text, "Content Security Policy") {
			p.problems = append(p.problems, e.Entry.Text)
		}
	}
}

func (p *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v\nthe page shows:\n%s", what, err, p.text())
	}
}

func (p *tab) open(path string) {
	p.t.Helper()
	p.do("open "+path, chromedp.Navigate(p.w.url+path))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.until("document.querySelector(" + quoted(selector) + ")")
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

func (p *tab) write(name, text string) {
	p.t.Helper()
	p.until("document.querySelector(" + quoted("main [name="+name+"]") + ")")
	p.do("type into "+name, chromedp.SendKeys(chromedp.CSS("main [name="+name+"]"), text))
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func (p *tab) text() string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return s
}

func (p *tab) eval(js string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+js+")"))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return s
}

// until waits for a condition; an error is a page on its way to another.
func (p *tab) until(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("never became true: %s (%v)\nthe page shows:\n%s", condition, err, p.text())
		case <-tick.C:
		}
	}
}

func (p *tab) at(path string) {
	p.t.Helper()
	p.until(`location.pathname === ` + quoted(path) + ` && document.readyState === "complete"`)
}

// authenticator gives the tab a security key that always says yes.
func (p *tab) authenticator() {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		p.t.Fatal(err)
	}
	if _, err := chromedp.Call(p.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true}}); err != nil {
		p.t.Fatal(err)
	}
}

// look is a size and a scheme in which pages are looked at.
type look struct {
	name          string
	width, height int64
	dark          bool
	axe           bool // the two that differ in everything
}

var looks = []look{
	{"wide-light", 1280, 900, false, true}, {"wide-dark", 1280, 900, true, false},
	{"phone-light", 360, 740, false, false}, {"phone-dark", 360, 740, true, true},
}

func (p *tab) set(l look) {
	p.t.Helper()
	p.do("size", chromedp.EmulateViewport(l.width, l.height))
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}); err != nil {
		p.t.Fatal(err)
	}
}

// inspect looks at the page as it is in every look: axe-core finds nothing in two of them, nothing is wider than the
// window, and a picture can be kept for people.
func (p *tab) inspect(name string) {
	p.t.Helper()
	for _, l := range looks {
		p.set(l)
		p.do("let the styles settle", chromedp.Evaluate[chromedp.Void](`void document.body.offsetHeight`))
		if wide := p.eval(`[...document.querySelectorAll("main, main *, .top, .top *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".chart-scroll, .tabs, .table-scroll, .hidden, [popover], caption, thead")).map(e => e.tagName + "." + e.className).join()`); wide != "" {
			p.t.Errorf("%s, %s: wider than the window: %s", name, l.name, wide)
		}
		if l.axe {
			for _, v := range harness.Axe(p.t, p.ctx) {
				p.t.Errorf("%s, %s: axe: %s", name, l.name, v)
			}
		}
		p.picture(name + "-" + l.name)
	}
	p.set(looks[0])
}

// picture keeps a picture for people, where SALLYPORT_TEST_ARTIFACTS says that they want any: hundreds of them take minutes.
func (p *tab) picture(name string) {
	p.t.Helper()
	if os.Getenv("SALLYPORT_TEST_ARTIFACTS") == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	path := filepath.Join(harness.ArtifactDir(p.t), "console-"+name+".png")
	if err := os.WriteFile(path, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func TestSetupThenPasskey(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.browser(t)
	p.authenticator()
	code, err := w.admin.IssueSetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.open("/setup#" + string(code))
	p.until(`document.querySelector("[name=code]").value.length > 20 && location.hash === ""`)
	p.inspect("setup")
	p.write("display_name", "Olive Owner")
	p.write("name", "olive")
	p.write("password", goodPassword)
	p.write("again", goodPassword)
	p.click("button[type=submit]")
	p.at("/sign-in/enrol")
	p.inspect("enrol")
	p.click(`a[href^="/sign-in/enrol/passkey"]`)
	p.at("/sign-in/enrol/passkey")
	p.inspect("enrol-passkey")
	p.click("button[type=submit]")
	p.until(`document.querySelectorAll(".recovery li").length === 10`)
	p.inspect("recovery-codes")
	p.click("a.primary")
	p.at("/")
	p.inspect("overview")
	p.click(".who")
	p.picture("menu")
	p.do("sign out", chromedp.Evaluate[chromedp.Void](`void document.querySelector("#me form").requestSubmit()`))
	p.at("/sign-in")
	p.inspect("sign-in")
	p.write("name", "olive")
	p.write("password", goodPassword)
	p.click("button[type=submit]")
	p.at("/sign-in/factor")
	p.inspect("second-step")
	p.click("form[data-passkey] button")
	p.at("/")
	if got := p.eval(`document.querySelector(".who-name").innerText`); !strings.HasSuffix(got, "Olive Owner") {
		t.Errorf("signed in as %q", got)
	}
}

func TestAppCodeThenAdministrators(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for name, role := range map[string]sallyport.Role{"hugo": sallyport.RoleHelpDesk, "ada": sallyport.RoleAdmin, "augusta": sallyport.RoleAuditor} {
		w.someone(name, role, true)
	}
	a := w.someone("olive", sallyport.RoleSuper, false)
	if err := w.store.SetRecoveryCodes(t.Context(), a.ID, nil); err != nil {
		t.Fatal(err)
	}
	p := w.browser(t)
	p.open("/administrators")
	p.at("/sign-in")
	p.write("name", "olive")
	p.write("password", "not this one at all")
	p.click("button[type=submit]")
	p.until(`document.querySelector(".trouble")`)
	p.inspect("sign-in-refused")
	p.write("password", goodPassword)
	p.click("button[type=submit]")
	p.at("/sign-in/enrol")
	p.click(`a[href^="/sign-in/enrol/code"]`)
	p.at("/sign-in/enrol/code")
	p.inspect("enrol-code")
	secret := strings.ReplaceAll(p.eval(`document.querySelector(".secret").textContent`), " ", "")
	own, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	p.write("code", codeOf(t, own, w.clock.Now()))
	p.click("button[type=submit]")
	p.until(`document.querySelectorAll(".recovery li").length === 10`)
	p.click("a.primary")
	p.at("/administrators")
	p.inspect("administrators")
	p.write("q", "hug")
	p.until(`document.querySelectorAll("#administrators tbody tr").length === 1 && location.search.includes("hug")`)
	p.do("clear", chromedp.Navigate(w.url+"/administrators?q=nobody-has-this"))
	p.inspect("administrators-empty")
	p.open("/administrators/new")
	p.at("/administrators/new")
	p.inspect("administrator-new")
	p.write("display_name", "Bea Best")
	p.write("name", "olive")
	p.click("main button[type=submit]")
	p.until(`document.querySelector(".trouble, .error")`)
	p.inspect("administrator-new-refused")
	p.do("other name", chromedp.Evaluate[chromedp.Void](`void (document.querySelector("[name=name]").value = "bea")`))
	p.click("main button[type=submit]")
	p.until(`document.querySelector(".code pre")`)
	p.inspect("first-password")
	p.click(`main a.button`)
	p.until(`location.pathname.startsWith("/administrators/") && document.querySelector("h1").textContent === "Bea Best"`)
	p.inspect("administrator")
	p.click(`[data-dialog=delete]`)
	p.until(`document.querySelector("#delete").open`)
	p.inspect("administrator-delete")
	w.clock.forward(11 * time.Minute)
	p.click("#delete button[type=submit]")
	p.until(`document.querySelector("h1").textContent === "Confirm that it is you"`)
	p.inspect("confirm")
	p.write("code", codeOf(t, own, w.clock.Now()))
	p.click("button[type=submit]")
	p.at("/administrators")
	p.until(`document.querySelector(".note")`)
	if got := p.eval(`document.querySelector(".note").innerText + document.querySelectorAll("#administrators tbody tr").length`); !strings.HasPrefix(got, "The administrator was deleted.") || !strings.HasSuffix(got, "4") {
		t.Errorf("after deleting: %q", got)
	}
	p.picture("note")
}

// signIn goes in with password and code.
func (p *tab) signIn(name string) {
	p.t.Helper()
	p.w.clock.forward(2 * time.Minute)
	p.open("/sign-in")
	p.write("name", name)
	p.write("password", goodPassword)
	p.click("button[type=submit]")
	p.at("/sign-in/factor")
	p.write("code", p.w.code())
	p.click("main button[type=submit]")
	p.at("/")
}

func TestEveryOtherPage(t *testing.T) {
	w := newWorld(t, worldOptions{watched: troubled(), pages: gallery})
	w.someone("olive", sallyport.RoleSuper, true)
	w.domain()
	w.logins()
	p := w.browser(t)
	p.signIn("olive")
	p.inspect("overview-trouble")
	p.open("/gallery")
	p.inspect("gallery")
	p.open("/administrators/roles")
	p.inspect("roles-empty")
	p.open("/administrators/roles/new")
	p.inspect("role-new")
	p.write("group", "CN=VPN help desk,OU=Groups,DC=hospital,DC=test")
	p.click("main button[type=submit]")
	p.at("/administrators/roles")
	p.inspect("roles")
	p.open("/account/tokens/new")
	p.inspect("token-new")
	p.write("name", "Nightly export")
	p.click("main button[type=submit]")
	p.until(`document.querySelector(".code pre")`)
	p.inspect("token")
	p.open("/account/api")
	p.inspect("api")
	p.open("/account/api/operations/changeWorkflowPolicy")
	p.inspect("api-operation")
	p.open("/account")
	p.inspect("account")
	p.open("/settings")
	p.inspect("settings")
	p.open("/search?q=ol")
	p.inspect("search")
	p.open("/no/such/page")
	p.inspect("not-found")
}

func TestKeysReachTheSearch(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	p := w.browser(t)
	p.signIn("olive")
	for _, press := range []chromedp.Action[chromedp.Void]{chromedp.KeyEvent("/"), chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl))} {
		p.do("leave the field", chromedp.Evaluate[chromedp.Void](`void document.activeElement.blur()`))
		p.do("press", press)
		p.until(`document.activeElement.matches("[data-find]")`)
	}
	p.do("type", chromedp.KeyEvent("olive"))
	p.until(`document.querySelector("#found a")?.textContent.includes("Olive Example")`) // what is found for the half of it is other
	p.picture("search-as-you-type")
	p.do("go", chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector("h1").textContent === "Olive Example"`)
}
