package store

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"github.com/sallyport/sallyport"
)

// PutSetupLink keeps the hash (SHA-256) of the secret in the link by which the first administrator is
// made; it takes the place of the one before. Once there is an administrator it is a conflict.
func (s *Store) PutSetupLink(ctx context.Context, hash [32]byte, expires time.Time) error {
	return s.audited(ctx, "save setup link", func(ctx context.Context, tx *changing) error {
		if err := lockEmpty(ctx, tx); err != nil {
			return err
		}
		kept := binary.BigEndian.AppendUint64(hash[:], uint64(micros(expires)))
		if _, err := tx.ExecContext(ctx, `UPDATE administration SET sealed_setup = $1`, s.box.seal(setupPlace, kept)); err != nil {
			return err
		}
		return tx.record("setup link.create", "setup link", "", nil, map[string]time.Time{"expires": expires.UTC()})
	})
}

// CheckSetupLink says whether UseSetupLink would take the hash now: not_found for a wrong or used one,
// expired, or conflict once there is an administrator.
func (s *Store) CheckSetupLink(ctx context.Context, hash [32]byte, now time.Time) error {
	return s.audited(ctx, "check setup link", func(ctx context.Context, tx *changing) error {
		return s.checkSetup(ctx, tx, hash, now)
	})
}

// UseSetupLink makes the first administrator, a super administrator with the hash of a password, for
// exactly one caller who has the link. Errors are those of CheckSetupLink, and then nothing is used.
func (s *Store) UseSetupLink(ctx context.Context, hash [32]byte, now time.Time, a sallyport.Administrator, passwordHash string) (sallyport.Administrator, error) {
	a.Role, a.Scope, a.Disabled, a.Directory, a.Version = sallyport.RoleSuper, sallyport.Scope{}, false, false, 0
	if err := first(checkAdministrator(a), checkSize("password hash", len(passwordHash), 1, maxHash)); err != nil {
		return a, err
	}
	var kept sallyport.Administrator
	err := s.change(ctx, "use setup link", func(ctx context.Context, tx *changing) (err error) {
		if err := s.checkSetup(ctx, tx, hash, now); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE administration SET sealed_setup = NULL`); err != nil {
			return err
		}
		if kept, err = s.putAdministrator(ctx, tx, a); err != nil {
			return err
		}
		if err := s.writeSecret(ctx, tx.Tx, a.ID, "sealed_password", []byte(passwordHash)); err != nil {
			return err
		}
		return tx.record("setup link.use", a.Name, string(a.ID), nil, nil)
	})
	return kept, err
}

func (s *Store) checkSetup(ctx context.Context, tx *changing, hash [32]byte, now time.Time) error {
	if err := lockEmpty(ctx, tx); err != nil {
		return err
	}
	var box []byte
	if err := tx.QueryRowContext(ctx, `SELECT sealed_setup FROM administration`).Scan(&box); err != nil {
		return err
	}
	if box == nil {
		return notFound("setup link")
	}
	kept, err := s.box.open(setupPlace, box)
	if err != nil {
		return err
	}
	if len(kept) != len(hash)+8 || subtle.ConstantTimeCompare(kept[:len(hash)], hash[:]) != 1 {
		return notFound("setup link")
	}
	if !fromMicros(int64(binary.BigEndian.Uint64(kept[len(hash):]))).After(now) {
		return sallyport.Errorf(sallyport.CodeExpired, "This setup link has expired. Make a new one on the appliance.", nil)
	}
	return nil
}

// lockEmpty locks the administration and makes sure that there is no administrator yet.
func lockEmpty(ctx context.Context, tx *changing) error {
	if _, err := lockAdministration(ctx, tx); err != nil {
		return err
	}
	n, err := count(ctx, tx.Tx, `SELECT COUNT(*) FROM administrators`)
	if err == nil && n > 0 {
		return conflictf("There is an administrator already. Sign in, or have an administrator make you one.")
	}
	return err
}

var setupPlace = place{table: "administration", column: "sealed_setup", row: "1"}
