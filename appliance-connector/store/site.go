package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport"
)

const (
	siteNoun    = "site"
	siteColumns = `id, name, kind, COALESCE(primary_id, ''), COALESCE(secondary_id, ''), version`
	// maxSites bounds the list, maxRanges the networks of one.
	maxSites  = 200
	maxRanges = 256
)

// Sites returns all sites by name, as of one moment.
func (s *Store) Sites(ctx context.Context) (list []sallyport.Site, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		list, err = readSites(ctx, tx, "")
		return err
	})
	slices.SortFunc(list, func(a, b sallyport.Site) int {
		return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, s.engine.failure("read sites", err)
}

// Site returns one site, or not_found.
func (s *Store) Site(ctx context.Context, id sallyport.SiteID) (sallyport.Site, error) {
	if err := checkID(siteNoun, string(id)); err != nil {
		return sallyport.Site{}, err
	}
	list, err := s.Sites(ctx)
	if err != nil {
		return sallyport.Site{}, err
	}
	at := siteAt(list, id)
	if at < 0 {
		return sallyport.Site{}, notFound(siteNoun)
	}
	return list[at], nil
}

// PutSite adds a site (Version 0; an empty ID gets one) or replaces it, and returns it as it is now.
// Appliances of other sites move over. A name and a network belong to one site.
func (s *Store) PutSite(ctx context.Context, site sallyport.Site) (sallyport.Site, error) {
	if site.ID == "" && site.Version == 0 {
		site.ID = sallyport.SiteID(sallyport.NewID())
	}
	if err := checkSite(site); err != nil {
		return sallyport.Site{}, err
	}
	site.Ranges, site.Appliances = slices.Clone(site.Ranges), slices.Sorted(slices.Values(site.Appliances))
	given := site.Version
	err := s.change(ctx, "save site", func(ctx context.Context, tx *changing) error {
		all, err := s.lockSites(ctx, tx)
		if err != nil {
			return err
		}
		var before sallyport.Site
		if at := siteAt(all, site.ID); at >= 0 {
			before = all[at]
		}
		if err := first(tx.checkVersion(ctx, siteNoun, string(site.ID), before.Version, given),
			tx.checkName(ctx, "sites", siteNoun, string(site.ID), site.Name),
			checkAmong(all, site), checkKnown(ctx, tx, site.Appliances)); err != nil {
			return err
		}
		if err := loseAppliances(ctx, tx, all, site.ID, site.Appliances); err != nil {
			return err
		}
		site.Version = before.Version + 1
		if err := writeSite(ctx, tx.Tx, site); err != nil {
			return err
		}
		return tx.record(siteNoun+"."+verb(given), site.Name, string(site.ID), orNothing(given, before), site)
	})
	if err != nil {
		return sallyport.Site{}, err
	}
	return site, nil
}

// DeleteSite removes a site; its appliances belong to none then. One that another site fails over to, or that has
// token servers of its own, is a conflict.
func (s *Store) DeleteSite(ctx context.Context, id sallyport.SiteID, version int64) error {
	if err := checkID(siteNoun, string(id)); err != nil {
		return err
	}
	return s.change(ctx, "delete site", func(ctx context.Context, tx *changing) error {
		all, err := s.lockSites(ctx, tx)
		if err != nil {
			return err
		}
		at := siteAt(all, id)
		if at < 0 {
			return notFound(siteNoun)
		}
		before := all[at]
		if err := tx.checkVersion(ctx, siteNoun, string(id), before.Version, version); err != nil {
			return err
		}
		for _, other := range all {
			if other.Primary == id || other.Secondary == id {
				return conflictf("The site %q fails over to this one. Give it another failover site first.", other.Name)
			}
		}
		if err := checkNoTokenServer(ctx, tx, id); err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, siteNoun, `DELETE FROM sites WHERE id = $1`, string(id)); err != nil {
			return err
		}
		return tx.record(siteNoun+".delete", before.Name, string(id), before, nil)
	})
}

func siteAt(list []sallyport.Site, id sallyport.SiteID) int {
	return slices.IndexFunc(list, func(x sallyport.Site) bool { return x.ID == id })
}

// lockSites reads all sites for a change of one of them.
func (s *Store) lockSites(ctx context.Context, tx *changing) ([]sallyport.Site, error) {
	return readSites(ctx, tx.Tx, s.engine.lockRows)
}

// loseAppliances takes appliances out of every site but one, and records each site that lost some.
func loseAppliances(ctx context.Context, tx *changing, sites []sallyport.Site, but sallyport.SiteID, list []sallyport.ApplianceID) error {
	for _, before := range sites {
		after := before
		after.Appliances = slices.DeleteFunc(slices.Clone(before.Appliances), func(id sallyport.ApplianceID) bool { return slices.Contains(list, id) })
		if before.ID == but || len(after.Appliances) == len(before.Appliances) {
			continue
		}
		after.Version++
		if err := writeSite(ctx, tx.Tx, after); err != nil {
			return err
		}
		if err := tx.record(siteNoun+".change", after.Name, string(after.ID), before, after); err != nil {
			return err
		}
	}
	return nil
}

func readSites(ctx context.Context, tx *sql.Tx, lock string) ([]sallyport.Site, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+siteColumns+` FROM sites ORDER BY id`+lock)
	if err != nil {
		return nil, fmt.Errorf("read sites: %w", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (x sallyport.Site, err error) {
		return x, rows.Scan(&x.ID, &x.Name, &x.Kind, &x.Primary, &x.Secondary, &x.Version)
	})
	if err != nil {
		return nil, fmt.Errorf("read sites: %w", err)
	}
	for _, part := range []struct {
		query string
		take  func(*sallyport.Site, string) error
	}{
		{`SELECT site_id, prefix FROM site_ranges ORDER BY site_id, position`, func(x *sallyport.Site, text string) error {
			p, err := netip.ParsePrefix(text)
			x.Ranges = append(x.Ranges, p)
			return err
		}},
		{`SELECT site_id, id FROM appliances WHERE site_id IS NOT NULL ORDER BY id`, func(x *sallyport.Site, text string) error {
			x.Appliances = append(x.Appliances, sallyport.ApplianceID(text))
			return nil
		}},
	} {
		if err := readParts(ctx, tx, list, part.query, part.take); err != nil {
			return nil, fmt.Errorf("read parts of sites: %w", err)
		}
	}
	return list, nil
}

// readParts gives each site what a query of site and text has for it.
func readParts(ctx context.Context, tx *sql.Tx, list []sallyport.Site, query string, take func(*sallyport.Site, string) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return struct{}{}, err
		}
		if at := siteAt(list, sallyport.SiteID(id)); at >= 0 {
			return struct{}{}, take(&list[at], text)
		}
		return struct{}{}, nil
	})
	return err
}

func writeSite(ctx context.Context, tx *sql.Tx, x sallyport.Site) error {
	orNull := func(id sallyport.SiteID) sql.NullString { return sql.NullString{String: string(id), Valid: id != ""} }
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO sites (id, name, name_folded, kind, primary_id, secondary_id, version) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, kind = excluded.kind,
			primary_id = excluded.primary_id, secondary_id = excluded.secondary_id, version = excluded.version`,
		string(x.ID), x.Name, fold(x.Name), string(x.Kind), orNull(x.Primary), orNull(x.Secondary), x.Version); err != nil {
		return fmt.Errorf("write site: %w", err)
	}
	for _, statement := range []string{`DELETE FROM site_ranges WHERE site_id = $1`, `UPDATE appliances SET site_id = NULL WHERE site_id = $1`} {
		if _, err := tx.ExecContext(ctx, statement, string(x.ID)); err != nil {
			return fmt.Errorf("clear parts of site: %w", err)
		}
	}
	for i, p := range x.Ranges {
		if _, err := tx.ExecContext(ctx, `INSERT INTO site_ranges (prefix, site_id, position) VALUES ($1, $2, $3)`, p.String(), string(x.ID), i); err != nil {
			return fmt.Errorf("write address range: %w", err)
		}
	}
	for _, id := range x.Appliances {
		if _, err := tx.ExecContext(ctx, `UPDATE appliances SET site_id = $2 WHERE id = $1`, string(id), string(x.ID)); err != nil {
			return fmt.Errorf("assign appliance: %w", err)
		}
	}
	return nil
}
