package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport/sallyport"
)

// SetPassword keeps the hash of an administrator's password, as text that says how it was made, at most
// 512 octets; empty takes the password away.
func (s *Store) SetPassword(ctx context.Context, id sallyport.AdministratorID, hash string) error {
	if err := checkSize("password hash", len(hash), 0, maxHash); err != nil {
		return err
	}
	return s.setSecret(ctx, id, "sealed_password", []byte(hash), "administrator.password")
}

// PasswordHash returns the hash of an administrator's password: empty without one.
func (s *Store) PasswordHash(ctx context.Context, id sallyport.AdministratorID) (string, error) {
	hash, err := s.secret(ctx, id, "sealed_password")
	return string(hash), err
}

// SetTOTP keeps the seed of an administrator's token codes (RFC 6238), at most 128 octets; empty takes
// it away.
func (s *Store) SetTOTP(ctx context.Context, id sallyport.AdministratorID, seed sallyport.Key) error {
	if err := checkSize("seed", len(seed), 0, maxSeed); err != nil {
		return err
	}
	return s.setSecret(ctx, id, "sealed_totp", seed, "administrator.totp")
}

// TOTP returns the seed of an administrator's token codes: empty without one.
func (s *Store) TOTP(ctx context.Context, id sallyport.AdministratorID) (sallyport.Key, error) {
	return s.secret(ctx, id, "sealed_totp")
}

// setSecret writes one of the sealed columns of an administrator; the record says only whether there
// was one and is one.
func (s *Store) setSecret(ctx context.Context, id sallyport.AdministratorID, column string, secret []byte, action string) error {
	if err := checkID("administrator", string(id)); err != nil {
		return err
	}
	return s.change(ctx, "save administrator's secret", func(ctx context.Context, tx *changing) error {
		a, err := s.administratorIn(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		had, err := count(ctx, tx.Tx, `SELECT COUNT(`+column+`) FROM administrators WHERE id = $1`, string(id))
		if err != nil {
			return err
		}
		if err := s.writeSecret(ctx, tx.Tx, id, column, secret); err != nil {
			return err
		}
		return tx.record(action, a.Name, string(id), map[string]bool{"set": had == 1}, map[string]bool{"set": len(secret) > 0})
	})
}

func (s *Store) writeSecret(ctx context.Context, tx *sql.Tx, id sallyport.AdministratorID, column string, secret []byte) error {
	var box []byte
	if len(secret) > 0 {
		box = s.box.seal(administratorPlace(id, column), secret)
	}
	_, err := tx.ExecContext(ctx, `UPDATE administrators SET `+column+` = $2 WHERE id = $1`, string(id), box)
	return err
}

func (s *Store) secret(ctx context.Context, id sallyport.AdministratorID, column string) ([]byte, error) {
	if err := checkID("administrator", string(id)); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	var box []byte
	err := s.engine.read.QueryRowContext(ctx, `SELECT `+column+` FROM administrators WHERE id = $1`, string(id)).Scan(&box)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, notFound("administrator")
	case err != nil || box == nil:
		return nil, s.engine.failure("read administrator's secret", err)
	}
	return s.box.open(administratorPlace(id, column), box)
}

func administratorPlace(id sallyport.AdministratorID, column string) place {
	return place{table: "administrators", column: column, row: string(id)}
}

// Passkey is one WebAuthn credential of an administrator.
type Passkey struct {
	// Credential is its id, 1 to 1023 octets (WebAuthn section 4).
	Credential []byte
	// Kept is what the console keeps of it, at most 16 KiB.
	Kept    []byte
	Created time.Time
}

// Passkeys returns the passkeys of an administrator, the oldest first.
func (s *Store) Passkeys(ctx context.Context, id sallyport.AdministratorID) ([]Passkey, error) {
	if err := checkID("administrator", string(id)); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read,
		`SELECT credential, sealed_passkey, created FROM passkeys WHERE administrator_id = $1 ORDER BY created, credential`, string(id))
	if err != nil {
		return nil, s.engine.failure("read passkeys", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (p Passkey, err error) {
		var box []byte
		var created int64
		if err := rows.Scan(&p.Credential, &box, &created); err != nil {
			return p, err
		}
		p.Created = fromMicros(created)
		p.Kept, err = s.box.open(passkeyPlace(id, p.Credential), box)
		return p, err
	})
	return list, s.engine.failure("read passkeys", err)
}

// PutPasskey adds a passkey, or replaces what is kept of it (its counter). One that belongs to another
// administrator is a conflict. An administrator may have 20.
func (s *Store) PutPasskey(ctx context.Context, id sallyport.AdministratorID, p Passkey) error {
	if err := first(checkID("administrator", string(id)), checkSize("passkey's id", len(p.Credential), 1, 1023),
		checkSize("passkey", len(p.Kept), 1, maxPasskey)); err != nil {
		return err
	}
	return s.audited(ctx, "save passkey", func(ctx context.Context, tx *changing) error {
		a, err := s.administratorIn(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		box := s.box.seal(passkeyPlace(id, p.Credential), p.Kept)
		result, err := tx.ExecContext(ctx, `UPDATE passkeys SET sealed_passkey = $3 WHERE credential = $1 AND administrator_id = $2`, p.Credential, string(id), box)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		if n, err := count(ctx, tx.Tx, `SELECT COUNT(*) FROM passkeys WHERE administrator_id = $1`, string(id)); err != nil || n >= maxPasskeys {
			if err == nil {
				err = conflictf("%q has %d passkeys already. Delete one first.", a.Name, maxPasskeys)
			}
			return err
		}
		if p.Created.IsZero() {
			p.Created = s.now()
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO passkeys (credential, administrator_id, sealed_passkey, created) VALUES ($1, $2, $3, $4)`,
			p.Credential, string(id), box, micros(p.Created)); err != nil {
			return err
		}
		return tx.record("passkey.add", a.Name, string(id), nil, map[string][]byte{"credential": p.Credential})
	})
}

// DeletePasskey removes a passkey of an administrator, or says not_found.
func (s *Store) DeletePasskey(ctx context.Context, id sallyport.AdministratorID, credential []byte) error {
	if err := first(checkID("administrator", string(id)), checkSize("passkey's id", len(credential), 1, 1023)); err != nil {
		return err
	}
	return s.audited(ctx, "delete passkey", func(ctx context.Context, tx *changing) error {
		a, err := s.administratorIn(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, "passkey", `DELETE FROM passkeys WHERE credential = $1 AND administrator_id = $2`, credential, string(id)); err != nil {
			return err
		}
		return tx.record("passkey.delete", a.Name, string(id), map[string][]byte{"credential": credential}, nil)
	})
}

func passkeyPlace(id sallyport.AdministratorID, credential []byte) place {
	return place{table: "passkeys", column: "sealed_passkey", row: string(credential), binding: []string{string(id)}}
}
