package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func TestPasskeysOfAUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	alice, bob := users["alice"], users["bob"]
	w.someone("hugo", sallyport.RoleHelpDesk, true)
	w.someone("root", sallyport.RoleSuper, true)
	for id, account := range map[string]sallyport.AccountName{"k1": alice.Account, "k2": alice.Account, "k3": bob.Account} {
		if err := w.store.AddUserPasskey(t.Context(), sallyport.Passkey{ID: sallyport.PasskeyID(id), Account: account, Host: "vpn.hospital.example",
			Name: "<b>Key</b> " + id, Credential: []byte(id), Kept: []byte("kept-of-" + id), Enrolled: w.clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.EndCopiedPasskey(t.Context(), alice.Account, "k2", "Its counter went back.", w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	c, page := w.in("hugo"), "/users/"+string(alice.ID)
	a := c.get(page)
	for _, want := range []string{"&lt;b&gt;Key&lt;/b&gt; k1", "vpn.hospital.example", "there may be a copy of it"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page is without %q", want)
		}
	}
	if strings.Contains(a.body, "k3") || strings.Contains(a.body, "kept-of") || strings.Contains(a.body, "<b>Key") {
		t.Error("the page has too much")
	}
	if a := send(c, page+"/passkeys/k3/delete"); a.StatusCode != http.StatusNotFound {
		t.Errorf("bob's, by alice's page: %d", a.StatusCode)
	}
	if a := send(c, page+"/passkeys/k1/delete"); a.StatusCode != http.StatusOK || strings.Contains(a.body, "Key&lt;/b&gt; k1") {
		t.Errorf("deleted: %d", a.StatusCode)
	}
	if a := send(c, page+"/passkeys/k1/delete"); a.StatusCode != http.StatusNotFound {
		t.Errorf("deleted again: %d", a.StatusCode)
	}
	w.someone("aud", sallyport.RoleAuditor, true)
	auditor := w.in("aud")
	if a := auditor.get(page); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Key&lt;/b&gt; k2") || strings.Contains(a.body, "passkeys/k2/delete") {
		t.Errorf("an auditor: %d", a.StatusCode)
	}
	if a := auditor.post(page+"/passkeys/k2/delete", "csrf", auditor.csrf("/account")); a.StatusCode != http.StatusForbidden {
		t.Errorf("an auditor deletes one: %d", a.StatusCode)
	}
	if a := w.in("root").get("/"); !strings.Contains(a.body, "A passkey was copied") || !strings.Contains(a.body, "alice") {
		t.Error("the overview does not tell of the copy")
	}
	records, err := w.store.AuditRecords(t.Context(), store.AuditQuery{Action: "user passkey.delete"})
	if err != nil || len(records.Records) != 1 || !strings.Contains(records.Records[0].Actor.Name, "hugo") {
		t.Errorf("recorded: %+v, %v", records.Records, err)
	}
}
