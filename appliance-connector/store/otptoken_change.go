package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

// AssignOTPToken gives a token that is nobody's to an account. An account may have 10. Codes that were used
// stay used.
func (s *Store) AssignOTPToken(ctx context.Context, id sallyport.OTPTokenID, version int64, account sallyport.AccountName) (sallyport.OTPToken, error) {
	if err := checkAccount(account); err != nil {
		return sallyport.OTPToken{}, err
	}
	return s.changeToken(ctx, id, version, "assign", func(ctx context.Context, tx *changing, t *sallyport.OTPToken) error {
		switch {
		case t.Account == account:
			return conflictf("The OTP token %q belongs to this account already.", t.Serial)
		case t.Account != "":
			return conflictf("The OTP token %q belongs to %s. Take it from them first.", t.Serial, t.Account)
		}
		t.Account, t.Assigned = account, fromMicros(micros(s.now()))
		return tx.checkRoomForToken(ctx, account)
	})
}

// UnassignOTPToken takes a token from its owner.
func (s *Store) UnassignOTPToken(ctx context.Context, id sallyport.OTPTokenID, version int64) (sallyport.OTPToken, error) {
	return s.changeToken(ctx, id, version, "unassign", func(_ context.Context, _ *changing, t *sallyport.OTPToken) error {
		if t.Account == "" {
			return conflictf("The OTP token %q belongs to nobody.", t.Serial)
		}
		t.Account, t.Assigned = "", time.Time{}
		return nil
	})
}

// SetOTPTokenState makes a token's codes count, or count no more.
func (s *Store) SetOTPTokenState(ctx context.Context, id sallyport.OTPTokenID, version int64, state sallyport.OTPTokenState) (sallyport.OTPToken, error) {
	verb := map[sallyport.OTPTokenState]string{sallyport.OTPTokenActive: "enable", sallyport.OTPTokenDisabled: "disable"}[state]
	if verb == "" {
		return sallyport.OTPToken{}, invalidf("An OTP token is active or disabled.")
	}
	return s.changeToken(ctx, id, version, verb, func(_ context.Context, _ *changing, t *sallyport.OTPToken) error {
		t.State = state
		return nil
	})
}

// ResynchroniseOTPToken notes where a token is: at counter, which counts as used, with that drift. What was used
// before stays used: a counter that was is a conflict.
func (s *Store) ResynchroniseOTPToken(ctx context.Context, id sallyport.OTPTokenID, counter, drift int64) (sallyport.OTPToken, error) {
	if err := checkPlaceOfCode(counter, drift); err != nil {
		return sallyport.OTPToken{}, err
	}
	return s.changeToken(ctx, id, 0, "resynchronise", func(_ context.Context, _ *changing, t *sallyport.OTPToken) error {
		if counter < t.Next {
			return conflictf("These codes, or later ones, were used meanwhile. Wait for new ones and try again.")
		}
		t.Next, t.Drift = counter+1, drift
		return nil
	})
}

// DeleteOTPToken forgets a token, and with it which codes were used: should it be imported again, it begins where
// the import says. Version 0 is any.
func (s *Store) DeleteOTPToken(ctx context.Context, id sallyport.OTPTokenID, version int64) error {
	if err := checkID(otpToken, string(id)); err != nil {
		return err
	}
	return s.change(ctx, "delete OTP token", func(ctx context.Context, tx *changing) error {
		t, err := s.lockToken(ctx, tx, id)
		if spoiled(err) {
			t, err = sallyport.OTPToken{ID: id, Version: version}, nil
		}
		if err == nil && version != 0 {
			err = tx.checkVersion(ctx, otpToken, string(id), t.Version, version)
		}
		if err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, otpToken, `DELETE FROM otp_tokens WHERE id = $1`, string(id)); err != nil {
			return err
		}
		tx.authenticator(t.Account, sallyport.AuthenticatorOTP, t.Serial, false)
		return tx.record(otpToken+".delete", t.Serial, string(id), t, nil)
	})
}

// changeToken lets do change a token, writes it, and records it; version 0 is any.
func (s *Store) changeToken(ctx context.Context, id sallyport.OTPTokenID, version int64, verb string,
	do func(context.Context, *changing, *sallyport.OTPToken) error,
) (t sallyport.OTPToken, err error) {
	if err := checkID(otpToken, string(id)); err != nil {
		return t, err
	}
	err = s.change(ctx, verb+" OTP token", func(ctx context.Context, tx *changing) error {
		before, err := s.lockToken(ctx, tx, id)
		if err == nil && version != 0 {
			err = tx.checkVersion(ctx, otpToken, string(id), before.Version, version)
		}
		if err != nil {
			return err
		}
		t = before
		if err := do(ctx, tx, &t); err != nil {
			return err
		}
		t.Version++
		if err := s.writeToken(ctx, tx, t); err != nil {
			return err
		}
		if before.Account != t.Account {
			tx.authenticator(before.Account, sallyport.AuthenticatorOTP, t.Serial, false)
			tx.authenticator(t.Account, sallyport.AuthenticatorOTP, t.Serial, true)
		}
		return tx.record(otpToken+"."+verb, t.Serial, string(id), before, t)
	})
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	t.Seed = nil
	return t, nil
}

// lockToken reads a token for a change, or says not_found.
func (s *Store) lockToken(ctx context.Context, tx *changing, id sallyport.OTPTokenID) (sallyport.OTPToken, error) {
	var c conditions
	c.add(`id = ?`, string(id))
	list, err := s.tokensIn(ctx, tx.Tx, c)
	return only(otpToken, list, err)
}

// writeToken writes what can change of a token. Whoever used the last code may not repeat it any more.
func (s *Store) writeToken(ctx context.Context, tx *changing, t sallyport.OTPToken) error {
	_, err := tx.ExecContext(ctx, `UPDATE otp_tokens SET account = $2, assigned = $3, state = $4, next = $5, drift = $6, last_owner = '',
		sealed_seed = $7, version = $8 WHERE id = $1`, string(t.ID), string(t.Account), neverZero(t.Assigned), string(t.State),
		t.Next, t.Drift, s.box.seal(otpTokenPlace(t), t.Seed), t.Version)
	if err != nil {
		return fmt.Errorf("write OTP token: %w", err)
	}
	return nil
}

// UseOTPCode uses the code at a counter or step of an account's active token, and keeps the drift: first is true
// only when counter is greater than all that were used, for exactly one caller. The owner (at most 64 octets; a
// login, a RADIUS request) that used the last one is told first again when it repeats itself, on any appliance;
// an empty owner is not. A token that is no longer the account's, or disabled, is not_found. After an error the
// caller must refuse the code.
func (s *Store) UseOTPCode(ctx context.Context, account sallyport.AccountName, id sallyport.OTPTokenID, counter, drift int64, owner string) (first bool, err error) {
	if err := checkUse(account, id, counter, drift, owner); err != nil {
		return false, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `UPDATE otp_tokens SET next = $4, drift = $5, last_owner = $6, used = $7
		WHERE id = $1 AND account = $2 AND state = 'active' AND (next <= $3 OR next = $4 AND last_owner = $6 AND last_owner <> '')`,
		string(id), string(account), counter, counter+1, drift, owner, micros(s.now()))
	if n == 1 || err != nil {
		return n == 1, s.engine.failure("use OTP code", err)
	}
	known, err := s.engine.number(ctx, s.engine.write, `SELECT COUNT(*) FROM otp_tokens WHERE id = $1 AND account = $2 AND state = 'active'`, string(id), string(account))
	if err == nil && known == 0 {
		return false, notFound(otpToken)
	}
	return false, s.engine.failure("use OTP code", err)
}

func checkUse(account sallyport.AccountName, id sallyport.OTPTokenID, counter, drift int64, owner string) error {
	if owner != "" {
		if err := checkID("owner", owner); err != nil {
			return err
		}
	}
	return first(checkAccount(account), checkID(otpToken, string(id)), checkPlaceOfCode(counter, drift))
}

func checkPlaceOfCode(counter, drift int64) error {
	if counter < 0 || counter >= sallyport.OTPPlaceMost || drift > sallyport.OTPPlaceMost || drift < -sallyport.OTPPlaceMost {
		return invalidf("The place of an OTP code is out of bounds.")
	}
	return nil
}
