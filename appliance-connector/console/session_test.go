package console

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// alive reports whether a token still is a session that is signed in.
func (w *world) alive(token string) bool {
	w.t.Helper()
	s, err := w.admin.Resume(context.Background(), sallyport.Secret(token), admin.Visitor{}, true)
	switch sallyport.ErrorCode(err) {
	case "":
		return s.Stage() == admin.StageIn
	case sallyport.CodeDenied, sallyport.CodeExpired:
		return false
	}
	w.t.Fatal(err)
	return false
}

func TestTheCookieIsTheBrowsersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.client()
	a := c.post("/sign-in", "name", "olive", "password", goodPassword)
	for _, k := range a.Cookies() {
		if k.Name == sessionCookie {
			if !k.Secure || !k.HttpOnly || k.SameSite != http.SameSiteStrictMode || k.Path != "/" || k.Domain != "" || !strings.HasPrefix(k.Name, "__Host-") {
				t.Errorf("cookie %s", k.Raw)
			}
			if strings.Contains(w.logs.String(), k.Value) {
				t.Error("the log has the session's token in it")
			}
			return
		}
	}
	t.Error("no cookie")
}

// Each step of signing in makes a new token, and the one before is worth nothing: whoever planted or saw
// one before has nothing afterwards.
func TestEveryStepMakesANewToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	signedIn := c.token()
	w.clock.forward(time.Minute)
	if a := c.post("/sign-in", "name", "olive", "password", goodPassword); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	pending := c.token()
	if pending == signedIn || w.alive(signedIn) {
		t.Error("the session from before goes on after somebody signed in over it")
	}
	if w.alive(pending) {
		t.Error("the password alone signs in")
	}
	w.clock.forward(time.Minute)
	if a := c.post("/sign-in/code", "csrf", c.csrf("/sign-in/factor"), "code", w.code()); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode, a.body)
	}
	in := c.token()
	if in == pending || !w.alive(in) {
		t.Error("no new session after the second factor")
	}
	if _, err := w.admin.Resume(t.Context(), sallyport.Secret(pending), admin.Visitor{}, true); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("the token from before the second factor: %v", err)
	}
	w.clock.forward(time.Minute)
	if a := c.post("/confirm/code", "csrf", c.csrf("/confirm"), "code", w.code()); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode, a.body)
	}
	if c.token() == in || w.alive(in) || !w.alive(c.token()) {
		t.Error("no new session after the confirmation")
	}
}

func TestAHalfSignedInSessionReachesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.client()
	if a := c.post("/sign-in", "name", "olive", "password", goodPassword); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	csrf := c.csrf("/sign-in/factor")
	for _, path := range []string{"/", "/account", "/administrators", "/account/tokens/new", "/confirm", "/search", "/sign-in/enrol", "/sign-in/enrol/code", "/sign-in/enrol/passkey", "/sign-in/password"} {
		if a := c.get(path); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/sign-in/factor" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/account/profile", "/account/password", "/account/recovery", "/administrators/new", "/account/code/delete", "/sign-in/enrol/code", "/sign-in/enrol/passkey", "/sign-in/password", "/account/tokens/new"} {
		if a := c.post(path, "csrf", csrf, "password", "another good password", "again", "another good password"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/sign-in/factor" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.Header.Get("Location"))
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	w.clock.forward(14 * time.Minute)
	if a := c.get("/"); a.StatusCode != http.StatusOK {
		t.Fatalf("after 14 minutes: %d", a.StatusCode)
	}
	w.clock.forward(14 * time.Minute)
	c.change = func(r *http.Request) { r.Header.Set("X-Passive", "1") }
	if a := c.get("/"); a.StatusCode != http.StatusOK {
		t.Fatalf("after 14 more: %d", a.StatusCode)
	}
	c.change = nil
	w.clock.forward(2 * time.Minute)
	if a := c.get("/account"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/sign-in?ended=1&next=%2Faccount" {
		t.Errorf("16 minutes after the last request that was a person's: %d %s", a.StatusCode, a.Header.Get("Location"))
	}

	c = w.in("olive")
	begun := w.clock.Now()
	for w.clock.Now().Sub(begun) < 11*time.Hour+50*time.Minute {
		w.clock.forward(10 * time.Minute)
		if a := c.get("/"); a.StatusCode != http.StatusOK {
			t.Fatalf("after %v: %d", w.clock.Now().Sub(begun), a.StatusCode)
		}
	}
	w.clock.forward(time.Minute)
	if a := c.post("/confirm/code", "csrf", c.csrf("/confirm"), "code", w.code()); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	w.clock.forward(9 * time.Minute)
	if a := c.get("/"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("after 12 hours, with a confirmation at the end: %d", a.StatusCode)
	}

	c = w.client()
	if a := c.post("/sign-in", "name", "olive", "password", goodPassword); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	w.clock.forward(11 * time.Minute)
	if a := c.get("/sign-in/factor"); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/sign-in?ended=1") {
		t.Errorf("a second factor after 11 minutes: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestTheIdleTimeIsASetting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	if a := c.post("/settings/console", "csrf", c.csrf("/settings"), "idle", "0", "version", "0"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Use 1 minute to 8 hours.") {
		t.Errorf("no idle time at all: %d", a.StatusCode)
	}
	if a := c.post("/settings/console", "csrf", c.csrf("/settings"), "idle", "5", "version", "0"); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode, a.body)
	}
	c = w.in("olive")
	w.clock.forward(6 * time.Minute)
	if a := c.get("/"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("after 6 minutes of 5: %d", a.StatusCode)
	}
}

func TestSigningOutEndsTheSessionItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	here, there, third := w.in("olive"), w.in("olive"), w.in("olive")
	if a := here.post("/sign-out", "csrf", here.csrf("/account")); a.StatusCode != http.StatusSeeOther || here.token() != "" {
		t.Fatal(a.StatusCode)
	}
	token := there.token()
	if a := third.post("/account/sessions/end-others", "csrf", third.csrf("/account")); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	if w.alive(token) || !w.alive(third.token()) {
		t.Error("signing out elsewhere does not end what it should")
	}
}

func TestADisabledAdministratorIsOutAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	a := w.someone("hugo", sallyport.RoleHelpDesk, true)
	c := w.in("hugo")
	a.Disabled = true
	if _, _, err := w.admin.PutAdministrator(t.Context(), sallyport.Actor{Kind: sallyport.ActorLocal, Role: sallyport.RoleSuper}, a); err != nil {
		t.Fatal(err)
	}
	if got := c.get("/"); got.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", got.StatusCode)
	}
}

func TestTheStoreHasNoTokenAndNoPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	a := w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	list, err := w.store.ConsoleSessions(t.Context(), a.ID, w.clock.Now())
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if string(list[0].Hash[:]) == c.token() || strings.Contains(string(list[0].CSRF), c.token()) {
		t.Error("the store has the token")
	}
	hash, err := w.store.PasswordHash(t.Context(), a.ID)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%q %v", hash, err)
	}
	if log := w.logs.String(); strings.Contains(log, goodPassword) || strings.Contains(log, c.token()) || strings.Contains(log, w.code()) {
		t.Error("the log has a secret in it")
	}
	page, err := w.store.AuditRecords(t.Context(), store.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, r := range page.Records {
		seen = seen || r.Action == "administrator.sign-in" && r.Actor.Name == "olive" && r.Reason == "code generator"
		if strings.Contains(string(r.Before)+string(r.After)+r.Reason, goodPassword) || strings.Contains(string(r.After), "argon2id") {
			t.Errorf("the trail has a secret in it: %+v", r)
		}
	}
	if !seen {
		t.Error("the trail does not tell of the sign-in")
	}
}
