package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func usersApplied(t *testing.T, e Engine) {
	s, ctx := hospital(t, e).As(chief), t.Context()
	must(t, second(s.PutUserPolicy(ctx, sallyport.UserPolicy{ID: "pilot", Name: "Pilot"})))
	a, b := person("A", "alice"), person("B", "bob")
	b.Policy, b.State = "pilot", sallyport.UserDisabled
	if got, want := apply(t, s, a, b, gone("nobody")), (store.Applied{Added: 2, Unchanged: 1}); got != want {
		t.Errorf("added: %+v", got)
	}
	got := userOf(t, s, "A")
	want := sallyport.User{ID: got.ID, Domain: "hospital", GUID: a.GUID, Account: alice, UPN: a.UPN, DN: a.DN, DisplayName: a.DisplayName, Mail: a.Mail,
		State: sallyport.UserActive, Policy: "default", PolicyFrom: sallyport.PolicyByDefault, Created: start, Synchronised: start, Version: 1}
	if got != want || !sallyport.ValidID(string(got.ID)) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if u := userOf(t, s, "B"); u.State != sallyport.UserDisabled || u.Policy != "pilot" || u.PolicyFrom != sallyport.PolicyByRule {
		t.Errorf("by a rule: %+v", u)
	}
	for name, read := range map[string]func() (sallyport.User, error){
		"id":      func() (sallyport.User, error) { return s.User(ctx, want.ID) },
		"account": func() (sallyport.User, error) { return s.UserByAccount(ctx, alice) },
	} {
		if u, err := read(); err != nil || u != want {
			t.Errorf("by %s: %+v, %v", name, u, err)
		}
	}
	if raises(t, s, func(context.Context) error { apply(t, s, a, b); return nil }) {
		t.Error("a batch without changes raised the revision")
	}
	a.Mail, b.Policy = "", ""
	if got, want := apply(t, s, a, b), (store.Applied{Changed: 2}); got != want {
		t.Errorf("changed: %+v", got)
	}
	if u := userOf(t, s, "B"); u.Policy != "default" || u.PolicyFrom != sallyport.PolicyByDefault || u.Version != 2 {
		t.Errorf("no rule fits any more: %+v", u)
	}
	if got, want := apply(t, s, gone("A"), b), (store.Applied{Removed: 1, Unchanged: 1}); got != want {
		t.Errorf("removed: %+v", got)
	}
	if u := userOf(t, s, "A"); u.State != sallyport.UserRemoved || u.Account != alice || u.DisplayName != a.DisplayName {
		t.Errorf("a removed user: %+v", u)
	}
	if got, want := apply(t, s, a), (store.Applied{Changed: 1}); got != want {
		t.Errorf("come back: %+v", got)
	}
	if u := userOf(t, s, "A"); u.ID != want.ID || u.State != sallyport.UserActive {
		t.Errorf("come back: %+v", u)
	}
	for name, read := range map[string]func() (sallyport.User, error){
		"id": func() (sallyport.User, error) { return s.User(ctx, "nobody") }, "account": func() (sallyport.User, error) { return s.UserByAccount(ctx, `hospital\nobody`) },
		"GUID": func() (sallyport.User, error) { return s.UserByGUID(ctx, "other", a.GUID) },
	} {
		if _, err := read(); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
			t.Errorf("nobody by %s: %v", name, err)
		}
	}
}

// A batch has one record in the audit trail, which tells of everybody it changed.
func usersRecorded(t *testing.T, e Engine) {
	s := hospital(t, e).As(chief)
	apply(t, s, person("A", "alice"), person("B", "bob"), person("C", "carol"))
	c := person("C", "carla")
	c.DisplayName = "Carol Example"
	apply(t, s, person("A", "alice"), gone("B"), c)
	r := lastRecord(t, s, "users.synchronise")
	got := decode[struct {
		Added, Changed, Renamed, Removed, Unchanged int
		Users                                       []struct {
			ID           sallyport.UserID
			Account, Was sallyport.AccountName
			What         string
			Fields       []string
		}
	}](t, r.After)
	if r.Actor.Name != chief.Name || r.Object != "hospital.example" || r.ObjectID != "hospital" || got.Renamed != 1 || got.Changed != 1 || got.Removed != 1 || got.Unchanged != 1 || len(got.Users) != 2 {
		t.Fatalf("recorded %+v: %s", r, r.After)
	}
	if u := got.Users[0]; u.What != "removed" || u.Account != bob || !reflect.DeepEqual(u.Fields, []string{"state"}) {
		t.Errorf("removed: %+v", u)
	}
	if u := got.Users[1]; u.What != "renamed" || u.Account != `hospital\carla` || u.Was != `hospital\carol` || !reflect.DeepEqual(u.Fields, []string{"account", "upn", "dn", "mail"}) {
		t.Errorf("renamed: %+v", u)
	}
}

// A batch that is wrong changes nothing; what a directory may well hold is taken.
func usersRefused(t *testing.T, e Engine) {
	s, ctx := hospital(t, e), t.Context()
	for name, spoil := range map[string]func(*store.UserChange){
		"no GUID":           func(c *store.UserChange) { c.GUID = "" },
		"GUID in capitals":  func(c *store.UserChange) { c.GUID = strings.Repeat("AB", 16) },
		"long GUID":         func(c *store.UserChange) { c.GUID += "ab" },
		"state":             func(c *store.UserChange) { c.State = "ill" },
		"no account":        func(c *store.UserChange) { c.Account = "" },
		"account in caps":   func(c *store.UserChange) { c.Account = `HOSPITAL\bob` },
		"long account":      func(c *store.UserChange) { c.Account = sallyport.AccountName(strings.Repeat("x", 201)) },
		"no DN":             func(c *store.UserChange) { c.DN = "" },
		"policy that is no": func(c *store.UserChange) { c.Policy = "a/b" },
		"GUID twice":        func(c *store.UserChange) { c.GUID = guidOf("A") },
		"account twice":     func(c *store.UserChange) { c.Account = alice },
	} {
		c := person("B", "bob")
		spoil(&c)
		if _, err := s.ApplyUsers(ctx, "hospital", []store.UserChange{person("A", "alice"), c}); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c := person("B", "bob")
	c.Policy = "unknown"
	wantCode(t, second(s.ApplyUsers(ctx, "hospital", []store.UserChange{person("A", "alice"), c})), sallyport.CodeConflict)
	wantCode(t, second(s.ApplyUsers(ctx, "hospital", make([]store.UserChange, 1001))), sallyport.CodeInvalid)
	wantCode(t, second(s.ApplyUsers(ctx, "nowhere", []store.UserChange{c})), sallyport.CodeNotFound)
	if got := accounts(t, s, store.UserQuery{}); got != "" {
		t.Errorf("users after refusals: %q", got)
	}
	c = store.UserChange{GUID: guidOf("B"), State: sallyport.UserActive, Account: bob, DN: "what\x00ever",
		DisplayName: " Bob\t" + strings.Repeat("ß", 300), Mail: strings.Repeat("m", 321), UPN: "bob\n@hospital.example"}
	apply(t, s, c)
	if u := userOf(t, s, "B"); u.Mail != "" || u.UPN != "" || u.DN != "what ever" || !strings.HasPrefix(u.DisplayName, "Bob ß") || len(u.DisplayName) > 256 {
		t.Errorf("strange texts: %+v", u)
	}
	if got := apply(t, s, c); got.Unchanged != 1 {
		t.Errorf("the same again: %+v", got)
	}
}

// found has four users in two OUs, one of them disabled and one with a device, and a removed one.
func found(t *testing.T, e Engine) *store.Store {
	t.Helper()
	s := hospital(t, e)
	a, b, c, d := person("A", "alice"), person("B", "bob"), person("C", "carol"), person("D", "dave")
	a.DisplayName, a.DN = "Müller-Lüdenscheidt, Alice", "CN=Alice,OU=Nurses,OU=Staff,DC=hospital,DC=example"
	b.DisplayName, b.DN = "O'Brien, Bob", `CN=O\27Brien\, Bob,OU=Doctors,OU=Staff,DC=hospital,DC=example`
	c.DisplayName, c.DN, c.State = "Zoë Ålund", "CN=Zoe, OU=DOCTORS , ou=staff,dc=Hospital,dc=example", sallyport.UserDisabled
	d.DisplayName, d.DN, d.Mail = "", "CN=dave,OU=NursesOfOthers,OU=Staff,DC=hospital,DC=example", "Dave.Straße@mail.example"
	apply(t, s, a, b, c, d, person("E", "erin"))
	apply(t, s, gone("E"))
	must(t, s.PutDevice(t.Context(), NewDevice("phone", bob)))
	return s
}

func usersFound(t *testing.T, e Engine) {
	s, ctx := found(t, e), atLeisure(t)
	must(t, second(s.PutUserPolicy(ctx, sallyport.UserPolicy{ID: "pilot", Name: "Pilot"})))
	must(t, second(s.AssignPolicy(ctx, store.UserQuery{Text: "alice"}, "pilot", sallyport.PolicyByHand)))
	yes, no := true, false
	ids := []sallyport.UserID{userOf(t, s, "A").ID, userOf(t, s, "D").ID, userOf(t, s, "E").ID}
	for _, c := range []struct {
		q    store.UserQuery
		want string
	}{
		{store.UserQuery{}, "dave alice bob carol"},
		{store.UserQuery{State: sallyport.UserActive}, "dave alice bob"},
		{store.UserQuery{State: sallyport.UserDisabled}, "carol"},
		{store.UserQuery{State: sallyport.UserRemoved}, "erin"},
		{store.UserQuery{Domain: "hospital"}, "dave alice bob carol"},
		{store.UserQuery{Domain: "clinic"}, ""},
		{store.UserQuery{Policy: "pilot"}, "alice"},
		{store.UserQuery{Policy: "default"}, "dave bob carol"},
		{store.UserQuery{Enrolled: &yes}, "bob"},
		{store.UserQuery{Enrolled: &no}, "dave alice carol"},
		{store.UserQuery{OU: "OU=Staff,DC=hospital,DC=example"}, "dave alice bob carol"},
		{store.UserQuery{OU: "ou=nurses, ou=STAFF, dc=hospital, dc=example"}, "alice"},
		{store.UserQuery{OU: "OU=Doctors,OU=Staff,DC=hospital,DC=example"}, "bob carol"},
		{store.UserQuery{OU: "OU=Doc,OU=Staff,DC=hospital,DC=example"}, ""},
		{store.UserQuery{IDs: ids}, "dave alice"},
		{store.UserQuery{IDs: ids, State: sallyport.UserRemoved}, "erin"},
		{store.UserQuery{IDs: []sallyport.UserID{}}, ""},
		{store.UserQuery{Text: "mull"}, "alice"},
		{store.UserQuery{Text: "MÜLLER-LÜD"}, "alice"},
		{store.UserQuery{Text: "ludenscheidt"}, "alice"},
		{store.UserQuery{Text: "brien b"}, "bob"},
		{store.UserQuery{Text: "o'br"}, "bob"},
		{store.UserQuery{Text: "bob, alice"}, ""},
		{store.UserQuery{Text: "alund zoe"}, "carol"},
		{store.UserQuery{Text: `Hospital\da`}, "dave"},
		{store.UserQuery{Text: "dave@HOSPITAL"}, "dave"},
		{store.UserQuery{Text: "dave.strasse@mail"}, "dave"},
		{store.UserQuery{Text: "strasse"}, "dave"},
		{store.UserQuery{Text: "ave"}, ""},
		{store.UserQuery{Text: "%"}, ""},
		{store.UserQuery{Text: "a%"}, "alice carol"},
		{store.UserQuery{Text: " "}, ""},
		{store.UserQuery{Text: "o", State: sallyport.UserActive}, "bob"},
		{store.UserQuery{Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{"pilot", "gone"}}}, "alice"},
		{store.UserQuery{Scope: sallyport.Scope{OUs: []string{"OU=Nurses,OU=Staff,DC=hospital,DC=example", "OU=x,DC=y"}}}, "alice"},
		{store.UserQuery{Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{"pilot"}, OUs: []string{"OU=Doctors,OU=Staff,DC=hospital,DC=example"}}}, "alice bob carol"},
		{store.UserQuery{Text: "bob", Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{"pilot"}}}, ""},
		{store.UserQuery{IDs: ids, Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{"pilot"}}}, "alice"},
		{store.UserQuery{OU: "OU=Staff,DC=hospital,DC=example", Scope: sallyport.Scope{OUs: []string{"OU=Doctors,OU=Staff,DC=hospital,DC=example"}}}, "bob carol"},
	} {
		if got := accounts(t, s, c.q); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
		}
	}
	many := sallyport.Scope{}
	for n := range 999 {
		many.OUs = append(many.OUs, fmt.Sprintf("OU=%d,DC=hospital,DC=example", n))
	}
	many.OUs = append(many.OUs, "OU=Nurses,OU=Staff,DC=hospital,DC=example")
	if got := accounts(t, s, store.UserQuery{Scope: many}); got != "alice" {
		t.Errorf("a scope of 1,000 OUs: %q", got)
	}
	for name, wrong := range map[string]store.UserQuery{
		"state": {State: "ill"}, "domain": {Domain: "a b"}, "policy": {Policy: "a b"}, "OU": {OU: "Staff"}, "scope": {Scope: sallyport.Scope{OUs: []string{"Staff"}}},
		"policy of scope": {Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{""}}}, "big scope": {Scope: sallyport.Scope{OUs: append(many.OUs, "OU=a")}},
		"user": {IDs: []sallyport.UserID{"a b"}}, "many users": {IDs: make([]sallyport.UserID, 1001)}, "page": {Most: 1001}, "negative page": {Most: -1},
		"mark": {After: "!"}, "another mark": {After: "YQ"}, "long text": {Text: strings.Repeat("x", 1000)}, "many words": {Text: "a b c d e f g h i"},
	} {
		if _, err := s.Users(ctx, wrong); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Pages hold everybody once, in the order of the names; how many users a query means changes how they
// are looked for, not which.
func usersPaged(t *testing.T, e Engine) {
	s, ctx := hospital(t, e), atLeisure(t)
	const many = 2300 // more than are looked up first
	var batch []store.UserChange
	for n := range many {
		c := person(fmt.Sprint(n), fmt.Sprintf("user%04d", n))
		c.DisplayName = fmt.Sprintf("Same %c", 'A'+n%3)
		c.DN = fmt.Sprintf("CN=%d,OU=%d,OU=Staff,DC=hospital,DC=example", n, n%2)
		if batch = append(batch, c); len(batch) == 1000 || n == many-1 {
			apply(t, s, batch...)
			batch = nil
		}
	}
	for name, c := range map[string]struct {
		q    store.UserQuery
		want int
	}{
		"all":            {store.UserQuery{Most: 1000}, many},
		"common word":    {store.UserQuery{Most: 999, Text: "same"}, many},
		"two words":      {store.UserQuery{Most: 100, Text: "same b"}, (many + 1) / 3},
		"common OU":      {store.UserQuery{Most: 1000, OU: "OU=Staff,DC=hospital,DC=example"}, many},
		"OU and word":    {store.UserQuery{Most: 1000, OU: "OU=1,OU=Staff,DC=hospital,DC=example", Text: "same"}, many / 2},
		"common scope":   {store.UserQuery{Most: 1000, Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{"default"}, OUs: []string{"OU=1,OU=Staff,DC=hospital,DC=example"}}}, many},
		"scope and word": {store.UserQuery{Most: 1000, Scope: sallyport.Scope{OUs: []string{"OU=1,OU=Staff,DC=hospital,DC=example"}}, Text: "user"}, many / 2},
	} {
		last, seen := "", 0
		for {
			page, err := s.Users(ctx, c.q)
			must(t, err)
			if page.Total != c.want {
				t.Fatalf("%s: total %d, want %d", name, page.Total, c.want)
			}
			for _, u := range page.Users {
				place := u.DisplayName + " " + string(u.ID)
				if place <= last {
					t.Fatalf("%s: %q comes after %q", name, place, last)
				}
				last = place
				seen++
			}
			if c.q.After = page.Next; page.Next == "" {
				break
			}
		}
		if seen != c.want {
			t.Errorf("%s: %d on the pages, want %d", name, seen, c.want)
		}
		each := 0
		c.q.After = ""
		must(t, s.EachUser(ctx, c.q, func(sallyport.User) error { each++; return nil }))
		if each != c.want {
			t.Errorf("%s: each of %d, want %d", name, each, c.want)
		}
	}
	enough := errors.New("enough")
	if err := s.EachUser(ctx, store.UserQuery{}, func(sallyport.User) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("stopped with %v", err)
	}
}

func policyAssigned(t *testing.T, e Engine) {
	s, ctx := found(t, e).As(chief), t.Context()
	must(t, second(s.PutUserPolicy(ctx, sallyport.UserPolicy{ID: "pilot", Name: "Pilot"})))
	assign := func(q store.UserQuery, policy sallyport.UserPolicyID, from sallyport.PolicySource, want int) {
		t.Helper()
		if n, err := s.AssignPolicy(ctx, q, policy, from); err != nil || n != want {
			t.Errorf("%+v: %d, %v; want %d", q, n, err, want)
		}
	}
	doctors := store.UserQuery{OU: "OU=Doctors,OU=Staff,DC=hospital,DC=example", Most: 1}
	assign(doctors, "pilot", sallyport.PolicyByHand, 2)
	if raises(t, s, func(context.Context) error { assign(doctors, "pilot", sallyport.PolicyByHand, 0); return nil }) {
		t.Error("an assignment without changes raised the revision")
	}
	assign(store.UserQuery{IDs: []sallyport.UserID{userOf(t, s, "A").ID, userOf(t, s, "E").ID}}, "pilot", sallyport.PolicyByRule, 1)
	assign(store.UserQuery{IDs: []sallyport.UserID{}}, "pilot", sallyport.PolicyByHand, 0)
	assign(store.UserQuery{Text: "-"}, "pilot", sallyport.PolicyByHand, 0)
	assign(store.UserQuery{IDs: []sallyport.UserID{userOf(t, s, "D").ID}, Scope: sallyport.Scope{Policies: []sallyport.UserPolicyID{"pilot"}}}, "pilot", sallyport.PolicyByHand, 0)
	if got := accounts(t, s, store.UserQuery{Policy: "pilot"}); got != "alice bob carol" {
		t.Errorf("users of the policy: %q", got)
	}
	if u := userOf(t, s, "B"); u.PolicyFrom != sallyport.PolicyByHand || u.Version != 2 {
		t.Errorf("by hand: %+v", u)
	}
	// A rule takes back what a rule gave, and leaves alone what was given by hand.
	apply(t, s, person("A", "alice"), person("B", "bob"))
	if got := accounts(t, s, store.UserQuery{Policy: "pilot"}); got != "bob carol" {
		t.Errorf("users of the policy after a synchronisation: %q", got)
	}
	type shown struct {
		Users int
		Had   map[string]int
		Who   map[string]struct{ Policy, From string }
		Query struct{ OU string }
	}
	page, err := s.AuditRecords(ctx, store.AuditQuery{Action: "user.assign policy"})
	if err != nil || len(page.Records) != 2 {
		t.Fatalf("%d records, %v", len(page.Records), err)
	}
	before, after := decode[shown](t, page.Records[1].Before), decode[shown](t, page.Records[1].After)
	if before.Had["default"] != 2 || before.Who[string(bob)].Policy != "default" || after.Users != 2 || after.Query.OU != doctors.OU || page.Records[1].ObjectID != "pilot" {
		t.Errorf("recorded %s, %s", page.Records[1].Before, page.Records[1].After)
	}
	wantCode(t, second(s.AssignPolicy(ctx, doctors, "nothing", sallyport.PolicyByHand)), sallyport.CodeNotFound)
	wantCode(t, second(s.AssignPolicy(ctx, doctors, "pilot", "whim")), sallyport.CodeInvalid)
	wantCode(t, second(s.AssignPolicy(ctx, store.UserQuery{OU: "x"}, "pilot", sallyport.PolicyByHand)), sallyport.CodeInvalid)
}

func secondFactorRequired(t *testing.T, e Engine) {
	s, ctx := hospital(t, e).As(chief), t.Context()
	apply(t, s, person("A", "alice"))
	id := userOf(t, s, "A").ID
	require := func(at time.Duration, want time.Duration, version int64) {
		t.Helper()
		must(t, s.RequireSecondFactor(ctx, id, start.Add(at)))
		if u := userOf(t, s, "A"); !u.SecondFactorSince.Equal(start.Add(want)) || u.Version != version {
			t.Errorf("required since %v: %+v", at, u)
		}
	}
	require(0, 0, 2)
	require(time.Hour, time.Hour, 3)
	require(time.Minute, time.Hour, 3) // never back
	if r := lastRecord(t, s, "user.require second factor"); !decode[sallyport.User](t, r.After).SecondFactorSince.Equal(start.Add(time.Hour)) || r.Object != string(alice) {
		t.Errorf("recorded %s", r.After)
	}
	apply(t, s, person("A", "anna"))
	require(time.Minute, time.Hour, 4)
	wantCode(t, s.RequireSecondFactor(ctx, "nobody", start), sallyport.CodeNotFound)
	wantCode(t, s.RequireSecondFactor(ctx, id, time.Time{}), sallyport.CodeInvalid)
}
