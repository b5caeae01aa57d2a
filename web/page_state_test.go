package web_test

import (
	"strings"
	"testing"
)

func TestStandsDownWhereItDoesNotBelong(t *testing.T) {
	for _, path := range []string{
		"/?page=challenge", "/?page=passwordchange", "/?page=messagebox", "/?page=nofetch",
		"/modern?page=challenge", "/modern?page=messagebox", "/modern?page=nofetch",
	} {
		t.Run(path, func(t *testing.T) {
			c, _, p := onPage(t, path)
			p.until(`document.readyState === 'complete' && document.body.checkVisibility({visibilityProperty: true}) && document.body.innerText.trim()`)
			if p.eval(`!!host`) != false || c.requests("begin") != 0 {
				t.Errorf("overlay on a page that is not its own; %d logins begun", c.requests("begin"))
			}
			if !strings.Contains(path, "messagebox") {
				p.until(nativeShown)
			}
		})
	}
}

func TestStandsDownOnBrowsersThatCannotBeServed(t *testing.T) {
	for _, missing := range []string{
		"Object.defineProperty(crypto, 'subtle', {value: undefined})", "delete Element.prototype.attachShadow", "delete window.TextEncoder",
		"delete window.AbortController", "Object.defineProperty(window, 'isSecureContext', {value: false})",
	} {
		c := newCloud(t)
		g := newGateway(t, c)
		p := newTab(t)
		p.early(missing)
		p.open(g.url("/"))
		p.until(nativeShown)
		if p.eval(`!!host`) != false || c.requests("script") != 1 || c.requests("begin") != 0 {
			t.Errorf("%s: overlay, or %d scripts, %d logins", missing, c.requests("script"), c.requests("begin"))
		}
	}
}

func TestModernPageThatTurnsIntoAChallenge(t *testing.T) {
	_, _, p := onPage(t, "/modern")
	p.untilScreen("signin")
	p.eval(`document.getElementById('auth_form').innerHTML = '<input type="password" name="_F5_challenge">'`)
	p.until(`!host && ` + nativeShown)
}

func TestGatewaySessionExpires(t *testing.T) {
	_, g, p := onPage(t, "/?page=expired")
	p.untilScreen("expired")
	p.shots("expired")
	if text := p.text(`$('title').textContent`); text != "The gateway’s session has expired" {
		t.Errorf("title %q", text)
	}
	if href, focus := p.text(`$('restart').href`), p.text(`shadow.activeElement.id`); href != g.url("/") || focus != "restart" {
		t.Errorf("link %q, focus on %q", href, focus)
	}
	if p.eval(`document.getElementsByName('username')[0].disabled`) != true {
		t.Error("the page did not disable its inputs: this test proves nothing")
	}
	p.click("restart")
	p.until(`host && host.dataset.screen === 'signin' && !$('username').disabled && !document.getElementsByName('username')[0].disabled`)
}

func TestGatewaySessionExpiresWhileWaiting(t *testing.T) {
	_, _, p, l := atPush(t)
	p.until(`window.sessionTimeout`) // the page's own script makes it a little later
	p.eval(`sessionTimedOut()`)
	p.untilScreen("expired")
	if m := l.heard(); m["action"] != "cancel" {
		t.Errorf("said %v", m)
	}
	l.done() // too late
	if p.screen() != "expired" {
		t.Errorf("screen %q", p.screen())
	}
}

func TestRestartOnSubmitIsRespected(t *testing.T) {
	c, g, p := onPage(t, "/?page=restart")
	p.signIn("alice", password)
	c.next().done()
	p.untilScreen("restart")
	if n := p.eval(`window.sessionResets`); n != 1.0 || g.form() != nil {
		t.Errorf("session resets %v, posted %v", n, g.form())
	}
}

func TestPageDoesNotStealTheFocus(t *testing.T) {
	_, _, p := onPage(t, "/")
	p.untilScreen("signin")
	p.until(`performance.now() > performance.getEntriesByType('navigation')[0].loadEventEnd + 500`)
	if focus := p.text(`document.activeElement === host && shadow.activeElement.id`); focus != "username" {
		t.Errorf("focus on %q", focus)
	}
}

func TestStaleSessionIsTheGatewaysBusiness(t *testing.T) {
	_, g, p := onPage(t, "/my.policy")
	p.until(`document.getElementById('errorcode')`)
	if !strings.HasSuffix(p.text(`location.href`), "errorcode=20") || g.form() != nil {
		t.Errorf("at %s", p.text(`location.href`))
	}
}

func TestPagesOwnStrictPolicy(t *testing.T) {
	c := newCloud(t)
	g := newGateway(t, c)
	g.policy = "default-src 'self'; script-src 'self' 'unsafe-inline' " + c.url() + "; connect-src 'self' " + c.url()
	p := newTab(t)
	p.speaks("fr")
	p.open(g.url("/"))
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("push")
	if lang := p.text(`host.lang`); lang != "fr" {
		t.Errorf("the language did not pass the site's policy: %q", lang)
	}
	l.show("waiting", enrol("app", prompt{"link": link}))
	p.until(`$('qr') && $('qr').querySelector('path')`)
	if w, _ := p.eval(`shadow.querySelector('.card').getBoundingClientRect().width`).(float64); w < 300 || w > 500 {
		t.Errorf("the style sheet did not pass the site's policy: the card is %v wide", w)
	}
}
