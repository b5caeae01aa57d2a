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
	domain        = "domain"
	domainColumns = `id, name, netbios, servers, authority, bind_name, sealed_bind_password, base, upn_suffixes, scope, every, version`
)

// Domains returns all domains by name.
func (s *Store) Domains(ctx context.Context) ([]sallyport.Domain, error) {
	list, err := s.domains(ctx, `SELECT `+domainColumns+` FROM domains`)
	slices.SortFunc(list, func(a, b sallyport.Domain) int {
		return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// Domain returns one domain, or not_found.
func (s *Store) Domain(ctx context.Context, id sallyport.DomainID) (sallyport.Domain, error) {
	if err := checkID(domain, string(id)); err != nil {
		return sallyport.Domain{}, err
	}
	d, found, err := one(s.domains(ctx, `SELECT `+domainColumns+` FROM domains WHERE id = $1`, string(id)))
	if err == nil && !found {
		err = notFound(domain)
	}
	return d, err
}

// PutDomain adds a domain (Version 0; an empty ID gets one) or replaces it, and returns it as it is now. An
// empty BindPassword on replacing keeps the one before. A change of what is synchronised forgets the
// cursor, so that the next synchronisation reads everything.
func (s *Store) PutDomain(ctx context.Context, d sallyport.Domain) (sallyport.Domain, error) {
	if d.ID == "" && d.Version == 0 {
		d.ID = sallyport.DomainID(sallyport.NewID())
	}
	if err := checkDomain(d); err != nil {
		return sallyport.Domain{}, err
	}
	given := d.Version
	err := s.change(ctx, "save domain", func(ctx context.Context, tx *changing) error {
		before, err := s.lockDomain(ctx, tx, d.ID)
		if err != nil {
			return err
		}
		if err := first(tx.checkVersion(ctx, domain, string(d.ID), before.Version, given),
			tx.checkName(ctx, "domains", domain, string(d.ID), d.Name), checkNetBIOS(ctx, tx, d)); err != nil {
			return err
		}
		d.Version, d.BindPassword = before.Version+1, cmp.Or(d.BindPassword, before.BindPassword)
		if d.BindPassword == "" {
			return invalidf("The password of the service account is missing.")
		}
		if err := s.writeDomain(ctx, tx, d, readsElse(before, d)); err != nil {
			return fmt.Errorf("write domain: %w", err)
		}
		return tx.record(domain+"."+verb(given), d.Name, string(d.ID), orNothing(given, before), d)
	})
	if err != nil {
		return sallyport.Domain{}, err
	}
	return d, nil
}

// readsElse reports whether other users may be synchronised than before.
func readsElse(a, b sallyport.Domain) bool {
	return a.Name != b.Name || a.NetBIOS != b.NetBIOS || a.Base != b.Base || !slices.Equal(a.Scope, b.Scope)
}

// DeleteDomain removes a domain with its cursor, its synchronisations and the assignment rules for it.
// Its users are removed ones then.
func (s *Store) DeleteDomain(ctx context.Context, id sallyport.DomainID, version int64) error {
	if err := checkID(domain, string(id)); err != nil {
		return err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	return s.change(ctx, "delete domain", func(ctx context.Context, tx *changing) error {
		if err := s.takeTime(ctx, tx); err != nil {
			return err
		}
		before, err := s.lockDomain(ctx, tx, id)
		if err != nil {
			return err
		}
		if before.Version == 0 {
			return notFound(domain)
		}
		if err := first(tx.checkVersion(ctx, domain, string(id), before.Version, version), s.dropRules(ctx, tx, id)); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE users SET state = $2, version = version + 1 WHERE domain_id = $1 AND state <> $2`,
			string(id), string(sallyport.UserRemoved))
		if err != nil {
			return fmt.Errorf("remove users: %w", err)
		}
		users, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("remove users: %w", err)
		}
		if err := deleteOne(ctx, tx.Tx, domain, `DELETE FROM domains WHERE id = $1`, string(id)); err != nil {
			return err
		}
		return tx.record(domain+".delete", before.Name, string(id), struct {
			sallyport.Domain
			Users int64
		}{before, users}, nil)
	})
}

// dropRules takes the rules of a domain out of the list.
func (s *Store) dropRules(ctx context.Context, tx *changing, id sallyport.DomainID) error {
	before, _, err := readRules(ctx, tx.Tx, s.engine.lockRows)
	if err != nil {
		return err
	}
	after := slices.DeleteFunc(slices.Clone(before), func(r sallyport.AssignmentRule) bool { return r.Domain == id })
	if len(after) == len(before) {
		return nil
	}
	if err := writeRules(ctx, tx, after); err != nil {
		return err
	}
	return tx.record(assignmentRules+".change", assignmentRules, "assignment-rules", before, after)
}

// lockDomain reads a domain for a change; Version 0 when there is none.
func (s *Store) lockDomain(ctx context.Context, tx *changing, id sallyport.DomainID) (sallyport.Domain, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+domainColumns+` FROM domains WHERE id = $1`+s.engine.lockRows, string(id))
	if err != nil {
		return sallyport.Domain{}, fmt.Errorf("read domain: %w", err)
	}
	d, _, err := one(collect(rows, s.scanDomain))
	return d, err
}

func (s *Store) domains(ctx context.Context, query string, args ...any) ([]sallyport.Domain, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
	if err != nil {
		return nil, s.engine.failure("read domains", err)
	}
	list, err := collect(rows, s.scanDomain)
	return list, s.engine.failure("read domains", err)
}

func (s *Store) scanDomain(rows *sql.Rows) (d sallyport.Domain, err error) {
	var servers, suffixes, scope string
	var box []byte
	var every int64
	if err := rows.Scan(&d.ID, &d.Name, &d.NetBIOS, &servers, &d.Authority, &d.BindName, &box, &d.Base, &suffixes, &scope, &every, &d.Version); err != nil {
		return d, err
	}
	d.Every = time.Duration(every) * time.Microsecond
	if err := first(json.Unmarshal([]byte(servers), &d.Servers), json.Unmarshal([]byte(suffixes), &d.UPNSuffixes),
		json.Unmarshal([]byte(scope), &d.Scope)); err != nil {
		return d, fmt.Errorf("decode domain: %w", err)
	}
	password, err := s.box.open(passwordPlace(d, servers), box)
	d.BindPassword = sallyport.Secret(password)
	return d, err
}

func (s *Store) writeDomain(ctx context.Context, tx *changing, d sallyport.Domain, fresh bool) error {
	lists := make([]string, 0, 3)
	for _, list := range []any{d.Servers, d.UPNSuffixes, d.Scope} {
		text, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("encode domain: %w", err)
		}
		lists = append(lists, string(text))
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO domains (`+domainColumns+`, name_folded, netbios_folded) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, netbios = excluded.netbios, servers = excluded.servers,
			authority = excluded.authority, bind_name = excluded.bind_name, sealed_bind_password = excluded.sealed_bind_password,
			base = excluded.base, upn_suffixes = excluded.upn_suffixes, scope = excluded.scope, every = excluded.every,
			version = excluded.version, name_folded = excluded.name_folded, netbios_folded = excluded.netbios_folded`,
		string(d.ID), d.Name, d.NetBIOS, lists[0], d.Authority, d.BindName, s.box.seal(passwordPlace(d, lists[0]), []byte(d.BindPassword)),
		d.Base, lists[1], lists[2], d.Every.Microseconds(), d.Version, fold(d.Name), fold(d.NetBIOS))
	if err != nil || !fresh {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO domain_states (domain_id, cursor, lease_holder, lease_until) VALUES ($1, $2, '', 0)
		ON CONFLICT (domain_id) DO UPDATE SET cursor = excluded.cursor`, string(d.ID), []byte{})
	return err
}

// passwordPlace binds the service account's password to where it is sent: whoever can write to the
// database still cannot have it sent to another server.
func passwordPlace(d sallyport.Domain, servers string) place {
	return place{table: "domains", column: "sealed_bind_password", row: string(d.ID),
		binding: []string{d.Name, servers, d.Authority, d.BindName}}
}
