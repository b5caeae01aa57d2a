package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// holder is somebody with a token and a PIN at a gateway that leaves all to RADIUS.
func holder() policy.Input {
	in := alice()
	in.Door, in.Integration.Experience = sallyport.DoorRADIUS, sallyport.ExperienceLegacy
	in.Standing.Has.OTP, in.Standing.Has.PIN = true, true
	in.Standing.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PINAndOTP, sallyport.OTPAlone}
	return in
}

func TestWhoNeedNotGiveThePassword(t *testing.T) {
	pin, alone := sallyport.PINAndOTP, sallyport.OTPAlone
	for name, c := range map[string]struct {
		change func(*policy.Input)
		want   []sallyport.Combination
	}{
		"both ways":           {func(*policy.Input) {}, []sallyport.Combination{pin, alone}},
		"at a gateway of two": {func(in *policy.Input) { in.Integration.Experience = sallyport.ExperienceBoth }, []sallyport.Combination{pin, alone}},
		"no PIN":              {func(in *policy.Input) { in.Standing.Has.PIN = false }, []sallyport.Combination{alone}},
		"with PIN only":       {func(in *policy.Input) { in.Standing.Workflow.Allowed = onlyOTP }, []sallyport.Combination{pin}},
		"with PIN only, no PIN": {func(in *policy.Input) {
			in.Standing.Workflow.Allowed, in.Standing.Has.PIN = onlyOTP, false
		}, nil},
		"with the password only":   {func(in *policy.Input) { in.Standing.Workflow.Allowed = withOTP }, nil},
		"no token":                 {func(in *policy.Input) { in.Standing.Has.OTP = false }, nil},
		"at the overlay":           {func(in *policy.Input) { in.Door = sallyport.DoorOverlay }, nil},
		"the gateway's own form":   {func(in *policy.Input) { in.Integration.Experience = sallyport.ExperienceCloud }, nil},
		"the gateway's usual form": {func(in *policy.Input) { in.Integration.Experience = "" }, nil},
		"not known":                {func(in *policy.Input) { in.Known = false }, nil},
		"not in the list":          {func(in *policy.Input) { in.Standing.User, in.Integration.AllowNonLicensed = nil, true }, nil},
		"disabled":                 {func(in *policy.Input) { in.Standing.User.State = sallyport.UserDisabled }, nil},
		"removed":                  {func(in *policy.Input) { in.Standing.User.State = sallyport.UserRemoved }, nil},
		"no licence":               {func(in *policy.Input) { in.Standing.Policy.Licensed, in.Integration.AllowNonLicensed = false, true }, nil},
		"no remote access":         {func(in *policy.Input) { in.Standing.Policy.RemoteAccess = false }, nil},
	} {
		in := holder()
		c.change(&in)
		if got := policy.WithoutPassword(in); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestTheDecisionSaysWhereAnOTPTokenIsEnough(t *testing.T) {
	said := func(in policy.Input) string {
		var all []string
		for _, s := range policy.Decide(in).Steps {
			all = append(all, s.Sentence)
		}
		return strings.Join(all, "\n")
	}
	for words, change := range map[string]func(*policy.Input){
		"The code of the OTP token opens this gateway without the password.":    func(*policy.Input) {},
		"PIN and code of the OTP token open this gateway without the password.": func(in *policy.Input) { in.Standing.Workflow.Allowed = onlyOTP },
		"The user has no PIN to type before the code of the OTP token.":         func(in *policy.Input) { in.Standing.Workflow.Allowed, in.Standing.Has.PIN = onlyOTP, false },
		"The password is asked for before the code of the OTP token.":           func(in *policy.Input) { in.Door = sallyport.DoorOverlay },
		"A second factor is asked for: an OTP token.":                           func(in *policy.Input) { in.Door = sallyport.DoorOverlay },
	} {
		in := holder()
		change(&in)
		if got := said(in); !strings.Contains(got, words) {
			t.Errorf("%q is not said:\n%s", words, got)
		}
	}
	in := holder()
	in.Standing.Workflow.Allowed = withOTP
	if got := said(in); strings.Contains(got, "without the password") || strings.Contains(got, "PIN") {
		t.Errorf("with the password only:\n%s", got)
	}
}

func TestTheGatewaysFormTakesACodeOfAnOTPToken(t *testing.T) {
	in := holder()
	in.Integration.Experience = sallyport.ExperienceCloud
	in.Standing.Has.Apps, in.Standing.Has.TemporaryCodes = 1, good
	want := []sallyport.Method{code, otp, temporary}
	if got := policy.Decide(in).Typed(); !slices.Equal(got, want) {
		t.Errorf("typed: %v, want %v", got, want)
	}
}
