package policy_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// each calls f with every input, as far as what differs can matter.
func each(f func(policy.Input)) {
	workflows := subsets(sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.OTPAlone, sallyport.PasswordAndPasskey)
	for _, user := range users() {
		for _, rule := range rules() {
			for _, workflow := range workflows {
				for bits := range 1 << 8 {
					on := func(i int) bool { return bits>>i&1 == 1 }
					in := alice()
					in.Standing.User, in.Standing.Rule, in.Standing.Workflow.Allowed = user, rule, workflow
					in.Integration.AllowNonLicensed = on(0)
					in.Standing.Policy.Licensed, in.Standing.Policy.RemoteAccess = on(1), on(2)
					in.Standing.Has = sallyport.Authenticators{Apps: one(on(3)), Phones: one(on(4)), Passkeys: one(on(5)), OTP: on(6)}
					if on(7) {
						in.Standing.Has.TemporaryCodes = good
					}
					f(in)
				}
			}
		}
	}
}

func one(on bool) int {
	if on {
		return 1
	}
	return 0
}

func subsets(all ...sallyport.Combination) (out [][]sallyport.Combination) {
	for bits := range 1 << len(all) {
		var s []sallyport.Combination
		for i, c := range all {
			if bits>>i&1 == 1 {
				s = append(s, c)
			}
		}
		out = append(out, s)
	}
	return out
}

func users() []*sallyport.User {
	list := []*sallyport.User{nil}
	for _, s := range []sallyport.UserState{sallyport.UserActive, sallyport.UserDisabled, sallyport.UserRemoved} {
		list = append(list, &sallyport.User{Account: `hospital\alice`, State: s})
	}
	return list
}

func rules() []*sallyport.EnrolRule {
	list := []*sallyport.EnrolRule{nil}
	for bits := range 1 << 4 {
		on := func(i int) bool { return bits>>i&1 == 1 }
		r := &sallyport.EnrolRule{Name: "Rule", Unenrolled: sallyport.UnenrolledOther, PromptAtGateway: on(1), MayDelay: on(2), TemporaryCode: on(3)}
		if on(0) {
			r.Unenrolled = sallyport.UnenrolledPassword
		}
		list = append(list, r)
	}
	return list
}

func licensed(in policy.Input) bool {
	return in.Standing.User != nil && in.Standing.Policy.Licensed && in.Standing.Policy.RemoteAccess
}

// has reports whether the user can give a method.
func has(in policy.Input, m sallyport.Method) bool {
	h := in.Standing.Has
	switch m {
	case push, code:
		return h.Apps > 0
	case sms:
		return h.Phones > 0
	case passkey:
		return h.Passkeys > 0 && in.Door == sallyport.DoorOverlay
	case otp:
		return h.OTP
	case temporary:
		return len(h.TemporaryCodes) > 0
	}
	return false
}

// allowed reports whether the workflow policy allows a method.
func allowed(in policy.Input, m sallyport.Method) bool {
	by := map[sallyport.Method]sallyport.Combination{push: sallyport.PasswordAndApp, code: sallyport.PasswordAndApp,
		sms: sallyport.PasswordAndSMS, passkey: sallyport.PasswordAndPasskey, otp: sallyport.OTPAlone}
	return m == temporary || slices.Contains(in.Standing.Workflow.Allowed, by[m])
}

// wrong says what is wrong with a decision, whatever is configured.
func wrong(in policy.Input, d policy.Decision) string {
	h, r := in.Standing.Has, in.Standing.Rule
	switch out := in.Standing.User; {
	case out != nil && out.State != sallyport.UserActive && (d.Outcome != policy.Refuse || d.Reason != sallyport.ReasonCredentials):
		return "a disabled or removed user is not refused like a wrong password"
	case d.Outcome == policy.Password && h.Apps > 0:
		return "on the password alone with the app enrolled"
	case d.Outcome != policy.Refuse && !licensed(in) && !in.Integration.AllowNonLicensed:
		return "a user without a licence gets on, and the integration does not say so"
	case d.Outcome == policy.Password && licensed(in) && (h.Enrolled() || r == nil || r.Unenrolled != sallyport.UnenrolledPassword):
		return "on the password alone without the enrol rule's leave, or with a factor enrolled"
	case d.Outcome == policy.Password && len(h.TemporaryCodes) > 0 && licensed(in):
		return "on the password alone although the help desk has issued a code"
	case (d.Outcome == policy.Ask) != (len(d.Methods) > 0):
		return "asked without a method, or a method without asking"
	case (d.Outcome == policy.Refuse) != (d.Reason != ""):
		return "a refusal without a reason, or a reason without a refusal"
	case d.Outcome == policy.Enrol && (d.Enrolment == nil || !d.Enrolment.Required || d.Enrolment.TemporaryCode):
		return "has to enrol, but cannot"
	case d.Outcome != policy.Enrol && d.Enrolment != nil && d.Enrolment.Required:
		return "enrolment is required on the side"
	}
	for _, m := range d.Methods {
		if !has(in, m) || licensed(in) && !allowed(in, m) {
			return "asked for what the user has not, or must not use: " + string(m)
		}
	}
	if i := slices.Index(d.Methods, temporary); i > 0 {
		return "the temporary code is not first"
	}
	return wrongEnrolment(in, d)
}

func wrongEnrolment(in policy.Input, d policy.Decision) string {
	for _, s := range d.Steps {
		if s.Sentence == "" || s.Reason == "" {
			return "a step without words"
		}
	}
	e, r := d.Enrolment, in.Standing.Rule
	switch {
	case len(d.Steps) == 0:
		return "no steps"
	case e == nil:
		return ""
	case !licensed(in) || in.Standing.Has.Enrolled() || r == nil || !r.PromptAtGateway:
		return "enrolment is offered to who has enrolled, or against the rule"
	case len(e.Kinds) == 0:
		return "nothing to enrol"
	case e.TemporaryCode != r.TemporaryCode || r.TemporaryCode && len(in.Standing.Has.TemporaryCodes) == 0:
		return "enrolment without the temporary code that the rule demands"
	}
	for _, k := range e.Kinds {
		by := map[sallyport.AuthenticatorKind]sallyport.Combination{app: sallyport.PasswordAndApp, phone: sallyport.PasswordAndSMS,
			sallyport.AuthenticatorPasskey: sallyport.PasswordAndPasskey}
		if !slices.Contains(in.Standing.Workflow.Allowed, by[k]) || in.Door == sallyport.DoorRADIUS && k == sallyport.AuthenticatorPasskey {
			return "enrolling what could not be used: " + string(k)
		}
	}
	return ""
}

func TestWhatHoldsWhateverIsConfigured(t *testing.T) {
	inputs, failures := 0, 0
	outcomes := map[policy.Outcome]int{}
	each(func(in policy.Input) {
		for _, door := range []sallyport.Door{sallyport.DoorOverlay, sallyport.DoorRADIUS} {
			in.Door = door
			d := policy.Decide(in)
			inputs++
			outcomes[d.Outcome]++
			if bad := wrong(in, d); bad != "" && failures < 10 {
				failures++
				t.Errorf("%s\ninput %+v\nuser %+v\nrule %+v\ndecision %+v", bad, in, in.Standing.User, in.Standing.Rule, d)
			}
		}
	})
	t.Logf("%d inputs: %v", inputs, outcomes)
	for _, o := range []policy.Outcome{policy.Refuse, policy.Password, policy.Ask, policy.Enrol} {
		if outcomes[o] == 0 {
			t.Errorf("no input leads to %q", o)
		}
	}
}

// What makes a login stricter must not open another way in.
func TestNothingThatTightensLoosens(t *testing.T) {
	failures := 0
	each(func(in policy.Input) {
		before := policy.Decide(in)
		for what, change := range map[string]func(*policy.Input){
			"an exceeded number of licences": func(in *policy.Input) { in.Standing.Licences = sallyport.Licences{Used: 2, Total: 1} },
			"enrolling the app":              func(in *policy.Input) { in.Standing.Has.Apps = 1 },
			"an unknown account":             func(in *policy.Input) { in.Known = false },
			"taking the enrol rule away":     func(in *policy.Input) { in.Standing.Rule = nil },
			"a database that is away":        func(in *policy.Input) { in.Standing.Stale = true },
		} {
			after := in
			change(&after)
			d := policy.Decide(after)
			if d.Outcome == policy.Password && after.Standing.Stale {
				t.Fatalf("on the password alone while nobody knows what is enrolled: %+v", in)
			}
			if d.Outcome == policy.Password && before.Outcome != policy.Password && failures < 10 {
				failures++
				t.Errorf("%s lets in on the password alone: %+v", what, in)
			}
		}
		if licensed(in) {
			in.Integration.AllowNonLicensed = !in.Integration.AllowNonLicensed
			if d := policy.Decide(in); d.Outcome != before.Outcome && failures < 10 {
				failures++
				t.Errorf("the switch for users without a licence changes what one with a licence may do: %+v", in)
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	in := alice()
	in.Standing.Has.Apps = 1
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Decide(in); d.Outcome != policy.Ask {
			b.Fatal(d.Why())
		}
	}
}
