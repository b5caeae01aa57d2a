package e2e_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

var (
	formToken  = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	figureText = regexp.MustCompile(`class="figure">(\d\d)<`)
	appLink    = regexp.MustCompile(`<a href="([^"]+#e=[^"]+)">`)
)

// On the self-service page of a running appliance somebody signs in with the directory's password and a push, and puts a new phone in the place of the old one.
func TestSelfServiceReplacesAPhone(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u := s.NewUser(t)
	old := s.Enrol(t, u.Name)
	base, client := s.Console(t, 0)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Jar = jar
	ctx := within(t, patience)
	page := ""
	send := func(method, path string, fields ...string) {
		t.Helper()
		v := url.Values{}
		for i := 0; i+1 < len(fields); i += 2 {
			v.Set(fields[i], fields[i+1])
		}
		if m := formToken.FindStringSubmatch(page); m != nil {
			v.Set("csrf", m[1])
		}
		r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(v.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", base)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v\n%s", path, resp.Status, err, body)
		}
		page = string(body)
	}
	send(http.MethodGet, "/me")
	send(http.MethodPost, "/me/sign-in", "name", u.Name, "password", string(u.Password))
	number := figureText.FindStringSubmatch(page)
	if number == nil {
		t.Fatalf("no number: %s", page)
	}
	if err := old.Approve(ctx, number[1]); err != nil {
		t.Fatal(err)
	}
	send(http.MethodPost, "/me/check")
	if !strings.Contains(page, "Phone of the test") {
		t.Fatalf("not signed in: %s", page)
	}
	send(http.MethodPost, "/me/add", "kind", "app", "replaces", string(old.Device()))
	link := appLink.FindStringSubmatch(page)
	if link == nil {
		t.Fatalf("no link: %s", page)
	}
	replacement := s.Follow(t, sallyport.Secret(html.UnescapeString(link[1])))
	send(http.MethodPost, "/me/check")
	devices, err := s.Store.Devices(ctx, u.Account())
	if err != nil || len(devices) != 1 || devices[0].ID != replacement.Device() {
		t.Fatalf("%v %v\n%s", devices, err, page)
	}
}
