package export

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func TestWhatFailsAtOnceWritesNothing(t *testing.T) {
	var out strings.Builder
	gone := errors.New("gone")
	err := file(&out, []string{"one"}, func(func(...string) error) error { return gone })
	if !errors.Is(err, gone) || out.Len() != 0 {
		t.Errorf("%v, and %q was written", err, out.String())
	}
}

func TestWhoMayNotHaveAReportGetsNothingOfIt(t *testing.T) {
	actor := sallyport.Actor{Kind: sallyport.ActorAdministrator, Role: sallyport.RoleHelpDesk}
	var out strings.Builder
	s := new(admin.Service)
	for name, err := range map[string]error{
		"logins": Logins(t.Context(), &out, s, actor, store.LoginQuery{}),
		"RADIUS": RADIUS(t.Context(), &out, s, actor, store.RADIUSQuery{}),
		"users":  Users(t.Context(), &out, s, actor, store.UserQuery{}),
		"audit":  Audit(t.Context(), &out, s, actor, store.AuditQuery{}),
	} {
		if sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out.Len() != 0 {
		t.Errorf("%q was written", out.String())
	}
}

func TestALoginIsExplainedInWords(t *testing.T) {
	for r, want := range map[sallyport.Reason]string{
		"": "", sallyport.ReasonWrongNumber: "Another number was typed on the phone", "brand_new": "brand new",
	} {
		if got := Reason(r); got != want {
			t.Errorf("%q: %q", r, got)
		}
	}
	if got := Detail([]byte(`{"push_result":"sent","apps":2}`)); got != "apps: 2 · push result: sent" {
		t.Error(got)
	}
	if got := Detail([]byte(`{"outcome":"ask","via":"","steps":[{"sentence":"The user policy is \"Nurses\".","reason":"It was given by hand."},{"sentence":"A second factor is asked for."}]}`)); got != `outcome: ask · steps: The user policy is "Nurses". It was given by hand. A second factor is asked for.` {
		t.Errorf("what was weighed is shown as %q", got)
	}
	if got := Detail([]byte(`["not an object"]`)); got != "" {
		t.Error(got)
	}
}
