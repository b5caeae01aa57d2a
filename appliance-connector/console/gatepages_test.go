package console

import (
	"context"
	"html"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// wards tells whose member alice is.
type wards struct{}

func (wards) Groups(_ context.Context, account sallyport.AccountName) ([]string, error) {
	if account == `hospital\alice` {
		return []string{"CN=Ward 3,DC=hospital,DC=example"}, nil
	}
	return nil, sallyport.Errorf(sallyport.CodeNotFound, "Nobody has this name.", nil)
}

// gatewayWorld is a world in which olive may everything, ada administers and otto looks.
func gatewayWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, worldOptions{groups: wards{}, watched: admin.Watched{Appliance: "a1"}})
	w.someone("ada", sallyport.RoleAdmin, true)
	return w
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// gateway adds an integration as somebody else did.
func (w *world) gateway(nickname, client string) sallyport.Integration {
	w.t.Helper()
	in, err := w.store.PutIntegration(w.t.Context(), sallyport.Integration{ID: sallyport.IntegrationID(sallyport.NewID()), Kind: admin.KindF5, Nickname: nickname,
		Clients: []netip.Prefix{netip.MustParsePrefix(client)}, Origins: []string{"https://vpn.hospital.example"}, Secret: sallyport.GenerateSecret(),
		MessageAuthenticator: sallyport.MessageAuthenticatorOnceSeen})
	must(w.t, err)
	return in
}

// told is an appliance that told of itself.
func (w *world) told(id string, heard time.Duration, change func(*sallyport.Appliance)) {
	w.t.Helper()
	now := w.clock.Now()
	a := sallyport.Appliance{ID: sallyport.ApplianceID(id), Name: id + ".hospital.example", Version: "v1.4.0", Started: now.Add(-26 * time.Hour), Heard: now.Add(-heard),
		Streams: []sallyport.TunnelStream{{Replica: "cloud-1", Since: now.Add(-3 * time.Hour)}, {Replica: "cloud-2", Since: now.Add(-time.Hour)}}, RADIUS: "[::]:1812",
		CertificateExpires: now.Add(25 * 24 * time.Hour), ClockKnown: true}
	if change != nil {
		change(&a)
	}
	must(w.t, w.store.ReportAppliance(w.t.Context(), a))
}

// pageText is what a page says, without its tags.
func pageText(body string) string {
	return html.UnescapeString(regexp.MustCompile(`(?s)<(script|style).*?</(script|style)>|<[^>]*>`).ReplaceAllString(body, " "))
}

func says(t *testing.T, a answer, status int, words ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("status %d, want %d", a.StatusCode, status)
	}
	text := strings.Join(strings.Fields(pageText(a.body)), " ")
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the page does not say %q:\n%s", w, text)
		}
	}
}

func gatewayForm(more ...string) []string {
	return append(more, "kind", "f5-big-ip", "nickname", "Hospital VPN", "clients", "192.0.2.10\n192.0.2.16/28\nVPN2.hospital.example", "origins", "https://vpn.hospital.example/",
		"messageAuthenticator", "once_seen")
}

func TestAGatewayIsAddedAndItsSecretShownOnce(t *testing.T) {
	w := gatewayWorld(t)
	c := w.in("ada")
	says(t, c.get("/integrations"), http.StatusOK, "No gateway yet", "Add a gateway")
	a := send(c, "/integrations/new", gatewayForm("secretKind", "make", "note", "in the cellar")...)
	says(t, a, http.StatusOK, "Hospital VPN was added", "Shown this once", "logon.inc", "External JavaScript 1 Integrity", "Access Policy Timeout")
	list, err := w.store.Integrations(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	in := list[0]
	if len(in.Clients) != 2 || in.Clients[1] != netip.MustParsePrefix("192.0.2.16/28") || strings.Join(in.Hosts, " ") != "vpn2.hospital.example" ||
		strings.Join(in.Origins, " ") != "https://vpn.hospital.example" || in.Note != "in the cellar" {
		t.Errorf("saved %+v", in)
	}
	if len(in.Secret) != 32 || !strings.Contains(a.body, string(in.Secret)) {
		t.Error("the secret is not shown")
	}
	later := c.get(integrationPath(in.ID) + "/script")
	says(t, later, http.StatusOK, "https://cloud.example/embed/v1/", "data-access-token=", `data-key="`+strings.Repeat("f", 43), `integrity="sha384-`, "#t=")
	for _, path := range []string{"", "/settings", "/attributes", "/script", "/secret", "/delete"} {
		if page := c.get(integrationPath(in.ID) + path); page.StatusCode != http.StatusOK || strings.Contains(page.body, string(in.Secret)) {
			t.Errorf("%q: status %d, or it shows the secret again", path, page.StatusCode)
		}
	}
	if strings.Contains(w.logs.String(), string(in.Secret)) {
		t.Error("the secret is in the log")
	}
}

func TestAWeakSecretIsTakenWithAWarningAndNotShown(t *testing.T) {
	w := gatewayWorld(t)
	c := w.in("ada")
	a := send(c, "/integrations/new", gatewayForm("secretKind", "own", "secret", "hunter2-hunter2")...)
	says(t, a, http.StatusOK, "was added", "The secret has 15 characters")
	if strings.Contains(a.body, "hunter2") {
		t.Error("the page shows the person's own secret")
	}
	a = send(c, "/integrations/new", gatewayForm("secretKind", "own")...)
	says(t, a, http.StatusUnprocessableEntity, "Type the secret that the gateway has")
}

func TestWhatIsWrongWithAGatewayIsSaidAtItsField(t *testing.T) {
	w := gatewayWorld(t)
	c := w.in("ada")
	a := send(c, "/integrations/new", "kind", "f5-big-ip", "nickname", "", "clients", "not a host", "origins", "vpn", "messageAuthenticator", "sometimes", "language", "?", "secretKind", "make")
	says(t, a, http.StatusUnprocessableEntity, "The nickname is missing", `"not a host" is not a host name`, `"vpn" is not a page origin`, "always, never or once_seen", `"?" is not one of the languages`)
	for _, field := range []string{"nickname", "clients", "origins", "messageAuthenticator", "language"} {
		if !strings.Contains(a.body, `id="e-`+field+`"`) {
			t.Errorf("nothing is said at %s", field)
		}
	}
	says(t, send(c, "/integrations/new", gatewayForm("clients", "192.0.2.0/33")...), http.StatusUnprocessableEntity, "192.0.2.0/33", "use an address (192.0.2.1) or a network")
	w.gateway("hospital vpn", "10.0.0.1/32")
	says(t, send(c, "/integrations/new", gatewayForm()...), http.StatusUnprocessableEntity, `There is an integration with the nickname "hospital vpn" already`)
}

func TestAGatewayWithoutOverlayIsSetUpInTheConsole(t *testing.T) {
	w := gatewayWorld(t)
	c := w.in("ada")
	in := w.gateway("Clinic VPN", "192.0.2.20/32")
	path := integrationPath(in.ID)
	says(t, c.get(path), http.StatusOK, "In the overlay", "As the enterprise’s")
	says(t, send(c, path+"/settings", gatewayForm("version", "1", "experience", "sometimes", "encoding", "ebcdic", "separator", "x", "language", "pt")...), http.StatusUnprocessableEntity,
		"cloud, legacy or both", "utf-8 or windows-1252", "one of the marks", `"pt" is not one of the languages`)
	says(t, send(c, path+"/settings", gatewayForm("version", "1", "experience", "legacy", "encoding", "windows-1252", "separator", ",", "ask", "on", "language", "tr")...), http.StatusOK,
		"Saved.", "In RADIUS as a whole", "Windows-1252", "Türkçe")
	got, err := w.store.Integration(t.Context(), in.ID)
	if err != nil || got.Experience != sallyport.ExperienceLegacy || got.PasswordEncoding != sallyport.PasswordWindows1252 || got.PasscodeSeparator != "," || !got.AskMethod || got.Language != "tr" {
		t.Errorf("saved %+v, %v", got, err)
	}
	printed := "sha256 Fingerprint=" + strings.Repeat("0A:", 31) + "0A"
	says(t, send(c, path+"/settings", gatewayForm("version", "2", "experience", "legacy", "encoding", "utf-8", "fingerprints", "0a")...), http.StatusUnprocessableEntity, "64 hexadecimal digits")
	says(t, send(c, path+"/settings", gatewayForm("version", "2", "experience", "legacy", "encoding", "utf-8", "authority", "-----BEGIN")...), http.StatusUnprocessableEntity, "say which names")
	says(t, send(c, path+"/settings", gatewayForm("version", "2", "experience", "legacy", "encoding", "windows-1252", "separator", ",", "ask", "on", "language", "tr", "fingerprints", printed)...), http.StatusOK,
		"Saved.", "certificate "+strings.Repeat("0a", 32))
	if got, err := w.store.Integration(t.Context(), in.ID); err != nil || len(got.TLS.Fingerprints) != 1 {
		t.Errorf("saved %+v, %v", got.TLS, err)
	}
	a := c.get(path + "/script")
	says(t, a, http.StatusOK, "The whole login in RADIUS", "45 seconds, 1", "Windows-1252")
	if strings.Contains(a.body, "data-access-token") {
		t.Error("a page that carries no script is told to")
	}
	form := c.get(path + "/settings")
	if !regexp.MustCompile(`value="legacy" checked`).MatchString(form.body) || !strings.Contains(form.body, `value="windows-1252" selected`) || !strings.Contains(form.body, `value="tr" selected`) {
		t.Error("the form does not show what is saved")
	}
	must(t, w.store.RecordRADIUS(t.Context(), []sallyport.RADIUSActivity{{Time: w.clock.Now(), Integration: in.ID, Source: "192.0.2.20:4000", UserName: "alice", Outcome: "accept",
		NASIdentifier: "big-ip-7", CalledStation: "vpn2.hospital.example"}}))
	says(t, c.get("/reports/radius"), http.StatusOK, "Called", "vpn2.hospital.example")
	if csv := c.get("/reports/radius.csv").body; !strings.Contains(csv, "called station") || !strings.Contains(csv, "vpn2.hospital.example") {
		t.Errorf("the export has no called station:\n%s", csv)
	}
}

func TestTheEnterprisesLanguageIsThatOfScripts(t *testing.T) {
	w := gatewayWorld(t)
	w.someone("otto", sallyport.RoleAuditor, true)
	in := w.gateway("Clinic VPN", "192.0.2.20/32")
	c := w.in("ada")
	script := integrationPath(in.ID) + "/script"
	if strings.Contains(c.get(script).body, "data-lang") {
		t.Error("a script has a language that nobody chose")
	}
	says(t, send(c, "/settings/languages", "version", "0", "default", "xx"), http.StatusUnprocessableEntity, "Choose one of the languages")
	says(t, send(c, "/settings/languages", "version", "0", "default", "ar"), http.StatusOK, "Saved.")
	says(t, send(c, "/settings/languages", "version", "0", "default", "de"), http.StatusUnprocessableEntity, "was changed by")
	says(t, w.in("otto").get("/settings/languages"), http.StatusOK, "Language of the enterprise", "العربية")
	says(t, c.get(script), http.StatusOK, `data-lang="ar"`, "&l=ar")
	in.Language, in.Secret = "fr", ""
	if _, err := w.store.PutIntegration(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	says(t, c.get(script), http.StatusOK, `data-lang="fr"`, "&l=fr")
}

func TestOfTwoWhoSaveAGatewayTheSecondIsTold(t *testing.T) {
	w := gatewayWorld(t)
	w.someone("bea", sallyport.RoleAdmin, true)
	in := w.gateway("Clinic VPN", "192.0.2.20/32")
	ada, bea := w.in("ada"), w.in("bea")
	path := integrationPath(in.ID) + "/settings"
	says(t, send(ada, path, gatewayForm("version", "1", "note", "first")...), http.StatusOK, "Saved.", "first")
	says(t, send(bea, path, gatewayForm("version", "1", "note", "second")...), http.StatusUnprocessableEntity, "was changed by", "second")
	says(t, send(bea, integrationPath(in.ID)+"/delete", "version", "1"), http.StatusOK, "was changed by")
	if got, err := w.store.Integration(t.Context(), in.ID); err != nil || got.Note != "first" || got.Secret != in.Secret {
		t.Errorf("kept %q, %v", got.Note, err)
	}
}

func TestASecretIsChangedWithAnOverlapThatEnds(t *testing.T) {
	w := gatewayWorld(t)
	in := w.gateway("Clinic VPN", "192.0.2.20/32")
	c := w.in("ada")
	path := integrationPath(in.ID)
	says(t, send(c, path+"/secret", "version", "1", "secretKind", "make", "overlap", "x"), http.StatusUnprocessableEntity, "Choose for how long")
	a := send(c, path+"/secret", "version", "1", "secretKind", "make", "overlap", "48h")
	says(t, a, http.StatusOK, "The old one is good until", "Shown this once")
	kept, err := w.store.Integration(t.Context(), in.ID)
	must(t, err)
	if kept.PreviousSecret != in.Secret || !strings.Contains(a.body, string(kept.Secret)) || strings.Contains(a.body, string(in.Secret)) {
		t.Error("the wrong secret is kept or shown")
	}
	must(t, w.store.RecordGatewayHeard(t.Context(), []sallyport.GatewayHealth{{Integration: in.ID, Appliance: "a1", Heard: w.clock.Now(), OldSecret: w.clock.Now()}}))
	says(t, c.get(path), http.StatusOK, "The secret before", "last used "+stamp(w.clock.Now()))
	says(t, c.get(path+"/secret"), http.StatusOK, "A change goes on", "End the overlap now")
	says(t, send(c, path+"/secret/end", "version", itoa(kept.Version)), http.StatusOK, "Only the new secret is taken now.")
	if now, err := w.store.Integration(t.Context(), in.ID); err != nil || now.PreviousSecret != "" || now.Secret != kept.Secret {
		t.Errorf("the overlap goes on: %v", err)
	}
	says(t, send(c, path+"/secret/end", "version", "3"), http.StatusOK, "No secret of this gateway is being replaced.")
}

func TestAttributesAreEditedWithoutScripts(t *testing.T) {
	w := gatewayWorld(t)
	in := w.gateway("Clinic VPN", "192.0.2.20/32")
	c := w.in("ada")
	path := integrationPath(in.ID) + "/attributes"
	says(t, c.get(path), http.StatusOK, "No attributes yet")
	row := func(attribute, typ, values, group string) []string {
		return []string{"attribute", attribute, "type", typ, "values", values, "group", group}
	}
	rows := append(row("Class", "", "doctor\r\nstaff", "CN=Ward 3,DC=hospital,DC=example"), row("session-timeout", "", "3600", "")...)
	a := send(c, path, append(rows, "version", "1", "do", "add")...)
	says(t, a, http.StatusOK, "Attribute 3")
	if got, err := w.store.Integration(t.Context(), in.ID); err != nil || len(got.Attributes) != 0 {
		t.Fatalf("a new row saves: %v", err)
	}
	a = send(c, path, append(rows, "version", "1", "do", "up.1")...)
	if got := typedRows(a.body); got != "session-timeout Class" {
		t.Errorf("moved up: %s", got)
	}
	a = send(c, path, append(rows, "version", "1", "do", "remove.0")...)
	if got := typedRows(a.body); got != "session-timeout" {
		t.Errorf("left: %s", got)
	}
	says(t, send(c, path, append(rows, "version", "1", "do", "remove.99")...), http.StatusOK, "Attribute 2")
	wrong := append(append(append(rows, row("no such", "", "x", "")...), row("99999:7", "", "x", "")...), row("User-Name", "", "eve", "")...)
	a = send(c, path, append(wrong, "version", "1")...)
	says(t, a, http.StatusUnprocessableEntity, "Choose an attribute from the list", "say how its value is written")
	a = send(c, path, append(append(append(rows, row("User-Name", "", "eve", "")...), row("", "", "", "")...), "version", "1")...)
	says(t, a, http.StatusUnprocessableEntity, "User-Name cannot be set")
	rows = append(rows, row("99999:7", "text", "x", "")...)
	says(t, send(c, path, append(rows, "version", "1")...), http.StatusOK, "Saved.", "Attribute 3")
	got, err := w.store.Integration(t.Context(), in.ID)
	must(t, err)
	if len(got.Attributes) != 3 || got.Attributes[0].Attribute != 25 || strings.Join(got.Attributes[0].Values, " ") != "doctor staff" || got.Attributes[1].Name != "Session-Timeout" ||
		got.Attributes[1].Type != sallyport.AttributeInteger || got.Attributes[2].Vendor != 99999 || got.Attributes[2].Attribute != 7 || got.Secret != in.Secret {
		t.Errorf("saved %+v", got.Attributes)
	}
	says(t, send(c, path, append(rows, "version", "1")...), http.StatusUnprocessableEntity, "was changed by")
	for who, want := range map[string]string{`hospital\alice`: "4 attributes", "": "2 attributes"} {
		says(t, c.post(path+"/preview", append(rows, "version", "2", "csrf", c.csrf(path), "account", who)...), http.StatusOK, want)
	}
	says(t, c.post(path+"/preview", append(rows, "version", "2", "csrf", c.csrf(path), "groups", "cn=ward 3,dc=hospital,dc=example")...), http.StatusOK, "4 attributes", "doctor")
	says(t, c.post(path+"/preview", append(rows, "version", "2", "csrf", c.csrf(path), "account", "nobody")...), http.StatusUnprocessableEntity, "Nobody has this name.")
}

// typedRows are the attributes in the rows of the form.
func typedRows(body string) string {
	var out []string
	for _, m := range regexp.MustCompile(`name="attribute" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		out = append(out, m[1])
	}
	return strings.Join(out, " ")
}

func TestTheListTellsOfHealthAndOfWhoIsNotKnown(t *testing.T) {
	w := gatewayWorld(t)
	in, silent := w.gateway("Clinic VPN", "192.0.2.20/32"), w.gateway("Silent VPN", "192.0.2.21/32")
	now := w.clock.Now()
	w.told("a1", 0, nil)
	must(t, w.store.RecordGatewayHeard(t.Context(), []sallyport.GatewayHealth{{Integration: in.ID, Appliance: "a1", Heard: now.Add(-5 * time.Minute), Accepted: now.Add(-time.Hour),
		Error: "wrong shared secret", ErrorTime: now.Add(-5 * time.Minute), Cure: "enter the same secret at the gateway"}}),
		w.store.RecordUnknownSources(t.Context(), []sallyport.UnknownSource{{Appliance: "a1", Source: netip.MustParseAddr("10.1.2.3"), First: now.Add(-time.Hour), Last: now, Count: 12}}),
		w.store.RecordRADIUS(t.Context(), []store.RADIUSActivity{{Time: now.Add(-time.Hour), Integration: in.ID, Outcome: sallyport.RADIUSAccepted}, {Time: now, Integration: in.ID, Outcome: sallyport.RADIUSRejected}}))
	c := w.in("ada")
	a := c.get("/integrations")
	says(t, a, http.StatusOK, "Trouble wrong shared secret", "by a1.hospital.example", "1 accepted 1 refused", "Not heard yet", "10.1.2.3", "Add an integration with this address")
	if !strings.Contains(a.body, `href="/integrations/new?client=10.1.2.3"`) || !strings.Contains(c.get("/integrations/new?client=10.1.2.3").body, ">10.1.2.3</textarea>") {
		t.Error("the address is not filled in")
	}
	says(t, c.get(integrationPath(in.ID)), http.StatusOK, "Wrong shared secret.", "Enter the same secret at the gateway.")
	says(t, c.get(integrationPath(in.ID)+"/delete"), http.StatusOK, "Users can no longer log in at this gateway", "192.0.2.20", "https://vpn.hospital.example", "it is in use")
	says(t, send(c, integrationPath(silent.ID)+"/delete", "version", "1"), http.StatusOK, "The integration was deleted.")
	if strings.Contains(c.get("/integrations/new?client=%22%3E%3Cscript%3E").body, "<script>\"") {
		t.Error("an address from the link is not checked")
	}
	says(t, c.get("/search?q=clinic"), http.StatusOK, "Clinic VPN", "192.0.2.20")
}

func TestEveryApplianceIsShownWithWhatToDo(t *testing.T) {
	w := gatewayWorld(t)
	c := w.in("ada")
	says(t, c.get("/cloud"), http.StatusOK, "No appliance has told of itself yet", "hospital-1")
	w.told("a1", 0, nil)
	says(t, c.get("/cloud"), http.StatusOK, "All is well", "this one", "cloud-2", "a1.hospital.example")
	w.told("b2", 5*time.Minute, nil)
	w.told("c3", 0, func(a *sallyport.Appliance) { a.Streams, a.Trouble = nil, "proxy refused: 407 <b>" })
	w.told("d4", 0, func(a *sallyport.Appliance) {
		a.Version, a.CertificateExpires, a.ClockOffset = "v1.3.9", w.clock.Now().Add(36*time.Hour), -40*time.Second
	})
	page := c.get("/cloud")
	says(t, page, http.StatusOK, "It has said nothing of itself for 5 minutes.", "It has no connection to the cloud", "proxy refused: 407 <b>",
		"Its certificate ends in 36 hours", "Its clock is 40 seconds behind the database's", "It runs v1.3.9, and others run v1.4.0")
	if strings.Contains(pageText(page.body), "All is well") {
		t.Error("it says that all is well")
	}
	says(t, c.get("/"), http.StatusOK, "Appliance b2.hospital.example", "It has said nothing of itself for 5 minutes.")
	says(t, c.get("/cloud/b2/remove"), http.StatusOK, "Remove b2.hospital.example?", "sallyport enterprise revoke hospital-1 b2")
	says(t, send(c, "/cloud/b2/remove"), http.StatusOK, "The appliance was removed.")
	if a := c.get("/cloud/b2/remove"); a.StatusCode != http.StatusNotFound {
		t.Errorf("one that is gone: %d", a.StatusCode)
	}
	if strings.Contains(c.get("/cloud").body, "b2.hospital") {
		t.Error("it is still shown")
	}
}

func TestSitesAreKept(t *testing.T) {
	w := gatewayWorld(t)
	w.someone("otto", sallyport.RoleAuditor, true)
	w.told("a1", 0, nil)
	w.told("b2", 0, nil)
	c := w.in("ada")
	says(t, c.get("/sites"), http.StatusOK, "No sites yet")
	says(t, send(c, "/sites/new", "name", "North", "kind", "active", "ranges", "10.1.0.0/16\n2001:db8::/48", "appliance", "a1"), http.StatusOK, "The site was added.", "North", "10.1.0.0/16, 2001:db8::/48", "a1.hospital.example")
	list, err := w.store.Sites(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	north := "/sites/" + string(list[0].ID)
	says(t, send(c, "/sites/new", "name", "South", "kind", "hot_standby", "primary", string(list[0].ID), "appliance", "a1", "appliance", "b2"), http.StatusOK, "Hot standby", "a1.hospital.example, b2.hospital.example")
	says(t, send(c, north, "version", "1", "name", "Far north", "kind", "active"), http.StatusUnprocessableEntity, "was changed by")
	says(t, send(c, north, "version", "2", "name", "", "kind", "cold", "ranges", "10.1.0.x", "primary", string(list[0].ID)), http.StatusUnprocessableEntity, "use an address (192.0.2.1) or a network")
	says(t, send(c, north, "version", "2", "name", "", "kind", "cold", "primary", string(list[0].ID)), http.StatusUnprocessableEntity, "The name of the site is missing", "active or a hot standby", "cannot fail over to itself")
	says(t, send(c, north, "version", "2", "name", "Far north", "kind", "active", "ranges", "10.1.0.0/16"), http.StatusOK, "Saved.", "Far north")
	says(t, c.get("/cloud"), http.StatusOK, "South")
	says(t, send(c, north+"/delete", "version", "3"), http.StatusOK, `The site "South" fails over to this one.`)
	says(t, c.get(north+"/delete"), http.StatusOK, "Delete “Far north”?", "10.1.0.0/16")
	o := w.in("otto")
	says(t, o.get(north), http.StatusOK, "Far north", "10.1.0.0/16")
	if strings.Contains(o.get(north).body, "Save<") || o.get("/sites/new").StatusCode != http.StatusForbidden {
		t.Error("an auditor may change sites")
	}
}

// Every page and every form of gateways, appliances and sites, by role.
func TestRolesReachGatewaysAndNoFurther(t *testing.T) {
	w := gatewayWorld(t)
	w.someone("otto", sallyport.RoleAuditor, true)
	w.someone("hugo", sallyport.RoleHelpDesk, true)
	w.told("b2", 0, nil)
	in := w.gateway("Clinic VPN", "192.0.2.20/32")
	site, err := w.store.PutSite(t.Context(), sallyport.Site{Name: "North", Kind: sallyport.SiteActive})
	must(t, err)
	gate, north := integrationPath(in.ID), "/sites/"+string(site.ID)
	see := []string{"/integrations", gate, gate + "/attributes", gate + "/script", "/cloud", "/sites", north}
	change := []string{"/integrations/new", gate + "/settings", gate + "/secret", gate + "/delete", "/cloud/b2/remove", "/sites/new", north + "/delete"}
	forms := append([]string{gate + "/attributes", gate + "/secret/end", north}, change...)
	for name, may := range map[string]struct{ see, change int }{"ada": {200, 200}, "otto": {200, 403}, "hugo": {403, 403}} {
		c := w.in(name)
		for _, path := range see {
			if a := c.get(path); a.StatusCode != may.see {
				t.Errorf("%s sees %s: %d", name, path, a.StatusCode)
			}
		}
		for _, path := range change {
			if a := c.get(path); a.StatusCode != may.change {
				t.Errorf("%s opens %s: %d", name, path, a.StatusCode)
			}
		}
		if name == "ada" {
			continue
		}
		for _, path := range forms {
			if a := send(c, path, "version", "1"); a.StatusCode != http.StatusForbidden {
				t.Errorf("%s sends %s: %d", name, path, a.StatusCode)
			}
		}
	}
	o := w.in("otto")
	a := send(o, gate+"/attributes/preview", "account", `hospital\alice`)
	says(t, a, http.StatusOK, "Who has what", "Nothing")
}

// filled has a list of everything: three appliances, two sites, three gateways, an address that nobody knows.
func (w *world) filled() (in, quiet sallyport.Integration, north sallyport.Site) {
	t := w.t
	t.Helper()
	now := w.clock.Now()
	w.told("a1", 0, nil)
	w.told("b2", 7*time.Minute, nil)
	w.told("c3", 0, func(a *sallyport.Appliance) {
		a.Streams, a.Trouble, a.Version, a.ClockOffset = nil, "dial tcp 192.0.2.80:3128: connection refused", "v1.3.9", 9*time.Second
	})
	north, err := w.store.PutSite(t.Context(), sallyport.Site{Name: "North", Kind: sallyport.SiteActive, Appliances: []sallyport.ApplianceID{"a1", "b2"},
		Ranges: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("10.3.0.0/16"), netip.MustParsePrefix("2001:db8::/48")}})
	must(t, err)
	_, err = w.store.PutSite(t.Context(), sallyport.Site{Name: "South", Kind: sallyport.SiteStandby, Primary: north.ID})
	must(t, err)
	in = w.gateway("Clinic VPN", "192.0.2.20/32")
	in.Note = "In the cellar of building 3.\nAsk Bob."
	in.Attributes = []sallyport.GroupAttribute{{Group: "CN=Doctors,OU=Groups,DC=hospital,DC=example", Attribute: 25, Type: "octets", Values: []string{"0a"}}, {Attribute: 27, Type: "integer", Values: []string{"28800"}}}
	in.PreviousSecret, in.PreviousUntil = "the secret before", now.Add(48*time.Hour)
	in, err = w.store.PutIntegration(t.Context(), in)
	must(t, err)
	other := w.gateway("Hospital VPN", "192.0.2.10/32")
	quiet = w.gateway("Laboratory", "198.51.100.0/24")
	must(t, w.store.RecordGatewayHeard(t.Context(), []sallyport.GatewayHealth{
		{Integration: in.ID, Appliance: "a1", Heard: now.Add(-5 * time.Minute), Accepted: now.Add(-time.Hour), Error: "wrong shared secret", ErrorTime: now.Add(-5 * time.Minute), Cure: "enter the integration's secret at the gateway"},
		{Integration: other.ID, Appliance: "a1", Heard: now, Accepted: now}, {Integration: other.ID, Appliance: "b2", Heard: now.Add(-time.Hour), Accepted: now.Add(-time.Hour)}}),
		w.store.RecordUnknownSources(t.Context(), []sallyport.UnknownSource{{Appliance: "a1", Source: netip.MustParseAddr("10.1.2.3"), First: now.Add(-time.Hour), Last: now, Count: 1204}}),
		w.store.RecordRADIUS(t.Context(), []store.RADIUSActivity{{Time: now.Add(-time.Hour), Integration: other.ID, Outcome: sallyport.RADIUSAccepted}, {Time: now.Add(-time.Minute), Integration: other.ID, Outcome: sallyport.RADIUSRejected}}))
	return in, quiet, north
}

// look opens pages and inspects each.
func (p *tab) look(pages map[string]string) {
	p.t.Helper()
	for name, path := range pages {
		p.open(path)
		p.inspect(name)
	}
}

func TestPagesOfGatewaysWithNothingInThem(t *testing.T) {
	p := gatewayWorld(t).browser(t)
	p.signIn("ada")
	p.look(map[string]string{"integrations-empty": "/integrations", "sites-empty": "/sites", "cloud-empty": "/cloud", "integration-new": "/integrations/new?client=10.1.2.3", "site-new": "/sites/new"})
}

func TestPagesOfOneGateway(t *testing.T) {
	w := gatewayWorld(t)
	in, quiet, _ := w.filled()
	gate := integrationPath(in.ID)
	legacy := w.gateway("Legacy VPN", "192.0.2.99/32")
	legacy.Experience, legacy.Secret = sallyport.ExperienceLegacy, ""
	_, err := w.store.PutIntegration(t.Context(), legacy)
	must(t, err)
	p := w.browser(t)
	p.signIn("ada")
	p.look(map[string]string{"integration": gate, "integration-settings": gate + "/settings", "integration-attributes": gate + "/attributes", "integration-script": gate + "/script",
		"integration-secret": gate + "/secret", "integration-delete": gate + "/delete", "integration-quiet": integrationPath(quiet.ID), "integration-script-legacy": integrationPath(legacy.ID) + "/script"})
}

func TestPagesOfGatewaysAppliancesAndSites(t *testing.T) {
	w := gatewayWorld(t)
	_, _, north := w.filled()
	p := w.browser(t)
	p.signIn("ada")
	p.look(map[string]string{"integrations": "/integrations", "cloud": "/cloud", "cloud-remove": "/cloud/b2/remove", "cloud-rename": "/cloud/b2/name", "settings-languages": "/settings/languages", "sites": "/sites", "site": "/sites/" + string(north.ID), "site-delete": "/sites/" + string(north.ID) + "/delete"})
}

func TestGatewaysInTheBrowser(t *testing.T) {
	w := gatewayWorld(t)
	in, _, _ := w.filled()
	p := w.browser(t)
	p.signIn("ada")
	p.attributesByKeyboard(integrationPath(in.ID))
	p.gatewayByKeyboard()
}

// attributesByKeyboard adds a row, is told what is wrong in it, and previews.
func (p *tab) attributesByKeyboard(gate string) {
	p.t.Helper()
	p.open(gate + "/attributes")
	p.click(`button[value="add"]`)
	p.until(`document.querySelectorAll(".row").length === 3 && document.activeElement.id === "a-2"`)
	p.do("type", chromedp.KeyEvent("User-Name"+kb.Tab+kb.Tab+"eve"))
	p.click(`main .form-end .primary`)
	p.until(`document.querySelector("#e-row-2")`)
	p.inspect("integration-attributes-refused")
	p.click(`button[value="remove.2"]`)
	p.until(`document.querySelectorAll(".row").length === 2`)
	p.do("whose", chromedp.SendKeys(chromedp.CSS("#account"), `hospital\alice`))
	p.click(`button[formaction]`)
	p.until(`document.querySelector("#shown tbody tr")`)
	p.inspect("integration-attributes-preview")
}

// gatewayByKeyboard adds a gateway with wrong words first, and copies its secret with the space bar.
func (p *tab) gatewayByKeyboard() {
	p.t.Helper()
	p.open("/integrations/new")
	p.write("nickname", "Branch VPN")
	p.write("clients", "no such host")
	p.do("send", chromedp.Evaluate[chromedp.Void](`void document.querySelector("main form").requestSubmit()`))
	p.until(`document.querySelector("#e-clients")`)
	p.inspect("integration-new-refused")
	p.do("other address", chromedp.Evaluate[chromedp.Void](`void (document.querySelector("[name=clients]").value = "203.0.113.7")`))
	p.do("send", chromedp.Evaluate[chromedp.Void](`void document.querySelector("main form").requestSubmit()`))
	p.until(`document.querySelector("h1").textContent === "Branch VPN was added"`)
	p.inspect("integration-added")
	p.do("copying", chromedp.Evaluate[chromedp.Void](`void (navigator.clipboard.writeText = async t => { window.copied = t; }), void document.querySelector("[data-copy]").focus()`))
	p.do("press", chromedp.KeyEvent(" "))
	p.until(`document.querySelector(".code [role=status]").textContent === "Copied" && window.copied.length === 32 && window.copied === document.querySelector(".code pre").textContent`)
}
