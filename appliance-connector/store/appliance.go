package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	applianceNoun    = "appliance"
	applianceColumns = `id, CASE given_name WHEN '' THEN name ELSE given_name END, version, COALESCE(site_id, ''), started, heard, streams, trouble, radius, certificate_expires, clock_offset`
	// maxStreams bounds what an appliance tells of its connections.
	maxStreams = 16
	// maxAppliances bounds the list.
	maxAppliances = 1000
)

// ReportAppliance notes what an appliance tells of itself. Its site is left as it is. Texts that are too
// long are cut.
func (s *Store) ReportAppliance(ctx context.Context, a sallyport.Appliance) error {
	if err := checkID(applianceNoun, string(a.ID)); err != nil {
		return err
	}
	if a.Heard.IsZero() {
		return invalidf("A report of an appliance needs a time.")
	}
	streams := append([]sallyport.TunnelStream{}, a.Streams[:min(len(a.Streams), maxStreams)]...)
	for i := range streams {
		streams[i].Replica = clean(streams[i].Replica, maxWord)
	}
	text, err := json.Marshal(streams)
	if err != nil {
		return fmt.Errorf("encode streams: %w", err)
	}
	offset := sql.NullInt64{Int64: a.ClockOffset.Microseconds(), Valid: a.ClockKnown}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err = s.engine.exec(ctx, `
		INSERT INTO appliances (id, name, version, started, heard, streams, trouble, radius, certificate_expires, clock_offset)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, started = excluded.started,
			heard = excluded.heard, streams = excluded.streams, trouble = excluded.trouble, radius = excluded.radius,
			certificate_expires = excluded.certificate_expires, clock_offset = excluded.clock_offset`,
		string(a.ID), clean(a.Name, maxAddress), clean(a.Version, maxAddress), neverZero(a.Started), micros(a.Heard), string(text),
		clean(a.Trouble, maxDetail), clean(a.RADIUS, maxAddress), neverZero(a.CertificateExpires), offset)
	return s.engine.failure("note what an appliance tells", err)
}

// Appliances returns all appliances that ever told of themselves and were not removed since, by name.
func (s *Store) Appliances(ctx context.Context) (list []sallyport.Appliance, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		list, err = readAppliances(ctx, tx)
		return err
	})
	return list, s.engine.failure("read appliances", err)
}

func readAppliances(ctx context.Context, tx *sql.Tx) ([]sallyport.Appliance, error) {
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM appliances ORDER BY id LIMIT %d`, applianceColumns, maxAppliances))
	if err != nil {
		return nil, err
	}
	list, err := collect(rows, scanAppliance)
	slices.SortFunc(list, func(a, b sallyport.Appliance) int {
		return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

func scanAppliance(rows *sql.Rows) (a sallyport.Appliance, err error) {
	var started, heard, expires int64
	var streams string
	var offset sql.NullInt64
	if err := rows.Scan(&a.ID, &a.Name, &a.Version, &a.Site, &started, &heard, &streams, &a.Trouble, &a.RADIUS, &expires, &offset); err != nil {
		return a, err
	}
	if err := json.Unmarshal([]byte(streams), &a.Streams); err != nil {
		return a, fmt.Errorf("decode streams: %w", err)
	}
	a.Started, a.Heard, a.CertificateExpires = orNever(started), fromMicros(heard), orNever(expires)
	a.ClockOffset, a.ClockKnown = time.Duration(offset.Int64)*time.Microsecond, offset.Valid
	return a, nil
}

// RenameAppliance gives an appliance a name, or with an empty one that of its host again. A name that another one has,
// compared without case, is a conflict.
func (s *Store) RenameAppliance(ctx context.Context, id sallyport.ApplianceID, name string) error {
	if err := checkID(applianceNoun, string(id)); err != nil {
		return err
	}
	if name != "" {
		if err := checkText("name of the appliance", name, maxName); err != nil {
			return err
		}
	}
	return s.change(ctx, "rename appliance", func(ctx context.Context, tx *changing) error {
		if _, err := tx.ExecContext(ctx, `UPDATE appliances SET given_name = given_name`); err != nil { // of two at once the second waits
			return fmt.Errorf("lock appliances: %w", err)
		}
		list, err := readAppliances(ctx, tx.Tx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(a sallyport.Appliance) bool { return a.ID == id })
		if at < 0 {
			return notFound(applianceNoun)
		}
		for _, a := range list {
			if a.ID != id && name != "" && fold(a.Name) == fold(name) {
				return conflictf("There is an appliance %q already.", a.Name)
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE appliances SET given_name = $2 WHERE id = $1`, string(id), name); err != nil {
			return fmt.Errorf("rename appliance: %w", err)
		}
		return tx.record(applianceNoun+".rename", cmp.Or(name, list[at].Name), string(id), map[string]string{"name": list[at].Name}, map[string]string{"name": name})
	})
}

// RemoveAppliance forgets an appliance: what it told of itself, what it heard of gateways, and its place in
// its site. One that still runs tells of itself again.
func (s *Store) RemoveAppliance(ctx context.Context, id sallyport.ApplianceID) error {
	if err := checkID(applianceNoun, string(id)); err != nil {
		return err
	}
	return s.change(ctx, "remove appliance", func(ctx context.Context, tx *changing) error {
		sites, err := s.lockSites(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+applianceColumns+` FROM appliances WHERE id = $1`, string(id))
		if err != nil {
			return fmt.Errorf("read appliance: %w", err)
		}
		before, found, err := one(collect(rows, scanAppliance))
		if err != nil || !found {
			return cmp.Or(err, error(notFound(applianceNoun)))
		}
		if err := loseAppliances(ctx, tx, sites, "", []sallyport.ApplianceID{id}); err != nil {
			return err
		}
		for _, statement := range []string{`DELETE FROM gateway_health WHERE appliance = $1`, `DELETE FROM unknown_sources WHERE appliance = $1`} {
			if _, err := tx.ExecContext(ctx, statement, string(id)); err != nil {
				return fmt.Errorf("forget what an appliance heard: %w", err)
			}
		}
		if err := deleteOne(ctx, tx.Tx, applianceNoun, `DELETE FROM appliances WHERE id = $1`, string(id)); err != nil {
			return err
		}
		return tx.record(applianceNoun+".remove", before.Name, string(id), before, nil)
	})
}

// Clock returns the time of the database's own clock. known is false for an engine that has none but this
// host's.
func (s *Store) Clock(ctx context.Context) (now time.Time, known bool, err error) {
	if s.engine.clock == "" {
		return now, false, nil
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	us, err := s.engine.number(ctx, s.engine.write, s.engine.clock)
	if err != nil {
		return now, false, s.engine.failure("read database's clock", err)
	}
	return fromMicros(us), true, nil
}
