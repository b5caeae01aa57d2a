package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	// maxTokens bounds the API tokens of one administrator.
	maxTokens    = 100
	tokenColumns = `id, hash, owner_id, name, role, access, created, expires, used, mac`
)

// APITokens returns the tokens of an administrator, the newest first; with an empty owner those of all.
func (s *Store) APITokens(ctx context.Context, owner sallyport.AdministratorID) ([]sallyport.APIToken, error) {
	if owner == "" {
		return s.apiTokens(ctx, `SELECT `+tokenColumns+` FROM api_tokens ORDER BY owner_id, created DESC, id`)
	}
	if err := checkID("administrator", string(owner)); err != nil {
		return nil, err
	}
	return s.apiTokens(ctx, `SELECT `+tokenColumns+` FROM api_tokens WHERE owner_id = $1 ORDER BY created DESC, id`, string(owner))
}

// APITokenByHash returns the token with the SHA-256, or not_found. The caller compares Expires with its
// clock, and takes the lesser of the token's role and its owner's, who may have been disabled.
func (s *Store) APITokenByHash(ctx context.Context, hash [32]byte) (sallyport.APIToken, error) {
	list, err := s.apiTokens(ctx, `SELECT `+tokenColumns+` FROM api_tokens WHERE hash = $1`, hash[:])
	return only("API token", list, err)
}

// PutAPIToken adds a token, known by its SHA-256; one with the same id or hash is a conflict. An
// administrator may have 100.
func (s *Store) PutAPIToken(ctx context.Context, t sallyport.APIToken, hash [32]byte) error {
	if err := first(checkID("API token", t.ID), checkID("administrator", string(t.Owner)), checkText("API token's name", t.Name, maxName),
		checkRole(t.Role), checkAccess(t.Access), checkLife("API token", t.Created, t.Expires)); err != nil {
		return err
	}
	return s.audited(ctx, "save API token", func(ctx context.Context, tx *changing) error {
		if _, err := s.administratorIn(ctx, tx.Tx, t.Owner); err != nil {
			return err
		}
		if n, err := count(ctx, tx.Tx, `SELECT COUNT(*) FROM api_tokens WHERE owner_id = $1`, string(t.Owner)); err != nil || n >= maxTokens {
			if err == nil {
				err = conflictf("This administrator has %d API tokens already. Delete one first.", maxTokens)
			}
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO api_tokens (`+tokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			t.ID, hash[:], string(t.Owner), t.Name, string(t.Role), string(t.Access), micros(t.Created), micros(t.Expires), micros(t.Used), s.tokenMAC(t, hash[:])); err != nil {
			return err
		}
		return tx.record("API token.create", t.Name, t.ID, nil, t)
	})
}

// APITokenUsed notes that a token was used at a time; it goes forward only, by minutes.
func (s *Store) APITokenUsed(ctx context.Context, id string, at time.Time) error {
	if err := checkID("API token", id); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `UPDATE api_tokens SET used = $2 WHERE id = $1 AND used < $3`, id, micros(at), micros(at.Add(-lastSeenStep)))
	return s.engine.failure("note use of API token", err)
}

// DeleteAPIToken removes a token, or says not_found.
func (s *Store) DeleteAPIToken(ctx context.Context, id string) error {
	if err := checkID("API token", id); err != nil {
		return err
	}
	return s.audited(ctx, "delete API token", func(ctx context.Context, tx *changing) error {
		rows, err := tx.QueryContext(ctx, `DELETE FROM api_tokens WHERE id = $1 RETURNING `+tokenColumns, id)
		if err != nil {
			return err
		}
		list, err := collect(rows, scanToken)
		t, err := only("API token", list, err)
		if err != nil {
			return err
		}
		return tx.record("API token.delete", t.Name, id, t.APIToken, nil)
	})
}

func (s *Store) apiTokens(ctx context.Context, query string, args ...any) ([]sallyport.APIToken, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
	if err != nil {
		return nil, s.engine.failure("read API tokens", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (sallyport.APIToken, error) {
		t, err := scanToken(rows)
		if err == nil && !hmac.Equal(t.mac, s.tokenMAC(t.APIToken, t.hash)) {
			err = tampered("api_tokens", t.ID)
		}
		return t.APIToken, err
	})
	return list, s.engine.failure("read API tokens", err)
}

// tokenRow is a token with what vouches for it.
type tokenRow struct {
	sallyport.APIToken
	hash, mac []byte
}

func scanToken(rows *sql.Rows) (t tokenRow, err error) {
	var created, expires, used int64
	err = rows.Scan(&t.ID, &t.hash, &t.Owner, &t.Name, &t.Role, &t.Access, &created, &expires, &used, &t.mac)
	t.Created, t.Expires, t.Used = fromMicros(created), fromMicros(expires), fromMicros(used)
	return t, err
}

// tokenMAC covers all but when the token was last used. Tokens of before there was a choice of access have
// none, in the row and in the MAC.
func (s *Store) tokenMAC(t sallyport.APIToken, hash []byte) []byte {
	fields := []string{"API token", t.ID, string(hash), string(t.Owner), t.Name, string(t.Role),
		strconv.FormatInt(micros(t.Created), 10), strconv.FormatInt(micros(t.Expires), 10)}
	if t.Access != "" {
		fields = append(fields, string(t.Access))
	}
	return fieldsMAC(s.keptKey(keyAdministration), fields...)
}

func checkAccess(a sallyport.TokenAccess) error {
	if a != sallyport.TokenReads && a != sallyport.TokenWrites {
		return invalidf("An API token may read, or read and write.")
	}
	return nil
}
