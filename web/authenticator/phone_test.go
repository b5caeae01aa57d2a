package authenticator_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/devicetest"
	"github.com/sallyport/sallyport/web/authenticator"
)

const patience = 20 * time.Second

// phone is the page in a tab, and the service behind it.
type phone struct {
	t       *testing.T
	service *devicetest.Service
	tab     context.Context

	mu     sync.Mutex
	errors []string // what the page's console complained of
}

func newService(t *testing.T) *devicetest.Service {
	t.Helper()
	s := devicetest.New()
	s.Page = authenticator.Files
	t.Cleanup(func() {
		s.Close()
		for _, problem := range s.Problems() {
			t.Errorf("the device broke the protocol: %s", problem)
		}
	})
	return s
}

// phone opens the page as it is before anything was enrolled. Every service has an origin of its
// own, so phones of different services share nothing.
func (b stories) phone(t *testing.T, s *devicetest.Service, width, height int) *phone {
	t.Helper()
	p := &phone{t: t, service: s, tab: b.Tab(width, height)}
	if err := chromedp.Listen(p.tab, p.console); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.errors {
			t.Errorf("console: %s", e)
		}
	})
	t.Cleanup(func() { p.do("leave", chromedp.Navigate("about:blank")) })
	p.open(p.address())
	return p
}

func (p *phone) address() string { return p.service.URL() + deviceproto.PagePath }

func (p *phone) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v\nthe page shows:\n%s", what, err, p.shows())
	}
}

func (p *phone) open(address string) {
	p.t.Helper()
	p.do("open page", chromedp.Navigate(address))
	p.until(`document.body.dataset.ready === "true"`)
}

func (p *phone) click(id string) {
	p.t.Helper()
	p.do("click "+id, chromedp.Click(chromedp.ID(id)))
}

func (p *phone) write(id, text string) {
	p.t.Helper()
	p.do("type into "+id, chromedp.SendKeys(chromedp.ID(id), text))
}

// shows is the page as text, with the open dialog only, if one is open.
func (p *phone) shows() string {
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(document.querySelector("dialog[open]") ?? document.body).innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits for a JavaScript condition.
func (p *phone) until(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	for {
		// An error is a page on its way to another: asked again until the deadline.
		if holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")")); err == nil && holds {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("never came true: %s\nthe page shows:\n%s", condition, p.shows())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// says waits until the element has exactly this text.
func (p *phone) says(id, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.getElementById(%q).checkVisibility() && document.getElementById(%q).textContent === %q", id, id, text))
}

func eval[T any](p *phone, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

// enrol opens a link and goes through with it.
func (p *phone) enrol(user, enterprise string) *devicetest.Enrolment {
	p.t.Helper()
	e := p.service.Invite(user, enterprise, devicetest.Accept)
	p.open(e.Link())
	p.says("enrol-title", "Add this account?")
	p.click("enrol-confirm")
	p.says("enrol-title", "Account added")
	p.click("enrol-close")
	p.until(`!document.querySelector("dialog[open]")`)
	return e
}

var signIn = sallyport.ChallengeDetails{
	User: "alice", Application: "Hospital VPN", Place: "203.0.113.7", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Digits: 2,
}

// ask makes a challenge and waits until the page shows it.
func (p *phone) ask(e *devicetest.Enrolment, d sallyport.ChallengeDetails, life time.Duration) *devicetest.Challenge {
	p.t.Helper()
	c, err := p.service.Ask(e, d, life)
	if err != nil {
		p.t.Fatal(err)
	}
	p.says("challenge-title", "Are you signing in?")
	p.says("challenge-user", d.User)
	return c
}

// answered waits for the device's answer, whose signature and seal hold.
func (p *phone) answered(c *devicetest.Challenge) deviceproto.Answer {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	a, err := c.Answer(ctx)
	if err != nil {
		p.t.Fatalf("no answer: %v\nthe page shows:\n%s", err, p.shows())
	}
	return a
}

// console keeps what is never right: exceptions, and what the content security policy refused.
// Requests that a story lets fail are in the console too, and are none of these.
func (p *phone) console(event any) {
	complaint := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		complaint = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			complaint += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork && e.Entry.Level == log.EntryLevelError {
			complaint = e.Entry.Text
		}
	}
	if complaint == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, complaint)
}
