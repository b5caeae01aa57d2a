package web_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport"
)

// screens shows every screen of the overlay, one after the other.
func screens(t *testing.T, visit func(p *tab, name string)) {
	c, _, p := onPage(t, "/?page=domain")
	p.untilScreen("signin")
	visit(p, "signin")
	p.signIn("alice", "wrong")
	c.next().deny(sallyport.ReasonCredentials)
	p.until(`$('alert').textContent`)
	visit(p, "signin with an alert")
	p.write("password", password)
	p.enter()
	l := c.next()
	l.show("waiting", map[string]any{
		"kind": "push", "number": "42", "device": phone, "remainingMs": 60000, "methods": []string{"push", "code"}, "delivery": "failed",
	})
	p.untilScreen("push")
	visit(p, "push")
	l.show("input", map[string]any{"kind": "code", "methods": []string{"code", "push"}, "reason": "wrong_code"})
	p.untilScreen("code")
	p.enter()
	visit(p, "code")
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
		"signin":               {"main Sign in", "heading Sign in", "textbox User name", "textbox Password", "button Show password", "button Sign in", "combobox Domain", "radio My own", "checkbox I accept the terms of use"},
		"signin with an alert": {"alert "},
		"push":                 {"main Check your phone", "heading Check your phone", "button Use a code instead", "button Cancel", "StaticText 42"},
		"code":                 {"heading Enter a code", "textbox Code", "button Continue", "button Send it to my phone instead"},
		"denied":               {"heading You are not signed in", "button Try again"},
		"error":                {"button Try again", "button Use the gateway’s own form"},
		"expired":              {"heading The gateway’s session has expired", "link Start again"},
	}
	screens(t, func(p *tab, name string) {
		got := p.names()
		for _, w := range want[name] {
			if !strings.Contains("\n"+got+"\n", "\n"+w) {
				t.Errorf("%s: no %q among\n%s", name, w, got)
			}
		}
		if strings.Contains(got, "Token") || strings.Contains(got, "Logon") {
			t.Errorf("%s: the native form is read out, too:\n%s", name, got)
		}
	})
}

func TestScreensFitAPhoneAndFingers(t *testing.T) {
	screens(t, func(p *tab, name string) {
		p.width(320, 640)
		if wide := p.eval(`[...shadow.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 320.5).map(e => e.tagName + '#' + e.id).join()`); wide != "" {
			t.Errorf("%s: wider than 320 px: %v", name, wide)
		}
		small := p.eval(`[...shadow.querySelectorAll('button,a,select,input:not([type=radio]):not([type=checkbox]),label.choice')]
			.filter(e => { const r = e.getBoundingClientRect(); return r.width < 24 || r.height < 24; }).map(e => e.id).join()`)
		if small != "" {
			t.Errorf("%s: smaller than 24 px: %v", name, small)
		}
		p.width(1280, 800)
	})
}

// Text on its background, in both colour schemes, has the contrast of WCAG 2.2 AA (1.4.3: 4.5 to 1; 1.4.11: 3 to 1 for borders).
func TestContrast(t *testing.T) {
	const measure = `(() => {
		const rgb = c => c.match(/[\d.]+/g).map(Number);
		const lum = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
		const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((m, n) => n - m); return (x + .05) / (y + .05); };
		const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if ((rgb(c)[3] ?? 1) > 0) return c; } return 'rgb(255,255,255)'; };
		const bad = [];
		for (const e of shadow.querySelectorAll('main *')) {
			const s = getComputedStyle(e);
			const text = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
			if (text && !e.matches('[aria-disabled]') && ratio(s.color, behind(e)) < 4.5) bad.push('text ' + e.tagName + '#' + e.id + ' ' + ratio(s.color, behind(e)).toFixed(2));
			if (e.matches('input:not([type=radio]):not([type=checkbox]),select,.secondary') && ratio(s.borderTopColor, behind(e.parentElement)) < 3) bad.push('border ' + e.id);
		}
		return bad.join('; ');
	})()`
	screens(t, func(p *tab, name string) {
		for _, dark := range []bool{false, true} {
			p.dark(dark)
			if bad := p.eval(measure); bad != "" {
				t.Errorf("%s, dark %v: %v", name, dark, bad)
			}
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
