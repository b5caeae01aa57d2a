package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
)

// maxSources bounds how many unknown sources are kept of one appliance, and keepSources for how long
// after they were last heard.
const (
	maxSources  = 256
	keepSources = 24 * time.Hour
)

var errSeenBefore = errors.New("seen before")

// SawMessageAuthenticator notes that a gateway sends Message-Authenticator, where that is demanded once
// it was seen. It is told to the other appliances, and not undone by anything but a change of the policy.
func (s *Store) SawMessageAuthenticator(ctx context.Context, id sallyport.IntegrationID, at time.Time) error {
	if err := checkID("integration", string(id)); err != nil {
		return err
	}
	err := s.change(ctx, "note Message-Authenticator", func(ctx context.Context, tx *changing) error {
		var nickname string
		err := tx.QueryRowContext(ctx, `UPDATE integrations SET message_authenticator_seen = $1
			WHERE id = $2 AND message_authenticator_seen = 0 AND message_authenticator = $3 RETURNING nickname`,
			neverZero(at), string(id), string(sallyport.MessageAuthenticatorOnceSeen)).Scan(&nickname)
		if errors.Is(err, sql.ErrNoRows) {
			return errSeenBefore
		}
		if err != nil {
			return err
		}
		return tx.record("integration.demand_message_authenticator", nickname, string(id), nil, nil)
	})
	if errors.Is(err, errSeenBefore) {
		return nil
	}
	return err
}

// RecordUnknownSources keeps what an appliance has counted since it started about addresses that no integration has.
// Counts are totals since First: a source written again replaces what was there. Of each appliance the 256 last heard are kept.
func (s *Store) RecordUnknownSources(ctx context.Context, sources []sallyport.UnknownSource) error {
	if len(sources) > maxSources {
		return invalidf("At most %d sources are written at once.", maxSources)
	}
	for _, u := range sources {
		if err := checkID("appliance", string(u.Appliance)); err != nil {
			return err
		}
		if !u.Source.IsValid() || len(u.Source.Zone()) > maxName {
			return invalidf("An unknown source has no address.")
		}
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	err := s.engine.transact(ctx, func(tx *sql.Tx) error { return s.putUnknownSources(ctx, tx, sources) })
	return s.engine.failure("note unknown sources", err)
}

func (s *Store) putUnknownSources(ctx context.Context, tx *sql.Tx, sources []sallyport.UnknownSource) error {
	rows := make(map[string][]any, len(sources)) // a statement writes a row once: the last of it
	heard := map[sallyport.ApplianceID]time.Time{}
	for _, u := range sources {
		source := u.Source.String()
		rows[string(u.Appliance)+" "+source] = []any{string(u.Appliance), source, micros(u.First), micros(u.Last), u.Count}
		if u.Last.After(heard[u.Appliance]) {
			heard[u.Appliance] = u.Last
		}
	}
	var list [][]any
	for _, key := range slices.Sorted(maps.Keys(rows)) { // so that two at once wait for each other in one order
		list = append(list, rows[key])
	}
	if err := s.engine.insertRows(ctx, tx, `INSERT INTO unknown_sources (appliance, source, first, last, count)`,
		`ON CONFLICT (appliance, source) DO UPDATE SET first = excluded.first, last = excluded.last, count = excluded.count`, list); err != nil {
		return err
	}
	for _, appliance := range slices.Sorted(maps.Keys(heard)) {
		if _, err := tx.ExecContext(ctx, `DELETE FROM unknown_sources WHERE appliance = $1 AND (last < $2 OR source NOT IN
			(SELECT source FROM unknown_sources WHERE appliance = $1 ORDER BY last DESC, source LIMIT $3))`,
			string(appliance), micros(heard[appliance].Add(-keepSources)), maxSources); err != nil {
			return err
		}
	}
	return nil
}

// UnknownSources returns the addresses that no integration has and that were heard since a time, the last
// heard first, at most 256.
func (s *Store) UnknownSources(ctx context.Context, since time.Time) ([]sallyport.UnknownSource, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT appliance, source, first, last, count FROM unknown_sources
		WHERE last >= $1 ORDER BY last DESC, appliance, source LIMIT $2`, micros(since), maxSources)
	if err != nil {
		return nil, s.engine.failure("read unknown sources", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (u sallyport.UnknownSource, err error) {
		var source string
		var first, last int64
		if err := rows.Scan(&u.Appliance, &source, &first, &last, &u.Count); err != nil {
			return u, err
		}
		u.First, u.Last = fromMicros(first), fromMicros(last)
		u.Source, err = netip.ParseAddr(source)
		return u, err
	})
	return list, s.engine.failure("read unknown sources", err)
}

// endRotations forgets secrets that have been replaced and whose time is over.
func (s *Store) endRotations(ctx context.Context, now time.Time) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `UPDATE integrations SET sealed_previous_secret = NULL, previous_until = 0
		WHERE sealed_previous_secret IS NOT NULL AND previous_until < $1`, micros(now))
	return err
}
