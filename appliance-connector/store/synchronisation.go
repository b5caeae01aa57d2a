package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	synchronisation        = "synchronisation"
	synchronisationColumns = `id, domain_id, kind, state, started, ended, asked_by, entries, added, changed, removed, message, told`
	// keptSynchronisations is how many of a domain stay.
	keptSynchronisations = 200
	maxSyncCursor        = 256 << 10 // octets
	maxMessage           = 1000      // characters
)

// SyncCursor returns where the last synchronisation of a domain ended, as SetSyncCursor left it; empty:
// everything has to be read.
func (s *Store) SyncCursor(ctx context.Context, id sallyport.DomainID) (cursor []byte, err error) {
	if err := checkID(domain, string(id)); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.read.QueryRowContext(ctx, `SELECT cursor FROM domain_states WHERE domain_id = $1`, string(id)).Scan(&cursor)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(domain)
	}
	return cursor, s.engine.failure("read cursor", err)
}

// SetSyncCursor keeps where a synchronisation ended, at most 256 KiB. It is no change that others hear of.
func (s *Store) SetSyncCursor(ctx context.Context, id sallyport.DomainID, cursor []byte) error {
	if err := first(checkID(domain, string(id)), checkSize("cursor", len(cursor), 0, maxSyncCursor)); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `UPDATE domain_states SET cursor = $2 WHERE domain_id = $1`, string(id), append([]byte{}, cursor...))
	if err == nil && n == 0 {
		return notFound(domain)
	}
	return s.engine.failure("save cursor", err)
}

// LeaseSynchronisation lets one holder (an appliance's id) synchronise a domain until a time: true for
// who has the lease now. The holder renews it by asking again, and gives it back by asking until now.
func (s *Store) LeaseSynchronisation(ctx context.Context, id sallyport.DomainID, holder string, now, until time.Time) (bool, error) {
	if err := first(checkID(domain, string(id)), checkID("holder", holder)); err != nil {
		return false, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `UPDATE domain_states SET lease_holder = $2, lease_until = $4
		WHERE domain_id = $1 AND (lease_holder = $2 OR lease_until <= $3)`, string(id), holder, micros(now), micros(until))
	if n == 1 || err != nil {
		return n == 1, s.engine.failure("lease synchronisation", err)
	}
	known, err := s.engine.number(ctx, s.engine.write, `SELECT COUNT(*) FROM domain_states WHERE domain_id = $1`, string(id))
	if err == nil && known == 0 {
		return false, notFound(domain)
	}
	return false, s.engine.failure("lease synchronisation", err)
}

// Synchronisations returns at most so many (1 to 200) of the last synchronisations of a domain, the newest first.
func (s *Store) Synchronisations(ctx context.Context, id sallyport.DomainID, most int) ([]sallyport.Synchronisation, error) {
	if err := checkID(domain, string(id)); err != nil {
		return nil, err
	}
	if most < 1 || most > keptSynchronisations {
		return nil, invalidf("Ask for 1 to %d synchronisations.", keptSynchronisations)
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+synchronisationColumns+` FROM synchronisations
		WHERE domain_id = $1 ORDER BY started DESC, id DESC LIMIT $2`, string(id), most)
	if err != nil {
		return nil, s.engine.failure("read synchronisations", err)
	}
	list, err := collect(rows, scanSynchronisation)
	return list, s.engine.failure("read synchronisations", err)
}

// PutSynchronisation writes how far a synchronisation is, or how it ended. It is no change that others
// hear of, and has no audit record of its own. The last 200 of a domain stay.
func (s *Store) PutSynchronisation(ctx context.Context, y sallyport.Synchronisation) error {
	if err := checkSynchronisation(y); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err := s.engine.transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO synchronisations (`+synchronisationColumns+`)
			SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM domains WHERE id = $2
			ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended = excluded.ended, entries = excluded.entries,
				added = excluded.added, changed = excluded.changed, removed = excluded.removed, message = excluded.message, told = excluded.told
			WHERE synchronisations.domain_id = excluded.domain_id`,
			y.ID, string(y.Domain), string(y.Kind), string(y.State), micros(y.Started), neverZero(y.Ended), cut(y.By, maxAccount),
			y.Read, y.Added, y.Changed, y.Removed, clean(y.Message, maxMessage), neverZero(y.Told))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			err = notFound(domain)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM synchronisations WHERE domain_id = $1 AND (started, id) < (
			SELECT started, id FROM synchronisations WHERE domain_id = $1 ORDER BY started DESC, id DESC LIMIT 1 OFFSET $2)`,
			string(y.Domain), keptSynchronisations-1)
		return err
	})
	return s.engine.failure("save synchronisation", err)
}

func scanSynchronisation(rows *sql.Rows) (y sallyport.Synchronisation, err error) {
	var started, ended, told int64
	err = rows.Scan(&y.ID, &y.Domain, &y.Kind, &y.State, &started, &ended, &y.By, &y.Read, &y.Added, &y.Changed, &y.Removed, &y.Message, &told)
	y.Started, y.Ended, y.Told = fromMicros(started), orNever(ended), orNever(told)
	return y, err
}

func checkSynchronisation(y sallyport.Synchronisation) error {
	switch y.Kind {
	case sallyport.SynchroniseFull, sallyport.SynchroniseChanges, sallyport.SynchronisePreview:
	default:
		return invalidf("A synchronisation is full, of changes, or a preview.")
	}
	switch y.State {
	case sallyport.SynchronisationRunning, sallyport.SynchronisationDone, sallyport.SynchronisationFailed, sallyport.SynchronisationInterrupted, sallyport.SynchronisationAsks:
	default:
		return invalidf("A synchronisation is running, done, failed, interrupted, or asks.")
	}
	if min(y.Read, y.Added, y.Changed, y.Removed) < 0 || y.Started.Before(time.Unix(0, 0)) {
		return invalidf("The counts or the time of the synchronisation are none.")
	}
	return first(checkID(synchronisation, y.ID), checkID(domain, string(y.Domain)), checkText("name of who asked for it", y.By, maxAccount))
}
