// Package passcode checks what users type as a second factor: for now the six digits that a device
// shows. It serves the overlay and RADIUS alike, counts wrong tries in the store, where all appliances
// of the enterprise see them, and takes no code twice.
package passcode

import (
	"context"
	"fmt"
	"log/slog"
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

// Checker checks passcodes.
type Checker struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
}

// CheckCode takes a passcode of an account. request names the login or the RADIUS request that it came
// with: the same one repeated, on any appliance, has the same answer. why is for the log, and empty when ok.
func (c *Checker) CheckCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string) (ok bool, why string, err error) {
	now := c.Now()
	wrong, err := c.Store.Failures(ctx, account, kind, now, Window)
	if err != nil {
		return false, "", fmt.Errorf("read wrong passcodes: %w", err)
	}
	if wrong >= MaxWrong {
		return false, fmt.Sprintf("blocked after %d wrong passcodes; wait %v", wrong, Window), nil
	}
	// Counted before it is looked at: of many tries at once, none is free.
	if wrong, err = c.Store.Failure(ctx, account, kind, now, Window); err != nil {
		return false, "", fmt.Errorf("count passcode: %w", err)
	}
	if wrong > MaxWrong {
		return false, "blocked: too many passcodes at once", nil
	}
	if ok, why, err = c.match(ctx, account, string(code), request, now); !ok || err != nil {
		return false, why, err
	}
	if err := c.Store.ResetFailures(ctx, account, kind); err != nil {
		// The code was right and is used up: a count left over only costs a later try.
		c.Log.WarnContext(ctx, "wrong passcodes not reset", "account", account, "err", err)
	}
	return true, "", nil
}

func (c *Checker) match(ctx context.Context, account sallyport.AccountName, code, request string, now time.Time) (bool, string, error) {
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
