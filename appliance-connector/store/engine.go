package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/sallyport/sallyport"
)

// maxAttempts bounds how often a transaction is run that the engine undid for another's sake.
const maxAttempts = 5

// engine is a database with the few places where SQLite and PostgreSQL differ. Statements are
// written once, in the words that both understand, with $1, $2, … for values.
type engine struct {
	write *sql.DB // SQLite: one connection; PostgreSQL: the pool
	read  *sql.DB // SQLite: readers that cannot write; PostgreSQL: the same pool
	// schema puts the engine's own type names into a migration.
	schema func(string) string
	// migrationLock, run first in a migration's transaction, keeps other processes out.
	migrationLock string
	// skipLocked ends a sub-select that picks rows to delete, so that two sweeps do not wait for one another.
	skipLocked string
	// lockRows ends a select whose rows are about to be changed.
	lockRows string
	// lockShared ends a select whose rows must stay as they are until the transaction ends.
	lockShared string
	// takeTime, run in a transaction, lets its statements run, and wait for others, for long.
	takeTime string
	// clock asks the engine for its own time, in microseconds; empty: it has none but this host's.
	clock string
	// prepare keeps prepared statements.
	prepare    bool
	statements statements
	// classify says what an error of the driver means.
	classify func(error) fault
}

// Shareable reports whether several appliances can use the database at address; a file is one appliance's own.
func Shareable(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

func openEngine(ctx context.Context, address string) (*engine, error) {
	if Shareable(address) {
		return openPostgres(address)
	}
	return openSQLite(ctx, strings.TrimPrefix(address, "sqlite:"))
}

func (e *engine) close() error {
	err := e.statements.close()
	if e.read != e.write {
		err = errors.Join(err, e.read.Close())
	}
	return errors.Join(err, e.write.Close())
}

func (e *engine) ping(ctx context.Context) error {
	return e.transact(ctx, func(tx *sql.Tx) error {
		var one int64
		return tx.QueryRowContext(ctx, `SELECT one FROM revision`).Scan(&one)
	})
}

// transact runs fn in a transaction that may write, again if the engine asks for it.
func (e *engine) transact(ctx context.Context, fn func(*sql.Tx) error) error {
	var err error
	for range maxAttempts {
		err = inTx(ctx, e.write, nil, fn)
		e.statements.want(ctx, e.write)
		if err == nil || hasCode(err) || e.classify(err) != faultRetry {
			return err
		}
	}
	return err
}

// snapshot runs fn in a transaction that reads one state of the database.
func (e *engine) snapshot(ctx context.Context, fn func(*sql.Tx) error) error {
	return inTx(ctx, e.read, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, fn)
}

func inTx(ctx context.Context, db *sql.DB, options *sql.TxOptions, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return closeAfter(err, func() error { return ignoreDone(tx.Rollback()) })
	}
	return tx.Commit()
}

// ignoreDone drops the error of a rollback after the context has already ended the transaction.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

func hasCode(err error) bool {
	var known *sallyport.Error
	return errors.As(err, &known)
}

// collect reads all rows of a query.
func collect[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) (out []T, err error) {
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
