// Package passcode checks what users type as a second factor: the six digits that a device shows, or a
// temporary code of the help desk. It serves the overlay and RADIUS alike, counts wrong tries in the
// store, where all appliances of the enterprise see them, and takes no device's code twice. Which of
// them may be used is for policy to say.
package passcode

import (
	"cmp"
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"slices"
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

// Checker checks passcodes.
type Checker struct {
	Store     Store
	Temporary TemporaryCodes
	Now       func() time.Time
	Log       *slog.Logger
}

// CheckCode takes a passcode of an account, which may be of any of the methods, and says which one it
// was of; "" when it is not right. sent are the codes that went out by SMS and are still good. request names the login or the RADIUS request that it came with: the
// same one repeated, on any appliance, has the same answer. why is for the log, and empty when it is right.
//
// A device's code that is right ends the account's temporary codes: the usual factor is at hand again.
func (c *Checker) CheckCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string, methods []sallyport.Method, sent []sallyport.Secret) (by sallyport.Method, why string, err error) {
	now := c.Now()
	wrong, err := c.Store.Failures(ctx, account, kind, now, Window)
	if err != nil {
		return "", "", fmt.Errorf("read wrong passcodes: %w", err)
	}
	if wrong >= MaxWrong {
		return "", fmt.Sprintf("blocked after %d wrong passcodes; wait %v", wrong, Window), nil
	}
	// Counted before it is looked at: of many tries at once, none is free.
	if wrong, err = c.Store.Failure(ctx, account, kind, now, Window); err != nil {
		return "", "", fmt.Errorf("count passcode: %w", err)
	}
	if wrong > MaxWrong {
		return "", "blocked: too many passcodes at once", nil
	}
	if by, why, err = c.match(ctx, account, sallyport.CanonicalPasscode(code), request, methods, sent, now); by == "" || err != nil {
		return "", why, err
	}
	if err := c.Store.ResetFailures(ctx, account, kind); err != nil {
		// The code was right and is used up: a count left over only costs a later try.
		c.Log.WarnContext(ctx, "wrong passcodes not reset", "account", account, "err", err)
	}
	if by != sallyport.MethodTemporary && slices.Contains(methods, sallyport.MethodTemporary) {
		if _, err := c.Temporary.EndTemporaryCodes(ctx, account, sallyport.EndedByUsualLogin, now); err != nil {
			c.Log.WarnContext(ctx, "temporary code not ended; it is good until it expires", "account", account, "err", err)
		}
	}
	return by, "", nil
}

// match tries the code as each of the methods. What was wrong with it is told of the one it looks like.
func (c *Checker) match(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string, methods []sallyport.Method, sent []sallyport.Secret, now time.Time) (by sallyport.Method, why string, err error) {
	for _, try := range []struct {
		method sallyport.Method
		match  func() (bool, string, error)
	}{
		{sallyport.MethodCode, func() (bool, string, error) { return c.tokenCode(ctx, account, string(code), request, now) }},
		{sallyport.MethodSMS, func() (bool, string, error) {
			return amongst(sent, code), "not the code in the message, or too old", nil
		}},
		{sallyport.MethodTemporary, func() (bool, string, error) { return c.temporaryCode(ctx, account, code, now) }},
	} {
		if !slices.Contains(methods, try.method) {
			continue
		}
		ok, wrong, err := try.match()
		if ok || err != nil {
			return try.method, "", err
		}
		if why == "" || !isCode(string(code)) {
			why = wrong
		}
	}
	return "", cmp.Or(why, "no passcode may be used"), nil
}

func (c *Checker) temporaryCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, now time.Time) (ok bool, why string, err error) {
	_, ok, err = c.Temporary.MatchTemporaryCode(ctx, account, code, now)
	switch {
	case err != nil:
		return false, "", fmt.Errorf("match temporary code: %w", err)
	case !ok:
		return false, "neither the temporary code nor a code of the device", nil
	}
	return true, "", nil
}

func (c *Checker) tokenCode(ctx context.Context, account sallyport.AccountName, code, request string, now time.Time) (ok bool, why string, err error) {
	devices, err := c.Store.Devices(ctx, account)
	if err != nil {
		return false, "", fmt.Errorf("read devices: %w", err)
	}
	if !isCode(code) {
		return false, "not six digits", nil
	}
	for _, d := range devices {
		step, found := deviceproto.MatchTokenCode(d.Seed, sallyport.Secret(code), now, drift)
		if !found {
			continue
		}
		first, err := c.Store.UseStep(ctx, d.ID, step, request)
		if err != nil {
			return false, "", fmt.Errorf("use passcode: %w", err)
		}
		if !first {
			return false, "the code, or a later one, was used already", nil
		}
		return true, "", nil
	}
	if len(devices) == 0 {
		return false, "no device enrolled", nil
	}
	return false, "wrong or too old", nil
}

// amongst compares a code with each of some, all of them in the same time.
func amongst(codes []sallyport.Secret, code sallyport.Secret) bool {
	found := 0
	for _, c := range codes {
		found |= subtle.ConstantTimeCompare([]byte(c), []byte(code))
	}
	return found == 1
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
