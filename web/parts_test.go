package web_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/web"
)

// partNamed finds a part of this release.
func partNamed(t *testing.T, name string) web.Part {
	t.Helper()
	for _, p := range web.Parts() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no part %s", name)
	return web.Part{}
}

// asked counts how often a part is asked for, and does with it what f says, which may be nil.
func asked(t *testing.T, name string, f func(n int, w http.ResponseWriter, r *http.Request) bool) (func(kind string, w http.ResponseWriter, r *http.Request) bool, func() int) {
	hash := partNamed(t, name).Hash()
	var mu sync.Mutex
	n := 0
	return func(kind string, w http.ResponseWriter, r *http.Request) bool {
			if kind != "part" || !strings.HasPrefix(r.PathValue("file"), hash) {
				return false
			}
			mu.Lock()
			n++
			now := n
			mu.Unlock()
			return f != nil && f(now, w, r)
		}, func() int {
			mu.Lock()
			defer mu.Unlock()
			return n
		}
}

func TestStepsAreThereBeforeAnybodyLogsIn(t *testing.T) {
	count, times := asked(t, "steps.js", nil)
	c, _, p := down(t, "/", count)
	p.untilScreen("signin")
	for times() == 0 {
		p.until(`true`)
	}
	p.signIn("alice", password)
	c.next().push()
	p.untilScreen("push")
	if n := times(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestPartThatComesAtTheSecondTry(t *testing.T) {
	for name, bad := range map[string]func(http.ResponseWriter) bool{
		"cut":   cut,
		"error": badGateway,
		"another script": func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write([]byte("window.slipped = true"))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, times := asked(t, "steps.js", func(n int, w http.ResponseWriter, _ *http.Request) bool { return n == 1 && bad(w) })
			c, _, p := down(t, "/", first)
			p.signIn("alice", password)
			c.next().push()
			p.untilScreen("push")
			if n := times(); n != 2 {
				t.Errorf("fetched %d times", n)
			}
			if p.eval(`!!window.slipped`) != false {
				t.Error("a script that is not the pinned one was run")
			}
		})
	}
}

func TestPartThatDoesNotComeIsAClearError(t *testing.T) {
	never, _ := asked(t, "steps.js", func(_ int, w http.ResponseWriter, _ *http.Request) bool { return cut(w) })
	c, g, p := down(t, "/", never)
	p.signIn("alice", password)
	l := c.next()
	l.push()
	p.untilScreen("error")
	if text := p.text(`$('alert').textContent`); !strings.Contains(text, "could not be loaded") {
		t.Errorf("alert %q", text)
	}
	if m := l.heard(); m["action"] != "cancel" { // nobody is to approve what the page cannot show
		t.Errorf("said %v", m)
	}
	p.click("native")
	p.untilScreen("native")
	p.eval(`(() => { const f = document.getElementsByName('password1')[0]; f.value = '123456'; })()`)
	p.eval(`document.querySelector('#auth_form [type=submit]').click()`)
	p.untilIn()
	if f := g.form(); f.Get("username") != "alice" || f.Get("password") != password || f.Get("password1") != "123456" {
		t.Errorf("posted %v", f)
	}
}

// A login that asks for nothing but the password does not wait for a part, and does not fail with it.
func TestLoginIsFinishedWithoutAnyPart(t *testing.T) {
	c, g, p := down(t, "/", func(kind string, w http.ResponseWriter, _ *http.Request) bool { return kind == "part" && cut(w) })
	p.signIn("alice", password)
	c.next().done()
	p.untilIn()
	if g.form().Get("password1") != token {
		t.Errorf("posted %v", g.form())
	}
}

func TestPartsLeaveNoNameInThePage(t *testing.T) {
	c := newCloud(t)
	g := newGateway(t, c)
	p := newTab(t)
	p.open(g.url("/?page=nofetch")) // the same page, without the overlay
	const names = `Object.getOwnPropertyNames(window).filter(n => !/^\d+$/.test(n)).sort().join()`
	p.until(nativeShown + ` && 'sessionTimeout' in window`)
	before := p.text(names)
	p.open(g.url("/"))
	p.signIn("alice", password)
	c.next().push()
	p.untilScreen("push")
	for name := range strings.SplitSeq(p.text(names), ",") {
		if !strings.Contains(","+before+",", ","+name+",") && name != "fetch" {
			t.Errorf("window.%s is new", name)
		}
	}
}
