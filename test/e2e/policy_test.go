package e2e_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/stack"
)

// give gives a user a user policy of their own, with an enrol rule of its own.
func give(t *testing.T, s *stack.Stack, u stack.User, p sallyport.UserPolicy, r sallyport.EnrolRule) {
	t.Helper()
	ctx := within(t, patience)
	r.Name, p.Name = "Rule of "+u.Name, "Policy of "+u.Name
	r, err := s.Store.PutEnrolRule(ctx, r)
	if err == nil {
		p.EnrolRule = r.ID
		p, err = s.Store.PutUserPolicy(ctx, p)
	}
	var listed sallyport.User
	if err == nil {
		listed, err = s.Store.UserByAccount(ctx, u.Account())
	}
	if err == nil {
		_, err = s.Store.AssignPolicy(ctx, store.UserQuery{IDs: []sallyport.UserID{listed.ID}}, p.ID, sallyport.PolicyByHand)
	}
	if err != nil {
		t.Fatalf("give %s a user policy: %v", u.Name, err)
	}
}

// live is a user policy with which users may log in.
var live = sallyport.UserPolicy{Licensed: true, RemoteAccess: true}

// issue gives a user a temporary code.
func issue(t *testing.T, s *stack.Stack, u stack.User) sallyport.Secret {
	t.Helper()
	code, now := sallyport.NewTemporaryCode(), time.Now()
	helpDesk := s.Store.As(sallyport.Actor{Kind: sallyport.ActorAdministrator, Name: "helga", Role: sallyport.RoleHelpDesk})
	err := helpDesk.IssueTemporaryCode(within(t, patience), sallyport.TemporaryCode{
		ID: sallyport.NewID(), Account: u.Account(), Issued: now, Expires: now.Add(time.Hour), By: "helga",
	}, code)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func logIn(t *testing.T, s *stack.Stack, u stack.User) *browserclient.Login {
	t.Helper()
	l, err := s.Page().LogIn(within(t, patience), u.Name, u.Password)
	if err != nil {
		t.Fatalf("log in %s: %v", u.Name, err)
	}
	return l
}

func TestOnThePasswordAloneTheGatewayLetsIn(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u := s.NewUser(t)
	give(t, s, u, live, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword})
	l := logIn(t, s, u)
	token := tokenOf(t, l)
	if !radclient(t, s, s.RADIUSAddrs()[1], u.Name, token) {
		t.Error("the gateway token is refused")
	}
	recorded(t, s, l.Prompt.SupportCode, sallyport.LoginRecord{Outcome: sallyport.OutcomeGranted, Account: u.Account(), Door: sallyport.DoorOverlay}, 4, 5, 11, 15)

	d := s.Enrol(t, u.Name) // from now on not any more
	token = granted(t, s.Page(), u, d)
	if !radclient(t, s, s.RADIUSAddrs()[0], u.Name, token) {
		t.Error("the gateway token is refused")
	}
}

func TestWhoHasNoLicenceIsRefused(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	give(t, s, u, sallyport.UserPolicy{RemoteAccess: true}, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword})
	l := logIn(t, s, u)
	deniedFor(t, l, sallyport.ReasonNotAllowed)
	recorded(t, s, l.Prompt.SupportCode, sallyport.LoginRecord{Outcome: sallyport.OutcomeDenied, Reason: sallyport.ReasonNotAllowed, Account: u.Account(), Door: sallyport.DoorOverlay}, 4, 5, 11)
	code, err := d.CodeAt(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if radclient(t, s, s.RADIUSAddrs()[0], u.Name, code) {
		t.Error("in the gateway's own form the user gets in all the same")
	}
}

func TestATemporaryCodeLetsInAtBothDoorsUntilTheUserEnrols(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u := s.NewUser(t)
	give(t, s, u, live, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther})
	deniedFor(t, logIn(t, s, u), sallyport.ReasonNotEnrolled)
	code := issue(t, s, u)
	l := logIn(t, s, u)
	if l.Prompt.Kind != sallyport.PromptCode || !slices.Equal(l.Prompt.Methods, []sallyport.Method{sallyport.MethodTemporary}) {
		t.Fatalf("prompt %+v", l.Prompt)
	}
	if err := l.Say(within(t, patience), browserclient.Message{Action: "code", Code: string(code)}); err != nil {
		t.Fatal(err)
	}
	if !radclient(t, s, s.RADIUSAddrs()[0], u.Name, tokenOf(t, l)) {
		t.Error("the gateway token is refused")
	}
	recorded(t, s, l.Prompt.SupportCode, sallyport.LoginRecord{Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodTemporary, Account: u.Account(), Door: sallyport.DoorOverlay}, 4, 5, 10, 11, 15)
	for _, addr := range s.RADIUSAddrs() {
		if !radclient(t, s, addr, u.Name, code) {
			t.Errorf("refused in the gateway's own form at %s", addr)
		}
	}
	s.Enrol(t, u.Name)
	if radclient(t, s, s.RADIUSAddrs()[0], u.Name, code) {
		t.Error("still good after the user has enrolled")
	}
}

// recorded waits until a login is recorded as wanted, with the steps in its timeline and a record in the trail.
func recorded(t *testing.T, s *stack.Stack, support string, want sallyport.LoginRecord, steps ...int) {
	t.Helper()
	stack.Until(t, patience, "the login is recorded with all its steps", func() bool {
		got, timeline, err := s.Store.LoginBySupportCode(within(t, patience), support)
		if err != nil || got.Outcome != want.Outcome {
			return false
		}
		if got.Account != want.Account || got.Method != want.Method || got.Reason != want.Reason || got.Door != want.Door || got.Integration != cmp.Or(want.Integration, s.Integration) || got.Appliance == "" {
			t.Fatalf("recorded: %+v", got)
		}
		var seen []int
		for _, e := range timeline {
			if !slices.Contains(seen, e.Step) {
				seen = append(seen, e.Step)
			}
		}
		slices.Sort(seen)
		return slices.Equal(seen, steps)
	})
	stack.Until(t, patience, "the login is in the audit trail with its reason", func() bool {
		page, err := s.Store.AuditRecords(within(t, patience), store.AuditQuery{SupportCode: support})
		return err == nil && len(page.Records) > 0 && page.Records[0].Reason != "" && page.Records[0].Action == "login."+string(want.Outcome)
	})
}
