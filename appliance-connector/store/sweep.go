package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	sweepEvery = 30 * time.Second
	// sweepBatch keeps the writer's lock short.
	sweepBatch = 500
	// sweepBatches bounds one sweep; what is left waits for the next.
	sweepBatches = 200
	// keepExpired is how long invitations stay after their end, so that people can be told "expired"
	// and not "unknown".
	keepExpired = 24 * time.Hour
)

// Sweep removes what has expired before now and returns how many rows. The store does this by
// itself in the background.
func (s *Store) Sweep(ctx context.Context, now time.Time) (removed int64, err error) {
	for _, rows := range []struct {
		table, key string
		before     time.Time
	}{
		{"claims", "claim", now},
		{"radius_steps", "step", now.Add(-claimGrace)},
		{"failures", "account, kind", now.Add(-claimGrace)},
		{"enrolments", "id", now.Add(-keepExpired)},
		{"invites", "id", now.Add(-keepExpired)},
		{"console_sessions", "hash", now},
		{"temporary_codes", "id", now.Add(-keepCodes)},
		{"mails", "id", now},
		{"remembered", "id", now},
	} {
		statement := fmt.Sprintf(`DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE expires < $1 ORDER BY expires LIMIT %[3]d%[4]s) AND expires < $1`,
			rows.table, rows.key, sweepBatch, s.engine.skipLocked)
		n, err := s.sweepTable(ctx, statement, rows.before)
		removed += n
		if err != nil {
			return removed, s.engine.failure("sweep "+rows.table, err)
		}
	}
	return removed, s.engine.failure("forget replaced secrets", s.endRotations(ctx, now))
}

func (s *Store) sweepTable(ctx context.Context, statement string, before time.Time) (removed int64, err error) {
	for range sweepBatches {
		n, err := s.sweepOnce(ctx, statement, before)
		removed += n
		if err != nil || n < sweepBatch {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Store) sweepOnce(ctx context.Context, statement string, before time.Time) (int64, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return s.engine.exec(ctx, statement, micros(before))
}

// sweepUntil sweeps every so often, until ctx ends.
func (s *Store) sweepUntil(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := s.Sweep(ctx, s.now()); err != nil && ctx.Err() == nil {
			s.log.Warn("expired rows stay for now", "code", sallyport.ErrorCode(err), "error", err)
		}
	}
}
