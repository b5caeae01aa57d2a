package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	aliceGUID = "00112233445566778899aabbccddeeff"
	aliceName = sallyport.AccountName(`hospital\alice`)
)

// withAlice opens a database with a domain, in which alice is somebody with the default policy.
func withAlice(t *testing.T, e Engine) *store.Store {
	t.Helper()
	return withAliceAt(t, e.Fresh(t))
}

func withAliceAt(t *testing.T, address string) *store.Store {
	t.Helper()
	s := Open(t, address)
	_, err := s.PutDomain(t.Context(), sallyport.Domain{ID: "d1", Name: "hospital.example", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://dc1.hospital.example"},
		BindName: "svc@hospital.example", BindPassword: "a service password"})
	must(t, err)
	_, err = s.ApplyUsers(t.Context(), "d1", []store.UserChange{{GUID: aliceGUID, State: sallyport.UserActive, Account: aliceName,
		DN: "CN=alice,DC=hospital,DC=example", DisplayName: "Alice Archer", Mail: "alice@hospital.example"}})
	must(t, err)
	return s
}

func standingInOneRead(t *testing.T, e Engine) {
	s := withAlice(t, e)
	ctx := t.Context()
	older, newer := NewDevice("older", aliceName), NewDevice("newer", aliceName)
	newer.Enrolled = older.Enrolled.Add(time.Hour)
	must(t, s.PutDevice(ctx, older))
	must(t, s.PutDevice(ctx, newer))
	must(t, s.PutDevice(ctx, NewDevice("other", `hospital\bob`)))
	must(t, s.IssueTemporaryCode(ctx, sallyport.TemporaryCode{ID: "t0", Account: aliceName, Issued: start, Expires: start.Add(time.Hour), By: "helga"}, "11111111"))
	must(t, s.IssueTemporaryCode(ctx, sallyport.TemporaryCode{ID: "t1", Account: aliceName, Issued: start, Expires: start.Add(time.Hour), By: "helga"}, "12345678"))
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{
		{ID: "l1", Time: start, Account: aliceName, Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodPush},
		{ID: "l2", Time: start.Add(time.Minute), Account: aliceName, Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodCode},
		{ID: "l3", Time: start.Add(2 * time.Minute), Account: aliceName, Outcome: sallyport.OutcomeDenied, Method: sallyport.MethodPush},
		{ID: "l4", Time: start.Add(3 * time.Minute), Account: `hospital\bob`, Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodSMS},
	}, nil))
	must(t, s.AddPhone(ctx, NewPhone(3, `hospital\bob`)))
	must(t, s.AddPhone(ctx, NewPhone(4, `hospital\bob`)))
	want, err := s.UserByAccount(ctx, aliceName)
	must(t, err)
	at, err := s.Revision(ctx)
	must(t, err)

	got, revision, err := s.AccountStanding(ctx, aliceName)
	must(t, err)
	if revision != at {
		t.Errorf("revision %d, want %d", revision, at)
	}
	if got.User == nil || *got.User != want {
		t.Errorf("user %+v, want %+v", got.User, want)
	}
	if got.Has.Apps != 2 || got.Has.Phones != 0 || got.Has.Last != sallyport.MethodCode {
		t.Errorf("has %+v", got.Has)
	}
	devices, err := s.Devices(ctx, aliceName)
	must(t, err)
	if len(got.Devices) != 2 || got.Devices[0].ID != newer.ID || string(got.Devices[0].Seed) != string(devices[0].Seed) || string(got.Devices[1].DetailsKey) != string(devices[1].DetailsKey) {
		t.Errorf("devices %+v", got.Devices)
	}
	if codes := got.Has.TemporaryCodes; len(codes) != 1 || codes[0].ID != "t1" || codes[0].By != "helga" || !codes[0].Expires.Equal(start.Add(time.Hour)) || !codes[0].Good(start) {
		t.Errorf("temporary codes %+v", codes)
	}
	got, _, err = s.AccountStanding(ctx, `hospital\nobody`)
	must(t, err)
	if got.User != nil || got.Devices != nil || got.Has.Apps != 0 || got.Has.TemporaryCodes != nil || got.Has.Last != "" {
		t.Errorf("of nobody: %+v", got)
	}
	got, _, err = s.AccountStanding(ctx, `hospital\bob`) // not in the list, but enrolled once
	must(t, err)
	if got.User != nil || got.Has.Apps != 1 || got.Has.Phones != 2 || len(got.Devices) != 1 {
		t.Errorf("of bob: %+v", got)
	}
	_, _, err = s.AccountStanding(ctx, "")
	wantCode(t, err, sallyport.CodeInvalid)
}

// standingHasARevision holds what the appliance relies on that keeps standings in memory: who sees the same revision
// sees the same standing.
func standingHasARevision(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, other := withAliceAt(t, address), Open(t, address)
	ctx := t.Context()
	tokens := importTokens(t, s, NewOTPToken("FT-1"))
	read := func() (text string, revision int64) {
		t.Helper()
		standing, revision, err := s.AccountStanding(ctx, aliceName)
		must(t, err)
		last, same, err := s.AccountNow(ctx, aliceName)
		must(t, err)
		if last != standing.Has.Last || same != revision {
			t.Errorf("now %q as of %d, standing %q as of %d", last, same, standing.Has.Last, revision)
		}
		standing.Has.Last = ""
		return fmt.Sprintf("%+v %+v %+v", standing, standing.User, standing.Devices), revision
	}
	before, at := read()
	code := sallyport.TemporaryCode{ID: "t1", Account: aliceName, Issued: start, Expires: start.Add(time.Hour), By: "helga"}
	for _, step := range []struct {
		what string
		do   func() error // by another appliance
	}{
		{"a device", func() error { return other.PutDevice(ctx, NewDevice("phone", aliceName)) }},
		{"a phone number", func() error { return other.AddPhone(ctx, NewPhone(1, aliceName)) }},
		{"a passkey", func() error { return other.AddUserPasskey(ctx, NewPasskey(1, aliceName)) }},
		{"a copied passkey", func() error { return other.EndCopiedPasskey(ctx, aliceName, "k1", "copied", start) }},
		{"an OTP token", func() error {
			_, err := other.AssignOTPToken(ctx, tokens["FT-1"].ID, tokens["FT-1"].Version, aliceName)
			return err
		}},
		{"a PIN", func() error { return other.SetOTPPIN(ctx, NewOTPPIN(aliceName)) }},
		{"a temporary code", func() error { return other.IssueTemporaryCode(ctx, code, "12345678") }},
		{"the end of it", func() error {
			_, err := other.EndTemporaryCodes(ctx, aliceName, sallyport.EndedByUsualLogin, start)
			return err
		}},
		{"another name", func() error {
			_, err := other.ApplyUsers(ctx, "d1", []store.UserChange{{GUID: aliceGUID, State: sallyport.UserActive, Account: aliceName,
				DN: "CN=alice,DC=hospital,DC=example", DisplayName: "Alice Baker", Mail: "alice@hospital.example"}})
			return err
		}},
		{"a policy", func() error {
			if _, err := other.PutUserPolicy(ctx, sallyport.UserPolicy{ID: "pilot", Name: "Pilot"}); err != nil {
				return err
			}
			_, err := other.AssignPolicy(ctx, store.UserQuery{}, "pilot", sallyport.PolicyByHand)
			return err
		}},
		{"no passkey", func() error { return other.DeleteUserPasskey(ctx, aliceName, "k1") }},
		{"no phone number", func() error { return other.DeletePhone(ctx, aliceName, NewPhone(1, aliceName).ID) }},
		{"no PIN", func() error { return other.DeleteOTPPIN(ctx, aliceName) }},
	} {
		must(t, step.do())
		after, later := read()
		if after == before || later <= at {
			t.Errorf("%s: the standing changed: %v; the revision went from %d to %d", step.what, after != before, at, later)
		}
		before, at = after, later
	}
	must(t, other.RecordLogins(ctx, []sallyport.LoginRecord{{ID: "l1", Time: start, Account: aliceName, Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodSMS}}, nil))
	last, same, err := s.AccountNow(ctx, aliceName)
	if err != nil || last != sallyport.MethodSMS || same != at {
		t.Errorf("last login by %q, revision %d, %v", last, same, err)
	}
	_, _, err = s.AccountNow(ctx, "")
	wantCode(t, err, sallyport.CodeInvalid)
}

func activityTogether(t *testing.T, e Engine) {
	s := Open(t, e.Fresh(t))
	ctx := t.Context()
	count := func() string {
		t.Helper()
		logins, err := s.Logins(ctx, store.LoginQuery{})
		must(t, err)
		_, events, err := s.LoginBySupportCode(ctx, "ABCD-EFGH")
		if sallyport.ErrorCode(err) != sallyport.CodeNotFound {
			must(t, err)
		}
		requests, err := s.RADIUSRequests(ctx, store.RADIUSQuery{})
		must(t, err)
		decisions := 0
		must(t, s.EachAuditRecord(ctx, store.AuditQuery{Action: "login."}, func(sallyport.AuditRecord) error { decisions++; return nil }))
		return fmt.Sprintf("%d logins, %d events, %d decisions, %d requests", len(logins.Logins), len(events), decisions, len(requests.Requests))
	}
	write := func(n int, heard time.Time) error {
		at := start.Add(time.Duration(n) * time.Minute)
		return s.RecordActivity(ctx, []sallyport.LoginRecord{{ID: fmt.Sprint("l", n), Time: at, SupportCode: "ABCD-EFGH", Outcome: sallyport.OutcomeGranted}},
			[]sallyport.LoginEvent{{SupportCode: "ABCD-EFGH", Time: at, Step: 5}}, []sallyport.AuditRecord{{Time: at, Action: "login.granted"}},
			[]sallyport.RADIUSActivity{{Time: heard, Source: "192.0.2.1:4000", Outcome: sallyport.RADIUSAccepted}})
	}
	for n := range 3 { // the second and third time by statements that are prepared
		must(t, write(n, start.Add(time.Duration(n)*time.Minute)))
	}
	if got := count(); got != "3 logins, 3 events, 3 decisions, 3 requests" {
		t.Error(got)
	}
	wantCode(t, write(3, time.Time{}), sallyport.CodeInvalid)
	wantCode(t, s.RecordActivity(ctx, []sallyport.LoginRecord{{ID: "l4", Time: start}}, nil, make([]sallyport.AuditRecord, 1001), nil), sallyport.CodeInvalid)
	if got := count(); got != "3 logins, 3 events, 3 decisions, 3 requests" {
		t.Errorf("of what was refused, something was written: %s", got)
	}
	found, err := s.VerifyAudit(ctx, nil)
	if err != nil || found != nil {
		t.Errorf("the trail: %v, %v", found, err)
	}
}

func loginPolicies(t *testing.T, e Engine) {
	s := withAlice(t, e)
	ctx := t.Context()
	p, revision, err := s.LoginPolicies(ctx)
	must(t, err)
	at, err := s.Revision(ctx)
	must(t, err)
	if revision != at || len(p.User) != 1 || len(p.Rules) != 1 || !p.Workflow.NumberMatching || p.Licences != (sallyport.Licences{Used: 1}) {
		t.Errorf("of a new database: %d, %+v", revision, p)
	}
	must(t, s.AssociatePolicies(ctx, "standard", []sallyport.UserPolicyID{"default"}))
	must(t, s.AssociateWorkflow(ctx, []sallyport.UserPolicyID{"default"}))
	must(t, s.SetSetting(ctx, "licences", "5"))
	p, later, err := s.LoginPolicies(ctx)
	must(t, err)
	if later <= revision || !p.User["default"].RemoteAccess || p.User["default"].EnrolRule != "standard" || p.Rules["standard"].Name != "Standard" || p.Licences != (sallyport.Licences{Used: 1, Total: 5}) {
		t.Errorf("then: %d, %+v", later, p)
	}
	standing, _, err := s.AccountStanding(ctx, aliceName)
	must(t, err)
	if p.Apply(&standing); !standing.Policy.RemoteAccess || standing.Rule == nil || standing.Rule.Unenrolled != sallyport.UnenrolledOther {
		t.Errorf("of alice: %+v", standing)
	}
}

func enrolmentEndsTemporaryCodes(t *testing.T, e Engine) {
	s := withAlice(t, e)
	ctx := t.Context()
	must(t, s.PutDevice(ctx, NewDevice("old", aliceName)))
	issue := func(id string, account sallyport.AccountName) {
		must(t, s.IssueTemporaryCode(ctx, sallyport.TemporaryCode{ID: id, Account: account, Issued: start, Expires: start.Add(time.Hour), By: "helga"}, "12345678"))
	}
	issue("t1", aliceName)
	issue("t2", `hospital\bob`)
	issue("t3", `hospital\carol`)
	must(t, s.AddPhone(ctx, NewPhone(1, `hospital\carol`)))
	if _, ok, err := s.MatchTemporaryCode(ctx, `hospital\carol`, "12345678", start); err != nil || ok {
		t.Errorf("a phone number is enrolled, and the code is good still: %v", err)
	}
	must(t, s.PutDevice(ctx, NewDevice("old", aliceName))) // nothing new
	if _, ok, err := s.MatchTemporaryCode(ctx, aliceName, "12345678", start); err != nil || !ok {
		t.Fatalf("a device that was there before ends the code: %v", err)
	}
	must(t, s.PutDevice(ctx, NewDevice("new", aliceName)))
	if _, ok, err := s.MatchTemporaryCode(ctx, aliceName, "12345678", start); err != nil || ok {
		t.Errorf("the code is good still: %v", err)
	}
	codes, err := s.TemporaryCodes(ctx, aliceName)
	must(t, err)
	if len(codes) != 1 || codes[0].EndedBy != sallyport.EndedByEnrolment {
		t.Errorf("codes %+v", codes)
	}
	if _, ok, err := s.MatchTemporaryCode(ctx, `hospital\bob`, "12345678", start); err != nil || !ok {
		t.Errorf("bob's code ended with alice's: %v", err)
	}
}

func abandonedLogins(t *testing.T, e Engine) {
	s := Open(t, e.Fresh(t))
	ctx := t.Context()
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{
		{ID: "old", Time: start, Outcome: sallyport.OutcomeOpen},
		{ID: "ended", Time: start, Outcome: sallyport.OutcomeDenied},
		{ID: "young", Time: start.Add(time.Hour), Outcome: sallyport.OutcomeOpen},
	}, nil))
	n, err := s.AbandonLogins(ctx, start.Add(time.Minute), start.Add(2*time.Hour))
	must(t, err)
	page, err := s.Logins(ctx, store.LoginQuery{})
	must(t, err)
	got := map[string]sallyport.Outcome{}
	for _, l := range page.Logins {
		got[l.ID] = l.Outcome
	}
	if n != 1 || got["old"] != sallyport.OutcomeAbandoned || got["ended"] != sallyport.OutcomeDenied || got["young"] != sallyport.OutcomeOpen {
		t.Errorf("%d: %v", n, got)
	}
	// Its end was only late in coming.
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{{ID: "old", Time: start, Outcome: sallyport.OutcomeGranted}}, nil))
	page, err = s.Logins(ctx, store.LoginQuery{Outcome: sallyport.OutcomeGranted})
	must(t, err)
	if len(page.Logins) != 1 {
		t.Error("a late end is not taken")
	}
}
