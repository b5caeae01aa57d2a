package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
)

// states are the prompts that the overlay has a screen for, by name.
func states() []struct {
	name, phase string
	prompt      prompt
} {
	methods := []string{"push", "code", "sms", "otp", "external", "passkey", "temporary"}
	from := func(first string) []string {
		out := []string{first}
		for _, m := range methods {
			if m != first {
				out = append(out, m)
			}
		}
		return out
	}
	remember := prompt{"hours": 720, "on": false}
	kinds := []string{"app", "phone", "passkey", "otp"}
	return []struct {
		name, phase string
		prompt      prompt
	}{
		{"push", "waiting", prompt{"kind": "push", "number": "42", "device": phone, "remainingMs": 60000, "methods": methods, "delivery": "failed", "remember": remember}},
		{"push without a number", "waiting", prompt{"kind": "push", "remainingMs": 60000, "methods": []string{"push"}}},
		{"code", "input", prompt{"kind": "code", "methods": []string{"code", "push"}, "reason": "wrong_code", "remember": remember}},
		{"sms", "input", prompt{"kind": "code", "methods": from("sms"), "to": "12", "resendMs": 45000}},
		{"sms failed", "input", prompt{"kind": "code", "methods": from("sms"), "to": "12", "resendMs": 0, "delivery": "failed"}},
		{"otp", "input", prompt{"kind": "code", "methods": from("otp"), "reason": "blocked"}},
		{"external", "input", prompt{"kind": "code", "methods": from("external"), "message": "Enter the next code of your token:"}},
		{"temporary", "input", prompt{"kind": "code", "methods": from("temporary")}},
		{"choose", "input", prompt{"kind": "choose", "methods": from("passkey")}},
		{"passkey", "input", prompt{"kind": "passkey", "methods": from("passkey"), "passkey": prompt{"challenge": challenge}, "remember": remember}},
		{"enrol start", "input", enrol("start", prompt{"kinds": kinds, "mayDelay": true})},
		{"enrol app", "waiting", enrol("app", prompt{"link": link})},
		{"enrol app by serial number", "waiting", enrol("app", prompt{"link": link, "bySerial": true, "reason": "enrol_failed"})},
		{"enrol phone", "input", enrol("phone", nil)},
		{"enrol phone code", "input", enrol("phone_code", prompt{"to": "12", "resendMs": 45000})},
		{"enrol passkey", "input", enrol("passkey", prompt{"options": creation()})},
		{"enrol otp", "input", enrol("otp", nil)},
		{"enrol finished", "input", enrol("finished", prompt{"what": "app", "name": phone})},
	}
}

// visits is how the overlay is gone through: on which page, in which language.
type visits struct {
	path, language string
	// more shows also what differs from another screen by its sentence alone.
	more bool
}

// screens shows every screen of the overlay, one after the other.
func screens(t *testing.T, v visits, visit func(p *tab, name string)) {
	c := newCloud(t)
	c.more = map[string]string{"remember": remembering}
	g := newGateway(t, c)
	p := newTab(t)
	p.speaks(v.language)
	// A visit may take longer than the overlay waits for the gateway to take the form.
	p.early(`(() => { const later = window.setTimeout; window.setTimeout = (f, ms, ...more) => ms === 15000 ? 0 : later(f, ms, ...more); })()`)
	p.open(g.url(v.path))
	p.untilScreen("signin")
	visit(p, "signin")
	p.signIn("alice", "wrong")
	c.next().deny(sallyport.ReasonCredentials)
	p.until(`$('alert').textContent`)
	visit(p, "signin with an alert")
	p.write("password", password)
	p.enter()
	l := c.next()
	p.until(`$('submit').getAttribute('aria-disabled')`)
	visit(p, "checking")
	for _, s := range states() {
		p.eval(`host && (host.dataset.screen = 'before')`)
		l.show(s.phase, s.prompt)
		p.until(`host.dataset.screen !== 'before' && host.dataset.screen !== 'signin'`)
		switch s.name {
		case "code":
			p.enter()
		case "enrol app":
			p.until(`$('qr').querySelector('path')`)
		}
		visit(p, s.name)
		if s.name == "push" {
			p.click("nophone")
			p.untilScreen("nophone")
			visit(p, "nophone")
			p.click("back")
			p.untilScreen("push")
		}
	}
	if v.more {
		l.push()
		p.untilScreen("push")
		c.intercept(func(kind string, w http.ResponseWriter, _ *http.Request) bool { return kind == "events" && cut(w) })
		c.server.CloseClientConnections()
		p.until(`$('hint').textContent`)
		visit(p, "push out of reach")
		c.intercept(nil)
		p.until(`!$('hint').textContent`)
	}
	l.deny(sallyport.ReasonTimeout)
	p.untilScreen("denied")
	visit(p, "denied")
	again := func() *fakeLogin {
		p.click("again")
		p.untilScreen("signin")
		p.write("password", password)
		p.enter()
		return c.next()
	}
	if v.more {
		for _, r := range []sallyport.Reason{sallyport.ReasonWrongNumber, sallyport.ReasonRejected, sallyport.ReasonNotMe, sallyport.ReasonTooManyCodes, sallyport.ReasonNotEnrolled, sallyport.ReasonExpired} {
			again().deny(r)
			p.untilScreen("denied")
			visit(p, "denied "+string(r))
		}
	}
	l = again()
	// The form stays, so that there is time to look.
	p.eval(`(HTMLFormElement.prototype.submit = () => {}, addEventListener('submit', e => { e.preventDefault(); e.stopImmediatePropagation(); }, true), true)`)
	l.done()
	p.untilScreen("done")
	visit(p, "done")
	p.open(g.url(v.path))
	p.untilScreen("signin")
	c.intercept(refusal("credentials", 500, sallyport.CodeInternal))
	p.signIn("alice", password)
	p.untilScreen("error")
	visit(p, "error")
	p.click("native")
	p.untilScreen("native")
	visit(p, "native")
	c.intercept(nil)
	if strings.HasPrefix(v.path, "/modern") {
		return // what follows is the standard page's own
	}
	p.open(g.url(v.path))
	p.untilScreen("signin")
	p.until(`window.sessionTimeout`) // the page's own script makes it a little later
	p.eval(`sessionTimedOut()`)
	p.untilScreen("expired")
	visit(p, "expired")
	p.open(g.url("/?page=restart"))
	p.signIn("alice", password)
	c.next().done()
	p.untilScreen("restart")
	visit(p, "restart")
}

// names returns role and name of everything a screen reader finds.
func (p *tab) names() string {
	p.t.Helper()
	tree := call(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	var out []string
	for _, n := range tree.Nodes {
		if n.Ignored || n.Name == nil || n.Role == nil {
			continue
		}
		var role, name string
		must(p.t, json.Unmarshal(n.Role.Value, &role))
		must(p.t, json.Unmarshal(n.Name.Value, &name))
		out = append(out, role+" "+name)
	}
	return strings.Join(out, "\n")
}

// heard is what a screen reader finds on a screen.
var heard = map[string][]string{
	"signin":                     {"main Sign in", "heading Sign in", "textbox User name", "textbox Password", "button Show password", "button Sign in", "combobox Domain", "radio My own", "checkbox I accept the terms of use"},
	"signin with an alert":       {"alert "},
	"push":                       {"main Check your phone", "heading Check your phone", "region Other ways", "button Type a code from the app", "button Use my passkey", "button I don’t have my phone", "button Cancel", "StaticText 42", "checkbox Remember this device for 30 days"},
	"push without a number":      {"button I don’t have my phone"},
	"nophone":                    {"heading Without your phone", "button Type a code from my token", "button Back"},
	"code":                       {"heading Enter a code", "textbox Code", "button Continue", "button Approve on my phone", "alert ", "checkbox Remember"},
	"sms":                        {"heading Check your text messages", "textbox Code", "StaticText You can have it sent again"},
	"sms failed":                 {"button Send it again", "StaticText The text message could not be sent."},
	"otp":                        {"heading Enter the code from your token", "textbox Code"},
	"external":                   {"heading Enter your passcode", "textbox Passcode", "StaticText Enter the next code of your token:"},
	"temporary":                  {"heading Enter the temporary code", "textbox Code"},
	"choose":                     {"heading How do you want to sign in?", "button Use my passkey", "button Send me a text message", "button I don’t have my phone"},
	"passkey":                    {"heading Use your passkey", "button Use my passkey", "button Approve on my phone"},
	"enrol start":                {"heading Set up a second step", "button The app on my phone", "button Not now", "StaticText You have 5 minutes for this."},
	"enrol app":                  {"heading Set up the app", "image QR code for the app", "link You are on your phone now? Open the app here", "button Choose something else"},
	"enrol app by serial number": {"textbox Serial number", "textbox Code", "alert "},
	"enrol phone":                {"heading Your mobile number", "textbox Mobile number", "button Continue"},
	"enrol phone code":           {"heading Check your text messages", "textbox Code"},
	"enrol passkey":              {"heading Make a passkey", "button Make a passkey"},
	"enrol otp":                  {"textbox Serial number", "textbox First code", "textbox Next code"},
	"enrol finished":             {"heading That is set up", "button Continue"},
	"checking":                   {"button Checking…", "main Sign in"},
	"done":                       {"heading Signing you in…"},
	"restart":                    {"heading The gateway’s session has expired", "link Start again"},
	"native":                     {"alert "},
	"denied":                     {"heading You are not signed in", "button Try again"},
	"error":                      {"button Try again", "button Use the gateway’s own form"},
	"expired":                    {"heading The gateway’s session has expired", "link Start again"},
}

// said is where the focus is on a screen, and what is read out besides, by itself, in a live region.
var said = map[string]struct{ focus, live string }{
	"signin":                     {"textbox User name", ""},
	"signin with an alert":       {"textbox Password", "assertive: The user name or password is not right"},
	"checking":                   {"textbox Password", ""},
	"push":                       {"heading Check your phone", "polite: Approve the sign-in on " + phone + ". The number is 4 2. You have "},
	"push without a number":      {"heading Check your phone", "polite: Approve the sign-in on your phone. You have "},
	"nophone":                    {"heading Without your phone", ""},
	"code":                       {"textbox Code", "assertive: That code is not right"},
	"sms":                        {"textbox Code", ""},
	"sms failed":                 {"textbox Code", "polite: The text message could not be sent."},
	"otp":                        {"textbox Code", "assertive: Nothing is sent to your phone for a while"},
	"external":                   {"textbox Passcode", ""},
	"temporary":                  {"textbox Code", ""},
	"choose":                     {"heading How do you want to sign in?", ""},
	"passkey":                    {"button Use my passkey", ""},
	"enrol start":                {"heading Set up a second step", ""},
	"enrol app":                  {"heading Set up the app", ""},
	"enrol app by serial number": {"heading Set up the app", "assertive: That did not work."},
	"enrol phone":                {"textbox Mobile number", ""},
	"enrol phone code":           {"textbox Code", ""},
	"enrol passkey":              {"button Make a passkey", ""},
	"enrol otp":                  {"textbox Serial number", ""},
	"enrol finished":             {"button Continue", ""},
	"done":                       {"heading Signing you in…", "polite: Signing you in…"},
	"denied":                     {"button Try again", "assertive: Nobody answered on the phone in time."},
	"error":                      {"button Try again", "assertive: Something went wrong on our side."},
	"native":                     {"", "assertive: Type your user name and password"},
	"expired":                    {"link Start again", "assertive: This page was open for too long."},
	"restart":                    {"link Start again", "assertive: The gateway is starting a new session."},
}

// reads returns what a screen reader says when a screen comes up: the element with the focus, and every live region with something in it.
func (p *tab) reads() (focus string, live []string) {
	p.t.Helper()
	tree := call(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	nodes := map[accessibility.NodeID]*accessibility.Node{}
	for _, n := range tree.Nodes {
		nodes[n.NodeID] = n
	}
	value := func(v *accessibility.Value) string {
		var s any
		if v == nil || json.Unmarshal(v.Value, &s) != nil {
			return ""
		}
		return fmt.Sprint(s)
	}
	var inside func(n *accessibility.Node) string
	inside = func(n *accessibility.Node) string {
		out := ""
		if value(n.Role) == "StaticText" {
			out = value(n.Name) + " "
		}
		for _, id := range n.ChildIDs {
			if c := nodes[id]; c != nil {
				out += inside(c)
			}
		}
		return out
	}
	for _, n := range tree.Nodes {
		own := map[string]string{}
		for _, q := range n.Properties {
			own[string(q.Name)] = value(q.Value)
		}
		if own["focused"] == "true" && value(n.Role) != "RootWebArea" {
			focus = value(n.Role) + " " + value(n.Name)
		}
		// A region has the property itself; what stands in it has it, too, with the region as its root.
		if role := value(n.Role); (role == "status" || role == "alert") && own["live"] != "" && own["live"] != "off" {
			if text := strings.Join(strings.Fields(inside(n)), " "); text != "" {
				live = append(live, own["live"]+": "+text)
			}
		}
	}
	return focus, live
}

// audibly compares what a screen reader finds on a screen, and what it says by itself.
func (p *tab) audibly(name string) {
	p.t.Helper()
	focus, live := p.reads()
	all := strings.Join(live, "\n")
	if want := said[name]; focus != want.focus && name != "native" || !strings.Contains(all, want.live) || want.live == "" && all != "" {
		p.t.Errorf("%s: the focus is on %q and it says %q, want %+v", name, focus, all, want)
	}
	got := p.names()
	for _, w := range heard[name] {
		if !strings.Contains("\n"+got+"\n", "\n"+w) {
			p.t.Errorf("%s: no %q among\n%s", name, w, got)
		}
	}
	if strings.Contains(got, "Logon") && name != "native" {
		p.t.Errorf("%s: the native form is read out, too:\n%s", name, got)
	}
}

func (p *tab) axe(name string) {
	p.t.Helper()
	for _, v := range harness.Axe(p.t, p.ctx) {
		p.t.Errorf("%s: axe: %s", name, v)
	}
}

// Every screen, on both kinds of page and in both directions of writing: as a screen reader finds it, on a desk, at 320 px, at 400 %, in
// dark and light, in forced colours, with reduced motion, by the keyboard alone; and axe-core finds nothing.
func TestEveryScreenReachesEverybody(t *testing.T) {
	for _, v := range []visits{{path: "/?page=domain", language: "en"}, {path: "/modern", language: "ar"}} {
		t.Run(v.path+" "+v.language, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			screens(t, v, func(p *tab, name string) {
				seen[name] = true
				if v.language == "en" {
					p.audibly(name)
				}
				if name == "native" {
					return // the gateway's own page, with a line of ours above it
				}
				p.contrast(name)
				if v.language == "ar" {
					p.mirrored(name)
				} else {
					p.axe(name)
				}
				p.width(320, 640)
				p.fits(name)
				p.width(320, 256)
				p.zoomed(name)
				p.keyboard(name)
				p.forced(name)
				p.axe(name + ", forced colours at 400 %")
				p.media("forced-colors", "none")
				p.width(1280, 800)
			})
			for name := range said {
				if !seen[name] && (v.language == "en" || name != "expired" && name != "restart") {
					t.Errorf("the screen %s was not shown", name)
				}
			}
		})
	}
}

// The words of every other language fit, too.
func TestEveryLanguageFitsAPhoneAndFourTimesTheSize(t *testing.T) {
	for _, language := range sallyport.Languages() {
		if language == "en" || language == "ar" {
			continue // by the test above
		}
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			screens(t, visits{path: "/modern", language: language}, func(p *tab, name string) {
				if name == "native" {
					return
				}
				p.width(320, 640)
				p.fits(name)
				p.width(320, 256)
				p.zoomed(name)
				p.width(1280, 800)
			})
		})
	}
}

// zoomed looks at a screen of 1280 px at 400 %, which is 320 by 256: everything fits in width, and can be scrolled to.
func (p *tab) zoomed(name string) {
	p.t.Helper()
	p.fits(name + " at 400 %")
	if p.eval(`(() => { const page = shadow.querySelector('.page'); page.scrollTop = 1e6;
		const last = [...shadow.querySelectorAll('main button,main a,main h1,main p')].filter(e => e.checkVisibility() && e.textContent).pop().getBoundingClientRect(); return last.bottom <= innerHeight + .5; })()`) != true {
		p.t.Errorf("%s at 400 %%: the end cannot be scrolled to", name)
	}
}

// The checker looks into the overlay: it finds a field whose name was taken away.
func TestTheCheckerSeesTheOverlay(t *testing.T) {
	_, _, p := onPage(t, "/")
	p.untilScreen("signin")
	p.eval(`shadow.querySelector('label[for=username]').remove()`)
	if len(harness.Axe(t, p.ctx)) == 0 {
		t.Error("nothing was found where something is wrong")
	}
}

// fits looks for what is wider than the page, and for what is too small for a finger (WCAG 2.2, 2.5.8).
func (p *tab) fits(name string) {
	p.t.Helper()
	if wide := p.eval(`[...shadow.querySelectorAll('*')].filter(e => { const r = e.getBoundingClientRect(); return !e.closest('.sr') && r.width && (r.right > innerWidth + .5 || r.left < -.5); }).map(e => e.tagName + '#' + e.id).join()`); wide != "" {
		p.t.Errorf("%s: wider than the page: %v", name, wide)
	}
	small := p.eval(`[...shadow.querySelectorAll('button,a,summary,select,input:not([type=radio]):not([type=checkbox]),label.choice')]
		.filter(e => { const r = e.getBoundingClientRect(); return e.checkVisibility() && (r.width < 24 || r.height < 24); }).map(e => e.id).join()`)
	if small != "" {
		p.t.Errorf("%s: smaller than 24 px: %v", name, small)
	}
}

// mirrored checks that a screen runs from right to left: text begins at the right, what is typed in digits does not turn around.
func (p *tab) mirrored(name string) {
	p.t.Helper()
	bad := p.eval(`[...shadow.querySelectorAll('main *')].filter(e => e.checkVisibility() && e.getBoundingClientRect().width).map(e => {
		const s = getComputedStyle(e), digits = e.matches('.code,#serial,#mobile,#number');
		if (s.direction !== (digits ? 'ltr' : 'rtl') && !e.closest('svg')) return 'direction of ' + e.tagName + '#' + e.id;
		if (s.textAlign === 'left' && !digits) return 'left: ' + e.tagName + '#' + e.id;
		if (e.matches('.alert:not(:empty),.note') && (parseFloat(s.borderRightWidth) < 3 || parseFloat(s.borderLeftWidth) > 1)) return 'bar of ' + e.id;
		if (e.matches('.choice input') && e.getBoundingClientRect().left < e.nextSibling.getBoundingClientRect().left) return 'box before its label: ' + e.id;
		return '';
	}).filter(Boolean).join('; ')`)
	if bad != "" {
		p.t.Errorf("%s: not from right to left: %v", name, bad)
	}
}

// measure finds text on its background, and borders of what can be used, below the contrast of WCAG 2.2 AA (1.4.3: 4.5 to 1; 1.4.11: 3 to 1).
const measure = `(() => {
	const rgb = c => c.match(/[\d.]+/g).map(Number);
	const lum = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
	const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((m, n) => n - m); return (x + .05) / (y + .05); };
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if ((rgb(c)[3] ?? 1) > 0) return c; } return 'rgb(255,255,255)'; };
	const bad = [];
	for (const e of shadow.querySelectorAll('main *')) {
		if (!e.checkVisibility()) continue;
		const s = getComputedStyle(e);
		const text = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
		if (text && !e.matches('[aria-disabled]') && ratio(s.color, behind(e)) < 4.5) bad.push('text ' + e.tagName + '#' + e.id + ' ' + ratio(s.color, behind(e)).toFixed(2));
		if (e.matches('input:not([type=radio]):not([type=checkbox]),select,.secondary') && ratio(s.borderTopColor, behind(e.parentElement)) < 3) bad.push('border ' + e.id);
		if (e.matches('#arc') && ratio(s.stroke, behind(e)) < 3) bad.push('arc');
		if (e.matches('.qr path') && (ratio(s.fill, behind(e)) < 15 || lum(s.fill) > .1)) bad.push('QR code');
	}
	return bad.join('; ');
})()`

func (p *tab) contrast(name string) {
	p.t.Helper()
	for _, dark := range []bool{true, false} {
		p.dark(dark)
		if bad := p.eval(measure); bad != "" {
			p.t.Errorf("%s, dark %v: %v", name, dark, bad)
		}
	}
}

func (p *tab) media(features ...string) {
	p.t.Helper()
	var params emulation.SetEmulatedMediaParams
	for i := 0; i < len(features); i += 2 {
		params.Features = append(params.Features, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	call(p, emulation.SetEmulatedMedia, params)
}

// In high contrast everything that can be used has an edge, and what is drawn is seen; with reduced motion nothing moves.
func (p *tab) forced(name string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		p.media("forced-colors", "active", "prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce")
		if bad := p.eval(measure); bad != "" {
			p.t.Errorf("%s, forced colours, %s: %v", name, scheme, bad)
		}
		if bad := p.eval(`[...shadow.querySelectorAll('.primary,.secondary,input,select,.alert:not(:empty),.note')].filter(e => {
			const s = getComputedStyle(e); return e.checkVisibility() && !e.matches('[type=radio],[type=checkbox]') && (s.borderInlineStartStyle === 'none' || parseFloat(s.borderInlineStartWidth) < 1 ||
				s.borderInlineStartColor === getComputedStyle(e.parentElement).backgroundColor); }).map(e => e.id).join()`); bad != "" {
			p.t.Errorf("%s, forced colours, %s: without an edge: %v", name, scheme, bad)
		}
		if bad := p.eval(`[...shadow.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e); return s.animationName !== 'none' || s.transitionDuration.split(',').some(d => parseFloat(d) > 0); }).map(e => e.tagName + '#' + e.id).join()`); bad != "" {
			p.t.Errorf("%s: moves: %v", name, bad)
		}
	}
}

// keyboard goes through a screen by the tab key: it reaches everything that can be used, in the order in which it stands, shows where it is, and what it is
// on can be seen (WCAG 2.2, 2.4.11).
func (p *tab) keyboard(name string) {
	p.t.Helper()
	p.eval(`(() => { const t = shadow.querySelector('#title'); t.setAttribute('tabindex', '-1'); t.focus(); })()`)
	var got []string
	for range 40 {
		must(p.t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Tab)))
		// What has the focus; and what is wrong with how it is seen.
		at, wrong, _ := strings.Cut(p.text(`document.activeElement === host && shadow.activeElement ? ((e, s, r) => (e.id || e.tagName) + '|' +
			(s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 ? '' : 'has the focus and does not show it ') + (r.top < innerHeight && r.bottom > 0 ? '' : 'is out of sight'))(
			shadow.activeElement, getComputedStyle(shadow.activeElement), shadow.activeElement.getBoundingClientRect()) : 'out'`), "|")
		if at == "out" || len(got) > 0 && at == got[0] {
			break
		}
		if at != "DIV" { // what there is nothing on to use is scrolled as a whole
			got = append(got, at)
		}
		if wrong != "" {
			p.t.Errorf("%s: %s %s", name, at, wrong)
		}
	}
	want := p.text(`[...shadow.querySelectorAll('main button,main a,main input,main select,main summary')].filter(e => e.checkVisibility() && !e.disabled)
		.filter((e, i, all) => e.type !== 'radio' || all.findIndex(o => o.name === e.name) === i).map(e => e.id || e.tagName).join(' ')`)
	if strings.Join(got, " ") != want {
		p.t.Errorf("%s: the keyboard goes %v, there are %s", name, got, want)
	}
}

func TestKeyboardAlone(t *testing.T) {
	c, g, p := onPage(t, "/")
	p.untilScreen("signin")
	tabKey := func() { must(t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Tab))) }
	order := []string{p.text(`shadow.activeElement.id`)}
	for range 3 {
		tabKey()
		order = append(order, p.text(`shadow.activeElement.id`))
	}
	if got := strings.Join(order, " "); got != "username password reveal submit" {
		t.Errorf("focus goes %s", got)
	}
	p.write("username", "alice")
	tabKey()
	must(t, chromedp.Do(p.ctx, chromedp.KeyEvent(password)))
	tabKey()
	must(t, chromedp.Do(p.ctx, chromedp.KeyEvent(" "))) // shows the password
	if kind := p.text(`$('password').type + $('reveal').getAttribute('aria-pressed')`); kind != "texttrue" {
		t.Errorf("after show: %s", kind)
	}
	p.enter()
	l := c.next()
	l.push()
	p.untilScreen("push")
	if focus := p.text(`shadow.activeElement.id`); focus != "title" {
		t.Errorf("focus on %q", focus)
	}
	must(t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Escape))) // cancels nothing
	tabKey()
	if focus := p.text(`shadow.activeElement.id`); focus != "usecode" {
		t.Errorf("focus on %q", focus)
	}
	p.enter()
	if m := l.heard(); m["action"] != "use_code" {
		t.Errorf("said %v", m)
	}
	l.done()
	p.untilIn()
	if g.form().Get("password") != password {
		t.Errorf("posted %v", g.form())
	}
}

func TestBrowserIsToldWhatIsWhat(t *testing.T) {
	_, _, p := onPage(t, "/")
	p.untilScreen("signin")
	if lang := p.text(`document.documentElement.lang + host.lang`); lang != "enen" {
		t.Errorf("languages %q", lang)
	}
	if got := p.text(`host.shadowRoot.mode + ' ' + $('username').autocomplete + ' ' + $('password').autocomplete`); got != "open username current-password" {
		t.Error(got)
	}
}
