package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	userPasskey        = "user passkey"
	userPasskeyColumns = `id, account, host, name, credential, sealed_passkey, enrolled, used, copied, version`
	maxHost            = 253
	maxPasskeyName     = 64
)

// UserPasskeys returns the passkeys of an account, the newest first; none is no error.
func (s *Store) UserPasskeys(ctx context.Context, account sallyport.AccountName) ([]sallyport.Passkey, error) {
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+userPasskeyColumns+` FROM user_passkeys WHERE account = $1 ORDER BY enrolled DESC, id`, string(account))
	if err != nil {
		return nil, s.engine.failure("list passkeys", err)
	}
	list, err := collect(rows, s.scanUserPasskey)
	return list, s.engine.failure("list passkeys", err)
}

// AddUserPasskey enrols a passkey. An account may have sallyport.PasskeysMost; one that anybody has already is a
// conflict. It ends the account's temporary codes: there is a usual factor now.
func (s *Store) AddUserPasskey(ctx context.Context, p sallyport.Passkey) error {
	p.Name, p.Used, p.Copied, p.Version = clean(p.Name, maxPasskeyName), time.Time{}, time.Time{}, 1
	if err := checkUserPasskey(p); err != nil {
		return err
	}
	return s.change(ctx, "save passkey", func(ctx context.Context, tx *changing) error {
		// Two that come at once must see each other; every change waits for this row at its end anyway.
		if _, err := tx.ExecContext(ctx, `UPDATE revision SET value = value`); err != nil {
			return fmt.Errorf("wait for other changes: %w", err)
		}
		n, err := count(ctx, tx.Tx, `SELECT COUNT(*) FROM user_passkeys WHERE credential = $1`, p.Credential)
		if err != nil {
			return err
		}
		if n > 0 {
			return conflictf("This passkey is enrolled already.")
		}
		if n, err = count(ctx, tx.Tx, `SELECT COUNT(*) FROM user_passkeys WHERE account = $1`, string(p.Account)); err != nil {
			return err
		}
		if n >= sallyport.PasskeysMost {
			return conflictf("There are %d passkeys already. Delete one first.", sallyport.PasskeysMost)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO user_passkeys (`+userPasskeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 1)`,
			string(p.ID), string(p.Account), p.Host, p.Name, p.Credential, s.box.seal(userPasskeyPlace(p), p.Kept), micros(p.Enrolled)); err != nil {
			return fmt.Errorf("write passkey: %w", err)
		}
		if _, err := s.endCodes(ctx, tx, `account = $1`, string(p.Account), sallyport.EndedByEnrolment, p.Enrolled); err != nil {
			return err
		}
		tx.authenticator(p.Account, sallyport.AuthenticatorPasskey, p.Name, true)
		return tx.record(userPasskey+".enrol", string(p.Account), string(p.ID), nil, p)
	})
}

// UseUserPasskey keeps what a passkey is checked with from now on, and when it was used. conflict: it was used or
// changed meanwhile, or is not there any more.
func (s *Store) UseUserPasskey(ctx context.Context, p sallyport.Passkey, now time.Time) error {
	if err := checkUserPasskey(p); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err := s.engine.transact(ctx, func(tx *sql.Tx) error {
		if err := s.underKey(ctx, tx); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE user_passkeys SET sealed_passkey = $4, used = $5, version = version + 1
			WHERE id = $1 AND account = $2 AND version = $3 AND copied = 0`,
			string(p.ID), string(p.Account), p.Version, s.box.seal(userPasskeyPlace(p), p.Kept), micros(now))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return conflictf("The passkey was used or changed meanwhile.")
	})
	return s.engine.failure("count use of passkey", err)
}

// EndCopiedPasskey has a passkey not be taken any more, since there may be a copy of it; it stays on the list, so
// that people see why. not_found: it is not there. Repeated, it changes nothing.
func (s *Store) EndCopiedPasskey(ctx context.Context, account sallyport.AccountName, id sallyport.PasskeyID, why string, now time.Time) error {
	if err := first(checkAccount(account), checkID(userPasskey, string(id))); err != nil {
		return err
	}
	return s.change(ctx, "end passkey", func(ctx context.Context, tx *changing) error {
		before, err := s.userPasskeyIn(ctx, tx, account, id)
		if err != nil || !before.Copied.IsZero() {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE user_passkeys SET copied = $2, version = version + 1 WHERE id = $1`, string(id), micros(now)); err != nil {
			return fmt.Errorf("end passkey: %w", err)
		}
		after := before
		after.Copied, after.Version = now, before.Version+1
		if err := tx.record(userPasskey+".copied", string(account), string(id), before, after); err != nil {
			return err
		}
		tx.records[len(tx.records)-1].Reason = why
		return nil
	})
}

// DeleteUserPasskey removes a passkey of an account, or says not_found.
func (s *Store) DeleteUserPasskey(ctx context.Context, account sallyport.AccountName, id sallyport.PasskeyID) error {
	if err := first(checkAccount(account), checkID(userPasskey, string(id))); err != nil {
		return err
	}
	return s.change(ctx, "delete passkey", func(ctx context.Context, tx *changing) error {
		before, err := s.userPasskeyIn(ctx, tx, account, id)
		if spoiled(err) {
			before, err = sallyport.Passkey{ID: id, Account: account}, nil
		}
		if err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, userPasskey, `DELETE FROM user_passkeys WHERE id = $1`, string(id)); err != nil {
			return err
		}
		tx.authenticator(account, sallyport.AuthenticatorPasskey, before.Name, false)
		return tx.record(userPasskey+".delete", string(account), string(id), before, nil)
	})
}

func (s *Store) userPasskeyIn(ctx context.Context, tx *changing, account sallyport.AccountName, id sallyport.PasskeyID) (sallyport.Passkey, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+userPasskeyColumns+` FROM user_passkeys WHERE id = $1 AND account = $2`+s.engine.lockRows, string(id), string(account))
	if err != nil {
		return sallyport.Passkey{}, fmt.Errorf("read passkey: %w", err)
	}
	list, err := collect(rows, s.scanUserPasskey)
	return only(userPasskey, list, err)
}

func (s *Store) scanUserPasskey(rows *sql.Rows) (p sallyport.Passkey, err error) {
	var enrolled, used, copied int64
	var box []byte
	if err := rows.Scan(&p.ID, &p.Account, &p.Host, &p.Name, &p.Credential, &box, &enrolled, &used, &copied, &p.Version); err != nil {
		return p, err
	}
	p.Enrolled, p.Used, p.Copied = fromMicros(enrolled), orNever(used), orNever(copied)
	p.Kept, err = s.box.open(userPasskeyPlace(p), box)
	return p, err
}

// userPasskeyPlace binds a passkey to its account and host: whoever can write to the database still cannot give an
// account another's passkey.
func userPasskeyPlace(p sallyport.Passkey) place {
	return place{table: "user_passkeys", column: "sealed_passkey", row: string(p.ID), binding: []string{string(p.Account), p.Host, string(p.Credential)}}
}

func checkUserPasskey(p sallyport.Passkey) error {
	if p.Enrolled.Before(time.Unix(0, 0)) {
		return invalidf("The passkey's time of enrolment is missing.")
	}
	if p.Host != clean(p.Host, maxHost) || strings.Contains(p.Host, " ") {
		return invalidf("The passkey's host is not one.")
	}
	return first(checkID(userPasskey, string(p.ID)), checkAccount(p.Account), checkSize("passkey's host", len(p.Host), 1, maxHost),
		checkSize("passkey's id", len(p.Credential), 1, 1023), checkSize("passkey", len(p.Kept), 1, maxPasskey))
}
