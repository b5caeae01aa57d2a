package console

import (
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// connection are the fields of the form.
func (c *clinic) connection(more ...string) []string {
	return append([]string{"servers", c.server, "authority", c.authority, "bindName", "svc@hospital.test"}, more...)
}

// added is the clinic's domain, saved by the form.
func (c *clinic) added(as *client) sallyport.Domain {
	c.t.Helper()
	a := send(as, "/directories/new", c.connection("bindPassword", servicePassword, "do", "save")...)
	list, err := c.store.Domains(c.t.Context())
	if err != nil || len(list) != 1 {
		c.t.Fatalf("not saved: %d %v\n%s", a.StatusCode, err, a.body)
	}
	return list[0]
}

var keptField = regexp.MustCompile(`name="kept" value="([^"]*)"`)

func TestADirectoryIsTriedAndThenAdded(t *testing.T) {
	w := newClinic(t)
	w.someone("adam", sallyport.RoleAdmin, true)
	c := w.in("adam")
	if a := c.get("/directories"); !strings.Contains(a.body, "No directory yet") || !strings.Contains(a.body, `href="/directories/new"`) {
		t.Error("nothing says what to do first")
	}
	// What is wrong stands beside the field that it is about.
	for what, form := range map[string]struct {
		fields      []string
		field, says string
	}{
		"no controller":     {[]string{"bindName", "svc@hospital.test", "bindPassword", "x"}, "servers", "at least one"},
		"no address":        {[]string{"servers", "http://dc1", "bindName", "svc@hospital.test", "bindPassword", "x"}, "servers", "is not the address"},
		"nobody there":      {[]string{"servers", "ldaps://127.0.0.1:1", "bindName", "svc@hospital.test", "bindPassword", "x"}, "servers", "refuses the connection"},
		"unknown issuer":    {[]string{"servers", w.server, "bindName", "svc@hospital.test", "bindPassword", servicePassword}, "authority", "SHA-256"},
		"no certificate":    {[]string{"servers", w.server, "authority", "x", "bindName", "svc@hospital.test", "bindPassword", "x"}, "authority", "no certificate in PEM"},
		"wrong password":    {w.connection("bindPassword", "not it"), "bindName", "refuses the service account"},
		"no password":       {w.connection(), "bindPassword", "password"},
		"another domain":    {w.connection("bindPassword", servicePassword, "name", "clinic.test"), "name", "not of clinic.test"},
		"untried, no names": {w.connection("bindPassword", servicePassword, "untried", "1"), "name", "DNS name"},
	} {
		for _, do := range []string{"try", "save"} {
			if do == "try" && strings.HasPrefix(what, "untried") {
				continue
			}
			a := send(c, "/directories/new", append([]string{"do", do}, form.fields...)...)
			if said := errorOf(a.body, form.field); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(said, form.says) {
				t.Errorf("%s (%s): %d, %s says %q", what, do, a.StatusCode, form.field, said)
			}
		}
	}
	a := send(c, "/directories/new", w.connection("bindPassword", servicePassword, "do", "try")...)
	for _, want := range []string{"hospital.test", "HOSPITAL", "after 4 wrong passwords, for 30 minutes", "DC=hospital,DC=test", "Worth a look"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("tried: %d, does not show %q", a.StatusCode, want)
		}
	}
	if strings.Contains(a.body, html.EscapeString(servicePassword)) || strings.Contains(w.logs.String(), servicePassword) {
		t.Error("the password that was typed is in the page or in the log")
	}
	if list, err := w.store.Domains(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("trying saves: %v %v", list, err)
	}
	// It need not be typed again, by this session; and it is of no use to another one.
	kept := keptField.FindStringSubmatch(a.body)[1]
	w.someone("eve", sallyport.RoleAdmin, true)
	if a := send(w.in("eve"), "/directories/new", w.connection("kept", kept, "do", "save")...); !strings.Contains(errorOf(a.body, "bindPassword"), "password") {
		t.Errorf("another session saves with it: %d", a.StatusCode)
	}
	c = w.in("adam")
	a = send(c, "/directories/new", w.connection("bindPassword", servicePassword, "do", "try")...)
	kept = keptField.FindStringSubmatch(a.body)[1]
	a = send(c, "/directories/new", w.connection("kept", kept, "do", "save")...)
	list, err := w.store.Domains(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "hospital.test" || list[0].NetBIOS != "HOSPITAL" || string(list[0].BindPassword) != servicePassword || list[0].Every != 0 {
		t.Fatalf("%d %+v %v", a.StatusCode, list, err)
	}
	if !strings.Contains(a.body, "Choose who of it is synchronised") || !strings.Contains(a.body, `value="1h0m0s" selected`) {
		t.Error("what comes next is not shown")
	}
}

// errorOf is what stands beside a field as wrong with it.
func errorOf(body, field string) string {
	m := regexp.MustCompile(`(?s)<p class="error" id="e-` + field + `"[^>]*>(.*?)</p>`).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

func TestAChangedConnectionKeepsThePasswordFromOthers(t *testing.T) {
	w := newClinic(t)
	w.someone("adam", sallyport.RoleAdmin, true)
	c := w.in("adam")
	d := w.added(c)
	path := "/directories/" + string(d.ID) + "/connection"
	if a := c.get(path); strings.Contains(a.body, html.EscapeString(servicePassword)) || !strings.Contains(a.body, "Leave it empty to keep") {
		t.Errorf("the form: %d", a.StatusCode)
	}
	a := send(c, path, "servers", "ldaps://dc9.hospital.test", "authority", w.authority, "bindName", "svc@hospital.test", "version", itoa(d.Version), "do", "save")
	if !strings.Contains(errorOf(a.body, "bindPassword"), "password again") {
		t.Errorf("another server gets the password: %d", a.StatusCode)
	}
	a = send(c, path, w.connection("upnSuffixes", "hospital.example\r\n", "version", itoa(d.Version), "do", "save")...)
	if now, err := w.store.Domain(t.Context(), d.ID); err != nil || string(now.BindPassword) != servicePassword || len(now.UPNSuffixes) != 1 {
		t.Errorf("%d %+v %v", a.StatusCode, now, err)
	}
	if a = send(c, path, w.connection("version", itoa(d.Version), "do", "save")...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "adam") {
		t.Errorf("an old version is saved: %d", a.StatusCode)
	}
	w.someone("otto", sallyport.RoleAuditor, true)
	o := w.in("otto")
	for _, p := range []string{"/directories", "/directories/" + string(d.ID), path, "/directories/" + string(d.ID) + "/scope"} {
		if a := o.get(p); a.StatusCode != http.StatusOK || strings.Contains(a.body, `name="do"`) {
			t.Errorf("%s for an auditor: %d", p, a.StatusCode)
		}
	}
	for _, p := range []string{path, "/directories/new", "/directories/" + string(d.ID) + "/scope", "/directories/" + string(d.ID) + "/synchronise", "/directories/" + string(d.ID) + "/confirm", "/directories/" + string(d.ID) + "/preview", "/directories/" + string(d.ID) + "/delete"} {
		if a := send(o, p, "do", "save"); a.StatusCode != http.StatusForbidden {
			t.Errorf("form %s for an auditor: %d", p, a.StatusCode)
		}
	}
	now, err := w.store.Domain(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	send(c, "/directories/"+string(d.ID)+"/delete", "version", itoa(now.Version))
	if list, err := w.store.Domains(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("not deleted: %v %v", list, err)
	}
}

const (
	wardsOU = "OU=Wards,DC=hospital,DC=test"
	vpnDN   = "CN=VPN users,OU=Groups,DC=hospital,DC=test"
)

func TestWhoIsSynchronisedIsChosenFromTheTree(t *testing.T) {
	w := newClinic(t)
	w.someone("adam", sallyport.RoleAdmin, true)
	c := w.in("adam")
	d := w.added(c)
	path := "/directories/" + string(d.ID) + "/scope"
	form := func(pairs ...string) []string {
		return append([]string{"version", itoa(d.Version), "every", "0s"}, pairs...)
	}
	if a := c.get(path); !strings.Contains(a.body, "open|OU=Groups,DC=hospital,DC=test") || strings.Contains(a.body, vpnDN) {
		t.Errorf("the tree: %d", a.StatusCode)
	}
	a := send(c, path, form("do", "open|OU=Groups,DC=hospital,DC=test")...)
	if !strings.Contains(a.body, "add|group|"+vpnDN) || !strings.Contains(a.body, `name="open" value="OU=Groups,DC=hospital,DC=test"`) {
		t.Errorf("opened: %d", a.StatusCode)
	}
	a = send(c, path, form("open", "OU=Groups,DC=hospital,DC=test", "do", "close|OU=Groups,DC=hospital,DC=test")...)
	if strings.Contains(a.body, vpnDN) {
		t.Error("closed, and still shown")
	}
	a = send(c, path, form("do", "add|group|"+vpnDN)...)
	if !strings.Contains(a.body, `name="chosen" value="group|`+vpnDN+`"`) {
		t.Error("what was added is not chosen")
	}
	a = send(c, path, form("chosen", "group|"+vpnDN, "chosen", "ou|"+wardsOU, "do", "remove|group|"+vpnDN)...)
	if strings.Contains(a.body, `name="chosen" value="group|`) || !strings.Contains(a.body, `name="chosen" value="ou|`+wardsOU+`"`) {
		t.Error("removed the wrong one")
	}
	a = send(c, path, form("q", "vpn", "do", "find")...)
	if !strings.Contains(a.body, "add|group|"+vpnDN) || !strings.Contains(a.body, "VPN doctors") || strings.Contains(a.body, "Kitchen") {
		t.Errorf("found: %d", a.StatusCode)
	}
	if a = send(c, path, form("q", "zzz)(cn=*", "do", "find")...); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "No group begins with") {
		t.Errorf("a search with a filter in it: %d", a.StatusCode)
	}
	if a = send(c, path, form("dn", "OU=Nowhere,DC=hospital,DC=test", "do", "type")...); errorOf(a.body, "dn") == "" || strings.Contains(a.body, `name="chosen"`) {
		t.Error("an OU that is not there is chosen")
	}
	if a = send(c, path, form("dn", "cn=vpn USERS,ou=groups,dc=hospital,dc=test", "do", "type")...); !strings.Contains(a.body, `name="chosen" value="group|`+vpnDN+`"`) {
		t.Errorf("typed: %d %s", a.StatusCode, errorOf(a.body, "dn"))
	}
	if a = send(c, path, form("do", "base|"+wardsOU)...); !strings.Contains(a.body, `name="base" value="`+wardsOU+`"`) {
		t.Error("the base is not taken")
	}
	if now, _ := w.store.Domain(t.Context(), d.ID); now.Version != d.Version {
		t.Fatal("choosing saves")
	}
	// A base without users, and what the store does not take, are said.
	if a = send(c, path, form("base", "OU=Groups,DC=hospital,DC=test", "do", "save")...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "sees no users below") {
		t.Errorf("a base without users: %d", a.StatusCode)
	}
	a = send(c, path, "version", itoa(d.Version), "every", "4h0m0s", "base", wardsOU, "chosen", "group|"+vpnDN, "do", "save")
	now, err := w.store.Domain(t.Context(), d.ID)
	if err != nil || now.Base != wardsOU || now.Every != 4*time.Hour || len(now.Scope) != 1 || now.Scope[0] != (sallyport.DirectoryObject{Kind: sallyport.ObjectGroup, DN: vpnDN}) {
		t.Errorf("%d %+v %v", a.StatusCode, now, err)
	}
	if a = send(c, path, form("do", "save")...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "adam") {
		t.Errorf("an old version is saved: %d", a.StatusCode)
	}
	for _, odd := range []string{"open|", "open|" + strings.Repeat("x", 5000), "add|", "add|user|CN=x", "remove|ou|", "no such thing", "base|" + strings.Repeat("x", 5000), "add|ou|" + strings.Repeat("y", 2000)} {
		if a := send(c, path, "version", "2", "chosen", "nonsense", "every", "soon", "do", odd); a.StatusCode != http.StatusOK {
			t.Errorf("%.20s: %d", odd, a.StatusCode)
		}
	}
}

func TestSynchronisationsArePreviewedBegunAndConfirmed(t *testing.T) {
	w := newClinic(t)
	w.someone("adam", sallyport.RoleAdmin, true)
	c := w.in("adam")
	d := w.added(c)
	path := "/directories/" + string(d.ID)
	a := send(c, path+"/preview")
	if !strings.Contains(a.body, "Added: 13 users") || !strings.Contains(a.body, "Alice Example") || !strings.Contains(a.body, "Nobody would be removed") {
		t.Errorf("preview: %d", a.StatusCode)
	}
	if page, err := w.store.Users(t.Context(), store.UserQuery{}); err != nil || page.Total != 0 {
		t.Errorf("the preview added %d users: %v", page.Total, err)
	}
	if a = send(c, path+"/synchronise", "kind", "full"); !strings.Contains(a.body, "Everything") || !strings.Contains(a.body, ">13<") {
		t.Errorf("synchronised: %d", a.StatusCode)
	}
	if a = send(c, path+"/synchronise", "kind", "nonsense"); !strings.Contains(a.body, "everything or what changed") {
		t.Errorf("a synchronisation of no kind: %d", a.StatusCode)
	}
	if a = c.get("/directories"); !strings.Contains(a.body, "Answers") || !strings.Contains(a.body, ">13<") || !strings.Contains(a.body, "on demand only") {
		t.Errorf("the list: %d", a.StatusCode)
	}
	// Limited to one group, most would go: that is a question.
	w.clock.forward(time.Minute)
	send(c, path+"/scope", "version", itoa(d.Version), "every", "0s", "chosen", "group|"+vpnDN, "do", "save")
	if a = send(c, path+"/preview"); !strings.Contains(a.body, "Removed: 12 users") || !strings.Contains(a.body, "It would ask before") {
		t.Errorf("preview of less: %d", a.StatusCode)
	}
	if a = send(c, path+"/synchronise", "kind", "full"); !strings.Contains(a.body, "remove 12 users?") || !strings.Contains(a.body, "Leave it, and nobody is removed") {
		t.Fatalf("it does not ask: %d", a.StatusCode)
	}
	if page, err := w.store.Users(t.Context(), store.UserQuery{}); err != nil || page.Total != 13 {
		t.Errorf("unconfirmed, %d users are left: %v", page.Total, err)
	}
	run := regexp.MustCompile(`name="run" value="([^"]+)"`).FindStringSubmatch(a.body)
	if a = send(c, path+"/confirm", "run", "another"); !strings.Contains(a.body, "does not ask any more") {
		t.Errorf("another run is confirmed: %d", a.StatusCode)
	}
	w.clock.forward(time.Minute)
	send(c, path+"/confirm", "run", run[1])
	if page, err := w.store.Users(t.Context(), store.UserQuery{}); err != nil || page.Total != 1 {
		t.Errorf("confirmed, %d users are left: %v", page.Total, err)
	}
	w.clock.forward(time.Minute)
	// While one runs the page renews itself, and once it has ended the whole page does.
	y := sallyport.Synchronisation{ID: sallyport.NewID(), Domain: d.ID, Kind: sallyport.SynchroniseFull, State: sallyport.SynchronisationRunning, Started: w.clock.Now(), Told: w.clock.Now(), By: "schedule", Read: 420}
	if err := w.store.PutSynchronisation(t.Context(), y); err != nil {
		t.Fatal(err)
	}
	if a = c.get(path); !strings.Contains(a.body, `hx-trigger="every 2s"`) || !strings.Contains(a.body, "420 entries read so far") {
		t.Errorf("running: %d", a.StatusCode)
	}
	c.change = func(q *http.Request) { q.Header.Set("HX-Request", "true") }
	if a = c.get(path + "/runs"); a.Header.Get("HX-Refresh") != "" || !strings.Contains(a.body, "420 entries") || strings.Contains(a.body, "<main") {
		t.Errorf("the part while it runs: %d %v", a.StatusCode, a.Header)
	}
	y.State, y.Ended, y.Message = sallyport.SynchronisationFailed, w.clock.Now(), "The directory does not answer."
	if err := w.store.PutSynchronisation(t.Context(), y); err != nil {
		t.Fatal(err)
	}
	if a = c.get(path + "/runs"); a.Header.Get("HX-Refresh") != "true" || !strings.Contains(a.body, "The last synchronisation failed") {
		t.Errorf("the part once it has ended: %d %v", a.StatusCode, a.Header)
	}
}

func TestAssignmentRulesAreRows(t *testing.T) {
	w := newClinic(t)
	w.someone("adam", sallyport.RoleAdmin, true)
	c := w.in("adam")
	d := w.added(c)
	nurses := w.policy("Nurses")
	path, at := "/user-policies/rules", string(d.ID)
	_, version, err := w.store.AssignmentRules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := send(c, path, "version", itoa(version), "at", at, "do", "add|ou|"+wardsOU)
	rule := at + "|ou|" + wardsOU
	if !strings.Contains(a.body, `name="rule" value="`+rule+`"`) {
		t.Fatalf("added: %d", a.StatusCode)
	}
	group := at + "|group|" + vpnDN
	rows := []string{"version", itoa(version), "at", at, "rule", rule, "policy", "default", "rule", group, "policy", string(nurses)}
	order := func(a answer) string {
		var out []string
		for _, m := range regexp.MustCompile(`name="rule" value="[^|]+\|(\w+)\|`).FindAllStringSubmatch(a.body, -1) {
			out = append(out, m[1])
		}
		return strings.Join(out, " ")
	}
	for do, want := range map[string]string{"down|1": "group ou", "up|2": "group ou", "up|1": "ou group", "down|2": "ou group", "down|x": "ou group", "remove|1": "group", "remove|7": "ou group", "type|": "ou group"} {
		if a := send(c, path, append([]string{"do", do}, rows...)...); a.StatusCode != http.StatusOK || order(a) != want {
			t.Errorf("%s: %d %q, want %q", do, a.StatusCode, order(a), want)
		}
	}
	if a := send(c, path, append([]string{"do", "save", "rule", rule}, rows...)...); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a rule without a policy: %d", a.StatusCode)
	}
	a = send(c, path, append([]string{"do", "save"}, rows...)...)
	rules, _, err := w.store.AssignmentRules(t.Context())
	if err != nil || len(rules) != 2 || rules[0].Policy != "default" || rules[1].Policy != nurses || rules[1].Domain != d.ID || rules[1].Object.DN != vpnDN {
		t.Fatalf("%d %+v %v", a.StatusCode, rules, err)
	}
	if a = send(c, path, append([]string{"do", "save"}, rows...)...); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("an old version is saved: %d", a.StatusCode)
	}
	w.someone("otto", sallyport.RoleAuditor, true)
	if a := w.in("otto").get(path); a.StatusCode != http.StatusOK || strings.Contains(a.body, `name="do"`) || !strings.Contains(a.body, vpnDN) {
		t.Errorf("for an auditor: %d", a.StatusCode)
	}
}

// policy adds a user policy.
func (w *world) policy(name string) sallyport.UserPolicyID {
	w.t.Helper()
	p, err := w.store.PutUserPolicy(w.t.Context(), sallyport.UserPolicy{ID: sallyport.UserPolicyID(strings.ToLower(name)), Name: name, Licensed: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.ID
}

// tryDoor adds an integration.
func (w *world) tryDoor(name string, nonLicensed bool) sallyport.IntegrationID {
	w.t.Helper()
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Name: "root@test", Role: sallyport.RoleSuper}
	saved, err := w.admin.AddIntegration(w.t.Context(), root, sallyport.Integration{ID: sallyport.IntegrationID(strings.ToLower(strings.ReplaceAll(name, " ", "-"))), Nickname: name,
		Clients: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", name[0]))}, Origins: []string{"https://vpn.hospital.example"}, AllowNonLicensed: nonLicensed})
	if err != nil {
		w.t.Fatal(err)
	}
	return saved.Integration.ID
}

func TestTryItShowsWhatALoginWouldAskForAndWhy(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	hanna := w.someone("hanna", sallyport.RoleHelpDesk, true)
	c := w.in("hanna")
	alice, bob, carol := "user="+string(users["alice"].ID), "user="+string(users["bob"].ID), "user="+string(users["carol"].ID)
	if a := c.get("/try?" + alice); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "No gateway yet") {
		t.Errorf("without a gateway: %d", a.StatusCode)
	}
	w.tryDoor("Hospital VPN", false)
	open := w.tryDoor("Visitors VPN", true)
	says := func(path string, want ...string) {
		t.Helper()
		a := c.get("/try?" + path)
		for _, words := range want {
			if a.StatusCode != http.StatusOK || !strings.Contains(html.UnescapeString(a.body), words) {
				t.Errorf("%s: %d, does not say %q", path, a.StatusCode, words)
			}
		}
	}
	says("q=ali", "Alice Adams", alice)
	says(alice, "Refused", "not associated with the workflow policy")
	if err := w.store.AssociateWorkflow(t.Context(), []sallyport.UserPolicyID{"default"}); err != nil {
		t.Fatal(err)
	}
	says(alice, "A second factor is asked for", "With the password: a push to the app, or the app’s token code", "Devices with the app")
	says(alice+"&door=radius", "With the password: the app’s token code.", "In the gateway’s own form is typed", "remembers no browser")
	says(bob, "The user has enrolled nothing", "Enrol rule")
	says(bob+"&door=radius", "Refused")
	says(carol, "Refused", "disabled in the directory")
	says("user=none", "is not in the list of users", "Refused")
	// What is allowed and cannot be asked for at a door is not promised there.
	if _, err := w.store.SetLoginWorkflow(t.Context(), allowing(t, w, sallyport.PasswordAndSMS)); err != nil {
		t.Fatal(err)
	}
	says(alice, "Refused", "not allowed for this login")
	if _, err := w.store.SetLoginWorkflow(t.Context(), allowing(t, w, sallyport.PasswordAndApp, sallyport.PasswordAndSMS)); err != nil {
		t.Fatal(err)
	}
	gates, err := w.store.Integrations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	legacy := gates[0]
	legacy.Experience = sallyport.ExperienceLegacy
	if legacy, err = w.store.PutIntegration(t.Context(), legacy); err != nil {
		t.Fatal(err)
	}
	says(alice+"&gateway="+string(legacy.ID), "Refused", "it has no overlay")
	says(alice+"&door=radius&gateway="+string(legacy.ID), "With the password: a push to the app, or the app’s token code.")
	legacy.Experience, legacy.Origins = sallyport.ExperienceCloud, nil
	if legacy, err = w.store.PutIntegration(t.Context(), legacy); err != nil {
		t.Fatal(err)
	}
	says(alice+"&gateway="+string(legacy.ID), "Refused", "no logon page on which the overlay may be used")
	legacy.Origins = []string{"https://vpn.hospital.example"}
	if _, err = w.store.PutIntegration(t.Context(), legacy); err != nil {
		t.Fatal(err)
	}
	says("user=none&gateway="+string(open), "Let in on the password alone", "Visitors VPN")
	// What overrides the usual way is shown with it.
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Name: "root@test", Role: sallyport.RoleSuper}
	_, code, err := w.admin.IssueTemporaryCode(t.Context(), root, users["bob"].ID, time.Hour)
	if err != nil || !sallyport.LooksLikePasscode(sallyport.CanonicalPasscode(code)) {
		t.Fatalf("a temporary code that not every field takes: %v", err)
	}
	says(bob, "A temporary code is good until", "With the password: the temporary code")
	if err := w.store.RequireSecondFactor(t.Context(), users["alice"].ID, w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	flow, err := w.store.LoginWorkflow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flow.Remember = sallyport.RememberPolicy{Allowed: true, For: 14 * 24 * time.Hour}
	if _, err := w.store.SetLoginWorkflow(t.Context(), flow); err != nil {
		t.Fatal(err)
	}
	says(alice, "may skip it for 14 days", "2FA required on all devices")
	// What does not exist, and whom hanna does not look after.
	for _, path := range []string{alice + "&gateway=none", "user=nobody"} {
		if a := c.get("/try?" + path); path != alice+"&gateway=none" && a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	help, err := w.store.Administrator(t.Context(), hanna.ID)
	if err != nil {
		t.Fatal(err)
	}
	help.Scope.OUs = []string{"OU=Kitchen,DC=hospital,DC=example"}
	if _, err := w.store.PutAdministrator(t.Context(), help); err != nil {
		t.Fatal(err)
	}
	c = w.in("hanna")
	if a := c.get("/try?" + alice); a.StatusCode != http.StatusNotFound {
		t.Errorf("a user out of scope is tried: %d", a.StatusCode)
	}
	if a := c.get("/try?q=alice"); strings.Contains(a.body, "Alice Adams") {
		t.Error("a user out of scope is found")
	}
}

// allowing is the workflow policy with other combinations.
func allowing(t *testing.T, w *world, list ...sallyport.Combination) sallyport.LoginWorkflow {
	t.Helper()
	flow, err := w.store.LoginWorkflow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flow.Allowed = list
	return flow
}

// FuzzObjects holds that what a form says of an object is taken as it stands or not at all, and that any
// name from a directory can be shown.
func FuzzObjects(f *testing.F) {
	for _, seed := range []string{"group|" + vpnDN, "ou|" + wardsOU, `ou|OU=a\,b\`, "", "|", "ou|", "user|CN=x", "group|no name", "ou|\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		o, ok := readObject(value)
		if ok && objectValue(o) != value {
			t.Errorf("%q became %q", value, objectValue(o))
		}
		if first, rest := splitFirst(o.DN); rest != "" && first+","+rest != o.DN {
			t.Errorf("%q was cut into %q and %q", o.DN, first, rest)
		}
		if name := shortDN(o.DN); len(name) > len(o.DN) {
			t.Errorf("%q is called %q", o.DN, name)
		}
	})
}
