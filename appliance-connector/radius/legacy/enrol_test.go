package legacy

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
)

// FuzzEnrolActions: what is typed for an enrolment begins nothing that is not offered, and is two steps at most.
func FuzzEnrolActions(f *testing.F) {
	f.Add("+441632960123", uint8(1), uint8(7), false)
	f.Add("SP12345 654321", uint8(1), uint8(1), true)
	f.Add("FT-1 111111 222222", uint8(5), uint8(4), true)
	f.Add("later", uint8(2), uint8(2), false)
	f.Add(" 123456 ", uint8(4), uint8(2), true)
	steps := []sallyport.EnrolStep{sallyport.EnrolStart, sallyport.EnrolApp, sallyport.EnrolPhone, sallyport.EnrolPhoneCode, sallyport.EnrolOTP}
	kinds := []sallyport.AuthenticatorKind{sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorOTP}
	f.Fuzz(func(t *testing.T, text string, step, offered uint8, required bool) {
		g := &login.Enrolling{Step: steps[int(step)%len(steps)], Required: required}
		for i, k := range kinds {
			if offered&(1<<i) != 0 {
				g.Kinds = append(g.Kinds, k)
			}
		}
		actions := enrolActions(g, text)
		if len(actions) > 2 {
			t.Fatalf("%+v", actions)
		}
		for _, a := range actions {
			if a.Kind != "" && !slices.Contains(g.Kinds, a.Kind) || a.Do == "delay" && required || a.Serial != "" && strings.ContainsAny(a.Serial, " \t\n") {
				t.Errorf("%q: %+v", text, a)
			}
		}
	})
}

// Every question fits into an attribute, whatever is offered.
func TestQuestionsFitIntoAnAttribute(t *testing.T) {
	wait, all := int64(0), []sallyport.Method{sallyport.MethodPush, sallyport.MethodSMS, sallyport.MethodExternal, sallyport.MethodCode, sallyport.MethodOTP, sallyport.MethodTemporary}
	for i := range all {
		methods := append(slices.Clone(all[i:]), all[:i]...)
		for _, reason := range []sallyport.Reason{"", sallyport.ReasonWrongCode, sallyport.ReasonPushFailed, sallyport.ReasonBlocked, sallyport.ReasonSMSFailed} {
			for _, kind := range []sallyport.PromptKind{sallyport.PromptPush, sallyport.PromptChoose, sallyport.PromptCode} {
				if kind == sallyport.PromptCode && methods[0] == sallyport.MethodPush {
					continue
				}
				if q := question(sallyport.Prompt{Kind: kind, Methods: methods, Reason: reason, Number: "42", To: "23", Resend: &wait}); len(q) > 253 {
					t.Errorf("%d octets: %s", len(q), q)
				}
			}
		}
	}
	for _, reason := range []sallyport.Reason{"", sallyport.ReasonEnrolFailed, sallyport.ReasonTooManyCodes, sallyport.ReasonSMSFailed} {
		p := sallyport.Prompt{Kind: sallyport.PromptEnrol, Reason: reason, Enrol: &sallyport.EnrolPrompt{Step: sallyport.EnrolStart, MayDelay: true,
			Kinds: []sallyport.AuthenticatorKind{sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorOTP}}}
		if q := question(p); len(q) > 253 {
			t.Errorf("%d octets: %s", len(q), q)
		}
	}
}
