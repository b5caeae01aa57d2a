package conformance

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// A new database has what an administrator begins with; nothing of it is live.
func defaults(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	policy := sallyport.UserPolicy{ID: "default", Name: "Default", Default: true, Licensed: true, Version: 1}
	if list, err := s.UserPolicies(ctx); err != nil || !reflect.DeepEqual(list, []store.PolicyWithUsers{{UserPolicy: policy}}) {
		t.Errorf("user policies: %+v, %v", list, err)
	}
	if got, err := s.DefaultUserPolicy(ctx); err != nil || got != policy {
		t.Errorf("default user policy: %+v, %v", got, err)
	}
	rule := sallyport.EnrolRule{ID: "standard", Name: "Standard", Unenrolled: sallyport.UnenrolledOther,
		PromptAtGateway: true, PromptOnSite: true, Version: 1}
	if list, err := s.EnrolRules(ctx); err != nil || !reflect.DeepEqual(list, []sallyport.EnrolRule{rule}) {
		t.Errorf("enrol rules: %+v, %v", list, err)
	}
	workflow := sallyport.LoginWorkflow{Allowed: []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS},
		NumberMatching: true, Remember: sallyport.RememberPolicy{For: sallyport.RememberDefault}, Version: 1}
	if w, err := s.LoginWorkflow(ctx); err != nil || !reflect.DeepEqual(w, workflow) {
		t.Errorf("login workflow: %+v, %v", w, err)
	}
	if rules, version, err := s.AssignmentRules(ctx); err != nil || len(rules) != 0 || version != 1 {
		t.Errorf("assignment rules: %v, %d, %v", rules, version, err)
	}
	if list, err := s.Domains(ctx); err != nil || len(list) != 0 {
		t.Errorf("domains: %v, %v", list, err)
	}
}

func policyComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)).As(chief), t.Context()
	want := sallyport.UserPolicy{ID: "pilot", Name: "Pilot", Note: "IT only", Licensed: true, RemoteAccess: true, EnrolRule: "standard"}
	asked := want
	asked.Default = true // not by this call
	got, err := s.PutUserPolicy(ctx, asked)
	want.Version = 1
	if err != nil || got != want {
		t.Fatalf("put %+v, %v; want %+v", got, err, want)
	}
	want.Name, want.Licensed, want.EnrolRule = "pilot 2", false, ""
	got, err = s.PutUserPolicy(ctx, want)
	want.Version = 2
	if err != nil || got != want {
		t.Fatalf("replaced %+v, %v; want %+v", got, err, want)
	}
	if got, err := s.UserPolicy(ctx, "pilot"); err != nil || got != want {
		t.Fatalf("read %+v, %v; want %+v", got, err, want)
	}
	stale := want
	stale.Version = 1
	wantOvertaken(t, second(s.PutUserPolicy(ctx, stale)))
	r := lastRecord(t, s, "user policy.change")
	if before, after := decode[sallyport.UserPolicy](t, r.Before), decode[sallyport.UserPolicy](t, r.After); before.Name != "Pilot" || after != want {
		t.Errorf("recorded %+v, %+v", before, after)
	}
	unnamed, err := s.PutUserPolicy(ctx, sallyport.UserPolicy{Name: "Another"})
	if err != nil || !sallyport.ValidID(string(unnamed.ID)) {
		t.Errorf("a policy without an identifier: %+v, %v", unnamed, err)
	}
	for words, wrong := range map[string]sallyport.UserPolicy{
		`"Default"`:  {ID: "x", Name: "DEFAULT"},
		`"default"`:  {ID: "default", Name: "New"},
		"enrol rule": {ID: "x", Name: "New", EnrolRule: "nothing"},
		"not exist":  {ID: "x", Name: "New", Version: 3},
	} {
		_, err := s.PutUserPolicy(ctx, wrong)
		if code := sallyport.ErrorCode(err); code != sallyport.CodeConflict && code != sallyport.CodeNotFound || !strings.Contains(sallyport.ErrorMessage(err), words) {
			t.Errorf("%+v: got %v", wrong, err)
		}
	}
	for _, wrong := range []sallyport.UserPolicy{{ID: "x"}, {ID: "a/b", Name: "New"}, {ID: "x", Name: " New"}, {ID: "x", Name: "New", Note: strings.Repeat("n", 1001)}} {
		wantCode(t, second(s.PutUserPolicy(ctx, wrong)), sallyport.CodeInvalid)
	}
}

// Of several who save what they all saw, one wins and the others are told.
func policyAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	stores := []*store.Store{Open(t, address), Open(t, address)}
	ctx, cancel := background()
	defer cancel()
	seen, err := stores[0].UserPolicy(ctx, "default")
	must(t, err)
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			switch _, err := stores[n%2].As(chief).PutUserPolicy(ctx, seen); sallyport.ErrorCode(err) {
			case "":
				won.Add(1)
			case sallyport.CodeConflict:
				lost.Add(1)
			default:
				t.Errorf("save: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 19 {
		t.Errorf("%d won and %d were told", won.Load(), lost.Load())
	}
}

func defaultPolicy(t *testing.T, e Engine) {
	s, ctx := hospital(t, e).As(chief), t.Context()
	must(t, second(s.PutUserPolicy(ctx, sallyport.UserPolicy{ID: "pilot", Name: "Pilot"})))
	apply(t, s, person("A", "alice"), person("B", "bob"))
	must(t, second(s.AssignPolicy(ctx, store.UserQuery{Text: "bob"}, "pilot", sallyport.PolicyByHand)))
	wantCode(t, s.SetDefaultUserPolicy(ctx, "nothing"), sallyport.CodeNotFound)
	wantWords(t, s.DeleteUserPolicy(ctx, "default", 1), sallyport.CodeConflict, "default")
	must(t, s.SetDefaultUserPolicy(ctx, "pilot"))
	if p, err := s.DefaultUserPolicy(ctx); err != nil || p.ID != "pilot" || p.Version != 2 {
		t.Fatalf("default: %+v, %v", p, err)
	}
	list, err := s.UserPolicies(ctx)
	if err != nil || len(list) != 2 || list[0].Default || list[0].Users != 1 || !list[1].Default || list[1].Users != 1 {
		t.Fatalf("policies: %+v, %v", list, err)
	}
	rule := sallyport.AssignmentRule{Domain: "hospital", Policy: "default", Object: sallyport.DirectoryObject{Kind: sallyport.ObjectGroup, DN: "CN=g,DC=a"}}
	must(t, s.SetAssignmentRules(ctx, []sallyport.AssignmentRule{rule}, 1))
	wantWords(t, s.DeleteUserPolicy(ctx, "default", 2), sallyport.CodeConflict, "CN=g,DC=a")
	must(t, s.SetAssignmentRules(ctx, nil, 2))
	wantOvertaken(t, s.DeleteUserPolicy(ctx, "default", 1))
	must(t, s.DeleteUserPolicy(ctx, "default", 2))
	wantCode(t, s.DeleteUserPolicy(ctx, "default", 2), sallyport.CodeNotFound)
	if u := userOf(t, s, "A"); u.Policy != "pilot" || u.PolicyFrom != sallyport.PolicyByDefault || u.Version != 2 {
		t.Errorf("the user of the deleted policy: %+v", u)
	}
	if r := lastRecord(t, s, "user policy.delete"); decode[store.PolicyWithUsers](t, r.Before).Users != 1 {
		t.Errorf("recorded %s", r.Before)
	}
}

func enrolRules(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)).As(chief), t.Context()
	want := sallyport.EnrolRule{ID: "pilot", Name: "pilot", Unenrolled: sallyport.UnenrolledPassword, MayDelay: true, TemporaryCode: true}
	got, err := s.PutEnrolRule(ctx, want)
	want.Version = 1
	if err != nil || got != want {
		t.Fatalf("put %+v, %v", got, err)
	}
	want.PromptOnSite, want.MayDelay, want.Unenrolled = true, false, sallyport.UnenrolledOther
	got, err = s.PutEnrolRule(ctx, want)
	want.Version = 2
	if err != nil || got != want {
		t.Fatalf("replaced %+v, %v", got, err)
	}
	if got, err := s.EnrolRule(ctx, "pilot"); err != nil || got != want {
		t.Fatalf("read %+v, %v", got, err)
	}
	if list, err := s.EnrolRules(ctx); err != nil || len(list) != 2 || list[0] != want {
		t.Errorf("list %+v, %v", list, err)
	}
	stale := want
	stale.Version = 1
	wantOvertaken(t, second(s.PutEnrolRule(ctx, stale)))
	wantWords(t, second(s.PutEnrolRule(ctx, sallyport.EnrolRule{Name: "STANDARD", Unenrolled: sallyport.UnenrolledOther})), sallyport.CodeConflict, `"Standard"`)
	for _, wrong := range []sallyport.EnrolRule{{Name: "x"}, {Name: "x", Unenrolled: "anything"}, {Unenrolled: sallyport.UnenrolledOther}, {ID: "a b", Name: "x", Unenrolled: sallyport.UnenrolledOther}} {
		wantCode(t, second(s.PutEnrolRule(ctx, wrong)), sallyport.CodeInvalid)
	}
	wantOvertaken(t, s.DeleteEnrolRule(ctx, "pilot", 1))
	must(t, s.DeleteEnrolRule(ctx, "pilot", 2))
	wantCode(t, s.DeleteEnrolRule(ctx, "pilot", 2), sallyport.CodeNotFound)
	_, err = s.EnrolRule(ctx, "pilot")
	wantCode(t, err, sallyport.CodeNotFound)
}

// A user policy belongs to one enrol rule at most, whatever is associated.
func associations(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address).As(chief), t.Context()
	for _, id := range []sallyport.UserPolicyID{"a", "b", "c"} {
		must(t, second(s.PutUserPolicy(ctx, sallyport.UserPolicy{ID: id, Name: string(id)})))
	}
	must(t, second(s.PutEnrolRule(ctx, sallyport.EnrolRule{ID: "other", Name: "Other", Unenrolled: sallyport.UnenrolledOther})))
	want := func(rules, live string) {
		t.Helper()
		list, err := s.UserPolicies(ctx)
		must(t, err)
		var gotRules, gotLive []string
		for _, p := range list {
			gotRules = append(gotRules, string(p.ID)+":"+string(p.EnrolRule))
			if p.RemoteAccess {
				gotLive = append(gotLive, string(p.ID))
			}
		}
		if got := strings.Join(gotRules, " "); got != rules {
			t.Errorf("enrol rules %q, want %q", got, rules)
		}
		if got := strings.Join(gotLive, " "); got != live {
			t.Errorf("live %q, want %q", got, live)
		}
	}
	must(t, s.AssociatePolicies(ctx, "standard", []sallyport.UserPolicyID{"a", "b"}))
	want("a:standard b:standard c: default:", "")
	must(t, s.AssociatePolicies(ctx, "other", []sallyport.UserPolicyID{"b", "c"}))
	want("a:standard b:other c:other default:", "")
	must(t, s.AssociateWorkflow(ctx, []sallyport.UserPolicyID{"a", "b"}))
	must(t, s.AssociatePolicies(ctx, "other", []sallyport.UserPolicyID{"c"}))
	want("a:standard b: c:other default:", "a b")
	must(t, s.AssociateWorkflow(ctx, nil))
	want("a:standard b: c:other default:", "")
	wantCode(t, s.AssociatePolicies(ctx, "nothing", nil), sallyport.CodeNotFound)
	wantCode(t, s.AssociatePolicies(ctx, "other", []sallyport.UserPolicyID{"a", "nothing"}), sallyport.CodeNotFound)
	wantCode(t, s.AssociateWorkflow(ctx, []sallyport.UserPolicyID{"a", "nothing"}), sallyport.CodeNotFound)
	want("a:standard b: c:other default:", "")
	wantWords(t, s.DeleteEnrolRule(ctx, "other", 1), sallyport.CodeConflict, `"c"`)
	r := lastRecord(t, s, "user policy.change")
	if before, after := decode[sallyport.UserPolicy](t, r.Before), decode[sallyport.UserPolicy](t, r.After); before.RemoteAccess == after.RemoteAccess || before.Version+1 != after.Version {
		t.Errorf("recorded %+v, %+v", before, after)
	}
	p, err := s.UserPolicy(ctx, "a")
	must(t, err)
	p.Version-- // as somebody saw it before it was associated
	wantOvertaken(t, second(s.PutUserPolicy(ctx, p)))
}

func assignmentRules(t *testing.T, e Engine) {
	s, ctx := hospital(t, e).As(chief), t.Context()
	must(t, second(s.PutUserPolicy(ctx, sallyport.UserPolicy{ID: "pilot", Name: "Pilot"})))
	rule := func(dn string, policy sallyport.UserPolicyID) sallyport.AssignmentRule {
		return sallyport.AssignmentRule{Domain: "hospital", Policy: policy, Object: sallyport.DirectoryObject{Kind: sallyport.ObjectOU, DN: dn}}
	}
	want := []sallyport.AssignmentRule{rule("OU=z,DC=a", "pilot"), rule("OU=a,DC=a", "default"), rule("OU=m,DC=a", "pilot")}
	if !raises(t, s, func(ctx context.Context) error { return s.SetAssignmentRules(ctx, want, 1) }) {
		t.Error("rules left the revision alone")
	}
	got, version, err := s.AssignmentRules(ctx)
	if err != nil || version != 2 || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %d, %v", got, version, err)
	}
	for _, stale := range []int64{0, 1, 3} {
		wantOvertaken(t, s.SetAssignmentRules(ctx, nil, stale))
	}
	if r := lastRecord(t, s, "assignment rules.change"); !reflect.DeepEqual(decode[[]sallyport.AssignmentRule](t, r.After), want) {
		t.Errorf("recorded %s", r.After)
	}
	wantWords(t, s.SetAssignmentRules(ctx, append(want, rule("OU=q", "nothing")), 2), sallyport.CodeConflict, "rule 4")
	for _, wrong := range [][]sallyport.AssignmentRule{
		{rule("", "pilot")}, {rule("everybody", "pilot")}, {rule("OU=a", "")}, {rule("OU=a", "pilot"), rule("OU=a", "default")},
		{{Domain: "hospital", Policy: "pilot", Object: sallyport.DirectoryObject{Kind: "user", DN: "CN=a"}}},
		make([]sallyport.AssignmentRule, 1001),
	} {
		wantCode(t, s.SetAssignmentRules(ctx, wrong, 2), sallyport.CodeInvalid)
	}
	if got, version, err := s.AssignmentRules(ctx); err != nil || version != 2 || len(got) != 3 {
		t.Errorf("after refusals: %+v, %d, %v", got, version, err)
	}
}

func licences(t *testing.T, e Engine) {
	s, ctx := hospital(t, e), t.Context()
	want := func(used, total int) {
		t.Helper()
		if u, n, err := s.Licences(ctx); err != nil || u != used || n != total {
			t.Errorf("%d of %d licences, %v; want %d of %d", u, n, err, used, total)
		}
	}
	want(0, 0)
	off := person("C", "carol")
	off.State = sallyport.UserDisabled
	apply(t, s, person("A", "alice"), person("B", "bob"), off, person("D", "dave"))
	apply(t, s, gone("D"))
	must(t, s.SetSetting(ctx, "licences", "100"))
	want(2, 100)
	must(t, second(s.PutUserPolicy(ctx, sallyport.UserPolicy{ID: "free", Name: "Free"})))
	must(t, second(s.AssignPolicy(ctx, store.UserQuery{Text: "alice"}, "free", sallyport.PolicyByHand)))
	want(1, 100)
	must(t, s.SetSetting(ctx, "licences", "many"))
	_, _, err := s.Licences(ctx)
	wantCode(t, err, sallyport.CodeInvalid)
}
