package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport/test/stack"
)

// patience bounds every wait of a test; the machine may be busy with others.
const patience = 45 * time.Second

// page is a tab that is driven.
type page struct {
	t   *testing.T
	ctx context.Context
}

func openPage(t *testing.T, s *stack.Stack, url string, width, height int) *page {
	t.Helper()
	p := &page{t, s.Browser().PrivateTab(t, width, height)}
	p.open(url)
	return p
}

// logonPage opens a logon page of the gateway: "" the standard one, "modern" the modern one.
func logonPage(t *testing.T, s *stack.Stack, kind string) *page {
	t.Helper()
	return openPage(t, s, s.Origin()+"/"+kind, 1280, 800)
}

// In expressions, $ finds an element of the overlay by its id, and # one of the page.
const inShadow = `const host = document.getElementById('sallyport'), shadow = host && host.shadowRoot,
	$ = id => shadow && shadow.getElementById(id), page = id => document.getElementById(id);`

func (p *page) open(url string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatalf("open %s: %v", url, err)
	}
}

func (p *page) until(expr string) {
	p.t.Helper()
	p.untilWithin(patience, expr)
}

// untilWithin waits for an expression to become true. Evaluations that meet a page on its way out are repeated.
func (p *page) untilWithin(d time.Duration, expr string) {
	p.t.Helper()
	end := time.Now().Add(d)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`(() => { `+inShadow+` return !!(`+expr+`); })()`))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) || p.ctx.Err() != nil {
			said, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`(() => { `+inShadow+` return document.body.innerText + '\n---\n' + (shadow ? shadow.textContent.slice(-700) : ''); })()`))
			p.t.Fatalf("never became true: %s (%v); the page says:\n%s", expr, err, said)
		}
		select {
		case <-tick.C:
		case <-p.ctx.Done():
		}
	}
}

func (p *page) text(expr string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`(() => { `+inShadow+` return String(`+expr+`); })()`))
	if err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	return s
}

func (p *page) do(js string) { p.t.Helper(); p.text("(" + js + `, "")`) }

func (p *page) keys(text string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.KeyEvent(text)); err != nil {
		p.t.Fatal(err)
	}
}

// --- The overlay ---

func (p *page) untilScreen(name string) {
	p.t.Helper()
	p.until(`host && host.dataset.screen === '` + name + `'`)
}

func (p *page) press(id string) {
	p.t.Helper()
	p.until(`$('` + id + `')`)
	p.do(`$('` + id + `').click()`)
}

func (p *page) typeInto(id, text string) {
	p.t.Helper()
	p.until(`$('` + id + `')`)
	p.do(`$('` + id + `').focus()`)
	p.keys(text)
}

func (p *page) signIn(u stack.User) {
	p.t.Helper()
	p.untilScreen("signin")
	p.typeInto("username", u.Name)
	p.typeInto("password", string(u.Password)+"\r")
}

// number waits for the number that is to be typed on the phone.
func (p *page) number() string {
	p.t.Helper()
	p.untilScreen("push")
	return p.text(`$('number').textContent`)
}

// untilDenied waits for the end of the login with the words for a reason.
func (p *page) untilDenied(words string) {
	p.t.Helper()
	p.untilScreen("denied")
	p.until(`shadow.textContent.includes('` + words + `')`)
}

// untilRefused waits for the form with words above it, and the name still in it.
func (p *page) untilRefused(words, user string) {
	p.t.Helper()
	p.until(`host && host.dataset.screen === 'signin' && $('alert').textContent.includes('` + words + `') && $('username').value === '` + user + `'`)
}

// untilIn waits for the webtop with the name on it.
func (p *page) untilIn(name string) {
	p.t.Helper()
	p.until(`location.pathname === '/vdesk/webtop.eui' && document.body.innerText.includes('` + name + `')`)
}

// --- The phone in the browser ---

// openPhone opens a link in a phone page and adds the account.
func openPhone(t *testing.T, s *stack.Stack, user string) *page {
	t.Helper()
	e := s.Invite(t, user)
	p := openPage(t, s, string(e.Link), 390, 844)
	p.until(`page('enrol-dialog') && page('enrol-dialog').open`)
	p.do(`page('enrol-confirm').click()`)
	e.Done(t)
	p.until(`document.querySelectorAll('#accounts > li').length === 1`)
	p.until(`(b => b && (!b.offsetParent || (b.click(), false)))(page('enrol-close'))`)
	return p
}

func (p *page) untilAsked() {
	p.t.Helper()
	p.until(`page('challenge').open && page('number').offsetParent`)
}

// answer types a number into the question and approves.
func (p *page) answer(number string) {
	p.t.Helper()
	p.untilAsked()
	p.do(`page('number').focus()`)
	p.keys(number + "\r")
}
