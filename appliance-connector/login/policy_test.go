package login_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

func (w *world) wantToken(s login.State) {
	w.t.Helper()
	w.want(s, sallyport.PromptDone, "")
	if _, err := w.tokens.Check(w.engine.Prompt(s).Token, "vpn", `hospital\alice`, w.now); err != nil {
		w.t.Errorf("gateway token: %v", err)
	}
}

func (w *world) beginAt(id sallyport.LoginID, in sallyport.Integration) login.State {
	w.t.Helper()
	s, err := w.engine.Begin(w.t.Context(), login.Attempt{Login: id, Integration: in, UserName: "Alice", Password: "pw",
		Place: "203.0.113.7", BindStarted: func() error { return nil }})
	check(w.t, err)
	return s
}

// last is how the last login ended.
func (w *world) last() sallyport.LoginRecord { return w.records.logins[len(w.records.logins)-1] }

func TestOnThePasswordAloneThereIsAGatewayTokenAsWell(t *testing.T) {
	for name, change := range map[string]func(*people, *sallyport.Integration){
		"not enrolled, and the enrol rule lets her": func(p *people, _ *sallyport.Integration) {
			p.standing.Rule = &sallyport.EnrolRule{Name: "Grace", Unenrolled: sallyport.UnenrolledPassword}
		},
		"not enrolled, enrolment is offered and may be put off": func(p *people, _ *sallyport.Integration) {
			p.standing.Rule = &sallyport.EnrolRule{Name: "Grace", Unenrolled: sallyport.UnenrolledPassword, PromptAtGateway: true, MayDelay: true}
		},
		"not in the list, and the integration admits her": func(p *people, in *sallyport.Integration) {
			p.standing.User, in.AllowNonLicensed = nil, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			in := vpn
			change(w.people, &in)
			w.wantToken(w.beginAt("l1", in))
			if len(w.pushes) != 0 {
				t.Error("somebody's phone was asked")
			}
			if r := w.last(); r.Outcome != sallyport.OutcomeGranted || r.Method != "" || !strings.Contains(r.Detail, "on the password alone") {
				t.Errorf("recorded: %+v", r)
			}
		})
	}
}

func TestWhoHasEnrolledTheAppNeverGetsInOnThePasswordAlone(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.people.standing.Rule = &sallyport.EnrolRule{Name: "Grace", Unenrolled: sallyport.UnenrolledPassword}
	w.want(w.begin("l1"), sallyport.PromptPush, "")
	w.people.standing.User = nil // even if she falls out of the list, at a gateway that takes everybody
	in := vpn
	in.AllowNonLicensed = true
	w.want(w.beginAt("l2", in), sallyport.PromptPush, "")
	w.people.standing = newPeople(w).standing
	w.people.standing.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndOTP}
	w.want(w.begin("l3"), sallyport.PromptDenied, sallyport.ReasonNotEnrolled)
}

// The engine does what policy says of those who lose the licence: refused, or at an integration that admits them let in on the
// password, unless the app is enrolled.
func TestWhoLosesTheLicence(t *testing.T) {
	open := vpn
	open.AllowNonLicensed = true
	for name, c := range map[string]struct {
		has  func(w *world)
		want sallyport.PromptKind
	}{
		"app":       {func(w *world) { w.enrol("alice") }, sallyport.PromptPush},
		"phone":     {func(w *world) { w.people.standing.Has.Phones = 1 }, sallyport.PromptDone},
		"passkey":   {func(w *world) { w.people.standing.Has.Passkeys = 1 }, sallyport.PromptDone},
		"OTP token": {func(w *world) { w.people.standing.Has.OTP = true }, sallyport.PromptDone},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.outside()
			c.has(w)
			w.people.standing.Policy.Licensed = false
			w.want(w.begin("l1"), sallyport.PromptDenied, sallyport.ReasonNotAllowed)
			w.want(w.beginAt("l2", open), c.want, "")
			if len(o.sent) != 0 || len(w.pushes) == 0 && c.want == sallyport.PromptPush {
				t.Errorf("%d messages, %d pushes", len(o.sent), len(w.pushes))
			}
		})
	}
}

func TestPolicyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*people)
		want   sallyport.Reason
		why    string
	}{
		"not in the list": {func(p *people) { p.standing.User = nil }, sallyport.ReasonNotAllowed, "does not admit users without a licence"},
		"no licence":      {func(p *people) { p.standing.Policy.Licensed = false }, sallyport.ReasonNotAllowed, "does not admit users without a licence"},
		"not live":        {func(p *people) { p.standing.Policy.RemoteAccess = false }, sallyport.ReasonNotAllowed, "does not admit users without a licence"},
		"disabled":        {func(p *people) { p.standing.User.State = sallyport.UserDisabled }, sallyport.ReasonCredentials, "disabled"},
		"has to enrol":    {func(*people) {}, sallyport.ReasonNotEnrolled, "has to enrol"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.want != sallyport.ReasonNotEnrolled {
				w.enrol("alice")
			}
			c.change(w.people)
			w.want(w.begin("l1"), sallyport.PromptDenied, c.want)
			if len(w.pushes) != 0 {
				t.Error("the phone was asked")
			}
			if looksLikeAWrongPassword := w.slept == login.FailureFloor; looksLikeAWrongPassword != (c.want == sallyport.ReasonCredentials) {
				t.Errorf("slept %v", w.slept)
			}
			if r := w.last(); r.Outcome != sallyport.OutcomeDenied || r.Reason != c.want || !strings.Contains(r.Detail, c.why) {
				t.Errorf("recorded: %+v", r)
			}
		})
	}
}

func TestPolicyIsAskedOnlyAfterTheRightPassword(t *testing.T) {
	w := newWorld(t)
	w.state = sallyport.AccountWrongPassword
	w.begin("l1")
	if w.people.read != 0 || len(w.people.admitted) != 0 {
		t.Error("somebody's standing was read for a wrong password")
	}
}

func TestNothingIsDecidedWithoutTheStanding(t *testing.T) {
	w := newWorld(t)
	w.people.err = errors.New("database is away")
	_, err := w.engine.Begin(t.Context(), login.Attempt{Login: "l1", Integration: vpn, UserName: "Alice", Password: "pw", BindStarted: func() error { return nil }})
	if sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestAnAccountThatIsNotInTheListYetIsTakenIntoIt(t *testing.T) {
	for name, gone := range map[string]*sallyport.User{"new": nil, "removed before": {State: sallyport.UserRemoved}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enrol("alice")
			w.people.standing.User, w.people.admits = gone, true
			w.want(w.begin("l1"), sallyport.PromptPush, "")
			w.want(w.begin("l2"), sallyport.PromptPush, "")
			if !slices.Equal(w.people.admitted, []sallyport.AccountName{`hospital\alice`}) {
				t.Errorf("admitted %v", w.people.admitted)
			}
		})
	}
	w := newWorld(t)
	w.enrol("alice")
	w.people.standing.User = nil
	w.want(w.begin("l1"), sallyport.PromptDenied, sallyport.ReasonNotAllowed) // not within what is synchronised
	w.people.admitErr = errors.New("directory is away")
	w.want(w.begin("l2"), sallyport.PromptDenied, sallyport.ReasonNotAllowed)
}

func TestWithoutNumberMatchingTheAppOnlyApproves(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.people.standing.Workflow.NumberMatching = false
	s := w.begin("l1")
	if n := w.engine.Prompt(s).Number; n != "" {
		t.Errorf("the page shows %q", n)
	}
	d, err := deviceproto.OpenDetails(w.device.DetailsKey, w.device.ID, s.Challenge, w.pushes[s.Challenge].Sealed)
	check(t, err)
	if d.Digits != 0 {
		t.Errorf("the app asks for %d digits", d.Digits)
	}
	w.people.standing.Workflow.NumberMatching = true // switched on meanwhile: this push was asked without
	w.wantToken(w.answer(s, sallyport.DecisionApprove, ""))
	w.people.standing.Workflow.NumberMatching = false
	w.want(w.answer(w.begin("l2"), sallyport.DecisionDeny, ""), sallyport.PromptDenied, sallyport.ReasonRejected)
	w.want(w.answer(w.begin("l3"), sallyport.DecisionApprove, "42"), sallyport.PromptDenied, sallyport.ReasonWrongNumber)
}

func TestATemporaryCodeIsAskedForFirstAndTheUsualFactorEndsIt(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.people.issue("12345678")
	s := w.begin("l1")
	w.want(s, sallyport.PromptCode, "")
	if m := w.engine.Prompt(s).Methods; !slices.Equal(m, []sallyport.Method{sallyport.MethodTemporary, sallyport.MethodPush, sallyport.MethodCode}) {
		t.Errorf("methods %v", m)
	}
	if len(w.pushes) != 0 {
		t.Error("a phone that is lost was asked")
	}
	done, err := w.engine.Code(t.Context(), s, "1234-5678")
	check(t, err)
	w.wantToken(done)
	if w.last().Method != sallyport.MethodTemporary || w.people.endedBy() != "" {
		t.Errorf("by %q, ended by %q: the code is good until it expires", w.last().Method, w.people.endedBy())
	}
	again, err := w.engine.Code(t.Context(), w.begin("l2"), "12345678")
	check(t, err)
	w.wantToken(again)

	s, err = w.engine.Push(t.Context(), w.begin("l3")) // the phone was found
	check(t, err)
	w.wantToken(w.answer(s, sallyport.DecisionApprove, ""))
	if w.people.endedBy() != sallyport.EndedByUsualLogin {
		t.Errorf("ended by %q", w.people.endedBy())
	}
	w.want(w.begin("l4"), sallyport.PromptPush, "")
}

func TestATokenCodeEndsTheTemporaryCodeAsWell(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.people.issue("12345678")
	s, err := w.engine.Code(t.Context(), w.begin("l1"), w.code(w.now))
	check(t, err)
	w.wantToken(s)
	if w.people.endedBy() != sallyport.EndedByUsualLogin || w.last().Method != sallyport.MethodCode {
		t.Errorf("ended by %q, method %q", w.people.endedBy(), w.last().Method)
	}
}

func TestATemporaryCodeThatCannotBeEndedKeepsNobodyOut(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.people.issue("12345678")
	w.people.endErr = errors.New("database is away")
	s, err := w.engine.Push(t.Context(), w.begin("l1"))
	check(t, err)
	w.wantToken(w.answer(s, sallyport.DecisionApprove, ""))
	s, err = w.engine.Code(t.Context(), w.begin("l2"), w.code(w.now))
	check(t, err)
	w.wantToken(s)
}

func TestAContractorHasATemporaryCodeAndNoPhone(t *testing.T) {
	w := newWorld(t)
	w.people.issue("12345678")
	s := w.begin("l1")
	w.want(s, sallyport.PromptCode, "")
	if m := w.engine.Prompt(s).Methods; !slices.Equal(m, []sallyport.Method{sallyport.MethodTemporary}) {
		t.Errorf("methods %v", m)
	}
	if _, err := w.engine.Push(t.Context(), s); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("a push without a phone: %v", err)
	}
	s, err := w.engine.Code(t.Context(), s, "12345678")
	check(t, err)
	w.wantToken(s)
	w.now = w.now.Add(time.Hour)
	w.want(w.begin("l2"), sallyport.PromptDenied, sallyport.ReasonNotEnrolled) // expired
}

func TestGuessedTemporaryCodesAreCountedWithTheOthers(t *testing.T) {
	w := newWorld(t)
	w.people.issue("12345678")
	for i, id := range []sallyport.LoginID{"l1", "l2"} {
		s := w.begin(id)
		for range 3 - i {
			var err error
			s, err = w.engine.Code(t.Context(), s, "00000000")
			check(t, err)
		}
	}
	s, err := w.engine.Code(t.Context(), w.begin("l3"), "12345678")
	check(t, err)
	w.want(s, sallyport.PromptCode, sallyport.ReasonWrongCode)
}

func TestATemporaryCodeIsNoneWherePolicyDidNotAskForIt(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s, err := w.engine.UseCode(t.Context(), w.begin("l1"))
	check(t, err)
	w.people.issue("12345678") // meanwhile: it counts from the next login on
	s, err = w.engine.Code(t.Context(), s, "12345678")
	check(t, err)
	w.want(s, sallyport.PromptCode, sallyport.ReasonWrongCode)
}

func TestAStateOfTheReleaseBeforeGoesOn(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	s.Methods, s.Used = nil, "" // as a release without policies sealed it
	code, err := w.engine.UseCode(t.Context(), s)
	check(t, err)
	w.want(code, sallyport.PromptCode, "")
	done, err := w.engine.Code(t.Context(), code, w.code(w.now))
	check(t, err)
	w.wantToken(done)
	w.wantToken(w.answer(s, sallyport.DecisionApprove, ""))
}

func TestTheTimelineHasTheStepsAndTheTrailTheReasons(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	same, err := w.engine.Wait(shortly(t), s)
	check(t, err)
	w.events <- login.ChallengeEvent{Delivery: login.DeliverySent}
	done := w.answer(same, sallyport.DecisionApprove, "")
	w.wantToken(done)
	if got, want := w.records.steps(), []int{4, 5, 5, 6, 7, 10, 11}; !slices.Equal(got, want) {
		t.Errorf("steps %v, want %v", got, want)
	}
	for _, e := range w.records.events {
		if e.SupportCode != s.Support || e.Time.IsZero() || e.Message == "" {
			t.Errorf("event %+v", e)
		}
	}
	first, last := w.records.logins[0], w.last()
	if first.Outcome != sallyport.OutcomeOpen || !first.Ended.IsZero() || first.ID != "l1" || !first.Time.Equal(w.now) {
		t.Errorf("begun: %+v", first)
	}
	want := sallyport.LoginRecord{ID: "l1", Time: first.Time, Ended: w.now, SupportCode: s.Support, UserName: "Alice", Account: `hospital\alice`, Integration: "vpn",
		Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodPush, Detail: last.Detail, Address: "203.0.113.7"}
	if last != want || !strings.Contains(last.Detail, "approved in the app") {
		t.Errorf("ended: %+v, want %+v", last, want)
	}
	if a := w.records.audit; len(a) != 2 || a[0].Action != "login.asked" || !strings.Contains(a[0].Reason, "a push to the app") ||
		a[1].Action != "login.granted" || a[1].Reason == "" || a[1].SupportCode != s.Support || a[1].Object != "Hospital VPN" {
		t.Errorf("audit: %+v", a)
	}
}

func TestNothingSecretIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.people.issue("12345678")
	s, err := w.engine.Code(t.Context(), w.begin("l1"), "87654321")
	check(t, err)
	s, err = w.engine.Code(t.Context(), s, "12345678")
	check(t, err)
	s2, err := w.engine.Push(t.Context(), w.begin("l2"))
	check(t, err)
	number := w.engine.Prompt(s2).Number
	w.answer(s2, sallyport.DecisionApprove, "")
	for _, secret := range []string{"12345678", "87654321", string(w.engine.Prompt(s).Token), `"` + number + `"`, "pw\""} {
		if strings.Contains(w.records.text(), secret) {
			t.Errorf("%q is recorded", secret)
		}
	}
}

func TestTheSupportCodeIsKnownToWhoeverChecksTheToken(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.answer(w.begin("l1"), sallyport.DecisionApprove, "")
	claim, err := w.tokens.Check(w.engine.Prompt(s).Token, "vpn", `hospital\alice`, w.now)
	check(t, err)
	if got := w.engine.SupportCode(claim.Nonce); got != s.Support {
		t.Errorf("got %s, want %s", got, s.Support)
	}
}
