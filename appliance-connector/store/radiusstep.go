package store

import (
	"context"
	"database/sql"
	"time"
)

const (
	stepSize   = 16      // octets of a step's name and of its owner
	maxOutcome = 8 << 10 // octets of a step's result
)

// TakeRADIUSStep takes a step (16 octets) for an owner (16 octets) until expires: taken is true for exactly one
// caller on all appliances of the database, until then. Everybody else is told who has it, and its result, which is
// empty while the step is being taken. After an error nobody knows whether the step was taken.
func (s *Store) TakeRADIUSStep(ctx context.Context, step, owner []byte, expires, now time.Time) (taken bool, holder, result []byte, err error) {
	if err := first(checkSize("step", len(step), stepSize, stepSize), checkSize("owner", len(owner), stepSize, stepSize)); err != nil {
		return false, nil, nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	for range maxAttempts {
		n, err := s.engine.exec(ctx, `INSERT INTO radius_steps (step, owner, result, expires) VALUES ($1, $2, NULL, $3)
			ON CONFLICT (step) DO UPDATE SET owner = excluded.owner, result = NULL, expires = excluded.expires WHERE radius_steps.expires <= $4`,
			step, owner, micros(expires), micros(now))
		if err != nil || n == 1 {
			return n == 1, nil, nil, s.engine.failure("take step", err)
		}
		holder, result, err := s.radiusStep(ctx, step)
		if err != nil || holder != nil {
			return false, holder, result, err
		}
		// Freed between the two statements: try again.
	}
	return false, nil, nil, s.engine.failure("take step", context.DeadlineExceeded)
}

// SetRADIUSStep keeps the result (1 to 8,192 octets) of a step that the owner has taken, until expires. When
// somebody else has it by now, or nobody, nothing changes.
func (s *Store) SetRADIUSStep(ctx context.Context, step, owner, result []byte, expires time.Time) error {
	if err := checkSize("result", len(result), 1, maxOutcome); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `UPDATE radius_steps SET result = $3, expires = $4 WHERE step = $1 AND owner = $2`,
		step, owner, result, micros(expires))
	return s.engine.failure("keep result of step", err)
}

// RADIUSStep tells who has a step, and its result; nobody has it when holder is empty.
func (s *Store) RADIUSStep(ctx context.Context, step []byte) (holder, result []byte, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return s.radiusStep(ctx, step)
}

func (s *Store) radiusStep(ctx context.Context, step []byte) (holder, result []byte, err error) {
	type row struct{ owner, result []byte }
	// The writer: on a standby that is behind, a result would be missing.
	rows, err := s.engine.query(ctx, s.engine.write, `SELECT owner, result FROM radius_steps WHERE step = $1`, step)
	if err != nil {
		return nil, nil, s.engine.failure("read step", err)
	}
	r, _, err := one(collect(rows, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.owner, &r.result)
		return r, err
	}))
	return r.owner, r.result, s.engine.failure("read step", err)
}

// FreeRADIUSStep gives a step back; nothing happens when nobody has it.
func (s *Store) FreeRADIUSStep(ctx context.Context, step []byte) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `DELETE FROM radius_steps WHERE step = $1`, step)
	return s.engine.failure("free step", err)
}
