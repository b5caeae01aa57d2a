package console

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// hostile is what somebody may write into an attribute of the directory.
const hostile = `<img src=x onerror="document.title='owned'"> "O'Hara" ` + "\u202e" + `=HYPERLINK("http://evil.example")`

// staffed fills the world with a domain and its users: alice, with a phone; bob, whose name is hostile; carol, disabled.
func (w *world) staffed() map[string]sallyport.User {
	w.t.Helper()
	ctx := w.t.Context()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	d, err := w.store.PutDomain(ctx, sallyport.Domain{ID: "hospital", Name: "hospital.example", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://dc1.hospital.example"},
		BindName: "svc@hospital.example", BindPassword: "secret", Base: "DC=hospital,DC=example"})
	must(err)
	change := func(n int, name, shown string, state sallyport.UserState) store.UserChange {
		return store.UserChange{GUID: fmt.Sprintf("%032x", n), State: state, Account: sallyport.NewAccountName("hospital", name), DisplayName: shown,
			DN: "CN=" + name + ",OU=Ward 3,DC=hospital,DC=example", UPN: name + "@hospital.example", Mail: name + "@hospital.example"}
	}
	_, err = w.store.ApplyUsers(ctx, d.ID, []store.UserChange{change(1, "alice", "Alice Adams", sallyport.UserActive),
		change(2, "bob", hostile, sallyport.UserActive), change(3, "carol", "Carol Clark", sallyport.UserDisabled)})
	must(err)
	out := map[string]sallyport.User{}
	for _, name := range []string{"alice", "bob", "carol"} {
		u, err := w.store.UserByAccount(ctx, sallyport.NewAccountName("hospital", name))
		must(err)
		out[name] = u
	}
	must(w.store.PutDevice(ctx, sallyport.Device{ID: sallyport.DeviceID(strings.Repeat("d", 43)), Account: out["alice"].Account, Name: "Alice’s phone", Platform: "ios",
		PublicKey: []byte("public key"), Seed: seed, DetailsKey: sallyport.Key(strings.Repeat("k", 32)), Enrolled: w.clock.Now()}))
	now := w.clock.Now()
	must(w.store.RecordLogins(ctx, []sallyport.LoginRecord{{ID: "l1", Time: now.Add(-time.Hour), Ended: now.Add(-time.Hour + 9*time.Second), SupportCode: "7H2K-9QXM",
		UserName: "alice", Account: out["alice"].Account, Integration: "vpn", Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeDenied, Method: sallyport.MethodPush,
		Reason: sallyport.ReasonWrongNumber, Detail: "the phone approved with 41, the page showed another number", Address: "203.0.113.7", Appliance: "a1"}},
		[]sallyport.LoginEvent{{SupportCode: "7H2K-9QXM", Time: now.Add(-time.Hour), Step: 4, Message: "credentials arrived", Detail: []byte(`{"integration":"vpn"}`), Appliance: "a1"},
			{SupportCode: "7H2K-9QXM", Time: now.Add(-time.Hour + 2*time.Second), Step: 5, Message: "password is right", Appliance: "a1"},
			{SupportCode: "7H2K-9QXM", Time: now.Add(-time.Hour + 9*time.Second), Step: 11, Message: "login denied", Detail: []byte(`{"reason":"wrong_number"}`), Appliance: "a1"}}))
	must(w.store.RecordRADIUS(ctx, []store.RADIUSActivity{{Time: now.Add(-time.Minute), Source: "10.1.2.3:41234", UserName: hostile, Outcome: sallyport.RADIUSDropped,
		Reason: "unknown source address", Cure: "add the address to an integration", NASIdentifier: "bigip", Appliance: "a1"}}))
	return out
}

// send sends a form with the session's token, and goes where the answer sends the browser.
func send(c *client, path string, pairs ...string) answer {
	c.w.t.Helper()
	a := c.post(path, append(pairs, "csrf", c.csrf("/account"))...)
	if a.StatusCode == http.StatusSeeOther {
		return c.get(a.Header.Get("Location"))
	}
	return a
}

func TestNamesFromTheDirectoryAreShownAsText(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	for _, path := range []string{"/users", "/users?q=bob", "/users/" + string(users["bob"].ID), "/reports/radius", "/reports/unenrolled", "/audit"} {
		a := c.get(path)
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
		if strings.Contains(a.body, "<img src=x") {
			t.Errorf("%s has the name as HTML", path)
		}
	}
	if a := c.get("/users/" + string(users["bob"].ID)); !strings.Contains(a.body, "&lt;img src=x") {
		t.Error("the name is not shown at all")
	}
}

func TestAnExportIsSafeInASpreadsheet(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.staffed()
	ctx := t.Context()
	if err := w.store.RecordLogins(ctx, []sallyport.LoginRecord{{ID: "l2", Time: w.clock.Now(), SupportCode: "AAAA-BBBB", UserName: "=cmd|' /C calc'!A0",
		Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeDenied, Reason: sallyport.ReasonCredentials}}, nil); err != nil {
		t.Fatal(err)
	}
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	a := c.get("/reports/logins.csv")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "'=cmd|' /C calc'!A0") || strings.Contains(a.body, ",=cmd") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(c.get("/reports/enrolled.csv").body, "alice@hospital.example") || strings.Contains(c.get("/reports/enrolled.csv").body, "bob@") {
		t.Error("the report of enrolled users is not right")
	}
	// No policy is live yet, so nobody is left to enrol; then everybody who is active and has not enrolled.
	if strings.Contains(c.get("/reports/unenrolled.csv").body, "bob@") {
		t.Error("somebody of a policy that is not live is told to enrol")
	}
	if err := w.store.AssociateWorkflow(ctx, []sallyport.UserPolicyID{"default"}); err != nil {
		t.Fatal(err)
	}
	if body := c.get("/reports/unenrolled.csv").body; !strings.Contains(body, "bob@") || strings.Contains(body, "alice@") || strings.Contains(body, "carol@") {
		t.Errorf("unenrolled: %s", body)
	}
	if a := c.get("/audit.csv"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "domain.add") {
		t.Errorf("audit: %d %.300s", a.StatusCode, a.body)
	}
}

// Who may give a user a temporary code is for roles to say, at the form itself and not only at what is shown.
func TestRolesDecideWhoIssuesTemporaryCodes(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	path := "/users/" + string(users["alice"].ID)
	for role, may := range map[sallyport.Role]bool{sallyport.RoleSuper: true, sallyport.RoleAdmin: true, sallyport.RoleHelpDesk: true, sallyport.RoleAuditor: false} {
		name := "p" + string(role)
		w.someone(name, role, true)
		c := w.in(name)
		if shown := strings.Contains(c.get(path).body, path+"/temporary-code"); shown != may {
			t.Errorf("%s is offered to issue one: %v", role, shown)
		}
		a := send(c, path+"/temporary-code", "life", "8h")
		if issued := regexp.MustCompile(`\b[0-9]{4}-[0-9]{4}\b`).MatchString(a.body); issued != may || !may && a.StatusCode != http.StatusForbidden {
			t.Errorf("%s issues one: %v, %d", role, issued, a.StatusCode)
		}
	}
	list, err := w.store.TemporaryCodes(t.Context(), users["alice"].Account)
	if err != nil || len(list) != 3 {
		t.Fatal(len(list), err)
	}
	for _, c := range list[1:] { // the newest counts, and ended the one before
		if c.EndedBy != sallyport.EndedByRevocation {
			t.Errorf("an older one: %+v", c)
		}
	}
}

func TestHelpDeskHelpsItsOwnUsersOnly(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	help := w.someone("hanna", sallyport.RoleHelpDesk, true)
	c := w.in("hanna")
	path := "/users/" + string(users["alice"].ID)
	a := send(c, path+"/temporary-code", "life", "8h")
	code := regexp.MustCompile(`\b[0-9]{4}-[0-9]{4}\b`).FindString(a.body)
	if code == "" {
		t.Fatalf("no code is shown: %d", a.StatusCode)
	}
	if _, ok, err := w.store.MatchTemporaryCode(t.Context(), users["alice"].Account, sallyport.Secret(code), w.clock.Now()); err != nil || !ok {
		t.Errorf("the code is not good: %v", err)
	}
	if strings.Contains(c.get(path).body, code) {
		t.Error("the code is shown again")
	}
	if strings.Contains(w.logs.String(), code) {
		t.Error("the code stands in the log")
	}
	if a := send(c, path+"/temporary-code", "life", "9000h"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "15 minutes to 90 days") {
		t.Errorf("a life without end: %d", a.StatusCode)
	}
	send(c, path+"/revoke-temporary-code")
	if _, ok, _ := w.store.MatchTemporaryCode(t.Context(), users["alice"].Account, sallyport.Secret(code), w.clock.Now()); ok {
		t.Error("a revoked code is good")
	}
	if a := send(c, "/users/assign", "to", "default", "expected", "2"); a.StatusCode != http.StatusForbidden {
		t.Errorf("the help desk assigns policies: %d", a.StatusCode)
	}
	send(c, path+"/devices/"+strings.Repeat("d", 43)+"/delete")
	if list, err := w.store.Devices(t.Context(), users["alice"].Account); err != nil || len(list) != 0 {
		t.Errorf("the lost device is there: %v %v", list, err)
	}
	if a := c.get("/logins/explain?code=7h2k%209qxm"); !strings.Contains(a.body, "Another number was typed") || !strings.Contains(a.body, "The directory found the password right.") {
		t.Errorf("the login is not explained: %d", a.StatusCode)
	}
	// Limited to another OU, hanna finds neither alice nor her login.
	help, err := w.store.Administrator(t.Context(), help.ID)
	if err != nil {
		t.Fatal(err)
	}
	help.Scope.OUs = []string{"OU=Kitchen,DC=hospital,DC=example"}
	if _, err := w.store.PutAdministrator(t.Context(), help); err != nil {
		t.Fatal(err)
	}
	c = w.in("hanna")
	if a := c.get(path); a.StatusCode != http.StatusNotFound {
		t.Errorf("a user out of scope: %d", a.StatusCode)
	}
	if a := c.get("/logins/explain?code=7H2K-9QXM"); strings.Contains(a.body, "alice") {
		t.Error("a login out of scope is explained")
	}
	if a := c.get("/reports/logins"); a.StatusCode != http.StatusForbidden {
		t.Errorf("all logins to somebody limited: %d", a.StatusCode)
	}
}

func TestPoliciesGoLiveAndConflictsAreTold(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.staffed()
	w.someone("adam", sallyport.RoleAdmin, true)
	c := w.in("adam")
	a := send(c, "/user-policies/new", "name", "Nurses", "note", "Wards", "licensed", "1", "rule", "standard")
	list, err := w.store.UserPolicies(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%d %v %v", a.StatusCode, list, err)
	}
	nurses := list[1].UserPolicy
	if a := send(c, "/user-policies/new", "name", "nurses"); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("the same name twice: %d", a.StatusCode)
	}
	send(c, "/users/assign?q=alice", "to", string(nurses.ID), "expected", "1")
	if u, _ := w.store.UserByAccount(t.Context(), `hospital\alice`); u.Policy != nurses.ID || u.PolicyFrom != sallyport.PolicyByHand {
		t.Errorf("alice has %s %s", u.Policy, u.PolicyFrom)
	}
	if send(c, "/users/assign?q=alice", "to", "default", "expected", "7"); true {
		if u, _ := w.store.UserByAccount(t.Context(), `hospital\alice`); u.Policy != nurses.ID {
			t.Error("a list that has changed was assigned")
		}
	}
	send(c, "/workflow-policy/associate", "policy", string(nurses.ID))
	if p, _ := w.store.UserPolicy(t.Context(), nurses.ID); !p.RemoteAccess {
		t.Error("the policy is not live")
	}
	// Two people save the same page: the second is told.
	one := []string{"name", "Nurses", "licensed", "1", "remote", "1", "rule", "standard", "version", fmt.Sprint(nurses.Version)}
	if a := send(c, "/user-policies/"+string(nurses.ID), one...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "adam") {
		t.Errorf("an old version was saved: %d", a.StatusCode)
	}
	if a := send(c, "/workflow-policy", "allow", "password+app", "for", "0", "unit", "days", "version", "1"); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("no days: %d", a.StatusCode)
	}
	if a := send(c, "/workflow-policy", "allow", "password+app", "remember", "1", "matching", "1", "for", "14", "unit", "days", "version", "1"); a.StatusCode != http.StatusOK {
		t.Errorf("workflow: %d", a.StatusCode)
	}
	if v, _ := w.store.LoginWorkflow(t.Context()); v.Remember.For != 14*24*time.Hour || !v.Remember.Allowed || len(v.Allowed) != 1 {
		t.Errorf("workflow: %+v", v)
	}
	send(c, "/user-policies/rules", "rule", "hospital|ou|OU=Ward 3,DC=hospital,DC=example", "policy", string(nurses.ID), "version", "1", "do", "save")
	if rules, _, err := w.store.AssignmentRules(t.Context()); err != nil || len(rules) != 1 || rules[0].Policy != nurses.ID {
		t.Errorf("rules: %v %v", rules, err)
	}
	if a := send(c, "/user-policies/rules", "rule", "hospital|ou|OU=X,DC=hospital,DC=example", "policy", "nobody", "version", "2", "do", "save"); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a rule of no policy: %d", a.StatusCode)
	}
	send(c, "/enrol-rules/new", "name", "Pilot", "unenrolled", "password", "gateway", "1", "delay", "1")
	rules, err := w.store.EnrolRules(t.Context())
	if err != nil || len(rules) != 2 || rules[0].Name != "Pilot" || !rules[0].MayDelay {
		t.Fatalf("enrol rules: %v %v", rules, err)
	}
	send(c, "/enrol-rules/"+string(rules[0].ID)+"/policies", "policy", string(nurses.ID))
	if p, _ := w.store.UserPolicy(t.Context(), nurses.ID); p.EnrolRule != rules[0].ID {
		t.Error("the policy does not belong to the rule")
	}
	w.someone("otto", sallyport.RoleAuditor, true)
	o := w.in("otto")
	for _, path := range []string{"/workflow-policy", "/user-policies/" + string(nurses.ID), "/enrol-rules/" + string(rules[0].ID), "/user-policies/rules"} {
		if a := o.get(path); a.StatusCode != http.StatusOK || strings.Contains(a.body, `type="submit">Save`) || strings.Contains(a.body, ">Save<") {
			t.Errorf("%s for an auditor: %d", path, a.StatusCode)
		}
	}
	if a := send(o, "/audit/verify"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "The trail holds") {
		t.Errorf("verify: %d %.200s", a.StatusCode, a.body)
	}
}

func TestPagesOfPeople(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	w.someone("olive", sallyport.RoleSuper, true)
	p := w.browser(t)
	p.signIn("olive")
	for name, path := range map[string]string{
		"users": "/users", "user": "/users/" + string(users["alice"].ID), "user-hostile": "/users/" + string(users["bob"].ID), "users-none": "/users?q=zzz",
		"policies": "/user-policies", "policy": "/user-policies/default", "policy-new": "/user-policies/new", "policy-rules": "/user-policies/rules",
		"workflow": "/workflow-policy", "enrol-rules": "/enrol-rules", "enrol-rule": "/enrol-rules/standard",
		"explain": "/logins/explain?code=7H2K-9QXM", "explain-none": "/logins/explain?code=0000-0000", "report-logins": "/reports/logins", "report-radius": "/reports/radius",
		"report-enrolled": "/reports/enrolled", "report-unenrolled": "/reports/unenrolled", "audit": "/audit", "audit-record": "/audit/local/1",
	} {
		p.open(path)
		p.inspect(name)
		if title := p.eval("document.title"); title == "owned" { // the pages of people have what they are called in their titles
			t.Errorf("%s: a name was executed", name)
		}
	}
}

func TestRememberedDevicesAreShownAndForgottenOneByOne(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	ctx, alice, now := t.Context(), users["alice"], w.clock.Now()
	flow, err := w.store.LoginWorkflow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	flow.Remember = sallyport.RememberPolicy{Allowed: true, For: 24 * time.Hour}
	if flow, err = w.store.SetLoginWorkflow(ctx, flow); err != nil {
		t.Fatal(err)
	}
	made := flow.Remember.Since
	if made.Before(now) {
		made = now
	}
	for id, browser := range map[sallyport.RememberedID]string{"r1": "Firefox on Windows", "r2": "", "r3": "<b>Edge"} {
		d := sallyport.RememberedDevice{ID: id, Account: alice.Account, Browser: browser, Place: "203.0.113.7", Made: made}
		if err := w.store.PutRemembered(ctx, d, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.store.UseRemembered(ctx, "r1", alice.Account, 1, "203.0.113.9", now); err != nil {
		t.Fatal(err)
	}
	w.someone("hanna", sallyport.RoleHelpDesk, true)
	w.someone("otto", sallyport.RoleAuditor, true)
	c, path := w.in("hanna"), "/users/"+string(alice.ID)
	body := c.get(path).body
	for _, want := range []string{"Firefox on Windows", "A browser", "&lt;b&gt;Edge", "from 203.0.113.7", "from 203.0.113.9", "Forget “Firefox on Windows”?"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(body, "<b>Edge") {
		t.Error("a browser's name is HTML")
	}
	if a := send(w.in("otto"), path+"/remembered/r1/forget"); a.StatusCode != http.StatusForbidden {
		t.Errorf("an auditor: %d", a.StatusCode)
	}
	send(c, path+"/remembered/r1/forget")
	send(c, "/users/"+string(users["bob"].ID)+"/remembered/r2/forget") // not his
	if body := c.get(path).body; strings.Contains(body, "Firefox on Windows") || !strings.Contains(body, "A browser") {
		t.Error("the wrong one was forgotten")
	}
	flow.Remember.For = time.Hour
	w.clock.forward(2 * time.Hour)
	if _, err := w.store.SetLoginWorkflow(ctx, flow); err != nil {
		t.Fatal(err)
	}
	if body := w.in("hanna").get(path).body; strings.Contains(body, "A browser") || !strings.Contains(body, "No remembered device") {
		t.Error("a device is shown that policy takes no more")
	}
}

// An enrol rule that user policies belong to cannot be deleted, and its page says so before anybody tries.
func TestAnEnrolRuleIsDeletedOnceNoPolicyBelongsToIt(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("ada", sallyport.RoleAdmin, true)
	c := w.in("ada")
	rule, err := w.store.PutEnrolRule(t.Context(), sallyport.EnrolRule{Name: "On site", Unenrolled: sallyport.UnenrolledOther})
	must(t, err)
	p, err := w.store.PutUserPolicy(t.Context(), sallyport.UserPolicy{Name: "Nurses", EnrolRule: rule.ID})
	must(t, err)
	path := "/enrol-rules/" + string(rule.ID)
	a := c.get(path)
	says(t, a, http.StatusOK, "give Nurses another one first")
	if strings.Contains(a.body, path+"/delete") {
		t.Error("a rule that the store would not delete is offered to be")
	}
	says(t, send(c, path+"/delete", "version", itoa(rule.Version)), http.StatusOK, `"Nurses" belong to this enrol rule`)
	p.EnrolRule = ""
	_, err = w.store.PutUserPolicy(t.Context(), p)
	must(t, err)
	says(t, c.get(path), http.StatusOK, "No user policy belongs to it, so that no login changes.")
	says(t, send(c, path+"/delete", "version", itoa(rule.Version)), http.StatusOK, "The rule was deleted.")
}

func TestAnApplianceIsRenamed(t *testing.T) {
	w := gatewayWorld(t)
	w.told("a1", time.Second, nil)
	c := w.in("ada")
	says(t, c.get("/cloud"), http.StatusOK, "a1.hospital.example", "Rename")
	says(t, send(c, "/cloud/a1/name", "name", strings.Repeat("x", 65)), http.StatusUnprocessableEntity, "at most 64 letters")
	says(t, send(c, "/cloud/a1/name", "name", "Cellar, left"), http.StatusOK, "Cellar, left")
	says(t, c.get("/cloud/a2/name"), http.StatusNotFound)
}
