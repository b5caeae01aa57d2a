package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	remembered        = "remembered device"
	rememberedColumns = `id, account, browser, place, last_place, made, last_used, uses`
	maxRemembered     = 50  // of one account; a new one takes the place of the oldest
	maxBrowser        = 80  // characters
	maxPlace          = 256 // characters
)

// PutRemembered keeps a browser that is remembered from now on, in place of another one of the account or of
// none (""). Repeated, it changes nothing.
func (s *Store) PutRemembered(ctx context.Context, d sallyport.RememberedDevice, replaces sallyport.RememberedID) error {
	d.Browser, d.Place = clean(d.Browser, maxBrowser), clean(d.Place, maxPlace)
	d.LastPlace, d.LastUsed, d.Uses = "", time.Time{}, 0
	if d.Made.Before(time.Unix(0, 0)) {
		return invalidf("The time at which the device was remembered is missing.")
	}
	if err := first(checkID(remembered, string(d.ID)), checkAccount(d.Account)); err != nil {
		return err
	}
	return s.audited(ctx, "keep remembered device", func(ctx context.Context, tx *changing) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO remembered (`+rememberedColumns+`, expires) VALUES ($1, $2, $3, $4, '', $5, 0, 0, $6)
			ON CONFLICT (id) DO NOTHING`, string(d.ID), string(d.Account), d.Browser, d.Place, micros(d.Made), micros(d.Made.Add(sallyport.RememberMost)))
		if err != nil {
			return fmt.Errorf("write remembered device: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if err := tx.record(remembered+".add", string(d.Account), string(d.ID), nil, d); err != nil {
			return err
		}
		if err := forget(ctx, tx, "", `id = $1 AND account = $2`, string(replaces), string(d.Account)); err != nil {
			return err
		}
		return forget(ctx, tx, "", `account = $1 AND id NOT IN (SELECT id FROM remembered WHERE account = $1 ORDER BY made DESC, id LIMIT $2)`,
			string(d.Account), maxRemembered)
	})
}

// UseRemembered counts a use of a remembered device of the account. not_found: it is not remembered (any
// more), or for another account. conflict: its count of uses went back, so its browser has a copy.
func (s *Store) UseRemembered(ctx context.Context, id sallyport.RememberedID, account sallyport.AccountName, uses uint32, place string, now time.Time) (sallyport.RememberedDevice, error) {
	if err := first(checkID(remembered, string(id)), checkAccount(account)); err != nil {
		return sallyport.RememberedDevice{}, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	var d sallyport.RememberedDevice
	err := s.engine.transact(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+rememberedColumns+` FROM remembered WHERE id = $1 AND account = $2`+s.engine.lockRows, string(id), string(account))
		if err != nil {
			return fmt.Errorf("read remembered device: %w", err)
		}
		before, found, err := one(collect(rows, scanRemembered))
		switch {
		case err != nil:
			return err
		case !found:
			return notFound(remembered)
		case uses <= before.Uses:
			return conflictf("This remembered device was used %d times, and says %d.", before.Uses, uses)
		}
		d = before
		d.Uses, d.LastUsed, d.LastPlace = uses, fromMicros(micros(now)), clean(place, maxPlace)
		_, err = tx.ExecContext(ctx, `UPDATE remembered SET uses = $2, last_used = $3, last_place = $4 WHERE id = $1`,
			string(id), int64(uses), micros(now), d.LastPlace)
		return err
	})
	return d, s.engine.failure("count use of remembered device", err)
}

// RememberedDevices returns those of an account, the newest first. Whether policy takes them still is not
// looked at.
func (s *Store) RememberedDevices(ctx context.Context, account sallyport.AccountName) ([]sallyport.RememberedDevice, error) {
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+rememberedColumns+` FROM remembered WHERE account = $1 ORDER BY made DESC, id`, string(account))
	if err != nil {
		return nil, s.engine.failure("list remembered devices", err)
	}
	list, err := collect(rows, scanRemembered)
	return list, s.engine.failure("list remembered devices", err)
}

// ForgetRemembered forgets one remembered device of an account, for good, or says not_found. why is for the
// audit trail.
func (s *Store) ForgetRemembered(ctx context.Context, account sallyport.AccountName, id sallyport.RememberedID, why string) error {
	if err := first(checkID(remembered, string(id)), checkAccount(account)); err != nil {
		return err
	}
	return s.audited(ctx, "forget remembered device", func(ctx context.Context, tx *changing) error {
		before := len(tx.records)
		if err := forget(ctx, tx, why, `id = $1 AND account = $2`, string(id), string(account)); err != nil {
			return err
		}
		if len(tx.records) == before {
			return notFound(remembered)
		}
		return nil
	})
}

// forget deletes remembered devices and records each.
func forget(ctx context.Context, tx *changing, why, where string, args ...any) error {
	rows, err := tx.QueryContext(ctx, `DELETE FROM remembered WHERE `+where+` RETURNING `+rememberedColumns, args...)
	if err != nil {
		return fmt.Errorf("forget remembered devices: %w", err)
	}
	list, err := collect(rows, scanRemembered)
	if err != nil {
		return fmt.Errorf("forget remembered devices: %w", err)
	}
	for _, d := range list {
		if err := tx.record(remembered+".forget", string(d.Account), string(d.ID), d, nil); err != nil {
			return err
		}
		tx.records[len(tx.records)-1].Reason = why
	}
	return nil
}

// forgetAll deletes all remembered devices. Of those there may be very many; the change that has them
// forgotten is recorded, and how many they were.
func forgetAll(ctx context.Context, tx *changing) error {
	result, err := tx.ExecContext(ctx, `DELETE FROM remembered`)
	if err != nil {
		return fmt.Errorf("forget remembered devices: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil || n == 0 {
		return err
	}
	return tx.record(remembered+".forget all", "Remote access log in", "login-workflow", struct {
		Forgotten int64 `json:"forgotten"`
	}{n}, nil)
}

func scanRemembered(rows *sql.Rows) (d sallyport.RememberedDevice, err error) {
	var made, used, uses int64
	err = rows.Scan(&d.ID, &d.Account, &d.Browser, &d.Place, &d.LastPlace, &made, &used, &uses)
	d.Made, d.LastUsed, d.Uses = fromMicros(made), orNever(used), uint32(uses)
	return d, err
}
