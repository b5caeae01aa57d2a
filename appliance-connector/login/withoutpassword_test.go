package login_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/otp"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func TestTokenInThePasswordsPlace(t *testing.T) {
	w := newWorld(t)
	w.people.standing.Workflow.Allowed = []sallyport.Combination{sallyport.OTPAlone}
	w.people.standing.Has.OTP = true
	token := sallyport.OTPToken{Serial: "FT-1", Kind: sallyport.TOTP, Algorithm: sallyport.SHA1, Digits: 6, Period: 30 * time.Second, Seed: sallyport.Key("12345678901234567890")}
	_, err := w.store.ImportOTPTokens(t.Context(), []sallyport.OTPToken{token})
	check(t, err)
	kept, err := w.store.OTPTokens(t.Context(), store.OTPTokenQuery{Serial: "FT-1"})
	check(t, err)
	_, err = w.store.AssignOTPToken(t.Context(), kept.Tokens[0].ID, 0, `hospital\alice`)
	check(t, err)
	code, err := otp.Code(token, otp.Step(token, w.now))
	check(t, err)
	in := vpn
	in.Experience = sallyport.ExperienceLegacy
	try := func(id sallyport.LoginID, typed sallyport.Secret, door sallyport.Door) login.State {
		t.Helper()
		s, err := w.engine.Begin(t.Context(), login.Attempt{Login: id, Integration: in, UserName: "Alice", Password: typed, Door: door, BindStarted: func() error { return nil }})
		check(t, err)
		return s
	}
	w.at(try("l0", "000000", sallyport.DoorRADIUS), sallyport.PromptDenied, sallyport.ReasonCredentials)
	if w.asked != 0 || w.slept < login.FailureFloor/2 {
		t.Errorf("the directory was asked %d times; refused after %v", w.asked, w.slept)
	}
	w.state = sallyport.AccountLocked
	w.at(try("l1", code, sallyport.DoorRADIUS), sallyport.PromptDenied, sallyport.ReasonCredentials)
	w.state = sallyport.AccountOK
	s := try("l2", code, sallyport.DoorRADIUS)
	w.at(s, sallyport.PromptDone, "")
	if s.Used != sallyport.MethodOTP || w.asked != 0 {
		t.Errorf("by %q, the directory was asked %d times", s.Used, w.asked)
	}
	w.at(try("l3", code, sallyport.DoorRADIUS), sallyport.PromptDenied, sallyport.ReasonCredentials) // once
	try("l4", "000000", sallyport.DoorOverlay)
	if w.asked != 1 {
		t.Error("digits at the overlay are a password like any other")
	}
	w.people.standing.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndOTP}
	try("l5", "000000", sallyport.DoorRADIUS)
	if w.asked != 2 {
		t.Error("where policy wants the password, digits are one")
	}
}

// The self-service page is a door of its own: who gets in there gets nothing that a gateway would take.
func TestTheSelfServiceDoorGivesNoGatewayToken(t *testing.T) {
	t.Parallel()
	for door, token := range map[sallyport.Door]bool{sallyport.DoorOverlay: true, sallyport.DoorSelfService: false} {
		w := newWorld(t)
		w.people.standing.Rule = &sallyport.EnrolRule{ID: "r1", Name: "Standard", Unenrolled: sallyport.UnenrolledPassword, PromptOnSite: true}
		s, err := w.engine.Begin(t.Context(), login.Attempt{Login: "l1", UserName: "Alice", Password: "secret", Door: door, BindStarted: func() error { return nil }})
		if err != nil || s.Kind != sallyport.PromptDone || (w.engine.Prompt(s).Token != "") != token {
			t.Errorf("%s: %s %s, %v", door, s.Kind, s.Reason, err)
		}
		if s, err = w.engine.BeginEnrolment(t.Context(), login.Attempt{Login: "l2", Door: door}, s.Account, sallyport.AuthenticatorApp); sallyport.ErrorCode(err) != sallyport.CodeConflict {
			t.Errorf("%s: an app is enrolled where none can be: %s, %v", door, s.Kind, err)
		}
	}
}
