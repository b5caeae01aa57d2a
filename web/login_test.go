package web_test

import (
	"testing"
)

func TestLoginByPushOnEveryKindOfPage(t *testing.T) {
	for _, path := range []string{"/", "/?page=div12", "/?page=labelleft", "/?page=domain", "/?page=failed", "/modern", "/modern?page=domain", "/modern?page=failed"} {
		t.Run(path, func(t *testing.T) {
			c := newCloud(t)
			g := newGateway(t, c)
			p := newTab(t)
			p.open(g.url(path))
			p.signIn("alice", password)
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
		})
	}
}
