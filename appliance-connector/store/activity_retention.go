package store

import (
	"context"
	"fmt"
	"time"
)

// DeleteActivityBefore deletes logins, their events and RADIUS requests from before t, and gateways not
// heard of since, in batches, and returns how many rows. It is not in the audit trail: retention does it.
func (s *Store) DeleteActivityBefore(ctx context.Context, t time.Time) (deleted int64, err error) {
	for _, rows := range []struct{ table, key, time string }{
		{"logins", "id", "time"},
		{"login_events", "id", "time"},
		{"radius_activity", "id", "time"},
		{"gateway_health", "integration_id, appliance", "CASE WHEN heard > error_time THEN heard ELSE error_time END"},
	} {
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
