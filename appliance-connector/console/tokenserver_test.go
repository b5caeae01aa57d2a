package console

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
	"github.com/sallyport/sallyport/test/harness"
)

var hiddenState = regexp.MustCompile(`name="state" value="([^"]+)"`)

func TestTokenServersAreSetUpTriedAndExplained(t *testing.T) {
	r := harness.StartFreeRADIUS(t, true)
	w := newWorld(t, worldOptions{admin: func(c *admin.Config) { c.Tokens = tokenserver.New(tokenserver.Options{Name: "a1"}) }})
	w.someone("adam", sallyport.RoleAdmin, true)
	c := w.in("adam")
	if a := c.get("/settings/tokens"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "No token servers") || strings.Contains(a.body, "Ask the server") {
		t.Fatalf("%d %.400s", a.StatusCode, a.body)
	}
	server := func(host, port, secret, version string) []string {
		return []string{"host", host, "port", port, "secret", secret, "position", "1", "version", version}
	}
	port := strconv.Itoa(r.Port)
	for _, wrong := range [][]string{server("", port, r.Secret, "0"), server("rsa1:1812", port, r.Secret, "0"), server("127.0.0.1", "x", r.Secret, "0"), server("127.0.0.1", port, "short", "0"), server("127.0.0.1", port, "", "0")} {
		if a := send(c, "/settings/tokens/new", wrong...); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", wrong, a.StatusCode)
		}
	}
	if a := send(c, "/settings/tokens/new", server("127.0.0.1", port, r.Secret, "0")...); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "The server was added") || !strings.Contains(a.body, "Nobody has a token") {
		t.Fatalf("%d %.400s", a.StatusCode, a.body)
	}
	system := func(version string, more ...string) []string {
		return append([]string{"name", "RSA SecurID", "user_name", "name", "timeout", "1.5", "tries", "2", "version", version}, more...)
	}
	for at, wrong := range map[int]string{1: "", 3: "upn", 5: "0.1", 7: "9"} {
		fields := system("1")
		fields[at] = wrong
		if a := send(c, "/settings/tokens", fields...); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", fields, a.StatusCode)
		}
	}
	if a := send(c, "/settings/tokens", system("1", "policy.default", "1")...); !strings.Contains(a.body, "Saved.") || strings.Contains(a.body, "Nobody has a token") {
		t.Fatalf("%d %.400s", a.StatusCode, a.body)
	}
	v, err := w.store.TokenServers(t.Context())
	if err != nil || v.Name != "RSA SecurID" || v.Everyone || len(v.Policies) != 1 || v.Tries != 2 || v.Timeout.Milliseconds() != 1500 || len(v.Servers) != 1 || string(v.Servers[0].Secret) != r.Secret {
		t.Fatalf("%+v %v", v, err)
	}
	id := string(v.Servers[0].ID)
	ask := func(user, code, state, want string) string {
		t.Helper()
		a := send(c, "/settings/tokens/try", "server", id, "user", user, "code", code, "state", state)
		if !strings.Contains(a.body, want) || strings.Contains(a.body, harness.TokenCode) || strings.Contains(a.body, r.Secret) {
			t.Errorf("%s: %d, want %q: %s", user, a.StatusCode, want, a.body)
		}
		if m := hiddenState.FindStringSubmatch(a.body); m != nil {
			return m[1]
		}
		return ""
	}
	ask("alice", harness.TokenCode, "", "The server took the code")
	ask("alice", "00000000", "", "The server refused the code")
	state := ask("nina", harness.TokenCode, "", harness.NextQuestion)
	if state == "" {
		t.Error("the question cannot be answered")
	}
	ask("nina", harness.NextCode, state, "The server took the code")
	ask("", "1", "", "as the token server knows it")

	// The secret stays when the host does, and is asked for again when not.
	if a := send(c, "/settings/tokens/"+id, server("127.0.0.1", port, "", "2")...); !strings.Contains(a.body, "Saved.") {
		t.Errorf("%d %.400s", a.StatusCode, a.body)
	}
	if a := send(c, "/settings/tokens/"+id, server("127.0.0.9", port, "", "3")...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Type the shared secret") {
		t.Errorf("carried to another host: %d", a.StatusCode)
	}
	if a := send(c, "/settings/tokens/"+id, server("127.0.0.1", port, "another secret", "3")...); !strings.Contains(a.body, "Saved.") {
		t.Errorf("%d %.400s", a.StatusCode, a.body)
	}
	ask("alice", harness.TokenCode, "", "does not answer")
	if a := send(c, "/settings/tokens/"+id, server("127.0.0.1", port, r.Secret, "1")...); !strings.Contains(a.body, "changed by") {
		t.Errorf("an old version: %d", a.StatusCode)
	}
	if strings.Contains(w.logs.String(), r.Secret) || strings.Contains(w.logs.String(), harness.TokenCode) {
		t.Error("a secret or a code stands in the log")
	}
	records, err := w.store.AuditRecords(t.Context(), store.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, x := range records.Records {
		if s := fmt.Sprintf("%s%s%s", x.Before, x.After, x.Reason); strings.Contains(s, r.Secret) || strings.Contains(s, harness.TokenCode) {
			t.Errorf("a secret or a code stands in the audit trail: %+v", x)
		}
		if x.Action == "token servers.try" {
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d tries in the audit trail", tried)
	}
	w.someone("ann", sallyport.RoleAuditor, true)
	auditor := w.in("ann")
	if a := auditor.get("/settings/tokens"); a.StatusCode != http.StatusOK || strings.Contains(a.body, "Add server") {
		t.Errorf("the auditor: %d", a.StatusCode)
	}
	if a := auditor.get("/settings/tokens/" + id); a.StatusCode != http.StatusForbidden {
		t.Errorf("the auditor edits: %d", a.StatusCode)
	}
	if a := c.get("/settings/tokens/" + id + "/delete"); !strings.Contains(a.body, "It is the last one") {
		t.Errorf("%d", a.StatusCode)
	}
	if a := send(c, "/settings/tokens/"+id+"/delete", "version", "4"); !strings.Contains(a.body, "The server was removed") {
		t.Errorf("%d %.400s", a.StatusCode, a.body)
	}
	if a := c.get("/settings/tokens/" + id); a.StatusCode != http.StatusNotFound {
		t.Errorf("it is there still: %d", a.StatusCode)
	}
}

func TestHowATokenServerDoes(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for want, h := range map[string]tokenserver.Health{
		"No answer":     {Trouble: "It does not answer.", Failed: now},
		"not asked yet": {},
		"Answers":       {Answered: now},
	} {
		if c := tokenHealth(h, true, now); c.Text != want && c.Badge.Label != want {
			t.Errorf("%+v: %+v", h, c)
		}
	}
	if c := tokenHealth(tokenserver.Health{}, false, now); c.Text != "not asked by this appliance" {
		t.Errorf("%+v", c)
	}
}
