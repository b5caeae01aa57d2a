package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

const loginWorkflow = "login workflow"

// LoginWorkflow returns the workflow policy "Remote access log in".
func (s *Store) LoginWorkflow(ctx context.Context) (w sallyport.LoginWorkflow, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		w, err = readWorkflow(ctx, tx, "")
		return err
	})
	return w, s.engine.failure("read login workflow", err)
}

// SetLoginWorkflow replaces the workflow policy when its Version is the one now, and returns it as it is
// then. Remember.Since is the store's: it moves to now when remembering devices is allowed after it was
// not, so that devices remembered before stay forgotten.
func (s *Store) SetLoginWorkflow(ctx context.Context, w sallyport.LoginWorkflow) (sallyport.LoginWorkflow, error) {
	if err := checkWorkflow(w); err != nil {
		return sallyport.LoginWorkflow{}, err
	}
	given := w.Version
	err := s.change(ctx, "save login workflow", func(ctx context.Context, tx *changing) error {
		before, err := readWorkflow(ctx, tx.Tx, s.engine.lockRows)
		if err != nil {
			return err
		}
		if before.Version != given {
			return tx.overtaken(ctx, loginWorkflow, "login-workflow")
		}
		w.Version, w.Remember.Since = before.Version+1, before.Remember.Since
		if now := fromMicros(micros(s.now())); w.Remember.Allowed && !before.Remember.Allowed && now.After(w.Remember.Since) {
			w.Remember.Since = now
		}
		if err := writeWorkflow(ctx, tx.Tx, w); err != nil {
			return err
		}
		if !w.Remember.Allowed { // so that it holds whatever the clocks of the appliances say
			if err := forgetAll(ctx, tx); err != nil {
				return err
			}
		}
		return tx.record(loginWorkflow+".change", "Remote access log in", "login-workflow", before, w)
	})
	if err != nil {
		return sallyport.LoginWorkflow{}, err
	}
	return w, nil
}

func readWorkflow(ctx context.Context, tx *sql.Tx, lock string) (w sallyport.LoginWorkflow, err error) {
	var allowed string
	var matching, remember, length, since int64
	err = tx.QueryRowContext(ctx, `SELECT allowed, number_matching, remember_allowed, remember_for, remember_since, version FROM login_workflow`+lock).
		Scan(&allowed, &matching, &remember, &length, &since, &w.Version)
	if err != nil {
		return w, fmt.Errorf("read login workflow: %w", err)
	}
	w.NumberMatching = matching == 1
	w.Remember = sallyport.RememberPolicy{Allowed: remember == 1, For: time.Duration(length) * time.Microsecond, Since: orNever(since)}
	if err := json.Unmarshal([]byte(allowed), &w.Allowed); err != nil {
		return w, fmt.Errorf("decode allowed combinations: %w", err)
	}
	return w, nil
}

func writeWorkflow(ctx context.Context, tx *sql.Tx, w sallyport.LoginWorkflow) error {
	allowed, err := json.Marshal(w.Allowed)
	if err != nil {
		return fmt.Errorf("encode allowed combinations: %w", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE login_workflow SET allowed = $1, number_matching = $2, remember_allowed = $3,
		remember_for = $4, remember_since = $5, version = $6`, string(allowed), b2i(w.NumberMatching), b2i(w.Remember.Allowed),
		w.Remember.For.Microseconds(), neverZero(w.Remember.Since), w.Version)
	return err
}

func checkWorkflow(w sallyport.LoginWorkflow) error {
	if len(w.Allowed) == 0 {
		return invalidf("Choose at least one combination of factors: without one nobody could log in.")
	}
	seen := make(map[sallyport.Combination]bool, len(w.Allowed))
	for _, c := range w.Allowed {
		switch c {
		case sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.PasswordAndOTP, sallyport.PINAndOTP,
			sallyport.OTPAlone, sallyport.PasswordAndExternal, sallyport.PasswordAndPasskey:
		default:
			return invalidf("One of the combinations of factors is none that is known.")
		}
		if seen[c] {
			return invalidf("The combination %q stands in the list twice.", c)
		}
		seen[c] = true
	}
	if w.Remember.For < sallyport.RememberLeast || w.Remember.For > sallyport.RememberMost {
		return invalidf("Devices are remembered for 1 hour to 120 days.")
	}
	return nil
}
