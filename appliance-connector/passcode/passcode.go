// Package passcode checks what users type as a second factor: the six digits that a device shows, the code of
// an OTP token, or a temporary code of the help desk. It serves the overlay and RADIUS alike, counts wrong
// tries in the store, where all appliances of the enterprise see them, and takes no code of a device or a
// token twice. Which of them may be used is for policy to say.
//
// Where policy lets somebody in without the directory password, it checks what stands in its place as well:
// the code of an OTP token, or a PIN and the code. See CheckWithoutPassword.
package passcode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// drift is by how many steps of 30 s (RFC 6238) device and appliance may differ: 60 s.
const drift = 2

// Guessing: after MaxWrong wrong codes within Window no code of the account is looked at. Five codes
// out of a million are right at any time, so one guess in 40,000 windows gets in.
const (
	MaxWrong = 5
	Window   = 15 * time.Minute
)

const kind = "passcode"

// Store is what the checker keeps.
type Store interface {
	Devices(ctx context.Context, account sallyport.AccountName) ([]sallyport.Device, error)
	UseStep(ctx context.Context, device sallyport.DeviceID, step int64, owner string) (first bool, err error)
	Failure(ctx context.Context, account sallyport.AccountName, kind string, now time.Time, window time.Duration) (int, error)
	Failures(ctx context.Context, account sallyport.AccountName, kind string, now time.Time, window time.Duration) (int, error)
	ResetFailures(ctx context.Context, account sallyport.AccountName, kind string) error
}

// TemporaryCodes are the codes that the help desk issued.
type TemporaryCodes interface {
	// MatchTemporaryCode compares in constant time.
	MatchTemporaryCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, now time.Time) (id string, ok bool, err error)
	EndTemporaryCodes(ctx context.Context, account sallyport.AccountName, why sallyport.TemporaryCodeEnd, now time.Time) (int, error)
}

// Tokens are the OTP tokens of accounts.
type Tokens interface {
	// OTPTokensOf returns them with their seeds.
	OTPTokensOf(ctx context.Context, account sallyport.AccountName) ([]sallyport.OTPToken, error)
	// UseOTPCode says first to exactly one owner of a code, as often as that one asks.
	UseOTPCode(ctx context.Context, account sallyport.AccountName, id sallyport.OTPTokenID, counter, drift int64, owner string) (first bool, err error)
}

// Checker checks passcodes.
type Checker struct {
	Store     Store
	Temporary TemporaryCodes
	Tokens    Tokens // nil: there are none
	PINs      PINs   // nil: there are none
	Claims    Claims // nil: nobody claims tokens
	Now       func() time.Time
	Log       *slog.Logger

	hashing sync.Mutex
}

// CheckCode takes a passcode of an account, which may be of any of the methods, and says which one it
// was of; "" when it is not right. sent are the codes that went out by SMS and are still good. request names the login or the RADIUS request that it came with: the
// same one repeated, on any appliance, has the same answer. why is for the log, and empty when it is right.
//
// A code of a device or a token that is right ends the account's temporary codes: the usual factor is at
// hand again.
func (c *Checker) CheckCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string, methods []sallyport.Method, sent []sallyport.Secret) (by sallyport.Method, why string, err error) {
	now := c.Now()
	t := tries{kind: kind, most: MaxWrong, window: Window}
	if why, err = c.count(ctx, account, &t, now); why != "" || err != nil {
		return "", why, err
	}
	if by, why, err = c.match(ctx, account, sallyport.CanonicalPasscode(code), request, methods, sent, now); by == "" || err != nil {
		c.wrong(ctx, account, t)
		return "", why, err
	}
	c.right(ctx, account, t)
	if by != sallyport.MethodTemporary && slices.Contains(methods, sallyport.MethodTemporary) {
		if _, err := c.Temporary.EndTemporaryCodes(ctx, account, sallyport.EndedByUsualLogin, now); err != nil {
			c.Log.WarnContext(ctx, "temporary code not ended; it is good until it expires", "account", account, "err", err)
		}
	}
	return by, "", nil
}

// tries are how tries of a kind are counted: after most wrong ones within a window, none is looked at.
type tries struct {
	kind   string
	most   int
	window time.Duration
	number int // of this one
}

// count counts a try before it is looked at: of many at once, none is free. why is not empty when this one must
// not be looked at.
func (c *Checker) count(ctx context.Context, account sallyport.AccountName, t *tries, now time.Time) (why string, err error) {
	if t.number, err = c.Store.Failures(ctx, account, t.kind, now, t.window); err != nil {
		return "", fmt.Errorf("read wrong passcodes: %w", err)
	}
	if t.number >= t.most {
		return fmt.Sprintf("blocked after %d wrong passcodes; wait %v", t.number, t.window), nil
	}
	if t.number, err = c.Store.Failure(ctx, account, t.kind, now, t.window); err != nil {
		return "", fmt.Errorf("count passcode: %w", err)
	}
	if t.number > t.most {
		return "blocked: too many passcodes at once", nil
	}
	return "", nil
}

// wrong says in the log that the account is blocked now. No two tries have the same number, so it is said once,
// however many come at once and on whatever appliance.
func (c *Checker) wrong(ctx context.Context, account sallyport.AccountName, t tries) {
	if t.number == t.most {
		c.Log.WarnContext(ctx, "passcodes blocked: too many wrong ones", "account", account, "kind", t.kind, "wrong", t.number, "window", t.window)
	}
}

func (c *Checker) right(ctx context.Context, account sallyport.AccountName, t tries) {
	if err := c.Store.ResetFailures(ctx, account, t.kind); err != nil {
		// The code was right and is used up: a count left over only costs a later try.
		c.Log.WarnContext(ctx, "wrong passcodes not reset", "account", account, "err", err)
	}
}

// fit is a code that is right as one of a method, if it is taken for the first time.
type fit struct {
	method sallyport.Method
	take   func(ctx context.Context) (first bool, err error)
}

// match tries the code as each of the methods, whether or not it fitted one before, so that the time does not
// tell which it was; and takes the first that it can. What was wrong with it is told of the one it looks like.
func (c *Checker) match(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string, methods []sallyport.Method, sent []sallyport.Secret, now time.Time) (by sallyport.Method, why string, err error) {
	var fits []fit
	var failed error
	for _, try := range []struct {
		method sallyport.Method
		look   func() ([]fit, string, error)
	}{
		{sallyport.MethodCode, func() ([]fit, string, error) { return c.tokenCode(ctx, account, string(code), request, now) }},
		{sallyport.MethodOTP, func() ([]fit, string, error) { return c.otpCode(ctx, account, code, request, now) }},
		{sallyport.MethodSMS, func() ([]fit, string, error) { return sentCode(sent, code) }},
		{sallyport.MethodTemporary, func() ([]fit, string, error) { return c.temporaryCode(ctx, account, code, now) }},
	} {
		if !slices.Contains(methods, try.method) {
			continue
		}
		found, wrong, err := try.look()
		// One method that cannot be looked at does not keep the others out.
		failed = errors.Join(failed, err)
		fits = append(fits, found...)
		if why == "" || !isCode(string(code)) {
			why = wrong
		}
	}
	for _, f := range fits {
		first, err := f.take(ctx)
		if err != nil {
			return "", "", err
		}
		if first {
			return f.method, "", nil
		}
		why = "the code, or a later one, was used already"
	}
	if len(fits) == 0 && failed != nil {
		return "", "", failed
	}
	return "", cmp.Or(why, "no passcode may be used"), nil
}

func (c *Checker) temporaryCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, now time.Time) (fits []fit, why string, err error) {
	_, ok, err := c.Temporary.MatchTemporaryCode(ctx, account, code, now)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("match temporary code: %w", err)
	case !ok:
		return nil, "neither the temporary code nor a code of the device", nil
	}
	return []fit{{sallyport.MethodTemporary, func(context.Context) (bool, error) { return true, nil }}}, "", nil
}

func (c *Checker) tokenCode(ctx context.Context, account sallyport.AccountName, code, request string, now time.Time) (fits []fit, why string, err error) {
	devices, err := c.Store.Devices(ctx, account)
	if err != nil {
		return nil, "", fmt.Errorf("read devices: %w", err)
	}
	if !isCode(code) {
		return nil, "not six digits", nil
	}
	for _, d := range devices {
		step, found := deviceproto.MatchTokenCode(d.Seed, sallyport.Secret(code), now, drift)
		if !found {
			continue
		}
		fits = append(fits, fit{sallyport.MethodCode, func(ctx context.Context) (bool, error) {
			first, err := c.Store.UseStep(ctx, d.ID, step, request)
			if err != nil {
				return false, fmt.Errorf("use passcode: %w", err)
			}
			return first, nil
		}})
	}
	if len(devices) == 0 {
		return nil, "no device enrolled", nil
	}
	return fits, "wrong or too old", nil
}

// sentCode compares a code with each of those in messages, all of them in the same time. That each is used once is for the login that
// they were sent in to see to.
func sentCode(sent []sallyport.Secret, code sallyport.Secret) (fits []fit, why string, err error) {
	if !code.In(sent) {
		return nil, "not the code in the message, or too old", nil
	}
	return []fit{{sallyport.MethodSMS, func(context.Context) (bool, error) { return true, nil }}}, "", nil
}

func isCode(s string) bool {
	if len(s) != 6 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
