package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sallyport/sallyport"
)

const (
	otpPIN        = "PIN of the OTP token"
	otpPINColumns = `account, set_at, set_by, sealed_hash`
	maxPINHash    = 512 // octets
)

// SetOTPPIN gives an account a PIN, in place of the one before.
func (s *Store) SetOTPPIN(ctx context.Context, p sallyport.OTPPIN) error {
	if err := first(checkAccount(p.Account), checkText("name of who sets the PIN", p.By, maxAccount),
		checkSize("hash of the PIN", len(p.Hash), 1, maxPINHash)); err != nil {
		return err
	}
	return s.change(ctx, "set PIN", func(ctx context.Context, tx *changing) error {
		before, err := s.lockPIN(ctx, tx, p.Account)
		if err != nil && !spoiled(err) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO otp_pins (account, set_at, set_by, sealed_hash) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account) DO UPDATE SET set_at = excluded.set_at, set_by = excluded.set_by, sealed_hash = excluded.sealed_hash`,
			string(p.Account), micros(p.Set), p.By, s.box.seal(otpPINPlace(p), []byte(p.Hash))); err != nil {
			return fmt.Errorf("write PIN: %w", err)
		}
		return tx.record(otpPIN+".set", string(p.Account), string(p.Account), pinRecord(before), pinRecord(&p))
	})
}

// DeleteOTPPIN takes the PIN from an account, or says not_found.
func (s *Store) DeleteOTPPIN(ctx context.Context, account sallyport.AccountName) error {
	if err := checkAccount(account); err != nil {
		return err
	}
	return s.change(ctx, "delete PIN", func(ctx context.Context, tx *changing) error {
		before, err := s.lockPIN(ctx, tx, account)
		if spoiled(err) {
			before, err = &sallyport.OTPPIN{Account: account}, nil
		}
		if err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, otpPIN, `DELETE FROM otp_pins WHERE account = $1`, string(account)); err != nil {
			return err
		}
		return tx.record(otpPIN+".delete", string(account), string(account), pinRecord(before), nil)
	})
}

// OTPPIN returns an account's PIN, as far as it is kept; nil: it has none.
func (s *Store) OTPPIN(ctx context.Context, account sallyport.AccountName) (*sallyport.OTPPIN, error) {
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	// The writer: on a standby that is behind, a PIN that was taken away would still be good.
	rows, err := s.engine.query(ctx, s.engine.write, `SELECT `+otpPINColumns+` FROM otp_pins WHERE account = $1`, string(account))
	if err != nil {
		return nil, s.engine.failure("read PIN", err)
	}
	p, found, err := one(collect(rows, s.scanOTPPIN))
	if err != nil || !found {
		return nil, s.engine.failure("read PIN", err)
	}
	return &p, nil
}

func (s *Store) lockPIN(ctx context.Context, tx *changing, account sallyport.AccountName) (*sallyport.OTPPIN, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+otpPINColumns+` FROM otp_pins WHERE account = $1`+s.engine.lockRows, string(account))
	if err != nil {
		return nil, fmt.Errorf("read PIN: %w", err)
	}
	p, found, err := one(collect(rows, s.scanOTPPIN))
	if err != nil || !found {
		return nil, err
	}
	return &p, nil
}

// otpPINPlace binds a PIN to its account: whoever can write to the database cannot give it to another one.
func otpPINPlace(p sallyport.OTPPIN) place {
	return place{table: "otp_pins", column: "sealed_hash", row: string(p.Account)}
}

func (s *Store) scanOTPPIN(rows *sql.Rows) (p sallyport.OTPPIN, err error) {
	var at int64
	var box []byte
	if err := rows.Scan(&p.Account, &at, &p.By, &box); err != nil {
		return p, err
	}
	p.Set = fromMicros(at)
	hash, err := s.box.open(otpPINPlace(p), box)
	p.Hash = sallyport.Secret(hash)
	return p, err
}

// pinRecord is what the audit trail says of a PIN.
func pinRecord(p *sallyport.OTPPIN) any {
	if p == nil {
		return nil
	}
	return map[string]any{"account": p.Account, "set": p.Set, "by": p.By}
}
