package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

var now = time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)

var (
	byDefault = []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS}
	withOTP   = append(slices.Clone(byDefault), sallyport.PasswordAndOTP)
	onlyOTP   = []sallyport.Combination{sallyport.PINAndOTP}
	good      = []sallyport.TemporaryCode{{ID: "t", Expires: now.Add(time.Hour)}}
	expired   = []sallyport.TemporaryCode{{ID: "t", Expires: now}}
	ended     = []sallyport.TemporaryCode{{ID: "t", Expires: now.Add(time.Hour), Ended: now.Add(-time.Minute), EndedBy: sallyport.EndedByUsualLogin}}
)

// alice has a licence and remote access, and has enrolled nothing; the rule is the one that a new
// enterprise has.
func alice() policy.Input {
	return policy.Input{
		Account: `hospital\alice`, Known: true, Now: now, Door: sallyport.DoorOverlay,
		Integration: sallyport.Integration{ID: "vpn", Nickname: "Hospital VPN"},
		Standing: sallyport.Standing{
			User:     &sallyport.User{ID: "u1", Account: `hospital\alice`, State: sallyport.UserActive, Policy: "p1"},
			Policy:   sallyport.UserPolicy{ID: "p1", Name: "Nurses", Licensed: true, RemoteAccess: true, EnrolRule: "r1"},
			Rule:     &sallyport.EnrolRule{ID: "r1", Name: "Standard", Unenrolled: sallyport.UnenrolledOther, PromptAtGateway: true, PromptOnSite: true},
			Workflow: sallyport.LoginWorkflow{Allowed: byDefault, NumberMatching: true},
		},
	}
}

func rule(in *policy.Input, r sallyport.EnrolRule) {
	r.ID, r.Name = "r1", "Rule"
	in.Standing.Rule = &r
}

const (
	push, code, sms, otp = sallyport.MethodPush, sallyport.MethodCode, sallyport.MethodSMS, sallyport.MethodOTP
	passkey, temporary   = sallyport.MethodPasskey, sallyport.MethodTemporary
	external             = sallyport.MethodExternal
	app, phone           = sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone
)

func TestWhoMayLogInAndHow(t *testing.T) {
	type want struct {
		outcome  policy.Outcome
		reason   sallyport.Reason
		methods  []sallyport.Method
		enrol    []sallyport.AuthenticatorKind
		required bool
	}
	refused := func(r sallyport.Reason) want { return want{outcome: policy.Refuse, reason: r} }
	asked := func(m ...sallyport.Method) want { return want{outcome: policy.Ask, methods: m} }
	alone := want{outcome: policy.Password}
	both := []sallyport.AuthenticatorKind{app, phone}
	for name, c := range map[string]struct {
		change func(*policy.Input)
		want   want
	}{
		"not enrolled, the rule of a new enterprise: has to enrol": {func(*policy.Input) {}, want{policy.Enrol, "", nil, both, true}},
		"app enrolled: push, then token code":                      {func(in *policy.Input) { in.Standing.Has.Apps = 1 }, asked(push, code)},
		"phone number enrolled: SMS code":                          {func(in *policy.Input) { in.Standing.Has.Phones = 1 }, asked(sms)},
		"everything enrolled, a passkey included that is not allowed": {func(in *policy.Input) {
			in.Standing.Has = sallyport.Authenticators{Apps: 2, Phones: 1, Passkeys: 1}
		}, asked(push, code, sms)},
		"what was used last is asked for first": {func(in *policy.Input) {
			in.Standing.Has = sallyport.Authenticators{Apps: 1, Phones: 1, Last: sms}
		}, asked(sms, push, code)},
		"used last, but not allowed any more": {func(in *policy.Input) {
			in.Standing.Has = sallyport.Authenticators{Apps: 1, Passkeys: 1, Last: passkey}
		}, asked(push, code)},
		"a passkey at the overlay": {func(in *policy.Input) {
			in.Standing.Has.Passkeys, in.Standing.Workflow.Allowed = 1, []sallyport.Combination{sallyport.PasswordAndPasskey}
		}, asked(passkey)},
		"a passkey at its page": {func(in *policy.Input) {
			in.Standing.Has = sallyport.Authenticators{Passkeys: 2, PasskeyHosts: []string{"clinic.example", "vpn.example"}, Phones: 1}
			in.Standing.Workflow.Allowed, in.Page = append(in.Standing.Workflow.Allowed, sallyport.PasswordAndPasskey), "vpn.example"
		}, asked(passkey, sms)},
		"no passkey at another page": {func(in *policy.Input) {
			in.Standing.Has = sallyport.Authenticators{Passkeys: 1, PasskeyHosts: []string{"clinic.example"}, Phones: 1}
			in.Standing.Workflow.Allowed, in.Page = append(in.Standing.Workflow.Allowed, sallyport.PasswordAndPasskey), "vpn.example"
		}, asked(sms)},
		"nothing but a passkey for another page": {func(in *policy.Input) {
			in.Standing.Has = sallyport.Authenticators{Passkeys: 1, PasskeyHosts: []string{"clinic.example"}}
			in.Standing.Workflow.Allowed, in.Page = []sallyport.Combination{sallyport.PasswordAndPasskey}, "vpn.example"
		}, refused(sallyport.ReasonNotEnrolled)},
		"no passkey over RADIUS": {func(in *policy.Input) {
			in.Standing.Has.Passkeys, in.Standing.Workflow.Allowed, in.Door = 1, []sallyport.Combination{sallyport.PasswordAndPasskey}, sallyport.DoorRADIUS
		}, refused(sallyport.ReasonNotEnrolled)},
		"external token server": {func(in *policy.Input) {
			in.Standing.Has.External, in.Standing.Workflow.Allowed = true, []sallyport.Combination{sallyport.PasswordAndExternal}
		}, want{policy.Ask, "", []sallyport.Method{external}, nil, false}},
		"a temporary code comes first, since the phone is not at hand": {func(in *policy.Input) {
			in.Standing.Has = sallyport.Authenticators{Apps: 1, Last: push, TemporaryCodes: good}
		}, asked(temporary, push, code)},
		"an expired temporary code is none": {func(in *policy.Input) { in.Standing.Has = sallyport.Authenticators{Apps: 1, TemporaryCodes: expired} }, asked(push, code)},
		"an ended temporary code is none":   {func(in *policy.Input) { in.Standing.Has = sallyport.Authenticators{Apps: 1, TemporaryCodes: ended} }, asked(push, code)},
		"app enrolled, the workflow does without: never the password alone": {func(in *policy.Input) {
			in.Standing.Has.Apps, in.Standing.Workflow.Allowed = 1, onlyOTP
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword, MayDelay: true})
		}, refused(sallyport.ReasonNotEnrolled)},
		"phone number enrolled, SMS not allowed any more": {func(in *policy.Input) {
			in.Standing.Has.Phones, in.Standing.Workflow.Allowed = 1, []sallyport.Combination{sallyport.PasswordAndApp}
		}, refused(sallyport.ReasonNotEnrolled)},
		"nothing allowed at all": {func(in *policy.Input) { in.Standing.Has.Apps, in.Standing.Workflow.Allowed = 1, nil }, refused(sallyport.ReasonNotEnrolled)},

		// Access for users who have not enrolled.
		"password alone, nobody asks": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword})
		}, alone},
		"password alone, enrolment may be put off": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword, PromptAtGateway: true, MayDelay: true})
		}, want{policy.Password, "", nil, both, false}},
		"password alone, enrolment may not be put off": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword, PromptAtGateway: true})
		}, want{policy.Enrol, "", nil, both, true}},
		"password alone, enrolling needs a temporary code, may be put off": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword, PromptAtGateway: true, MayDelay: true, TemporaryCode: true})
		}, alone},
		"password alone, enrolling needs a temporary code, may not be put off": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword, PromptAtGateway: true, TemporaryCode: true})
		}, refused(sallyport.ReasonNotEnrolled)},
		"password alone, but an OTP token that is allowed has to be used": {func(in *policy.Input) {
			in.Standing.Has.OTP, in.Standing.Workflow.Allowed = true, withOTP
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword})
		}, asked(otp)},
		"another method: OTP token": {func(in *policy.Input) {
			in.Standing.Has.OTP, in.Standing.Workflow.Allowed = true, onlyOTP
		}, asked(otp)},
		"another method: OTP token, which the workflow does not allow": {func(in *policy.Input) {
			in.Standing.Has.OTP = true
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther})
		}, refused(sallyport.ReasonNotEnrolled)},
		"another method: none": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther, MayDelay: true})
		}, refused(sallyport.ReasonNotEnrolled)},
		"another method: temporary code, as for a contractor": {func(in *policy.Input) {
			in.Standing.Has.TemporaryCodes = good
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther})
		}, asked(temporary)},
		"another method, asked at the gateway: putting it off would lead nowhere": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther, PromptAtGateway: true, MayDelay: true})
		}, want{policy.Enrol, "", nil, both, true}},
		"remote enrolment with a temporary code: the code, then enrolment is offered": {func(in *policy.Input) {
			in.Standing.Has.TemporaryCodes = good
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther, PromptAtGateway: true, TemporaryCode: true})
		}, want{policy.Ask, "", []sallyport.Method{temporary}, both, false}},
		"remote enrolment with a temporary code, without one": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledOther, PromptAtGateway: true, TemporaryCode: true})
		}, refused(sallyport.ReasonNotEnrolled)},
		"nothing that could be enrolled is allowed": {func(in *policy.Input) { in.Standing.Workflow.Allowed = onlyOTP }, refused(sallyport.ReasonNotEnrolled)},
		"the user policy belongs to no enrol rule":  {func(in *policy.Input) { in.Standing.Rule = nil }, refused(sallyport.ReasonNotEnrolled)},
		"a rule that this release does not know": {func(in *policy.Input) {
			rule(in, sallyport.EnrolRule{Unenrolled: "voice"})
		}, refused(sallyport.ReasonNotEnrolled)},

		// Licences and users.
		"unknown account": {func(in *policy.Input) { in.Known = false; in.Standing.Has.Apps = 1 }, refused(sallyport.ReasonCredentials)},
		"disabled user":   {func(in *policy.Input) { in.Standing.User.State = sallyport.UserDisabled; in.Standing.Has.Apps = 1 }, refused(sallyport.ReasonCredentials)},
		"removed user": {func(in *policy.Input) {
			in.Standing.User.State = sallyport.UserRemoved
			in.Integration.AllowNonLicensed = true
		}, refused(sallyport.ReasonCredentials)},
		"a state unheard of": {func(in *policy.Input) { in.Standing.User.State = ""; in.Standing.Has.Apps = 1 }, refused(sallyport.ReasonCredentials)},
		"not in the list":    {func(in *policy.Input) { in.Standing.User = nil }, refused(sallyport.ReasonNotAllowed)},
		"no licence":         {func(in *policy.Input) { in.Standing.Policy.Licensed = false; in.Standing.Has.Apps = 1 }, refused(sallyport.ReasonNotAllowed)},
		"no remote access":   {func(in *policy.Input) { in.Standing.Policy.RemoteAccess = false; in.Standing.Has.Apps = 1 }, refused(sallyport.ReasonNotAllowed)},
		"not in the list, admitted by the integration": {func(in *policy.Input) {
			in.Standing.User, in.Integration.AllowNonLicensed = nil, true
		}, alone},
		"no licence, admitted by the integration": {func(in *policy.Input) {
			in.Standing.Policy.Licensed, in.Integration.AllowNonLicensed = false, true
		}, alone},
		"no licence, admitted by the integration, but the app is enrolled": {func(in *policy.Input) {
			in.Standing.Policy.Licensed, in.Integration.AllowNonLicensed, in.Standing.Has.Apps = false, true, 1
		}, asked(push, code)},
		"no licence, admitted, app enrolled and phone lost": {func(in *policy.Input) {
			in.Standing.Policy.Licensed, in.Integration.AllowNonLicensed = false, true
			in.Standing.Has = sallyport.Authenticators{Apps: 1, TemporaryCodes: good}
		}, asked(temporary, push, code)},
		"more users than licences: who has enrolled goes on": {func(in *policy.Input) {
			in.Standing.Licences, in.Standing.Has.Apps = sallyport.Licences{Used: 501, Total: 500}, 1
		}, asked(push, code)},
		"more users than licences: who has not enrolled waits": {func(in *policy.Input) {
			in.Standing.Licences, in.Integration.AllowNonLicensed = sallyport.Licences{Used: 501, Total: 500}, true
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword})
		}, refused(sallyport.ReasonNotAllowed)},
		"the last licence is a licence": {func(in *policy.Input) {
			in.Standing.Licences = sallyport.Licences{Used: 500, Total: 500}
			rule(in, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword})
		}, alone},
	} {
		t.Run(name, func(t *testing.T) {
			in := alice()
			c.change(&in)
			d := policy.Decide(in)
			got := want{outcome: d.Outcome, reason: d.Reason, methods: d.Methods}
			if d.Enrolment != nil {
				got.enrol, got.required = d.Enrolment.Kinds, d.Enrolment.Required
			}
			if got.outcome != c.want.outcome || got.reason != c.want.reason || got.required != c.want.required ||
				!slices.Equal(got.methods, c.want.methods) || !slices.Equal(got.enrol, c.want.enrol) {
				t.Errorf("got  %+v\nwant %+v\n%s", got, c.want, d.Why())
			}
		})
	}
}

// Who loses the licence: whatever is enrolled, nobody gets in who was not let in by the integration; and where it lets in on the
// directory's word alone, nothing holds against that but the app. With a licence everything that is enrolled holds.
func TestWhoLosesTheLicence(t *testing.T) {
	grace := sallyport.EnrolRule{ID: "r1", Name: "Grace", Unenrolled: sallyport.UnenrolledPassword}
	for name, c := range map[string]struct {
		has                sallyport.Authenticators
		admitted, licensed policy.Outcome // the second one where the workflow allows none of it
		words              string
	}{
		"app":       {sallyport.Authenticators{Apps: 1}, policy.Ask, policy.Refuse, "the app"},
		"phone":     {sallyport.Authenticators{Phones: 1}, policy.Password, policy.Refuse, "a phone number"},
		"passkey":   {sallyport.Authenticators{Passkeys: 1, PasskeyHosts: []string{"vpn.example"}}, policy.Password, policy.Refuse, "a passkey"},
		"app, too":  {sallyport.Authenticators{Apps: 1, Phones: 1, Passkeys: 1, OTP: true}, policy.Ask, policy.Refuse, "the app"},
		"OTP token": {sallyport.Authenticators{OTP: true}, policy.Password, policy.Password, ""}, // enrolled is who has app or phone number, or passkey
		"nothing":   {sallyport.Authenticators{}, policy.Password, policy.Password, ""},
	} {
		for lost, lose := range map[string]func(*policy.Input){
			"policy without licence": func(in *policy.Input) { in.Standing.Policy.Licensed = false },
			"policy not live":        func(in *policy.Input) { in.Standing.Policy.RemoteAccess = false },
			"out of the list":        func(in *policy.Input) { in.Standing.User = nil },
		} {
			in := alice()
			in.Page, in.Standing.Has, in.Standing.Rule, in.Standing.Workflow.Allowed = "vpn.example", c.has, &grace, []sallyport.Combination{sallyport.PasswordAndExternal}
			if d := policy.Decide(in); d.Outcome != c.licensed {
				t.Errorf("%s, with a licence: %s, want %s", name, d.Outcome, c.licensed)
			}
			lose(&in)
			if d := policy.Decide(in); d.Outcome != policy.Refuse || d.Reason != sallyport.ReasonNotAllowed {
				t.Errorf("%s, %s: %s %s", name, lost, d.Outcome, d.Reason)
			}
			in.Integration.AllowNonLicensed = true
			d := policy.Decide(in)
			if d.Outcome != c.admitted || c.admitted == policy.Ask && !slices.Equal(d.Methods, []sallyport.Method{push, code}) {
				t.Errorf("%s, %s, at an integration that admits: %s %v, want %s", name, lost, d.Outcome, d.Methods, c.admitted)
			}
			if c.words != "" && !slices.ContainsFunc(d.Steps, func(s policy.Step) bool { return strings.Contains(s.Sentence, "has enrolled "+c.words) }) {
				t.Errorf("%s, %s: nobody is told what was enrolled: %+v", name, lost, d.Steps)
			}
		}
	}
}

func TestStepsSayInWordsHowItCame(t *testing.T) {
	in := alice()
	in.Standing.User, in.Integration.AllowNonLicensed = nil, true
	want := []policy.Step{
		{`hospital\alice is not in the list of users.`, "Users are in it once they are synchronised from the directory."},
		{"The login is granted on the password alone.", `The integration "Hospital VPN" admits users without a licence.`},
	}
	d := policy.Decide(in)
	if !slices.Equal(d.Steps, want) {
		t.Errorf("got %q", d.Steps)
	}
	if got := d.Why(); got != want[1].Sentence+" "+want[1].Reason {
		t.Errorf("why: %q", got)
	}
}

func TestNumberMatchingIsTheWorkflows(t *testing.T) {
	for _, on := range []bool{true, false} {
		in := alice()
		in.Standing.Has.Apps, in.Standing.Workflow.NumberMatching = 1, on
		if got := policy.Decide(in).NumberMatching; got != on {
			t.Errorf("number matching %v, want %v", got, on)
		}
	}
}

func TestATemporaryCodeIsGoodUntilItExpires(t *testing.T) {
	in := alice()
	in.Standing.Has.TemporaryCodes = good
	for at, want := range map[time.Time]policy.Outcome{
		good[0].Expires.Add(-time.Second): policy.Ask, good[0].Expires: policy.Enrol,
	} {
		in.Now = at
		if d := policy.Decide(in); d.Outcome != want {
			t.Errorf("at %v: %s, want %s", at, d.Outcome, want)
		}
	}
	if d := policy.Decide(policy.Input{}); d.Outcome != policy.Refuse || !strings.Contains(d.Why(), "refused") {
		t.Errorf("nothing known at all: %+v", d)
	}
}
