package login

import (
	"context"

	"github.com/sallyport/sallyport"
)

// Action is what a person did where the prompt was shown; exactly as the page says it (docs/protocol/browser.md).
type Action struct {
	Do     string
	Method sallyport.Method            // to "use"
	Kind   sallyport.AuthenticatorKind // to "enrol"
	Code   sallyport.Secret
	Codes  []sallyport.Secret
	Serial string
	Number string
	// Answer is what the browser says of a passkey, as JSON.
	Answer []byte
}

// Act takes what a person did. An action that the prompt does not take is CodeConflict, one that nobody knows CodeInvalid.
func (e *Engine) Act(ctx context.Context, s State, a Action) (State, error) {
	switch a.Do {
	case "code":
		return e.Code(ctx, s, a.Code)
	case "use":
		return e.Use(ctx, s, a.Method)
	case "use_code": // of scripts before there were more methods, as is "push"
		return e.UseCode(ctx, s)
	case "push":
		return e.Push(ctx, s)
	case "resend":
		return e.Resend(ctx, s)
	case "passkey":
		return e.UsePasskey(ctx, s, a.Answer)
	case "cancel":
		return e.Cancel(ctx, s)
	case "enrol":
		return e.actEnrol(ctx, s, a)
	case "delay":
		return e.Delay(ctx, s)
	case "back":
		return e.Back(s)
	case "continue":
		return e.Continue(ctx, s)
	}
	return s, errAction
}

var errAction = sallyport.Errorf(sallyport.CodeInvalid, "The sign-in request was not accepted. Please start again.", nil)

func (e *Engine) actEnrol(ctx context.Context, s State, a Action) (State, error) {
	switch {
	case a.Kind != "":
		return e.Enrol(ctx, s, a.Kind)
	case a.Number != "":
		return e.EnrolNumber(ctx, s, a.Number)
	case len(a.Answer) > 0:
		return e.EnrolPasskey(ctx, s, a.Answer)
	case a.Serial != "" && len(a.Codes) == 2:
		return e.EnrolOTP(ctx, s, a.Serial, [2]sallyport.Secret(a.Codes))
	case a.Serial != "" && a.Code != "":
		return e.EnrolSerial(ctx, s, a.Serial, a.Code)
	case a.Code != "":
		return e.EnrolCode(ctx, s, a.Code)
	}
	return s, errAction
}
