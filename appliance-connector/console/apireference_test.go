package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/openapi"
)

// api asks the API on the console's listener.
func (c *client) api(method, path, token string) answer {
	c.w.t.Helper()
	req, err := http.NewRequest(method, c.w.url+path, nil)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.do(req)
}

func TestTheAPITakesTokensOfTheConsoleAndNoCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{url: "https://console.hospital.test"})
	w.url = strings.Replace(w.url, "localhost", "127.0.0.1", 1)
	olive := w.someone("olive", sallyport.RoleSuper, true)
	c := w.client()
	if a := c.api("GET", "/api/v1/administrators/"+string(olive.ID), ""); a.StatusCode != http.StatusUnauthorized || a.Header.Get("Content-Type") != "application/problem+json" ||
		a.Header.Get("WWW-Authenticate") == "" || len(a.Cookies()) > 0 {
		t.Errorf("without a token: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	if a := c.api("GET", "/api/v1x", ""); a.StatusCode != http.StatusFound {
		t.Errorf("an address beside the API: %d", a.StatusCode)
	}
}

func TestASessionIsNoTokenAndATokenNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	olive := w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	if a := c.api("GET", "/api/v1/overview", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session's cookie opens the API: %d", a.StatusCode)
	}
	if a := c.api("GET", "/api/v1/overview", c.token()); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session's token opens the API: %d", a.StatusCode)
	}
	page := c.post("/account/tokens/new", "csrf", c.csrf("/account"), "name", "Nightly", "role", "super", "access", "write", "days", "30")
	start := strings.Index(page.body, "sallyport_")
	if start < 0 {
		t.Fatal(page.body)
	}
	token := page.body[start : start+len("sallyport_")+43]
	var got struct{ Name string }
	if a := c.api("GET", "/api/v1/administrators/"+string(olive.ID), token); a.StatusCode != http.StatusOK || json.Unmarshal([]byte(a.body), &got) != nil || got.Name != "olive" {
		t.Errorf("with the token: %d %s", a.StatusCode, a.body)
	}
	// Programs send neither Origin nor Sec-Fetch-Site, which forms must.
	if a := c.api("POST", "/api/v1/user-policies/default/make-default", token); a.StatusCode != http.StatusNoContent {
		t.Errorf("a change with the token: %d %s", a.StatusCode, a.body)
	}
	if a := w.client().api("GET", "/account", token); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a token opens the console: %d", a.StatusCode)
	}
	if a := c.get("/account"); !strings.Contains(a.body, "reads and writes") || !strings.Contains(a.body, `href="/account/api"`) {
		t.Errorf("the account page: %s", a.body)
	}
}

func TestTheAPIIsDescribedInTheConsole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	w.someone("hugo", sallyport.RoleHelpDesk, true)
	if a := w.client().get("/account/api"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("without signing in: %d", a.StatusCode)
	}
	c := w.in("hugo")
	for path, wants := range map[string][]string{
		"/account/api": {`href="/account/api/operations/changeUserPolicy"`, "PUT /user-policies/{policy}", "Super administrator", `href="/account/api/problems/conflict"`, w.url + "/api/v1/overview"},
		"/account/api/operations/changeWorkflowPolicy": {"PUT /api/v1/workflow-policy", "remember.hours", "1 to 2880", "If-Match", "428", "with a token that reads and writes"},
		"/account/api/problems/conflict":               {"409, 412"},
	} {
		a := c.get(path)
		for _, want := range wants {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	for _, path := range []string{"/account/api/operations/none", "/account/api/problems/none"} {
		if a := c.get(path); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	for _, p := range apiProblems() {
		if a := c.get("/account/api/problems/" + string(p.code)); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", p.code, a.StatusCode)
		}
	}
	if a := c.api("GET", "/api/v1/openapi.yaml", ""); a.StatusCode != http.StatusOK || !bytes.Equal([]byte(a.body), openapi.Admin()) {
		t.Errorf("the document: %d", a.StatusCode)
	}
}
