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

// masterSize is the length of a master key, in octets.
const masterSize = 32

// The rows of meta that bind the database to its master key.
const (
	metaSalt  = "salt"  // 32 random octets, made with the database
	metaCheck = "check" // a sealed constant that opens under the right master key only
)

var checkWord = []byte("sallyport store")

// sealer encrypts the secret columns. Its key comes from the master key and the database's own
// salt, so no value can be carried from one database to another.
type sealer struct{ key sallyport.Key }

// place says where a sealed value belongs. Binding names the columns that the value vouches for: a
// row edited behind the store's back does not open any more.
type place struct {
	table, column, row string
	binding            []string
}

func (p place) aad() []byte {
	return sealed.Fields(append([]string{"sallyport/v1 store", p.table, p.column, p.row}, p.binding...)...)
}

func (s sealer) seal(p place, secret []byte) []byte {
	return sealed.Seal(s.key, secret, p.aad())
}

func (s sealer) open(p place, box []byte) ([]byte, error) {
	secret, err := sealed.Open(s.key, box, p.aad())
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInternal,
			"A secret in the appliance's database was changed from outside and cannot be used.",
			fmt.Errorf("open %s.%s of row %q: %w", p.table, p.column, p.row, err))
	}
	return secret, nil
}

// unlock makes the sealer out of the master key, and sees to it that this database is the master
// key's own.
func unlock(ctx context.Context, e *engine, master sallyport.Key) (sealer, error) {
	var box sealer
	err := e.transact(ctx, func(tx *sql.Tx) error {
		var salt [32]byte
		rand.Read(salt[:])
		kept, err := keep(ctx, tx, metaSalt, salt[:])
		if err != nil {
			return err
		}
		box.key = sealed.Derive(master, kept, "sallyport/v1 store columns", sealed.KeySize)
		at := place{table: "meta", column: "value", row: metaCheck}
		check, err := keep(ctx, tx, metaCheck, box.seal(at, checkWord))
		if err != nil {
			return err
		}
		if _, err := box.open(at, check); err != nil {
			return sallyport.Errorf(sallyport.CodeDenied,
				"The master key does not belong to this database. Use the master key file that was made with it.", errors.Unwrap(err))
		}
		return nil
	})
	return box, e.failure("unlock store", err)
}

// keep writes value under name unless there is one already, and returns what is there now.
func keep(ctx context.Context, tx *sql.Tx, name string, value []byte) (kept []byte, err error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, value); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = $1`, name).Scan(&kept); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return kept, nil
}
