package store

import (
	"context"
	"time"
)

const maxLeaseName = 64 // octets

// Lease lets one holder (an appliance's id) do something, by name, until a time: true for who has the lease
// now. The holder renews it by asking again, and gives it back by asking until now.
func (s *Store) Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	if err := first(checkText("name of the lease", name, maxLeaseName), checkID("holder", holder)); err != nil {
		return false, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `INSERT INTO leases (name, holder, until) VALUES ($1, $2, $4)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE leases.holder = excluded.holder OR leases.until <= $3`, name, holder, micros(now), micros(until))
	return n == 1, s.engine.failure("lease "+name, err)
}
