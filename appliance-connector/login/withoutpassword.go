package login

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// withoutPassword decides a login in which the code of an OTP token, or a PIN and a code, may have been typed in the password's place. Where policy
// lets the account in that way the digits are not shown to the directory, right or wrong; else nothing is decided.
func (e *Engine) withoutPassword(ctx context.Context, s State, a Attempt, start time.Time) (_ State, decided bool, _ error) {
	unavailable := func(what string, err error) (State, bool, error) {
		return State{}, true, e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("%s: %w", what, err))
	}
	state, account, err := e.Directory.Present(ctx, a.UserName)
	if err != nil {
		return unavailable("ask directory", err)
	}
	if account.Name == "" {
		return s, false, nil
	}
	s.Account = account.Name
	standing, err := e.Standings.Standing(ctx, s.Account)
	if err != nil {
		return unavailable("read standing", err)
	}
	ways := policy.WithoutPassword(policy.Input{
		Account: s.Account, Known: true, Standing: standing, Integration: a.Integration, Door: s.door(), Now: e.Now(),
	})
	if len(ways) == 0 {
		return s, false, nil
	}
	refuse := func(why string) (State, bool, error) {
		e.log(ctx, s, "OTP token in the password's place refused", "step", 5, "account", s.Account, "why", why)
		e.Sleep(ctx, FailureFloor-e.Now().Sub(start))
		return e.deny(ctx, s, sallyport.ReasonCredentials, "Without a password: "+why+"."), true, nil
	}
	if state != sallyport.AccountOK {
		return refuse("the directory says: " + string(state))
	}
	by, why, err := e.Codes.CheckWithoutPassword(ctx, s.Account, a.Password, e.requestID(s), ways)
	switch {
	case err != nil:
		return unavailable("check code", err)
	case by == "":
		return refuse(why)
	}
	s.Used = sallyport.MethodOTP
	e.log(ctx, s, "OTP token in the password's place is right", "step", 5, "account", s.Account, "by", by)
	return e.done(ctx, s, "The OTP token is right, and policy asks for no password: "+string(by)+"."), true, nil
}
