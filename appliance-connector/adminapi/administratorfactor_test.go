package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

// factorsOf asks with a token of an administrator who may write.
func (w *world) factorsOf(path, name string) (f factors) {
	w.t.Helper()
	a := w.ask("GET", path, bearer(name, sallyport.TokenReads), "")
	if a.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, a.StatusCode, a.body)
	}
	w.must(json.Unmarshal(a.body, &f))
	return f
}

func TestTheLastSecondFactorStays(t *testing.T) {
	w := newWorld(t)
	w.passkeys("auditor", "helpdesk")
	super, own := bearer("super", sallyport.TokenWrites), bearer("helpdesk", sallyport.TokenWrites)
	if f := w.factorsOf("/administrators/auditor/factors", "super"); len(f.Factors) != 2 || f.Factors[0].ID != passkeyName || f.Factors[0].Name != "Key" || f.Factors[1].Kind != "totp" {
		t.Errorf("factors %+v", f)
	}
	const theirs = "/administrators/auditor/factors/"
	for _, step := range []struct {
		path, token string
		status      int
	}{
		{theirs + "nothing", super, http.StatusNotFound},
		{theirs + "totp", super, http.StatusNoContent},
		{theirs + "totp", super, http.StatusNotFound}, // sent again after a lost answer
		{theirs + passkeyName, super, http.StatusConflict},
		{theirs + passkeyName, own, http.StatusForbidden},
		{"/administrators/nobody/factors/totp", super, http.StatusNotFound},
		{"/account/factors/" + passkeyName, own, http.StatusNotFound}, // another administrator's
		{"/account/factors/totp", bearer("helpdesk", sallyport.TokenReads), http.StatusForbidden},
		{"/account/factors/totp", own, http.StatusNoContent},
	} {
		if a := w.ask("DELETE", step.path, step.token, ""); a.StatusCode != step.status {
			t.Errorf("%s: %d %s, want %d", step.path, a.StatusCode, a.body, step.status)
		}
	}
	for path, name := range map[string]string{"/account/factors": "helpdesk", "/administrators/auditor/factors": "super"} {
		if f := w.factorsOf(path, name); len(f.Factors) != 1 || f.Factors[0].Kind != "passkey" {
			t.Errorf("left of %s: %+v", path, f)
		}
	}
	if f := w.factorsOf("/account/factors", "super"); len(f.Factors) != 0 || f.RecoveryCodes != 0 {
		t.Errorf("of somebody who has none: %+v", f)
	}
	if _, err := w.admin.OwnFactors(context.Background(), root); sallyport.ErrorCode(err) != sallyport.CodeUnsupported {
		t.Errorf("of root at the terminal: %v", err)
	}
}

// Of two who change settings that nobody had set the second is told, as with everything else.
func TestSettingsHaveAVersionBeforeTheyAreSet(t *testing.T) {
	w := newWorld(t)
	token := bearer("super", sallyport.TokenWrites)
	first := w.ask("GET", "/settings/console", token, "")
	if tag := first.Header.Get("ETag"); first.StatusCode != http.StatusOK || tag != `"1"` || !strings.Contains(string(first.body), `"idleMinutes":15`) {
		t.Fatalf("%d %q %s", first.StatusCode, tag, first.body)
	}
	for want, body := range map[int]string{http.StatusUnprocessableEntity: `{"idleMinutes":481}`, http.StatusOK: `{"idleMinutes":30}`} {
		if a := w.ask("PUT", "/settings/console", token, body, "If-Match", `"1"`); a.StatusCode != want || want == http.StatusOK && a.Header.Get("ETag") != `"2"` {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
	if a := w.ask("PUT", "/settings/console", token, `{"idleMinutes":20}`, "If-Match", `"1"`); a.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("over somebody else's: %d %s", a.StatusCode, a.body)
	}
}

// A change of something else does not take away how users log in at a gateway.
func TestAChangedGatewayKeepsHowUsersLogIn(t *testing.T) {
	w := newWorld(t)
	token, i := bearer("admin", sallyport.TokenWrites), w.integration()
	a := w.ask("PUT", "/integrations/"+string(i.ID), token, integrationText(i), "If-Match", etag(i.Version))
	var saved savedIntegration
	if a.StatusCode != http.StatusOK || json.Unmarshal(a.body, &saved) != nil {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	got, err := w.store.Integration(context.Background(), i.ID)
	if err != nil || got.Experience != sallyport.ExperienceBoth || got.PasswordEncoding != sallyport.PasswordWindows1252 || got.PasscodeSeparator != "," || !got.AskMethod || got.Language != "de" ||
		len(got.TLS.Fingerprints) != 1 {
		t.Errorf("kept %+v, %v", got, err)
	}
	in := saved.Integration
	if in.Experience != got.Experience || in.PasswordEncoding != got.PasswordEncoding || in.PasscodeSeparator != "," || !in.AskMethod || len(in.TLS.Fingerprints) != 1 || in.TLS.Names == nil {
		t.Errorf("shown %+v", in)
	}
	without := strings.Replace(integrationText(i), `"experience":"both",`, "", 1)
	if a := w.ask("PUT", "/integrations/"+string(i.ID), token, without, "If-Match", etag(got.Version)); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("without saying how: %d %s", a.StatusCode, a.body)
	}
}
