package login

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// Standings tells what is known of an account when it logs in, as of one moment.
type Standings interface {
	Standing(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, error)
}

// Admitter takes an account whose password was just found right into the list of users, when it is
// within what is synchronised; false: it is not.
type Admitter interface {
	Admit(ctx context.Context, account sallyport.Account) (sallyport.User, bool, error)
}

// TemporaryCodes ends all temporary codes of an account and says how many there were.
type TemporaryCodes interface {
	EndTemporaryCodes(ctx context.Context, account sallyport.AccountName, why sallyport.TemporaryCodeEnd, now time.Time) (int, error)
}

// serves reports whether the engine can ask for a method at a front door.
func (e *Engine) serves(m sallyport.Method, a Attempt) bool {
	switch m {
	case sallyport.MethodSMS:
		return e.Texts != nil
	case sallyport.MethodExternal:
		return e.External != nil
	case sallyport.MethodPasskey:
		return e.takesPasskeys(a)
	}
	return true
}

// Served returns the methods that an appliance can ask for, for who tells people what a login would ask of them.
func Served() []sallyport.Method {
	return []sallyport.Method{sallyport.MethodPush, sallyport.MethodCode, sallyport.MethodPasskey, sallyport.MethodSMS, sallyport.MethodOTP,
		sallyport.MethodExternal, sallyport.MethodTemporary}
}

// Enrols returns what users can enrol in a login.
func Enrols() []sallyport.AuthenticatorKind {
	return []sallyport.AuthenticatorKind{sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorPasskey, sallyport.AuthenticatorOTP}
}

// decide goes on as policy says, once the password is right.
func (e *Engine) decide(ctx context.Context, s State, account sallyport.Account, a Attempt) (State, error) {
	standing, err := e.standing(ctx, s, account)
	if err != nil {
		return State{}, err
	}
	standing.Devices = e.updated(ctx, standing)
	d := policy.Decide(policy.Input{
		Account: s.Account, Known: true, Standing: standing, Integration: a.Integration, Door: s.door(), Page: pageHost(s.Origin), Now: e.Now(),
	})
	e.decided(ctx, s, d)
	s.Enrolling = e.enrolling(d.Enrolment, a)
	switch d.Outcome {
	case policy.Password:
		return e.accept(ctx, s, d.Why())
	case policy.Ask:
		s, known := e.recognise(ctx, s, d, standing, a)
		if known {
			return s, nil
		}
		return e.ask(ctx, s, d, standing.Devices, a)
	case policy.Enrol:
		if s.Enrolling == nil {
			return e.deny(ctx, s, sallyport.ReasonNotEnrolled, d.Why()), nil
		}
		return e.accept(ctx, s, d.Why())
	}
	return e.deny(ctx, s, d.Reason, d.Why()), nil
}

// standing reads what is known of the account, and has it taken into the list of users if it is not there.
func (e *Engine) standing(ctx context.Context, s State, account sallyport.Account) (sallyport.Standing, error) {
	unavailable := func(err error) error {
		return e.fail(ctx, s, sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", fmt.Errorf("read standing: %w", err))
	}
	standing, err := e.Standings.Standing(ctx, s.Account)
	if err != nil {
		return standing, unavailable(err)
	}
	if e.Admitter == nil || standing.User != nil && standing.User.State != sallyport.UserRemoved {
		return standing, nil
	}
	user, ok, err := e.Admitter.Admit(ctx, account)
	switch {
	case err != nil:
		e.Log.WarnContext(ctx, "account not taken into the list of users", "account", s.Account, "support_code", s.Support, "err", err)
		return standing, nil
	case !ok:
		return standing, nil
	}
	e.log(ctx, s, "account taken into the list of users", "step", 5, "account", s.Account, "user", user.ID)
	if standing, err = e.Standings.Standing(ctx, s.Account); err != nil {
		return standing, unavailable(err)
	}
	return standing, nil
}

// ask asks for the first of the methods, unless the person has said more, or is to say more.
func (e *Engine) ask(ctx context.Context, s State, d policy.Decision, devices []sallyport.Device, a Attempt) (State, error) {
	s.Plain = !d.NumberMatching
	for _, m := range d.Methods {
		if e.serves(m, a) {
			s.Methods = append(s.Methods, m)
		}
	}
	switch {
	case len(s.Methods) == 0:
		return e.deny(ctx, s, sallyport.ReasonNotEnrolled, "The user has no second factor that can be asked for at this door."), nil
	case a.Code != "" && s.takesCode():
		return e.Code(ctx, e.askCode(s, ""), a.Code)
	case a.Push && s.takes(sallyport.MethodPush):
		return e.push(ctx, s, devices)
	case a.Choose && s.takes(sallyport.MethodPush) && s.takesCode():
		s.Kind, s.Until = sallyport.PromptChoose, s.End
		return s.next(), nil
	}
	if d.OldApp && s.Methods[0] == sallyport.MethodCode {
		s.Used = sallyport.MethodCode
		return e.askCode(s, sallyport.ReasonUpdateApp), nil
	}
	return e.turnTo(ctx, s, s.Methods[0], devices)
}
