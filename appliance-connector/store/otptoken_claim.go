package store

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport"
)

// ClaimOTPToken gives an account the token of a serial number that nobody has, if find says so, which returns the place of
// the last code that its holder has shown: that counts as used. The owner (at most 64 octets; a login) that claimed
// it is told the same again when it repeats itself, on any appliance. It is recorded in the account's name. A token that
// is not there is not_found, one that somebody has, or that is disabled, a conflict.
func (s *Store) ClaimOTPToken(ctx context.Context, account sallyport.AccountName, serial, owner string,
	find func(sallyport.OTPToken) (counter, drift int64, err error),
) (t sallyport.OTPToken, err error) {
	if err := first(checkAccount(account), checkID("owner", owner)); err != nil {
		return t, err
	}
	as := s.As(sallyport.Actor{Kind: sallyport.ActorUser, Name: string(account)})
	err = as.change(ctx, "claim OTP token", func(ctx context.Context, tx *changing) error {
		before, last, err := s.lockTokenBySerial(ctx, tx, serial)
		if err != nil {
			return err
		}
		t = before
		if t.Account == account && last == owner {
			tx.raise = false
			return nil
		}
		if t.Account != "" || t.State != sallyport.OTPTokenActive {
			return conflictf("The OTP token %q cannot be claimed: somebody has it, or it is disabled.", t.Serial)
		}
		if err := tx.checkRoomForToken(ctx, account); err != nil {
			return err
		}
		counter, drift, err := find(t)
		if err == nil {
			err = checkPlaceOfCode(counter, drift)
		}
		if err != nil {
			return err
		}
		if counter < t.Next {
			return conflictf("These codes, or later ones, were used already.")
		}
		t.Account, t.Assigned, t.Next, t.Drift = account, fromMicros(micros(s.now())), counter+1, drift
		t.Version++
		if err := s.writeToken(ctx, tx, t); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE otp_tokens SET last_owner = $2 WHERE id = $1`, string(t.ID), owner); err != nil {
			return fmt.Errorf("note who claims the OTP token: %w", err)
		}
		tx.authenticator(account, sallyport.AuthenticatorOTP, t.Serial, true)
		return tx.record(otpToken+".claim", t.Serial, string(t.ID), before, t)
	})
	if err != nil {
		return sallyport.OTPToken{}, err
	}
	t.Seed = nil
	return t, nil
}

// lockTokenBySerial reads a token for a change, and who used its last code; or says not_found.
func (s *Store) lockTokenBySerial(ctx context.Context, tx *changing, serial string) (t sallyport.OTPToken, last string, err error) {
	if len(serial) == 0 || len(serial) > sallyport.OTPSerialMost {
		return t, "", notFound(otpToken)
	}
	var c conditions
	c.add(`serial_folded = ?`, fold(serial))
	list, err := s.tokensIn(ctx, tx.Tx, c)
	if t, err = only(otpToken, list, err); err != nil {
		return t, "", err
	}
	if err := tx.QueryRowContext(ctx, `SELECT last_owner FROM otp_tokens WHERE id = $1`, string(t.ID)).Scan(&last); err != nil {
		return t, "", fmt.Errorf("read who used the OTP token: %w", err)
	}
	return t, last, nil
}

// checkRoomForToken refuses an account that has as many tokens as one may have.
func (tx *changing) checkRoomForToken(ctx context.Context, account sallyport.AccountName) error {
	n, err := count(ctx, tx.Tx, `SELECT COUNT(*) FROM otp_tokens WHERE account = $1`, string(account))
	if err == nil && n >= maxOTPTokens {
		err = conflictf("This account has %d OTP tokens already. Take one away first.", maxOTPTokens)
	}
	return err
}
