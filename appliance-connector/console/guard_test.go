package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

func TestNobodyFramesAndNothingForeignRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	for _, path := range []string{"/", "/sign-in", "/account", "/administrators", "/no/such", "/static/x/console.js"} {
		h := c.get(path).Header
		if got := h.Get("Content-Security-Policy"); got != "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'" {
			t.Errorf("%s: policy %q", path, got)
		}
		if h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, h)
		}
		if h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %q", path, h.Get("Cache-Control"))
		}
	}
	for _, path := range []string{"/", "/account", "/administrators", "/administrators/new", "/settings", "/search?q=ol"} {
		body := c.get(path).body
		for _, bad := range []string{"<script>", " style=", " onclick", "javascript:", "http://", "<style"} {
			if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), bad) {
				t.Errorf("%s has %q in it", path, bad)
			}
		}
	}
}

func TestFormsFromElsewhereAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	csrf := c.csrf("/account")
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			if value == "" {
				r.Header.Del(name)
			} else {
				r.Header.Set(name, value)
			}
		}
	}
	for what, change := range map[string]func(*http.Request){
		"another origin":        set("Origin", "https://evil.example"),
		"the same host by http": set("Origin", strings.Replace(w.url, "https", "http", 1)),
		"another port":          set("Origin", "https://localhost:1"),
		"a hidden origin":       set("Origin", "null"),
		"a sister site":         set("Sec-Fetch-Site", "same-site"),
		"another site":          set("Sec-Fetch-Site", "cross-site"),
		"a typed address":       set("Sec-Fetch-Site", "none"),
		"a browser that says nothing": func(r *http.Request) {
			r.Header.Del("Origin")
			r.Header.Del("Sec-Fetch-Site")
		},
	} {
		c.change = change
		for path, pairs := range map[string][]string{
			"/account/profile": {"csrf", csrf, "display_name", "Mallory", "mail", ""},
			"/sign-in":         {"name", "olive", "password", goodPassword},
			"/setup":           {"code", "x"},
		} {
			if a := c.post(path, pairs...); a.StatusCode != http.StatusForbidden {
				t.Errorf("%s to %s: %d", what, path, a.StatusCode)
			}
		}
	}
	c.change = nil
	for what, token := range map[string]string{"no token": "", "a wrong one": "x", "one of another session": w.in("olive").csrf("/account")} {
		if a := c.post("/account/profile", "csrf", token, "display_name", "Mallory", "mail", ""); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", what, a.StatusCode)
		}
	}
	if body := c.get("/account").body; strings.Contains(body, "Mallory") || !strings.Contains(body, "Olive Example") {
		t.Error("a refused form changed something")
	}
	if a := c.post("/account/profile", "csrf", csrf, "display_name", "Olive Other", "mail", ""); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the right token: %d", a.StatusCode)
	}
	c.change = set("X-CSRF-Token", csrf)
	if a := c.post("/account/profile", "display_name", "Olive Third", "mail", ""); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the right token as a header: %d", a.StatusCode)
	}
}

func TestOnlyTheConsolesOwnNameAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{url: "https://console.hospital.test:8443"})
	c := w.client()
	if a := c.get("/administrators?q=x"); a.StatusCode != http.StatusFound || a.Header.Get("Location") != "https://console.hospital.test:8443/administrators?q=x" {
		t.Errorf("by another name: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a := c.post("/sign-in", "name", "x", "password", "y"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a form to another name: %d", a.StatusCode)
	}
	c.change = func(r *http.Request) { r.Host = "console.hospital.test:8443" }
	if a := c.get("/sign-in"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/setup" {
		t.Errorf("by its own name: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/users?x=1": "/users?x=1", "": "/", "users": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "/\tevil": "/", "/a\r\nb: c": "/",
	} {
		if got := localPath(path); got != want {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	f.Add("/users?x=1")
	f.Add("//evil.example")
	f.Fuzz(func(t *testing.T, s string) {
		got := localPath(s)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n") {
			t.Errorf("%q leads to %q", s, got)
		}
	})
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	csrf := c.csrf("/account")
	if a := c.post("/account/profile", "csrf", csrf, "display_name", strings.Repeat("x", maxBody+1)); a.StatusCode < 400 || a.StatusCode >= 500 {
		t.Errorf("a body that is too long: %d", a.StatusCode)
	}
	c.change = func(r *http.Request) { r.Header.Set("X-Long", strings.Repeat("x", 64<<10)) }
	if a := c.get("/"); a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers that are too long: %d", a.StatusCode)
	}
}

// A link on another site comes without the cookie (SameSite=Strict): the console sends it on to itself, and
// nobody is signed out by it.
func TestLinksFromElsewhereLeadIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	fresh := w.client()
	fresh.change = func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	a := fresh.get("/administrators?q=%22x")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `content="0;url=/administrators?q=%22x"`) || len(a.Cookies()) != 0 {
		t.Errorf("%d %v\n%s", a.StatusCode, a.Cookies(), a.body)
	}
	fresh.change = nil
	if a := fresh.get("/administrators"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/sign-in?next=%2Fadministrators" {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
}
