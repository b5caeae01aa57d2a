package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
)

// watchNative notes at every frame whether the page's own fields can be seen: when first, in milliseconds, and never as 0.
// A browser that is short of time may paint what it has of a page before it has read on to our tag, which stands at the
// end; such frames do not count (docs/admin/f5-big-ip.md says how to avoid them).
//
// stalled_ is for how long the browser did not get to draw, up to then: on a busy machine that is nobody's fault.
const watchNative = `window.nativeAt = 0; window.frames_ = 0; window.stalled_ = 0; let before_ = performance.now(); (function frame() {
	const now = performance.now();
	window.frames_++;
	if (!window.nativeAt) window.stalled_ += Math.max(0, now - before_ - 50);
	before_ = now;
	const shown = ` + nativeShown + `;
	const tagged = [...document.querySelectorAll('style, script')].some(e => /sallyport|f5\.js/.test(e.textContent + e.src));
	if (shown && tagged && !window.nativeAt) window.nativeAt = performance.now();
	requestAnimationFrame(frame);
})();`

// down opens a page whose cloud does what f says, and returns the tab.
func down(t *testing.T, path string, f func(kind string, w http.ResponseWriter, r *http.Request) bool) (*fakeCloud, *gateway, *tab) {
	t.Helper()
	c := newCloud(t)
	g := newGateway(t, c)
	c.intercept(f)
	p := newTab(t)
	p.early(watchNative)
	if err := navigate(p, g.url(path)); err != nil {
		t.Fatal(err)
	}
	return c, g, p
}

func hang(what string) func(string, http.ResponseWriter, *http.Request) bool {
	return func(kind string, _ http.ResponseWriter, r *http.Request) bool {
		if kind != what {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the browser has gone
		<-r.Context().Done()
		return true
	}
}

func refusal(what string, status int, code sallyport.Code) func(string, http.ResponseWriter, *http.Request) bool {
	return func(kind string, w http.ResponseWriter, _ *http.Request) bool {
		if kind == what {
			refuse(w, status, code)
		}
		return kind == what
	}
}

func TestCloudOutOfReachAtLoadGivesTheNativeFormBack(t *testing.T) {
	for name, f := range map[string]func(string, http.ResponseWriter, *http.Request) bool{
		"begin hangs":        hang("begin"),
		"no appliance":       refusal("begin", 503, sallyport.CodeUnavailable),
		"unknown enterprise": refusal("begin", 404, sallyport.CodeNotFound),
		"something else answers": func(kind string, w http.ResponseWriter, _ *http.Request) bool {
			return kind == "begin" && badGateway(w)
		},
		"the connection is cut":      func(kind string, w http.ResponseWriter, _ *http.Request) bool { return kind == "begin" && cut(w) },
		"an answer that is not ours": func(kind string, w http.ResponseWriter, _ *http.Request) bool { return kind == "begin" && html(w) },
		"an answer without a signature": func(kind string, w http.ResponseWriter, _ *http.Request) bool {
			return kind == "begin" && unsigned(w)
		},
	} {
		for _, path := range []string{"/", "/modern"} {
			t.Run(name+" "+path, func(t *testing.T) {
				_, g, p := down(t, path, f)
				p.until(`window.nativeAt`)
				at, _ := p.eval(`window.nativeAt - performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd`).(float64)
				if stalled, _ := p.eval(`window.stalled_`).(float64); at > 3700+stalled { // the deadline of 2.5 s, the modern page's own delay, and a busy machine
					t.Errorf("native form came after %.0f ms", at)
				}
				notice := p.text(`shadow.querySelector('[role=alert]').textContent`)
				if !strings.Contains(notice, "“Token”") || !strings.Contains(notice, "six-digit code") {
					t.Errorf("notice %q", notice)
				}
				if name == "no appliance" {
					p.shots("native" + strings.ReplaceAll(path, "/", "-"))
				}
				p.eval(`(() => { for (const [n, v] of [['username', 'alice'], ['password', 'pw'], ['password1', '123456']]) {
					const f = document.getElementsByName(n)[0]; f.value = v; f.dispatchEvent(new Event('input')); } })()`)
				p.eval(`document.querySelector('#auth_form [type=submit]').click()`)
				p.untilIn()
				if f := g.form(); f.Get("username") != "alice" || f.Get("password1") != "123456" {
					t.Errorf("posted %v", f)
				}
			})
		}
	}
}

func badGateway(w http.ResponseWriter) bool {
	http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
	return true
}

func cut(w http.ResponseWriter) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
	return true
}

func html(w http.ResponseWriter) bool {
	_, _ = w.Write([]byte("<html>welcome to the airport</html>"))
	return true
}

func unsigned(w http.ResponseWriter) bool {
	reply(w, map[string]any{"loginId": "x", "expiresInMs": 1000})
	return true
}

func TestTypedWordsSurviveTheReturnOfTheNativeForm(t *testing.T) {
	_, _, p := down(t, "/", hang("begin"))
	p.untilScreen("signin")
	p.write("username", "alice")
	p.write("password", "pw")
	p.untilScreen("native")
	got := p.text(`['username', 'password', 'password1'].map(n => document.getElementsByName(n)[0].value).join('|') + '|' + document.activeElement.name`)
	if got != "alice|pw||password1" {
		t.Errorf("native form holds %q", got)
	}
}

func TestScriptThatNeverComesLeavesThePageUsable(t *testing.T) {
	for name, f := range map[string]func(string, http.ResponseWriter, *http.Request) bool{
		"hangs": hang("script"),
		"missing": func(kind string, w http.ResponseWriter, _ *http.Request) bool {
			return kind == "script" && badGateway(w)
		},
	} {
		_, _, p := down(t, "/", f)
		p.until(`window.nativeAt`)
		if at, _ := p.eval(`window.nativeAt - window.stalled_`).(float64); at > 4500 {
			t.Errorf("%s: native form came after %.0f ms", name, at)
		}
		if p.eval(`!!host`) != false {
			t.Errorf("%s: there is an overlay", name)
		}
	}
}

func TestNothingOfTheNativeFormIsSeenBeforeTheOverlay(t *testing.T) {
	for _, path := range []string{"/", "/modern", "/?page=failed"} {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprint(path, slow), func(t *testing.T) {
				release := make(chan struct{})
				let := sync.OnceFunc(func() { close(release) })
				_, _, p := down(t, path, func(kind string, _ http.ResponseWriter, _ *http.Request) bool {
					if kind == "script" && slow {
						<-release
					}
					return false
				})
				t.Cleanup(let)
				if slow {
					p.until(`performance.now() > 700`)
				}
				let()
				p.untilScreen("signin")
				p.until(`window.frames_ > 40`)
				if at := p.eval(`window.nativeAt`); at != 0.0 {
					t.Errorf("native form seen at %v ms", at)
				}
			})
		}
	}
}

// The sign-in form waits for nothing but its script: not for the cloud, nor for the parts. (How fast it is then is measured by the benchmark.)
func TestOverlayIsUsableAtOnce(t *testing.T) {
	c := newCloud(t)
	g := newGateway(t, c)
	c.intercept(func(kind string, w http.ResponseWriter, r *http.Request) bool {
		return hang("begin")(kind, w, r) || hang("part")(kind, w, r)
	})
	p := newTab(t)
	p.early(`new MutationObserver(() => { const h = document.getElementById('sallyport');
		if (h && h.dataset.screen === 'signin' && h.shadowRoot.activeElement) window.usable = h.shadowRoot.activeElement.id; }).observe(document, {childList: true, subtree: true})`)
	must(t, navigate(p, g.url("/")))
	p.until(`window.usable`)
	if id := p.text(`window.usable`); id != "username" {
		t.Errorf("the focus is on %q", id)
	}
}

func TestCloudOutOfReachLater(t *testing.T) {
	t.Run("credentials", func(t *testing.T) {
		c, g, p := onPage(t, "/")
		p.untilScreen("signin")
		c.intercept(func(kind string, w http.ResponseWriter, _ *http.Request) bool {
			return kind == "credentials" && badGateway(w)
		})
		p.signIn("alice", password)
		p.untilScreen("error")
		p.shots("error")
		if n := c.requests("credentials"); n != 3 {
			t.Errorf("asked %d times", n)
		}
		c.intercept(nil)
		p.click("again")
		p.untilScreen("signin")
		p.enter() // both fields are still filled
		c.next().done()
		p.untilIn()
		if g.form().Get("password") != password {
			t.Errorf("posted %v", g.form())
		}
	})
	t.Run("own form", func(t *testing.T) {
		c, _, p := onPage(t, "/")
		p.untilScreen("signin")
		c.intercept(refusal("credentials", 503, sallyport.CodeUnavailable))
		p.signIn("alice", password)
		p.untilScreen("error")
		p.click("native")
		p.untilScreen("native")
		if got := p.text(`document.getElementsByName('username')[0].value + document.activeElement.name`); got != "alicepassword1" {
			t.Errorf("native form: %q", got)
		}
	})
	t.Run("while waiting", func(t *testing.T) {
		c := newCloud(t)
		g := newGateway(t, c)
		p := newTab(t)
		p.early(`(() => { const now = Date.now; window.skew = 0; Date.now = () => now() + window.skew; })()`)
		p.open(g.url("/"))
		p.untilScreen("signin")
		c.intercept(func(kind string, w http.ResponseWriter, _ *http.Request) bool { return kind == "events" && cut(w) })
		p.signIn("alice", password)
		c.next().push()
		p.untilScreen("push")
		p.until(`$('hint').textContent.includes('connection was lost')`)
		p.shots("push-reconnecting")
		p.eval(`window.skew = 21000`)
		p.untilScreen("error")
	})
}

func TestUncertainIsNotRepeated(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.untilScreen("signin")
	c.intercept(refusal("credentials", 503, sallyport.CodeUncertain))
	p.signIn("alice", password)
	p.untilScreen("error")
	if text := p.text(`$('alert').textContent`); !strings.Contains(text, "while your password was being checked") || !strings.Contains(text, "ABCD-1234") {
		t.Errorf("alert %q", text)
	}
	if n := c.requests("credentials"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestLostAnswersAreAskedForAgain(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.untilScreen("signin")
	lost := map[string]bool{}
	c.intercept(func(kind string, w http.ResponseWriter, r *http.Request) bool {
		if lost[kind] || (kind != "credentials" && kind != "messages") {
			return false
		}
		lost[kind] = true
		return cut(w)
	})
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.click("usecode")
	if m := l.heard(); m["action"] != "use_code" {
		t.Errorf("said %v", m)
	}
	l.show("input", map[string]any{"kind": "code"})
	p.untilScreen("code")
	if len(lost) != 2 || len(c.arrive) != 0 {
		t.Errorf("lost %v, %d more logins", lost, len(c.arrive))
	}
}

func TestMessageThatMetANewerView(t *testing.T) {
	c, _, p, l := atPush(t)
	first := true
	c.intercept(func(kind string, w http.ResponseWriter, _ *http.Request) bool {
		if kind != "messages" || !first {
			return false
		}
		first = false
		l.show("waiting", map[string]any{"kind": "push", "number": "43", "methods": []string{"push", "code"}, "remainingMs": 30000})
		refuse(w, 409, sallyport.CodeConflict)
		return true
	})
	p.click("usecode")
	if m := l.heard(); m["action"] != "use_code" {
		t.Errorf("said %v", m)
	}
	l.show("input", map[string]any{"kind": "code"})
	p.untilScreen("code")
}

func TestStreamThatIsHeldBackIsReplacedByPolling(t *testing.T) {
	c, _, p := onPage(t, "/")
	c.intercept(func(kind string, _ http.ResponseWriter, r *http.Request) bool {
		if kind != "events" || !strings.Contains(r.Header.Get("Accept"), "event-stream") {
			return false
		}
		<-r.Context().Done() // a proxy that waits for the whole answer before it passes anything on
		return true
	})
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("push")
	for deadline := 0; c.requests("events") < 2 && deadline < 1000; deadline++ {
		p.until(`true`)
	}
	l.done()
	p.untilIn()
}

func TestStreamThatBreaksIsOpenedAgain(t *testing.T) {
	c, _, p := onPage(t, "/")
	streams := 0
	c.intercept(func(kind string, w http.ResponseWriter, r *http.Request) bool {
		if kind != "events" || streams > 1 {
			return false
		}
		streams++
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(": hello\n\n")) // and over
		return true
	})
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("push")
	p.until(`true`)
	l.done()
	p.untilIn()
	if n := c.requests("events"); n < 2 {
		t.Errorf("%d requests for events", n)
	}
}

func TestLoginThatTheCloudForgot(t *testing.T) {
	c, _, p := onPage(t, "/")
	c.intercept(refusal("events", 404, sallyport.CodeNotFound))
	p.signIn("alice", password)
	c.next().push()
	p.untilScreen("error")
	if text := p.text(`$('alert').textContent`); !strings.Contains(text, "took too long") {
		t.Errorf("alert %q", text)
	}
}

func TestLoginThatEndedWithoutALastView(t *testing.T) {
	body := `{"code": "unavailable", "message": "no", "supportCode": "WXYZ-9876", "ended": true}`
	for name, end := range map[string]func(w http.ResponseWriter, r *http.Request){
		"by the stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte("event: error\ndata: " + body + "\n\n"))
		},
		"by an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(body))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, p := onPage(t, "/")
			c.intercept(func(kind string, w http.ResponseWriter, r *http.Request) bool {
				if kind == "events" {
					end(w, r)
				}
				return kind == "events"
			})
			p.signIn("alice", password)
			c.next().push()
			p.untilScreen("error")
			if text := p.text(`$('alert').textContent`); !strings.Contains(text, "does not answer") || !strings.Contains(text, "WXYZ-9876") {
				t.Errorf("alert %q", text)
			}
			if n := c.requests("events"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestCredentialsAreSentAgainWhileNoApplianceIsThere(t *testing.T) {
	c, _, p := onPage(t, "/")
	p.untilScreen("signin")
	away := 2
	c.intercept(func(kind string, w http.ResponseWriter, _ *http.Request) bool {
		if kind != "credentials" || away == 0 {
			return false
		}
		away--
		refuse(w, 503, sallyport.CodeUnavailable)
		return true
	})
	p.signIn("alice", password)
	c.next().push()
	p.untilScreen("push")
	if n := c.requests("begin"); n != 1 {
		t.Errorf("begun %d times: the same request is to be sent again", n)
	}
}
