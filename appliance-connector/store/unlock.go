package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// The rows of meta that bind the database to its master key.
const (
	metaSalt  = "salt"  // 32 random octets, made with the database and by each Rekey
	metaCheck = "check" // a sealed constant that opens under the right master key only
	// metaKey begins the names of kept keys.
	metaKey = "key "
)

// The kept keys, by what they are for.
const (
	keyAudit          = "audit trail"
	keyAdministration = "administration"
	keyTemporaryCode  = "temporary code"
)

var keptKeys = []string{keyAudit, keyAdministration, keyTemporaryCode}

// unlock makes the sealer out of the master key, and sees to it that this database is the master
// key's own.
func (s *Store) unlock(ctx context.Context, master sallyport.Key) error {
	err := s.engine.transact(ctx, func(tx *sql.Tx) error {
		// Salt and check belong together, so a Rekey under way has to end first.
		if _, err := s.lockedCheck(ctx, tx); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var salt [32]byte
		rand.Read(salt[:])
		kept, _, err := keep(ctx, tx, metaSalt, salt[:])
		if err != nil {
			return err
		}
		key := newBoxKey(master, kept)
		check, _, err := keep(ctx, tx, metaCheck, key.seal(checkPlace, checkWord))
		if err != nil {
			return err
		}
		s.box = newSealer(key)
		if _, err := s.box.open(checkPlace, check); err != nil {
			return sallyport.Errorf(sallyport.CodeDenied,
				"The master key does not belong to this database. Use the master key file that was made with it, or, if the master key was changed since, the new one.", errors.Unwrap(err))
		}
		made, err := s.readKept(ctx, tx)
		if err != nil || !made[keyAudit] {
			return err
		}
		return s.beginTrail(ctx, tx)
	})
	return s.engine.failure("unlock store", err)
}

// underKey keeps Rekey out until tx ends, and refuses to go on in a database that another process
// has put under another master key: what is sealed there now would be lost.
func (s *Store) underKey(ctx context.Context, tx *sql.Tx) error {
	check, err := s.lockedCheck(ctx, tx)
	if err != nil {
		return fmt.Errorf("read check of master key: %w", err)
	}
	return s.box.adopt(check)
}

func (s *Store) lockedCheck(ctx context.Context, tx *sql.Tx) (check []byte, err error) {
	err = tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = $1`+s.engine.lockShared, metaCheck).Scan(&check)
	return check, err
}

// keptKey returns the key of that name, one of keptKeys: 32 random octets, kept sealed, the same on all
// appliances of the database and after a Rekey. It is for MACs and keyed hashes, which cannot be
// computed again under another key.
func (s *Store) keptKey(name string) sallyport.Key {
	key, ok := s.kept[name]
	if !ok {
		panic("store: no kept key " + name)
	}
	return key
}

// readKept reads the kept keys and makes those that are missing.
func (s *Store) readKept(ctx context.Context, tx *sql.Tx) (made map[string]bool, err error) {
	s.kept, made = make(map[string]sallyport.Key), make(map[string]bool)
	for _, name := range keptKeys {
		fresh := make([]byte, sealed.KeySize)
		rand.Read(fresh)
		row := metaKey + name
		box, isNew, err := keep(ctx, tx, row, s.box.seal(keyPlace(row), fresh))
		if err != nil {
			return nil, err
		}
		if s.kept[name], err = s.box.open(keyPlace(row), box); err != nil {
			return nil, err
		}
		made[name] = isNew
	}
	return made, nil
}

func keyPlace(row string) place { return place{table: "meta", column: "value", row: row} }

// keep writes value under name unless there is one already, and returns what is there now.
func keep(ctx context.Context, tx *sql.Tx, name string, value []byte) (kept []byte, made bool, err error) {
	result, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, value)
	if err != nil {
		return nil, false, fmt.Errorf("write %s: %w", name, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return nil, false, fmt.Errorf("write %s: %w", name, err)
	}
	if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = $1`, name).Scan(&kept); err != nil {
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	}
	return kept, n == 1, nil
}
