package login

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

// Wrong answers to the external token server that an account has within outsideWindow: its own limits are not ours to use up.
const (
	outsideBudget = 5
	outsideWindow = 15 * time.Minute
)

// External is the external token server.
type External interface {
	// Ask puts what was typed to it. What it needs to go on from one answer to the next is its own to keep, by login.
	Ask(ctx context.Context, q ExternalQuestion) (ExternalAnswer, error)
}

// ExternalQuestion is what a user typed for the external token server.
type ExternalQuestion struct {
	Login    sallyport.LoginID
	Account  sallyport.AccountName
	UserName string // as typed
	Passcode sallyport.Secret
	// Request names this try: repeated, it is the same.
	Request string
	Expires time.Time // of the login
}

// ExternalAnswer is what the server says.
type ExternalAnswer struct {
	Accepted bool
	// Challenge: it asks something more.
	Challenge bool
	Message   string // for the user, at most 255 characters
}

// askExternal puts what was typed to the token server. It is counted before, so that of many at once none is free; and not counted when
// nobody said anything: an outage is no guess. It lets nobody in either.
func (e *Engine) askExternal(ctx context.Context, s State, code sallyport.Secret) (State, error) {
	n, err := e.Counters.Failure(ctx, s.Account, countOutside, e.Now(), outsideWindow)
	if err != nil {
		return s, e.fail(ctx, s, sallyport.CodeUnavailable, "The code could not be checked. Please try again.", fmt.Errorf("count answers to token server: %w", err))
	}
	if n > outsideBudget {
		return e.wrong(ctx, s, "blocked after too many answers to the token server"), nil
	}
	a, err := e.External.Ask(ctx, ExternalQuestion{Login: s.Login, Account: s.Account, UserName: s.UserName, Passcode: code, Request: e.requestID(s), Expires: time.UnixMilli(s.End)})
	if err != nil {
		return e.outsideAway(ctx, s, err), nil
	}
	s.Question = a.Message
	switch {
	case a.Accepted:
		if err := e.Counters.ResetFailures(ctx, s.Account, countOutside); err != nil {
			e.Log.WarnContext(ctx, "answers to the token server are still counted", "account", s.Account, "err", err)
		}
		e.log(ctx, s, "the token server accepts", "step", 10, "account", s.Account, "method", s.Used)
		return e.accept(ctx, s, "The password is right, and the external token server accepts the passcode.")
	case a.Challenge:
		e.log(ctx, s, "the token server asks something more", "step", 10, "account", s.Account)
		return e.askCode(s, ""), nil
	}
	if n == outsideBudget {
		e.Log.WarnContext(ctx, "token server not asked for a while: too many wrong answers", "account", s.Account, "wrong", n, "window", outsideWindow)
	}
	return e.wrong(ctx, s, "refused by the external token server"), nil
}

// outsideAway asks for the same again, or for another way: no token server said anything. What it had asked before is void, so that the
// person begins with the code.
func (e *Engine) outsideAway(ctx context.Context, s State, cause error) State {
	e.Log.ErrorContext(ctx, "token server gives no answer", "login", s.Login, "support_code", s.Support, "account", s.Account, "err", cause)
	e.tell(s, "token server gives no answer", 10, nil)
	// The person may have gone, and with them ctx.
	if err := e.Counters.TakeBackFailure(context.WithoutCancel(ctx), s.Account, countOutside); err != nil {
		e.Log.WarnContext(ctx, "an answer that no token server heard is counted as a wrong one", "account", s.Account, "err", err)
	}
	s.Question = ""
	return e.askCode(s, sallyport.ReasonUnavailable)
}
