package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

var morning = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// gateways is a Service over a store of its own, for the tests of integrations.
func gateways(t *testing.T) (*Service, *store.Store) {
	t.Helper()
	now := func() time.Time { return morning }
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sallyport.Key(strings.Repeat("m", 32)), store.WithNow(now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(Config{Store: db, Key: sallyport.Key(strings.Repeat("k", 32)), Now: now, Groups: wards{},
		Enterprise: Enterprise{Tenant: "hospital", CloudURL: "https://cloud.example", Fingerprint: strings.Repeat("f", 43)}})
	if err != nil {
		t.Fatal(err)
	}
	return s, db
}

// wards tells groups.
type wards struct{}

func (wards) Groups(_ context.Context, account sallyport.AccountName) ([]string, error) {
	if account == `hospital\alice` {
		return []string{"CN=Ward 3,DC=hospital,DC=example"}, nil
	}
	return nil, sallyport.Errorf(sallyport.CodeNotFound, "Nobody has this name.", nil)
}

var keeper = sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: "1", Name: "bob", Role: sallyport.RoleAdmin}

func newGateway() sallyport.Integration {
	return sallyport.Integration{Nickname: "Hospital VPN", Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")},
		Origins: []string{"https://vpn.hospital.example"}}
}

func TestAGatewayIsAddedWithASecretThatIsShownOnce(t *testing.T) {
	s, db := gateways(t)
	saved, err := s.AddIntegration(t.Context(), keeper, newGateway())
	if err != nil {
		t.Fatal(err)
	}
	in := saved.Integration
	if len(saved.Secret) != 32 || in.Secret != "" || in.Kind != KindF5 || in.MessageAuthenticator != sallyport.MessageAuthenticatorOnceSeen ||
		in.Version != 1 || len(saved.Warnings) != 0 {
		t.Fatalf("%+v", saved)
	}
	if kept, err := db.Integration(t.Context(), in.ID); err != nil || kept.Secret != saved.Secret {
		t.Errorf("another secret is kept: %v", err)
	}
	list, err := s.Integrations(t.Context(), keeper)
	if err != nil || len(list) != 1 || list[0].Secret != "" || list[0].ID != in.ID {
		t.Errorf("%+v, %v", list, err)
	}
	script, err := s.IntegrationScript(t.Context(), keeper, in.ID, "")
	if err != nil || !strings.Contains(script.StandardTag, "https://cloud.example/embed/v1/") || !strings.HasPrefix(script.Integrity, "sha384-") {
		t.Errorf("%+v, %v", script, err)
	}
	if script, err = s.IntegrationScript(t.Context(), keeper, in.ID, "https://other.example"); err != nil || !strings.HasPrefix(script.ModernAddress, "https://other.example/") {
		t.Errorf("%+v, %v", script, err)
	}
}

func TestWhatIsWrongWithAGatewayIsSaidByField(t *testing.T) {
	s, _ := gateways(t)
	in := newGateway()
	in.Nickname, in.Hosts, in.Origins = "", []string{"a b"}, []string{"vpn"}
	in.Attributes = []sallyport.GroupAttribute{{Attribute: 80, Type: "octets", Values: []string{"00"}}}
	_, err := s.AddIntegration(t.Context(), keeper, in)
	var fields FieldErrors
	if !errors.As(err, &fields) || len(fields) != 4 || fields["nickname"] == "" || fields["hosts"] == "" || fields["origins"] == "" ||
		!strings.Contains(fields["attributes.0"], "Message-Authenticator") {
		t.Errorf("%v", err)
	}
	weak := newGateway()
	weak.Secret, weak.Origins, weak.Clients = "hunter2", nil, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	saved, err := s.AddIntegration(t.Context(), keeper, weak)
	if err != nil || len(saved.Warnings) != 3 || saved.Secret != "" || strings.Contains(strings.Join(saved.Warnings, " "), "hunter2") {
		t.Errorf("%+v, %v", saved, err)
	}
}

func TestAnEditKeepsTheSecretAndSaysWhoWasFirst(t *testing.T) {
	s, db := gateways(t)
	saved, err := s.AddIntegration(t.Context(), keeper, newGateway())
	if err != nil {
		t.Fatal(err)
	}
	edit := saved.Integration
	edit.Note = "in the cellar"
	if _, err := s.SetIntegration(t.Context(), keeper, edit); err != nil {
		t.Fatal(err)
	}
	if kept, err := db.Integration(t.Context(), edit.ID); err != nil || kept.Secret != saved.Secret || kept.Note != "in the cellar" {
		t.Errorf("%+v, %v", kept, err)
	}
	_, err = s.SetIntegration(t.Context(), keeper, edit)
	if sallyport.ErrorCode(err) != sallyport.CodeConflict || !strings.Contains(sallyport.ErrorMessage(err), "bob") {
		t.Errorf("an older version: %v", err)
	}
	edit.Version = 0
	if _, err = s.SetIntegration(t.Context(), keeper, edit); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("no version: %v", err)
	}
	if err := s.DeleteIntegration(t.Context(), keeper, edit.ID, 1); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("deleted at an older version: %v", err)
	}
	if err := s.DeleteIntegration(t.Context(), keeper, edit.ID, 2); err != nil {
		t.Error(err)
	}
}

func TestASecretIsRotatedWithAnOverlapThatCanBeEnded(t *testing.T) {
	s, db := gateways(t)
	saved, err := s.AddIntegration(t.Context(), keeper, newGateway())
	if err != nil {
		t.Fatal(err)
	}
	id, old := saved.Integration.ID, saved.Secret
	for name, c := range map[string]struct {
		version int64
		secret  sallyport.Secret
		overlap time.Duration
		want    sallyport.Code
	}{
		"no version": {0, "", 0, sallyport.CodeInvalid}, "another version": {7, "", 0, sallyport.CodeConflict},
		"same secret": {1, old, 0, sallyport.CodeInvalid}, "for ever": {1, "", 31 * 24 * time.Hour, sallyport.CodeInvalid},
		"into the past": {1, "", -time.Hour, sallyport.CodeInvalid},
	} {
		if _, err := s.RotateIntegrationSecret(t.Context(), keeper, id, c.version, c.secret, c.overlap); sallyport.ErrorCode(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	rotated, err := s.RotateIntegrationSecret(t.Context(), keeper, id, 1, "", DefaultOverlap)
	if err != nil || rotated.Secret == old || rotated.Secret == "" {
		t.Fatalf("%v", err)
	}
	kept, err := db.Integration(t.Context(), id)
	if err != nil || kept.Secret != rotated.Secret || kept.PreviousSecret != old || !kept.PreviousUntil.Equal(morning.Add(24*time.Hour)) {
		t.Errorf("until %v, %v", kept.PreviousUntil, err)
	}
	edit := rotated.Integration
	edit.Note = "edited meanwhile"
	edited, err := s.SetIntegration(t.Context(), keeper, edit)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = db.Integration(t.Context(), id); err != nil || kept.PreviousSecret != old {
		t.Errorf("an edit ended the overlap, %v", err)
	}
	if _, err = s.EndIntegrationOverlap(t.Context(), keeper, id, edited.Integration.Version); err != nil {
		t.Fatal(err)
	}
	if kept, err = db.Integration(t.Context(), id); err != nil || kept.PreviousSecret != "" || kept.Secret != rotated.Secret {
		t.Errorf("the overlap goes on, or the secret is gone: %v", err)
	}
	if _, err = s.EndIntegrationOverlap(t.Context(), keeper, id, kept.Version); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("ended twice: %v", err)
	}
}

// What the audit trail has of gateways shows that a secret was changed, and no secret.
func TestTheAuditTrailHasChangesOfGatewaysWithoutSecrets(t *testing.T) {
	s, db := gateways(t)
	saved, err := s.AddIntegration(t.Context(), keeper, newGateway())
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := s.RotateIntegrationSecret(t.Context(), keeper, saved.Integration.ID, 1, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	err = db.EachAuditRecord(t.Context(), store.AuditQuery{}, func(r sallyport.AuditRecord) error {
		actions = append(actions, r.Action)
		text, err := json.Marshal(r)
		for _, secret := range []sallyport.Secret{saved.Secret, rotated.Secret} {
			if strings.Contains(string(text), string(secret)) {
				t.Errorf("%s holds a secret", r.Action)
			}
		}
		if r.Actor.Name != "bob" {
			t.Errorf("%s was done by %q", r.Action, r.Actor.Name)
		}
		if r.Action == "integration.change" && !strings.Contains(string(r.After), `"NewSecret":true`) {
			t.Errorf("it is not said that the secret changed: %s", r.After)
		}
		return err
	})
	if err != nil || strings.Join(actions, " ") != "integration.create integration.change" {
		t.Errorf("%v, %v", actions, err)
	}
}

func TestAttributesArePreviewedForGroupsAndForAUser(t *testing.T) {
	s, _ := gateways(t)
	in := newGateway() // not saved
	in.Attributes = []sallyport.GroupAttribute{
		{Attribute: 27, Type: sallyport.AttributeInteger, Values: []string{"3600"}},
		{Group: "CN=Ward 3,DC=hospital,DC=example", Attribute: 25, Type: sallyport.AttributeText, Values: []string{"ward3"}},
	}
	for _, c := range []struct {
		groups  []string
		account sallyport.AccountName
		want    int
	}{{nil, "", 1}, {[]string{"cn=ward 3,dc=hospital,dc=example"}, "", 2}, {nil, `hospital\alice`, 2}} {
		if list, err := s.PreviewAttributes(t.Context(), keeper, in, c.groups, c.account); err != nil || len(list) != c.want {
			t.Errorf("%v %s: %+v, %v", c.groups, c.account, list, err)
		}
	}
	if _, err := s.PreviewAttributes(t.Context(), keeper, in, nil, `hospital\nobody`); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("nobody: %v", err)
	}
}

func TestHealthTellsOfGatewaysAndOfSourcesThatNobodyHas(t *testing.T) {
	s, db := gateways(t)
	heard := sallyport.GatewayHealth{Integration: "vpn", Appliance: "one", Heard: morning, Error: "wrong shared secret", Cure: "enter the same", ErrorTime: morning, OldSecret: morning}
	unknown := sallyport.UnknownSource{Appliance: "one", Source: netip.MustParseAddr("10.1.2.3"), First: morning.Add(-time.Hour), Last: morning, Count: 12}
	yesterday := unknown
	yesterday.Appliance, yesterday.Last = "two", morning.Add(-25*time.Hour)
	if err := errors.Join(db.RecordGatewayHeard(t.Context(), []sallyport.GatewayHealth{heard}),
		db.RecordUnknownSources(t.Context(), []sallyport.UnknownSource{unknown}), db.RecordUnknownSources(t.Context(), []sallyport.UnknownSource{yesterday})); err != nil {
		t.Fatal(err)
	}
	h, err := s.IntegrationHealth(t.Context(), keeper, "vpn")
	if err != nil || len(h.Appliances) != 1 || h.Appliances[0] != heard || len(h.Unknown) != 1 || h.Unknown[0] != unknown {
		t.Errorf("%+v, %v", h, err)
	}
}
