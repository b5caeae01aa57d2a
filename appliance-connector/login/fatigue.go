package login

import (
	"context"
	"time"

	"github.com/sallyport/sallyport"
)

// Push fatigue: who has the password must not be able to ring the phone until its owner gives in.
const (
	// pushBudget is how many pushes may go unapproved within pushWindow. An approval, or a right code of the app, forgets them.
	pushBudget = 8
	pushWindow = 24 * time.Hour
	// notMeWindow is how long no push is sent after "this was not me".
	notMeWindow = 30 * time.Minute

	// serialBudget is how often within serialWindow a serial number and a code of the app are tried for an account.
	serialBudget = 10
	serialWindow = 15 * time.Minute
)

// What is counted for an account.
const (
	countPush    = "push"
	countNotMe   = "not-me"
	countText    = "sms"
	countOutside = "external"
	countSerial  = "serial"
	countEnrol   = "enrol-code"
)

// Counters counts what must not happen too often, for all appliances of the enterprise together. No two calls of Failure get the
// same number.
type Counters interface {
	Failure(ctx context.Context, account sallyport.AccountName, kind string, now time.Time, window time.Duration) (int, error)
	Failures(ctx context.Context, account sallyport.AccountName, kind string, now time.Time, window time.Duration) (int, error)
	ResetFailures(ctx context.Context, account sallyport.AccountName, kind string) error
	// TakeBackFailure undoes one call of Failure, for what turned out to be none.
	TakeBackFailure(ctx context.Context, account sallyport.AccountName, kind string) error
}

// pushBlocked counts a push, and says why it must not be sent; "": it may.
func (e *Engine) pushBlocked(ctx context.Context, account sallyport.AccountName) (why string, err error) {
	now := e.Now()
	n, err := e.Counters.Failures(ctx, account, countNotMe, now, notMeWindow)
	if err != nil {
		return "", err
	}
	if n > 0 {
		return `the user said "this was not me" a short while ago`, nil
	}
	if n, err = e.Counters.Failure(ctx, account, countPush, now, pushWindow); err != nil {
		return "", err
	}
	if n > pushBudget {
		return "too many pushes were not approved within " + pushWindow.String(), nil
	}
	return "", nil
}

// atHand forgets the pushes that were not approved: the phone is in its owner's hand.
func (e *Engine) atHand(ctx context.Context, s State) {
	if err := e.Counters.ResetFailures(ctx, s.Account, countPush); err != nil {
		e.Log.WarnContext(ctx, "pushes that were not approved are still counted", "account", s.Account, "err", err)
	}
}

// notMe has no push sent for a while, and raises the alarm. That it cannot be kept does not save the login.
func (e *Engine) notMe(ctx context.Context, s State) {
	e.Log.WarnContext(ctx, `the user says "this was not me": somebody else has the password`, "login", s.Login, "support_code", s.Support,
		"account", s.Account, "place", s.seenFrom())
	if _, err := e.Counters.Failure(ctx, s.Account, countNotMe, e.Now(), notMeWindow); err != nil {
		e.Log.ErrorContext(ctx, "pushes not blocked", "account", s.Account, "err", err)
	}
	if e.Recorder != nil {
		e.audit(s, "login.not_me", sallyport.ReasonNotMe, "The user says that it was somebody else. No push is sent for "+notMeWindow.String()+".")
	}
}
