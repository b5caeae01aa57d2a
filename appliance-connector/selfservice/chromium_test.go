package selfservice_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/test/harness"
)

const patience = 30 * time.Second

// tab is the page in Chromium.
type tab struct {
	t   *testing.T
	w   *world
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

func (w *world) browser() *tab {
	w.t.Helper()
	b := harness.StartChromium(w.t, chromedp.Flag("ignore-certificate-errors", true))
	p := &tab{t: w.t, w: w, ctx: b.PrivateTab(w.t, 1280, 900)}
	check(w.t, chromedp.Listen(p.ctx, func(ev any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			p.problems = append(p.problems, e.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded:
			if strings.Contains(e.Entry.Text, "Content Security Policy") {
				p.problems = append(p.problems, e.Entry.Text)
			}
		}
	}))
	w.t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.problems {
			w.t.Errorf("the browser complains: %s", e)
		}
	})
	return p
}

func (p *tab) do(what string, step chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, step); err != nil {
		p.t.Fatalf("%s: %v\n%s", what, err, p.text())
	}
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

func (p *tab) says(words string) {
	p.t.Helper()
	text, err := json.Marshal(words)
	check(p.t, err)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.readyState === "complete" && document.body.innerText.includes(`+string(text)+`)`)); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("it never says %q but\n%s", words, p.text())
		case <-tick.C:
		}
	}
}

// press uses the keyboard alone: it goes to the next thing that can be used until it is the one, and presses Enter.
func (p *tab) press(label string) {
	p.t.Helper()
	text, err := json.Marshal(label)
	check(p.t, err)
	for range 30 {
		p.do("tab", chromedp.KeyEvent("\t"))
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		at, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(document.activeElement.getAttribute("aria-label") || document.activeElement.textContent || "").replace(/\s+/g, " ").trim() === `+string(text)))
		cancel()
		check(p.t, err)
		if at {
			p.do("press "+label, chromedp.KeyEvent("\r"))
			return
		}
	}
	p.t.Fatalf("the keyboard does not get to %q\n%s", label, p.text())
}

// inspect looks at the page wide and light, and narrow and dark: axe-core finds nothing, and nothing is wider than the window.
func (p *tab) inspect(name string) {
	p.t.Helper()
	for _, l := range []struct {
		name, scheme  string
		width, height int64
	}{{"phone-dark", "dark", 320, 700}, {"wide-light", "light", 1280, 900}} {
		p.do("size", chromedp.EmulateViewport(l.width, l.height))
		_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		check(p.t, err)
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		wide, err := chromedp.Run(ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("main, main *")].filter(e => (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1) && !e.closest(".hidden")).map(e => e.tagName + "." + e.className).join()`))
		cancel()
		check(p.t, err)
		if wide != "" {
			p.t.Errorf("%s, %s: wider than the window: %s", name, l.name, wide)
		}
		for _, v := range harness.Axe(p.t, p.ctx) {
			p.t.Errorf("%s, %s: axe: %s", name, l.name, v)
		}
		if os.Getenv("SALLYPORT_TEST_ARTIFACTS") != "" {
			tall, err := chromedp.Run(p.ctx, chromedp.Evaluate[int64](`document.documentElement.scrollHeight`))
			check(p.t, err)
			p.do("size of the picture", chromedp.EmulateViewport(l.width, max(l.height, tall)))
			png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
			check(p.t, err)
			check(p.t, os.WriteFile(filepath.Join(harness.ArtifactDir(p.t), "me-"+name+"-"+l.name+".png"), png, 0o644))
		}
	}
}

// From end to end as a person does it, with the keyboard: push with number, the list, the app by QR code in the place of the old phone, delete.
func TestInABrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.enrolled(alice, "Alice’s old phone")
	p := w.browser()
	p.do("open", chromedp.Navigate(w.url+"/me"))
	p.says("Sign in")
	p.inspect("sign-in")
	p.do("name", chromedp.SendKeys(chromedp.CSS("[name=name]"), "alice"))
	p.do("password", chromedp.SendKeys(chromedp.CSS("[name=password]"), password+"\r"))
	p.says("type this number there")
	p.inspect("push")
	w.answer(p, old)
	p.says("What you have")
	p.inspect("list")

	w.forward(time.Second)
	p.press("Replace Alice’s old phone by another phone")
	p.says("scan this picture")
	p.inspect("app")
	w.follows <- w.phone(alice, "Alice’s new phone").Device
	p.says("It was added.")
	if text := p.text(); !strings.Contains(text, "Alice’s new phone") || strings.Contains(text, "old phone") {
		t.Errorf("after the replacement: %s", text)
	}

	p.press("Delete Alice’s new phone")
	p.says("This is your last second factor.")
	p.inspect("question")
	p.press("Delete")
	p.says("It was deleted.")
	if d, err := w.store.Devices(t.Context(), alice); err != nil || len(d) != 0 {
		t.Errorf("%v %v", d, err)
	}
	p.press("A token that shows codes")
	p.says("Serial number")
	p.inspect("token")
	p.press("Back")
	p.says("Nothing yet.")
	p.press("Sign out")
	p.says("Password")
}

// In Arabic the page runs from right to left, and what is typed in digits does not.
func TestFromRightToLeftInABrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.language = "ar"
	w.allow(sallyport.PINAndOTP, sallyport.PasswordAndPasskey)
	c := w.client()
	c.accept = "en"
	phone := w.enrolled(alice, "Alice’s phone")
	c.in(phone)
	c.claim("FT-9")
	words := sentences(t, "ar")
	p := w.browser()
	_, err := chromedp.Call(p.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mozilla/5.0", AcceptLanguage: "ar-EG"})
	check(t, err)
	p.do("open", chromedp.Navigate(w.url+"/me"))
	p.says(words["lead"])
	p.inspect("ar-sign-in")
	p.do("name", chromedp.SendKeys(chromedp.CSS("[name=name]"), "alice"))
	p.do("password", chromedp.SendKeys(chromedp.CSS("[name=password]"), password+"\r"))
	p.says(words["answered"])
	p.inspect("ar-push")
	w.answer(p, phone)
	p.says(words["have"])
	p.inspect("ar-list")
	p.press(words["kind_app"])
	p.says(words["appFollow"])
	p.inspect("ar-app")
	p.press(words["back"])
	p.says(words["have"])
	p.press(words["pinSet"])
	p.says(words["pinHelp"])
	p.inspect("ar-pin")
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.documentElement.dir + " " + getComputedStyle(document.querySelector("h1")).direction + " " + getComputedStyle(document.querySelector("[name=pin]")).direction`))
	check(t, err)
	if got != "rtl rtl ltr" {
		t.Errorf("directions of page, heading and PIN: %s", got)
	}
	p.do("PIN", chromedp.KeyEvent("4816\t4816\r"))
	p.says(words["pinSaved"])
}

// answer approves on the phone with the number that the page shows.
func (w *world) answer(p *tab, d phone) {
	w.t.Helper()
	number, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.querySelector(".figure").innerText`))
	check(w.t, err)
	w.mu.Lock()
	pushed := w.pushed
	w.mu.Unlock()
	details, err := deviceproto.OpenDetails(d.DetailsKey, d.ID, pushed.ID, pushed.Sealed)
	check(w.t, err)
	box, err := deviceproto.SealAnswer(d.key, d.DetailsKey, deviceproto.Answer{Challenge: pushed.ID, Decision: sallyport.DecisionApprove, Number: number,
		User: details.User, Application: details.Application, At: w.clock()})
	check(w.t, err)
	w.events <- login.ChallengeEvent{Answer: box}
}
