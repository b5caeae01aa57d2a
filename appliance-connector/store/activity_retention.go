package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// aged are rows that are deleted once they are old, by their key and what they are as old as.
type aged struct{ table, key, time string }

var (
	agedLogins = []aged{{"logins", "id", "time"}, {"login_events", "id", "time"}}
	agedRADIUS = []aged{{"radius_activity", "id", "time"},
		{"gateway_health", "integration_id, appliance", "CASE WHEN heard > error_time THEN heard ELSE error_time END"}}
)

// DeleteActivityBefore deletes logins, their events and RADIUS requests from before t, and gateways not
// heard of since, in batches, and returns how many rows. It is not in the audit trail: retention does it.
func (s *Store) DeleteActivityBefore(ctx context.Context, t time.Time) (deleted int64, err error) {
	logins, err := s.DeleteLoginsBefore(ctx, t)
	if err != nil {
		return logins, err
	}
	requests, err := s.DeleteRADIUSBefore(ctx, t)
	return logins + requests, err
}

// DeleteLoginsBefore is DeleteActivityBefore of logins and their events.
func (s *Store) DeleteLoginsBefore(ctx context.Context, t time.Time) (deleted int64, err error) {
	return s.deleteAged(ctx, agedLogins, t)
}

// DeleteRADIUSBefore is DeleteActivityBefore of RADIUS requests and gateways not heard of since.
func (s *Store) DeleteRADIUSBefore(ctx context.Context, t time.Time) (deleted int64, err error) {
	return s.deleteAged(ctx, agedRADIUS, t)
}

func (s *Store) deleteAged(ctx context.Context, list []aged, t time.Time) (deleted int64, err error) {
	for _, rows := range list {
		statement := fmt.Sprintf(`DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE %[3]s < $1 ORDER BY %[3]s LIMIT %[4]d%[5]s) AND %[3]s < $1`,
			rows.table, rows.key, rows.time, sweepBatch, s.engine.skipLocked)
		for more := true; more; {
			n, err := s.sweepOnce(ctx, statement, t)
			if err != nil {
				return deleted, s.engine.failure("delete from "+rows.table, err)
			}
			deleted += n
			more = n == sweepBatch
		}
	}
	return deleted, nil
}

// Aged counts what is older than it should be.
type Aged struct{ Audit, Logins, RADIUS int64 }

// CountBefore counts audit records, logins and RADIUS requests from before a time each.
func (s *Store) CountBefore(ctx context.Context, audit, logins, requests time.Time) (a Aged, err error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM audit WHERE time < $1), (SELECT COUNT(*) FROM logins WHERE time < $2),
			(SELECT COUNT(*) FROM radius_activity WHERE time < $3)`, micros(audit), micros(logins), micros(requests)).Scan(&a.Audit, &a.Logins, &a.RADIUS)
	})
	return a, s.engine.failure("count old records", err)
}
