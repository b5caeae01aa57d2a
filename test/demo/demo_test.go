// Package demo_test holds the demo to what the README promises: one command, two browser windows, and
// a login that is told step by step.
package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport/cmd/sallyport/demo"
	"github.com/sallyport/sallyport/test/harness"
)

const patience = 40 * time.Second

// tale is the demo's output as it grows.
type tale struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *tale) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *tale) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// freeBase finds a row of free ports.
func freeBase(t *testing.T) int {
	t.Helper()
search:
	for base := 20100; base < 60000; base += 100 {
		for p := base; p < base+int(demo.Ports); p++ {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
			if err != nil {
				continue search
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return base
	}
	t.Fatal("no free ports")
	return 0
}

// running is a demo as a person started it.
type running struct {
	demo.Ready
	told *tale
}

func start(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	bin := harness.Build(t, "github.com/sallyport/sallyport/cmd/sallyport")
	r := &running{told: &tale{}}
	ready, log := filepath.Join(dir, "ready.json"), filepath.Join(dir, "log")
	cmd := exec.Command(bin, "demo", "--port-base", strconv.Itoa(freeBase(t)), "--ready-file", ready, "--log-file", log)
	cmd.Stdout, cmd.Stderr = r.told, r.told
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the demo ended with %v\n%s", err, r.told)
			}
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("the demo does not end with Ctrl-C")
		}
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("told:\n%s\nlog:\n%s", r.told, text)
		}
	})
	end := time.Now().Add(patience)
	for {
		text, err := os.ReadFile(ready)
		if err == nil {
			if err := json.Unmarshal(text, &r.Ready); err != nil {
				t.Fatal(err)
			}
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("no ready file\n%s", r.told)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// page is a tab that is driven.
type page struct {
	t   *testing.T
	ctx context.Context
}

const overlayRoot = `const host = document.getElementById('sallyport'), shadow = host && host.shadowRoot, $ = id => shadow && shadow.getElementById(id);`

func (p *page) open(url string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatalf("open %s: %v", url, err)
	}
}

func (p *page) until(expr string) {
	p.t.Helper()
	end := time.Now().Add(patience)
	for {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`(() => { `+overlayRoot+` return !!(`+expr+`); })()`))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) || p.ctx.Err() != nil {
			body, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText + ((document.getElementById('sallyport')||{}).shadowRoot||{textContent:''}).textContent.slice(-600)`))
			p.t.Fatalf("never became true: %s (%v); the page says:\n%s", expr, err, body)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

func (p *page) text(expr string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`(() => { `+overlayRoot+` return String(`+expr+`); })()`))
	if err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	return s
}

func (p *page) do(js string) { p.t.Helper(); p.text(js + `, ""`) }

func (p *page) keys(text string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.KeyEvent(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) signIn(user, password string) {
	p.t.Helper()
	p.until(`host && host.dataset.screen === 'signin' && $('username')`)
	p.do(`$('username').focus()`)
	p.keys(user)
	p.do(`$('password').focus()`)
	p.keys(password + "\r")
}

// enrol opens the phone and adds the account.
func (p *page) enrol(url string) {
	p.t.Helper()
	p.open(url)
	p.until(`document.getElementById('enrol-dialog') && document.getElementById('enrol-dialog').open`)
	p.do(`document.getElementById('enrol-confirm').click()`)
	p.until(`document.querySelectorAll('#accounts > li').length === 1`)
	p.do(`(b => b && b.offsetParent && b.click())(document.getElementById('enrol-close'))`)
}

// answer types a number into the challenge.
func (p *page) answer(number string) {
	p.t.Helper()
	p.until(`document.getElementById('challenge').open && document.getElementById('number').offsetParent`)
	p.do(`document.getElementById('number').focus()`)
	p.keys(number + "\r")
}

func TestNewcomerLogsInOnBothPages(t *testing.T) {
	r := start(t)
	b := harness.StartChromium(t)
	phone := &page{t, b.Tab(390, 844)}
	phone.enrol(r.PhoneURL)
	alice := r.Users[0]
	for kind, url := range map[string]string{"standard": r.GatewayURL, "modern": r.ModernURL} {
		gateway := &page{t, b.Tab(1280, 800)}
		gateway.open(url)
		gateway.signIn(alice.Username, alice.Password)
		gateway.until(`host && host.dataset.screen === 'push'`)
		b.Screenshot(gateway.ctx, kind+"-push")
		b.Screenshot(phone.ctx, kind+"-phone")
		phone.answer(gateway.text(`$('number').textContent`))
		gateway.until(`!host && document.body.innerText.includes('Alice') || document.body.innerText.includes('alice')`)
		b.Screenshot(gateway.ctx, kind+"-webtop")
	}
	legacyStory(t, b, phone, r)
	told := r.told.String()
	for step := 1; step <= 16; step++ {
		if !strings.Contains(told, fmt.Sprintf("  %2d  ", step)) {
			t.Errorf("step %d is not told", step)
		}
	}
	for _, secret := range []string{r.RADIUSSecret} {
		if strings.Contains(told, secret) {
			t.Error("the story tells a secret")
		}
	}
}

// legacyStory logs in where RADIUS alone decides: password, which way, the number, and the webtop once the phone has answered.
func legacyStory(t *testing.T, b *harness.Browser, phone *page, r *running) {
	t.Helper()
	gateway := &page{t, b.Tab(1280, 800)}
	gateway.open(r.LegacyURL)
	gateway.until(`!host && document.getElementsByName('username').length && !document.getElementsByName('password1').length`)
	gateway.do(`document.getElementsByName('username')[0].focus()`)
	gateway.keys(r.Users[0].Username)
	gateway.do(`document.getElementsByName('password')[0].focus()`)
	gateway.keys(r.Users[0].Password + "\r")
	challenged := func(words, answer string) string {
		t.Helper()
		gateway.until(`document.getElementsByName('_F5_challenge').length && document.getElementById('credentials_table_header').textContent.includes('` + words + `')`)
		text := gateway.text(`document.getElementById('credentials_table_header').textContent`)
		gateway.do(`document.getElementsByName('_F5_challenge')[0].focus()`)
		gateway.keys(answer + "\r")
		return text
	}
	challenged("to be asked on your phone", "1")
	text := challenged("in the app on your phone", "ok")
	phone.answer(twoDigits.FindString(text))
	gateway.until(`document.getElementById('webtop_user') && document.getElementById('webtop_user').textContent.includes('alice')`)
	b.Screenshot(gateway.ctx, "legacy-webtop")
}

var twoDigits = regexp.MustCompile(`\b[0-9]{2}\b`)

func TestTheOtherTwoUsersAreNotLetInAtOnce(t *testing.T) {
	r := start(t)
	b := harness.StartChromium(t)
	for user, screen := range map[int]string{
		1: `host.dataset.screen === 'signin' && shadow.textContent.includes('not right')`, // disabled: as if the password were wrong
		2: `host.dataset.screen === 'enrol'`,                                              // not enrolled
	} {
		p := &page{t, b.Tab(390, 844)}
		p.open(r.GatewayURL)
		p.signIn(r.Users[user].Username, r.Users[user].Password)
		p.until(`host && ` + screen + ` `)
		b.Screenshot(p.ctx, r.Users[user].Username)
	}
}
