package store

import (
	"context"
	"database/sql"

	"github.com/sallyport/sallyport"
)

// maxRecovery bounds the recovery codes of one administrator.
const maxRecovery = 32

// SetRecoveryCodes replaces an administrator's recovery codes by those with the hashes; none takes them away.
// The hash must be keyed: the codes are short, and who can write to the database must not be able to make one.
func (s *Store) SetRecoveryCodes(ctx context.Context, id sallyport.AdministratorID, hashes [][32]byte) error {
	if err := first(checkID("administrator", string(id)), checkSize("list of recovery codes", len(hashes), 0, maxRecovery)); err != nil {
		return err
	}
	return s.audited(ctx, "save recovery codes", func(ctx context.Context, tx *changing) error {
		a, err := s.administratorIn(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		had, err := count(ctx, tx.Tx, `SELECT COUNT(*) FROM recovery_codes WHERE administrator_id = $1`, string(id))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE administrator_id = $1`, string(id)); err != nil {
			return err
		}
		for _, h := range hashes {
			if _, err := tx.ExecContext(ctx, `INSERT INTO recovery_codes (administrator_id, hash) VALUES ($1, $2)`, string(id), h[:]); err != nil {
				return err
			}
		}
		return tx.record("administrator.recovery codes", a.Name, string(id), map[string]int{"codes": int(had)}, map[string]int{"codes": len(hashes)})
	})
}

// TakeRecoveryCode uses a recovery code up: ok is true for exactly one caller on all appliances.
func (s *Store) TakeRecoveryCode(ctx context.Context, id sallyport.AdministratorID, hash [32]byte) (ok bool, err error) {
	if err := checkID("administrator", string(id)); err != nil {
		return false, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `DELETE FROM recovery_codes WHERE administrator_id = $1 AND hash = $2`, string(id), hash[:])
	return n == 1, s.engine.failure("use recovery code", err)
}

// RecoveryCodes returns how many recovery codes an administrator has left.
func (s *Store) RecoveryCodes(ctx context.Context, id sallyport.AdministratorID) (left int, err error) {
	if err := checkID("administrator", string(id)); err != nil {
		return 0, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		n, err := count(ctx, tx, `SELECT COUNT(*) FROM recovery_codes WHERE administrator_id = $1`, string(id))
		left = int(n)
		return err
	})
	return left, s.engine.failure("count recovery codes", err)
}
