package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// statements keeps the prepared form of every statement that ran once: parsing is a quarter of the
// time of a short SQLite statement. The texts are the program's own, so there are few. pgx keeps its own.
type statements struct {
	mu       sync.RWMutex
	prepared map[statementKey]*sql.Stmt
	wanted   map[string]struct{} // ran on the writer in a transaction, and are prepared after it
}

type statementKey struct {
	db    *sql.DB
	query string
}

func (s *statements) get(ctx context.Context, db *sql.DB, query string) (*sql.Stmt, error) {
	key := statementKey{db, query}
	s.mu.RLock()
	stmt := s.prepared[key]
	s.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	// Not under the lock: it may wait for the one writer.
	stmt, err := db.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare statement: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.prepared[key]; other != nil {
		return other, stmt.Close()
	}
	if s.prepared == nil {
		s.prepared = make(map[statementKey]*sql.Stmt)
	}
	s.prepared[key] = stmt
	return stmt, nil
}

// have returns the prepared form of a statement of the writer. If there is none, want prepares it once the
// transaction that runs it has ended: preparing it now would wait for the one writer, which is the transaction's.
func (s *statements) have(db *sql.DB, query string) *sql.Stmt {
	s.mu.RLock()
	stmt := s.prepared[statementKey{db, query}]
	s.mu.RUnlock()
	if stmt != nil {
		return stmt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted == nil {
		s.wanted = make(map[string]struct{})
	}
	s.wanted[query] = struct{}{}
	return nil
}

// want prepares what transactions ran that was not prepared. What cannot be prepared now will be wanted again.
func (s *statements) want(ctx context.Context, db *sql.DB) {
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = nil
	s.mu.Unlock()
	for query := range wanted {
		if _, err := s.get(ctx, db, query); err != nil {
			return
		}
	}
}

func (s *statements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, stmt := range s.prepared {
		err = errors.Join(err, stmt.Close())
	}
	s.prepared = nil
	return err
}

// exec runs a statement that writes, by itself, and returns how many rows it touched.
func (e *engine) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if e.prepare {
		stmt, perr := e.statements.get(ctx, e.write, query)
		if perr != nil {
			return 0, perr
		}
		result, err = stmt.ExecContext(ctx, args...)
	} else {
		result, err = e.write.ExecContext(ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// execIn runs a statement of a transaction on the writer.
func (e *engine) execIn(ctx context.Context, tx *sql.Tx, query string, args ...any) (sql.Result, error) {
	if e.prepare {
		if stmt := e.statements.have(e.write, query); stmt != nil {
			return tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
		}
	}
	return tx.ExecContext(ctx, query, args...)
}

// rowIn runs a statement of a transaction on the writer that returns one row.
func (e *engine) rowIn(ctx context.Context, tx *sql.Tx, query string, args ...any) *sql.Row {
	if e.prepare {
		if stmt := e.statements.have(e.write, query); stmt != nil {
			return tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
		}
	}
	return tx.QueryRowContext(ctx, query, args...)
}

// query runs a statement that returns rows, on the writer or the readers.
func (e *engine) query(ctx context.Context, db *sql.DB, query string, args ...any) (*sql.Rows, error) {
	if !e.prepare {
		return db.QueryContext(ctx, query, args...)
	}
	stmt, err := e.statements.get(ctx, db, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// number runs a query that returns one number: sql.ErrNoRows when it returns none.
func (e *engine) number(ctx context.Context, db *sql.DB, query string, args ...any) (int64, error) {
	rows, err := e.query(ctx, db, query, args...)
	if err != nil {
		return 0, err
	}
	list, err := collect(rows, func(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) })
	if err == nil && len(list) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return 0, err
	}
	return list[0], nil
}
