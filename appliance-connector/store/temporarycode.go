package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	temporaryCode        = "temporary code"
	temporaryCodeColumns = `id, account, issued, expires, issued_by, ended, ended_by`
	minCode              = 6  // characters that count
	maxCode              = 64 // octets
	maxCodeLife          = 366 * 24 * time.Hour
	// keepCodes is how long temporary codes are listed after their time.
	keepCodes = 90 * 24 * time.Hour
)

// IssueTemporaryCode gives an account a temporary code and revokes the one before. Only a keyed hash of the
// code is kept; how it is grouped and its case do not count (sallyport.CanonicalCode).
func (s *Store) IssueTemporaryCode(ctx context.Context, t sallyport.TemporaryCode, code sallyport.Secret) error {
	code = sallyport.CanonicalCode(code)
	t.Ended, t.EndedBy = time.Time{}, ""
	if err := checkTemporaryCode(t, code); err != nil {
		return err
	}
	return s.change(ctx, "issue temporary code", func(ctx context.Context, tx *changing) error {
		// One that had expired by itself is out of use without an end.
		if _, err := tx.ExecContext(ctx, `UPDATE temporary_codes SET sealed_code = NULL
			WHERE account = $1 AND sealed_code IS NOT NULL AND expires <= $2`, string(t.Account), micros(t.Issued)); err != nil {
			return fmt.Errorf("clear expired code: %w", err)
		}
		if _, err := s.endCodes(ctx, tx, `account = $1`, string(t.Account), sallyport.EndedByRevocation, t.Issued); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO temporary_codes (`+temporaryCodeColumns+`, sealed_code) VALUES ($1, $2, $3, $4, $5, 0, '', $6)`,
			t.ID, string(t.Account), micros(t.Issued), micros(t.Expires), t.By, s.box.seal(codePlace(t), s.codeMAC(t.ID, code)))
		if err != nil {
			return fmt.Errorf("write temporary code: %w", err)
		}
		return tx.record(temporaryCode+".issue", string(t.Account), t.ID, nil, t)
	})
}

// TemporaryCodes returns the temporary codes of an account, ended ones included, the newest first.
func (s *Store) TemporaryCodes(ctx context.Context, account sallyport.AccountName) ([]sallyport.TemporaryCode, error) {
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+temporaryCodeColumns+` FROM temporary_codes
		WHERE account = $1 ORDER BY issued DESC, id LIMIT 1000`, string(account))
	if err != nil {
		return nil, s.engine.failure("list temporary codes", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (sallyport.TemporaryCode, error) { return scanTemporaryCode(rows) })
	return list, s.engine.failure("list temporary codes", err)
}

// MatchTemporaryCode reports whether code is the account's temporary code at now, and which one. The
// comparison takes the same time whatever was typed. Counting the guesses is up to the caller.
func (s *Store) MatchTemporaryCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, now time.Time) (id string, ok bool, err error) {
	if err := checkAccount(account); err != nil {
		return "", false, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	// The writer: on a standby that is behind, an ended code would still be good.
	rows, err := s.engine.query(ctx, s.engine.write, `SELECT `+temporaryCodeColumns+`, sealed_code FROM temporary_codes
		WHERE account = $1 AND sealed_code IS NOT NULL`, string(account))
	if err != nil {
		return "", false, s.engine.failure("read temporary code", err)
	}
	t, found, err := one(collect(rows, s.scanKeptCode))
	if err != nil {
		return "", false, s.engine.failure("read temporary code", err)
	}
	if code = sallyport.CanonicalCode(code); len(code) > maxCode {
		code = ""
	}
	same := hmac.Equal(s.codeMAC(t.ID, code), t.mac)
	if !found || !same || !now.Before(t.Expires) {
		return "", false, nil
	}
	return t.ID, true, nil
}

// EndTemporaryCode ends one temporary code, or says not_found. One that is over already stays as it is.
func (s *Store) EndTemporaryCode(ctx context.Context, id string, why sallyport.TemporaryCodeEnd, now time.Time) error {
	if err := first(checkID(temporaryCode, id), checkCodeEnd(why)); err != nil {
		return err
	}
	return s.change(ctx, "end temporary code", func(ctx context.Context, tx *changing) error {
		ended, err := s.endCodes(ctx, tx, `id = $1`, id, why, now)
		if err != nil || ended > 0 {
			return err
		}
		var known int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM temporary_codes WHERE id = $1`, id).Scan(&known)
		if err == nil && known == 0 {
			err = notFound(temporaryCode)
		}
		tx.raise = false
		return err
	})
}

// EndTemporaryCodes ends what temporary codes of an account are good at now, and returns how many. With none,
// nothing is written: it costs little to call it at every login.
func (s *Store) EndTemporaryCodes(ctx context.Context, account sallyport.AccountName, why sallyport.TemporaryCodeEnd, now time.Time) (ended int, err error) {
	if err := first(checkAccount(account), checkCodeEnd(why)); err != nil {
		return 0, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.number(ctx, s.engine.read, `SELECT COUNT(*) FROM temporary_codes WHERE account = $1 AND sealed_code IS NOT NULL`, string(account))
	if err != nil || n == 0 {
		return 0, s.engine.failure("end temporary codes", err)
	}
	err = s.change(ctx, "end temporary codes", func(ctx context.Context, tx *changing) error {
		ended, err = s.endCodes(ctx, tx, `account = $1`, string(account), why, now)
		tx.raise = ended > 0
		return err
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}

// endCodes ends the codes that are good at now. Without its hash a code cannot be made good again.
func (s *Store) endCodes(ctx context.Context, tx *changing, where, value string, why sallyport.TemporaryCodeEnd, now time.Time) (int, error) {
	rows, err := tx.QueryContext(ctx, `UPDATE temporary_codes SET ended = $2, ended_by = $3, sealed_code = NULL
		WHERE `+where+` AND sealed_code IS NOT NULL AND expires > $2 RETURNING `+temporaryCodeColumns, value, micros(now), string(why))
	if err != nil {
		return 0, fmt.Errorf("end temporary codes: %w", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (sallyport.TemporaryCode, error) { return scanTemporaryCode(rows) })
	if err != nil {
		return 0, fmt.Errorf("end temporary codes: %w", err)
	}
	for _, after := range list {
		before := after
		before.Ended, before.EndedBy = time.Time{}, ""
		if err := tx.record(temporaryCode+".end", string(after.Account), after.ID, before, after); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// codeMAC is what is kept of a code: nobody can try codes on it who has not the store's key.
func (s *Store) codeMAC(id string, code sallyport.Secret) []byte {
	m := hmac.New(sha256.New, s.keptKey(keyTemporaryCode))
	m.Write(sealed.Fields(id, string(code)))
	return m.Sum(nil)
}

// codePlace binds a code to its account and its life: whoever can write to the database can neither give
// it to another account nor prolong it.
func codePlace(t sallyport.TemporaryCode) place {
	return place{table: "temporary_codes", column: "sealed_code", row: t.ID,
		binding: []string{string(t.Account), fmt.Sprint(micros(t.Issued)), fmt.Sprint(micros(t.Expires))}}
}

func scanTemporaryCode(rows *sql.Rows, more ...any) (t sallyport.TemporaryCode, err error) {
	var issued, expires, ended int64
	err = rows.Scan(append([]any{&t.ID, &t.Account, &issued, &expires, &t.By, &ended, &t.EndedBy}, more...)...)
	t.Issued, t.Expires, t.Ended = fromMicros(issued), fromMicros(expires), orNever(ended)
	return t, err
}

// keptCode is a temporary code with what is kept of it; nil when it is of no use any more.
type keptCode struct {
	sallyport.TemporaryCode
	mac []byte
}

func (s *Store) scanKeptCode(rows *sql.Rows) (k keptCode, err error) {
	var box []byte
	if k.TemporaryCode, err = scanTemporaryCode(rows, &box); err != nil || box == nil {
		return k, err
	}
	k.mac, err = s.box.open(codePlace(k.TemporaryCode), box)
	return k, err
}

func checkTemporaryCode(t sallyport.TemporaryCode, code sallyport.Secret) error {
	if t.Issued.Before(time.Unix(0, 0)) || t.Expires.Sub(t.Issued) > maxCodeLife {
		return invalidf("A temporary code is good for at most %d days from when it is issued.", maxCodeLife/(24*time.Hour))
	}
	return first(
		checkID(temporaryCode, t.ID),
		checkAccount(t.Account),
		checkLife(temporaryCode, t.Issued, t.Expires),
		checkText("name of who issues the code", t.By, maxAccount),
		checkSize("temporary code, without spaces and dashes,", len(code), minCode, maxCode),
	)
}

func checkCodeEnd(why sallyport.TemporaryCodeEnd) error {
	switch why {
	case sallyport.EndedByRevocation, sallyport.EndedByEnrolment, sallyport.EndedByUsualLogin:
		return nil
	}
	return invalidf("A temporary code ends by revocation, by enrolment, or by the usual login.")
}
