package policy_test

import (
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// On the self-service page the password alone is enough for who has a licence, has enrolled nothing, and has a rule that says so.
func TestOnSiteThePasswordAloneIsForWhoHasEnrolledNothing(t *testing.T) {
	outcomes := map[policy.Outcome]int{}
	each(func(in policy.Input) {
		in.Door = sallyport.DoorSelfService
		for _, prompt := range []bool{false, true} {
			if in.Standing.Rule != nil {
				rule := *in.Standing.Rule
				rule.PromptOnSite = prompt
				in.Standing.Rule = &rule
			}
			in.Integration.AllowNonLicensed = false // it is no integration
			d := policy.Decide(in)
			outcomes[d.Outcome]++
			h, r := in.Standing.Has, in.Standing.Rule
			if d.Outcome == policy.Password && (!licensed(in) || h.Enrolled() || len(h.TemporaryCodes) > 0 || r == nil || !r.PromptOnSite) {
				t.Fatalf("on the password alone: %+v", in)
			}
			if d.Outcome == policy.Enrol || d.Takes(sallyport.MethodPasskey) {
				t.Fatalf("%s, %v", d.Outcome, d.Methods)
			}
		}
	})
	if outcomes[policy.Password] == 0 || outcomes[policy.Ask] == 0 || outcomes[policy.Refuse] == 0 {
		t.Error(outcomes)
	}
}
