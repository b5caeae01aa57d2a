package web_test

import (
	"encoding/json"
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

// screens shows every screen of the overlay, one after the other, in a language.
func screens(t *testing.T, language string, visit func(p *tab, name string)) {
	c := newCloud(t)
	c.more = map[string]string{"remember": remembering}
	g := newGateway(t, c)
	p := newTab(t)
	p.speaks(language)
	p.open(g.url("/?page=domain"))
	p.untilScreen("signin")
	visit(p, "signin")
	p.signIn("alice", "wrong")
	c.next().deny(sallyport.ReasonCredentials)
	p.until(`$('alert').textContent`)
	visit(p, "signin with an alert")
	p.write("password", password)
	p.enter()
	l := c.next()
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
	l.deny(sallyport.ReasonTimeout)
	p.untilScreen("denied")
	visit(p, "denied")
	p.click("again")
	c.intercept(refusal("begin", 503, sallyport.CodeUnavailable))
	p.untilScreen("signin")
	p.write("password", password)
	p.enter()
	p.untilScreen("error")
	visit(p, "error")
	p.click("again")
	p.untilScreen("signin")
	p.until(`window.sessionTimeout`) // the page's own script makes it a little later
	p.eval(`sessionTimedOut()`)
	p.untilScreen("expired")
	visit(p, "expired")
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

func TestScreenReadersFindTheOverlayAndNothingElse(t *testing.T) {
	want := map[string][]string{
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
		"denied":                     {"heading You are not signed in", "button Try again"},
		"error":                      {"button Try again", "button Use the gateway’s own form"},
		"expired":                    {"heading The gateway’s session has expired", "link Start again"},
	}
	seen := 0
	screens(t, "en", func(p *tab, name string) {
		seen++
		got := p.names()
		for _, w := range want[name] {
			if !strings.Contains("\n"+got+"\n", "\n"+w) {
				t.Errorf("%s: no %q among\n%s", name, w, got)
			}
		}
		if strings.Contains(got, "Logon") {
			t.Errorf("%s: the native form is read out, too:\n%s", name, got)
		}
		for _, v := range harness.Axe(t, p.ctx) {
			t.Errorf("%s: axe: %s", name, v)
		}
	})
	if seen != len(want) {
		t.Errorf("%d screens, want %d", seen, len(want))
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

// Every screen in every language fits a phone of 320 px, which is a desk of 1280 px at 400 %; and there it can be scrolled to its end.
func TestScreensFitAPhoneAndFourTimesTheSize(t *testing.T) {
	for _, language := range sallyport.Languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			screens(t, language, func(p *tab, name string) {
				p.width(320, 640)
				p.fits(name)
				p.width(320, 256)
				p.fits(name + " at 400 %")
				if p.eval(`(() => { const page = shadow.querySelector('.page'); page.scrollTop = 1e6;
					const last = [...shadow.querySelectorAll('main button,main a')].filter(e => e.checkVisibility()).pop().getBoundingClientRect(); return last.bottom <= innerHeight + .5; })()`) != true {
					t.Errorf("%s at 400 %%: the last button cannot be scrolled to", name)
				}
				if language == "ar" {
					p.mirrored(name)
				}
				p.width(1280, 800)
			})
		})
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

func TestContrast(t *testing.T) {
	screens(t, "en", func(p *tab, name string) {
		for _, dark := range []bool{false, true} {
			p.dark(dark)
			if bad := p.eval(measure); bad != "" {
				t.Errorf("%s, dark %v: %v", name, dark, bad)
			}
		}
	})
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
func TestHighContrastAndReducedMotion(t *testing.T) {
	screens(t, "en", func(p *tab, name string) {
		for _, scheme := range []string{"light", "dark"} {
			p.media("forced-colors", "active", "prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce")
			if bad := p.eval(measure); bad != "" {
				t.Errorf("%s, forced colours, %s: %v", name, scheme, bad)
			}
			if bad := p.eval(`[...shadow.querySelectorAll('.primary,.secondary,input,select,.alert:not(:empty),.note')].filter(e => {
				const s = getComputedStyle(e); return e.checkVisibility() && !e.matches('[type=radio],[type=checkbox]') && (s.borderInlineStartStyle === 'none' || parseFloat(s.borderInlineStartWidth) < 1 ||
					s.borderInlineStartColor === getComputedStyle(e.parentElement).backgroundColor); }).map(e => e.id).join()`); bad != "" {
				t.Errorf("%s, forced colours, %s: without an edge: %v", name, scheme, bad)
			}
			if bad := p.eval(`[...shadow.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e); return s.animationName !== 'none' || s.transitionDuration.split(',').some(d => parseFloat(d) > 0); }).map(e => e.tagName + '#' + e.id).join()`); bad != "" {
				t.Errorf("%s: moves: %v", name, bad)
			}
		}
		p.media("forced-colors", "none")
	})
}

// On every screen the keyboard reaches everything that can be used, in the order in which it stands, and sees where it is.
func TestKeyboardReachesEverything(t *testing.T) {
	screens(t, "en", func(p *tab, name string) {
		p.eval(`(shadow.querySelector('#title') || shadow.querySelector('#username')).focus()`)
		p.eval(`(() => { const t = shadow.querySelector('#title'); t.setAttribute('tabindex', '-1'); t.focus(); })()`)
		var got []string
		for range 40 {
			must(p.t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Tab)))
			at := p.text(`document.activeElement === host && shadow.activeElement ? (e => e.id || e.tagName)(shadow.activeElement) : 'out'`)
			if at == "out" || len(got) > 0 && at == got[0] {
				break
			}
			got = append(got, at)
			if p.eval(`(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(shadow.activeElement))`) != true {
				t.Errorf("%s: %s has the focus and does not show it", name, at)
			}
		}
		want := p.text(`[...shadow.querySelectorAll('main button,main a,main input,main select,main summary')].filter(e => e.checkVisibility() && !e.disabled)
			.filter((e, i, all) => e.type !== 'radio' || all.findIndex(o => o.name === e.name) === i).map(e => e.id || e.tagName).join(' ')`)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: the keyboard goes %v, there are %s", name, got, want)
		}
	})
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
