package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// Every page and every form, as each role: who may not is refused, by the address and not only by the menu.
func TestRolesReachTheirPagesAndNoOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	olive := w.someone("olive", sallyport.RoleSuper, true)
	names := map[sallyport.Role]string{sallyport.RoleSuper: "olive", sallyport.RoleAdmin: "ada", sallyport.RoleHelpDesk: "hugo", sallyport.RoleAuditor: "augusta"}
	for role, name := range names {
		if name != "olive" {
			w.someone(name, role, true)
		}
	}
	super, audit := sallyport.RoleSuper, sallyport.RoleAuditor
	pages := map[string][]sallyport.Role{
		"/": {super, sallyport.RoleAdmin, sallyport.RoleHelpDesk, audit}, "/account": {super, sallyport.RoleAdmin, sallyport.RoleHelpDesk, audit},
		"/settings": {super, sallyport.RoleAdmin, audit}, "/administrators": {super, audit}, "/administrators/roles": {super, audit},
		"/administrators/new": {super}, "/administrators/roles/new": {super}, "/administrators/" + string(olive.ID): {super, audit},
	}
	forms := []string{"/administrators/new", "/administrators/" + string(olive.ID), "/administrators/" + string(olive.ID) + "/delete", "/administrators/" + string(olive.ID) + "/reset-factor",
		"/administrators/" + string(olive.ID) + "/reset-password", "/administrators/roles/new", "/administrators/roles/change", "/settings/console"}
	for role, name := range names {
		c := w.in(name)
		for path, roles := range pages {
			want := http.StatusForbidden
			for _, r := range roles {
				if r == role {
					want = http.StatusOK
				}
			}
			if a := c.get(path); a.StatusCode != want {
				t.Errorf("%s as %s: %d, want %d", path, role, a.StatusCode, want)
			}
		}
		if role == super {
			continue
		}
		csrf := c.csrf("/account")
		for _, path := range forms {
			if a := c.post(path, "csrf", csrf); a.StatusCode != http.StatusForbidden {
				t.Errorf("form %s as %s: %d", path, role, a.StatusCode)
			}
		}
		if home := c.get("/").body; strings.Contains(home, `href="/administrators"`) != (role == audit) {
			t.Errorf("the menu of %s", role)
		}
	}
}

func TestDangerousActsAskAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	hugo := w.someone("hugo", sallyport.RoleHelpDesk, true)
	c := w.in("olive")
	for range 2 { // requests keep the session awake, and confirm nothing
		w.clock.forward(9 * time.Minute)
		c.get("/")
	}
	path := "/administrators/" + string(hugo.ID) + "/delete"
	if a := c.get("/administrators/new"); a.Header.Get("Location") != "/confirm?next=%2Fadministrators%2Fnew" {
		t.Errorf("a dangerous form opens at once: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	a := c.post(path, "csrf", c.csrf("/account"), "version", "1")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Confirm that it is you") {
		t.Fatalf("a dangerous act at once: %d", a.StatusCode)
	}
	if _, err := w.store.Administrator(t.Context(), hugo.ID); err != nil {
		t.Fatal("deleted without asking again")
	}
	if a := c.post("/confirm/code", "csrf", c.csrf("/confirm"), "code", "123456"); a.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong code confirms: %d", a.StatusCode)
	}
	if a := c.post("/confirm/code", "csrf", c.csrf("/confirm"), "code", w.code()); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	hugo, err := w.store.Administrator(t.Context(), hugo.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a := c.post(path, "csrf", c.csrf("/account"), "version", itoa(hugo.Version)); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/administrators" {
		t.Errorf("confirmed: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if _, err := w.store.Administrator(t.Context(), hugo.ID); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("not deleted: %v", err)
	}
}

func TestTheLastSuperAdministratorStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	olive := w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	if a := c.post("/administrators/"+string(olive.ID)+"/delete", "csrf", c.csrf("/account"), "version", itoa(olive.Version)); a.Header.Get("Location") != "/administrators/"+string(olive.ID) {
		t.Errorf("deletes herself: %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Role: sallyport.RoleSuper}
	if err := w.admin.DeleteAdministrator(t.Context(), root, olive.ID, olive.Version); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("root deletes the last one: %v", err)
	}
	olive.Role = sallyport.RoleAuditor
	if _, _, err := w.admin.PutAdministrator(t.Context(), root, olive); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("root demotes the last one: %v", err)
	}
}

func TestAPITokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	ada := w.someone("ada", sallyport.RoleAdmin, true)
	c := w.in("ada")
	csrf := c.csrf("/account")
	if a := c.post("/account/tokens/new", "csrf", csrf, "name", "x", "role", "super", "access", "read", "days", "30"); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a token that may more than its owner: %d", a.StatusCode)
	}
	a := c.post("/account/tokens/new", "csrf", csrf, "name", "Nightly", "role", "helpdesk", "access", "read", "days", "30")
	start := strings.Index(a.body, "sallyport_")
	if a.StatusCode != http.StatusOK || start < 0 {
		t.Fatal(a.StatusCode, a.body)
	}
	token := sallyport.Secret(a.body[start : start+len("sallyport_")+43])
	actor, err := w.admin.ByToken(t.Context(), token, "192.0.2.9")
	if err != nil || actor.Kind != sallyport.ActorToken || actor.Role != sallyport.RoleHelpDesk || actor.ID != string(ada.ID) || !actor.ReadOnly {
		t.Errorf("%+v %v", actor, err)
	}
	if strings.Contains(c.get("/account").body, string(token)) {
		t.Error("the token is shown again")
	}
	denied := func(what string, token sallyport.Secret) {
		t.Helper()
		if _, err := w.admin.ByToken(t.Context(), token, "192.0.2.9"); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	denied("a token with another end", token[:len(token)-1]+"x")
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Role: sallyport.RoleSuper}
	ada.Role = sallyport.RoleAuditor
	if ada, _, err = w.admin.PutAdministrator(t.Context(), root, ada); err != nil {
		t.Fatal(err)
	}
	denied("a token that may more than its owner does now", token)
	ada.Role = sallyport.RoleAdmin
	if _, _, err = w.admin.PutAdministrator(t.Context(), root, ada); err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.ByToken(t.Context(), token, "192.0.2.9"); err != nil {
		t.Error(err)
	}
	w.clock.forward(31 * 24 * time.Hour)
	denied("a token that has ended", token)
	if err := admin.May(sallyport.Actor{Kind: sallyport.ActorToken, Role: sallyport.RoleSuper}, "PutAdministrator"); err == nil {
		t.Error("a token makes administrators")
	}
}
