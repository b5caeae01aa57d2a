package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

// onPage opens one of the stand-in's pages with a cloud of its own behind the overlay.
func onPage(t *testing.T, path string) (*fakeCloud, *gateway, *tab) {
	t.Helper()
	c := newCloud(t)
	g := newGateway(t, c)
	p := newTab(t)
	p.open(g.url(path))
	return c, g, p
}

// atPush goes on to the screen that waits for the phone.
func atPush(t *testing.T) (*fakeCloud, *gateway, *tab, *fakeLogin) {
	t.Helper()
	c, g, p := onPage(t, "/")
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("push")
	return c, g, p, l
}

func TestLoginByPushOnEveryKindOfPage(t *testing.T) {
	for _, path := range []string{"/", "/?page=div12", "/?page=labelleft", "/?page=domain", "/?page=failed", "/modern", "/modern?page=domain", "/modern?page=failed"} {
		t.Run(path, func(t *testing.T) {
			c, g, p := onPage(t, path)
			p.signIn(" alice ", password)
			l := c.next()
			if l.user != "alice" || l.password != password || l.origin != g.url("") {
				t.Errorf("arrived: %q %q %q", l.user, l.password, l.origin)
			}
			l.push()
			p.untilScreen("push")
			if n := p.text(`$('number').textContent`); n != "42" {
				t.Errorf("number %q", n)
			}
			l.done()
			p.untilIn()
			f := g.form()
			if f.Get("username") != "alice" || f.Get("password") != password || f.Get("password1") != token {
				t.Errorf("posted %v", f)
			}
			if !strings.HasPrefix(path, "/modern") && f.Get("vhost") != "standard" {
				t.Errorf("the page's own hidden field is missing: %v", f)
			}
		})
	}
}

func TestStandardPageIsSubmittedAsItSubmitsItself(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.until(`window.masterSubmit`)
	p.eval(`(HTMLFormElement.prototype.submit = function () { window.submitted = [window.submitDisabled, window.submitsSeen].join(); }, true)`)
	p.signIn("alice", password)
	l := c.next()
	l.done()
	p.untilScreen("done")
	p.until(`window.submitted`)
	if got := p.text(`window.submitted`); got != "2,1" { // disableSubmit before and inside onsubmit
		t.Errorf("disableSubmit,OnSubmit ran %s times before submit, want 2,1", got)
	}
	p.shots("done")
}

func TestOtherFieldsOfThePageStayUsable(t *testing.T) {
	c, g, p := onPage(t, "/?page=domain")
	p.untilScreen("signin")
	labels := p.text(`[...shadow.querySelectorAll('label,legend')].map(l => l.textContent).join('|')`)
	if want := "User name|Password|Domain|Computer|My own|A shared one|I accept the terms of use|Ward"; labels != want {
		t.Errorf("labels %q, want %q", labels, want)
	}
	p.shots("signin-fields")
	p.eval(`(() => { const s = shadow.querySelector('select'); s.value = 'CLINIC'; s.dispatchEvent(new Event('change')); })()`)
	p.eval(`shadow.querySelectorAll('input[type=radio]')[1].click()`)
	p.eval(`shadow.querySelector('input[type=checkbox]').click()`)
	p.eval(`shadow.querySelectorAll('input[type=text]')[1].focus()`)
	ward := p.text(`shadow.activeElement.id`)
	p.write(ward, "7B")
	p.signIn("alice", password)
	c.next().done()
	p.untilIn()
	f := g.form()
	for name, want := range map[string]string{"domain": "CLINIC", "computer": "shared", "terms": "1", "ward": "7B", "unseen": "kept", "username": "alice"} {
		if f.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, f.Get(name), want)
		}
	}
}

func TestDomainListOnTheModernPage(t *testing.T) {
	c, g, p := onPage(t, "/modern?page=domain")
	p.untilScreen("signin")
	p.eval(`(() => { const s = shadow.querySelector('select'); s.value = 'CLINIC'; s.dispatchEvent(new Event('change')); })()`)
	p.signIn("alice", password)
	c.next().done()
	p.untilIn()
	if f := g.form(); f.Get("domain") != "CLINIC" || f.Get("password1") != token {
		t.Errorf("posted %v", f)
	}
}

func TestCodeInsteadOfPush(t *testing.T) {
	_, g, p, l := atPush(t)
	p.click("usecode")
	if m := l.heard(); m["action"] != "use_code" {
		t.Errorf("said %v", m)
	}
	l.show("input", map[string]any{"kind": "code", "methods": []string{"code", "push"}})
	p.untilScreen("code")
	p.shots("code")
	p.enter() // nothing typed: said on the page, not sent
	p.until(`$('code').getAttribute('aria-invalid')`)
	p.write("code", "111 111")
	p.enter()
	if m := l.heard(); m["action"] != "code" || m["code"] != "111111" {
		t.Errorf("said %v", m)
	}
	l.show("input", map[string]any{"kind": "code", "methods": []string{"code", "push"}, "reason": "wrong_code"})
	p.until(`$('alert').textContent.includes('not right')`)
	p.shots("code-wrong")
	if focus := p.text(`shadow.activeElement.id`); focus != "code" {
		t.Errorf("focus on %q", focus)
	}
	p.write("code", "222222")
	p.enter()
	if m := l.heard(); m["code"] != "222222" {
		t.Errorf("said %v", m)
	}
	l.done()
	p.untilIn()
	if g.form().Get("password1") != token {
		t.Errorf("posted %v", g.form())
	}
}

func TestBackToPush(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.signIn("alice", password)
	l := c.next()
	l.show("input", map[string]any{"kind": "code", "methods": []string{"code", "push"}})
	p.click("usepush")
	if m := l.heard(); m["action"] != "push" {
		t.Errorf("said %v", m)
	}
	l.push()
	p.untilScreen("push")
}

func TestMethodsThatAreNotOpenAreNotOffered(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.signIn("alice", password)
	l := c.next()
	l.show("waiting", map[string]any{"kind": "push", "remainingMs": 30000, "methods": []string{"push"}})
	p.untilScreen("push")
	if p.eval(`!!$('usecode')`) != false || p.eval(`!!$('number')`) != false {
		t.Error("a code or a number is offered that there is none of")
	}
	if lead := p.text(`shadow.querySelector('.lead').textContent`); lead != "Approve the sign-in on your phone." {
		t.Errorf("lead %q", lead)
	}
	p.shots("push-plain")
}

func TestATemporaryCodeIsAskedForInWordsOfItsOwn(t *testing.T) {
	c, g, p := onPage(t, "/")
	p.signIn("alice", password)
	l := c.next()
	l.show("input", map[string]any{"kind": "code", "methods": []string{"temporary", "push", "code"}})
	p.untilScreen("code")
	if lead := p.text(`shadow.querySelector('.lead').textContent`); !strings.Contains(lead, "temporary code from the help desk") {
		t.Errorf("lead %q", lead)
	}
	if p.eval(`!!$('usepush')`) != true {
		t.Error("who has found the phone again is not offered it")
	}
	p.shots("code-temporary")
	p.write("code", "1234-5678")
	p.enter()
	if m := l.heard(); m["action"] != "code" || m["code"] != "1234-5678" {
		t.Errorf("said %v", m)
	}
	l.done()
	p.untilIn()
	if g.form().Get("password1") != token {
		t.Errorf("posted %v", g.form())
	}
}

func TestCancel(t *testing.T) {
	_, _, p, l := atPush(t)
	p.click("cancel")
	if m := l.heard(); m["action"] != "cancel" {
		t.Errorf("said %v", m)
	}
	l.deny(sallyport.ReasonCancelled)
	p.untilScreen("signin")
	if u, w := p.text(`$('username').value`), p.text(`$('password').value`); u != "alice" || w != "" {
		t.Errorf("after cancel: user name %q, password %q", u, w)
	}
}

func TestEveryReasonHasItsSentence(t *testing.T) {
	c, _, p := onPage(t, "/")
	seen := map[string]sallyport.Reason{}
	for _, reason := range []sallyport.Reason{
		sallyport.ReasonNotEnrolled, sallyport.ReasonNotAllowed, sallyport.ReasonWrongNumber, sallyport.ReasonRejected, sallyport.ReasonNotMe, sallyport.ReasonTimeout,
		sallyport.ReasonSuperseded, sallyport.ReasonWrongCode, sallyport.ReasonTooManyCodes, sallyport.ReasonCancelled, sallyport.ReasonExpired,
		sallyport.ReasonUnavailable, sallyport.ReasonPushFailed, sallyport.ReasonBadApproval, sallyport.ReasonBlocked, sallyport.ReasonSMSFailed,
		sallyport.ReasonEnrolFailed, "a_word_of_tomorrow",
	} {
		p.untilScreen("signin")
		p.eval(`$('username').value = ''`)
		p.signIn("alice", password)
		c.next().deny(reason)
		p.untilScreen("denied")
		text := p.text(`$('alert').textContent`)
		if !strings.Contains(text, "ABCD-1234") {
			t.Errorf("%s: no support code in %q", reason, text)
		}
		if other, twice := seen[text]; twice {
			t.Errorf("%s and %s say the same: %q", reason, other, text)
		}
		seen[text] = reason
		if reason == sallyport.ReasonTimeout {
			p.shots("denied")
		}
		if focus := p.text(`shadow.activeElement.id`); focus != "again" {
			t.Errorf("%s: focus on %q", reason, focus)
		}
		p.click("again")
	}
}

func TestWrongPassword(t *testing.T) {
	c, g, p := onPage(t, "/")
	for range 3 {
		p.untilScreen("signin")
		p.eval(`$('username').value = ''`)
		p.signIn("alice", "wrong")
		c.next().deny(sallyport.ReasonCredentials)
		p.until(`$('alert').textContent.includes('not right') && $('password').value === ''`)
	}
	if n := c.requests("credentials"); n != 3 {
		t.Errorf("%d requests with credentials for three attempts", n)
	}
	p.shots("signin-wrong")
	if focus := p.text(`shadow.activeElement.id`); focus != "password" {
		t.Errorf("focus on %q", focus)
	}
	p.write("password", password)
	p.enter()
	c.next().done()
	p.untilIn()
	if g.form().Get("password") != password {
		t.Errorf("posted %v", g.form())
	}
}

func TestEmptyFieldsAreNotSent(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.untilScreen("signin")
	p.enter()
	p.until(`$('username').getAttribute('aria-invalid') === 'true'`)
	if focus := p.text(`shadow.activeElement.id`); focus != "username" {
		t.Errorf("focus on %q", focus)
	}
	p.write("username", "alice")
	p.enter()
	p.until(`!$('username').hasAttribute('aria-invalid') && shadow.activeElement.id === 'password'`)
	p.eval(`$('password').value = 'x'.repeat(257)`)
	p.enter()
	p.until(`$('password-problem').textContent.includes('too long')`)
	if n := c.requests("credentials"); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestEnterTwiceSendsOnce(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.signIn("alice", password)
	p.enter()
	p.enter()
	l := c.next()
	p.shots("signin-busy")
	l.push()
	p.untilScreen("push")
	if n := c.requests("credentials"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestPageErrorIsShown(t *testing.T) {
	for _, path := range []string{"/?page=failed", "/modern?page=failed"} {
		_, _, p := onPage(t, path)
		p.untilScreen("signin")
		if text := p.text(`$('alert').textContent`); text != "The username or password is not correct. Please try again." {
			t.Errorf("%s: %q", path, text)
		}
		p.shots("signin-gateway-error")
	}
}

func TestPushNotDelivered(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("push")
	if p.eval(`!!$('note')`) != false {
		t.Error("a note without a cause")
	}
	l.show("waiting", map[string]any{
		"kind": "push", "number": "42", "device": phone, "remainingMs": 24000, "methods": []string{"push", "code"}, "delivery": "failed",
	})
	p.until(`$('note') && $('note').textContent.includes('Open the app')`)
	p.shots("push-undelivered")
}

func TestCountdown(t *testing.T) {
	c := newCloud(t)
	g := newGateway(t, c)
	p := newTab(t)
	p.early(`(() => { const at = Date.now(); window.skew = 0; Date.now = () => at + window.skew; })()`)
	p.open(g.url("/"))
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("push")
	if said := p.text(`$('status').textContent`); said != "Approve the sign-in on "+phone+". The number is 4 2. You have 30 seconds." {
		t.Errorf("said %q", said)
	}
	p.shots("push")
	p.eval(`window.skew = 20000`)
	p.until(`$('status').textContent === '10 seconds left'`) // said once more, politely, and not every second
	p.eval(`window.skew = 40000`)
	p.until(`$('left').textContent.includes('Waiting for the answer')`)
	if p.text(`$('number').textContent`) != "42" {
		t.Error("the number is gone")
	}
	l.deny(sallyport.ReasonTimeout)
	p.untilScreen("denied")
}

func TestExpiredLoginIDIsBegunAgain(t *testing.T) {
	for _, code := range []sallyport.Code{sallyport.CodeExpired, sallyport.CodeConflict} {
		c, _, p := onPage(t, "/")
		first := true
		c.intercept(func(kind string, w http.ResponseWriter, _ *http.Request) bool {
			if kind != "credentials" || !first {
				return false
			}
			first = false
			refuse(w, 410, code)
			return true
		})
		p.signIn("alice", password)
		c.next().push()
		p.untilScreen("push")
		if n := c.requests("begin"); n != 2 {
			t.Errorf("%s: begun %d times", code, n)
		}
	}
}

func TestTwoTabsAreIndependent(t *testing.T) {
	c, g, p := onPage(t, "/")
	q := newTabIn(t, p.ctx)
	q.open(g.url("/"))
	p.signIn("alice", password)
	a := c.next()
	q.signIn("bob", "his own password")
	b := c.next()
	a.push()
	b.show("waiting", map[string]any{"kind": "push", "number": "17", "remainingMs": 30000})
	p.untilScreen("push")
	q.untilScreen("push")
	if x, y := p.text(`$('number').textContent`), q.text(`$('number').textContent`); x != "42" || y != "17" {
		t.Errorf("numbers %s and %s", x, y)
	}
	b.deny(sallyport.ReasonRejected)
	q.untilScreen("denied")
	a.done()
	p.untilIn()
	if g.form().Get("username") != "alice" || q.screen() != "denied" {
		t.Errorf("posted %v, other tab shows %q", g.form(), q.screen())
	}
}
