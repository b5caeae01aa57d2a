package store

import (
	"cmp"
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Bounds of what is kept of administrators.
const (
	maxMail      = 254 // octets (RFC 5321 section 4.5.3.1.3)
	maxSignIn    = 256 // characters of a sign-in name
	maxScope     = 1000
	maxDN        = 2048
	maxHash      = 512 // octets of a password hash
	maxSeed      = 128
	maxPasskeys  = 20
	maxPasskey   = 16 << 10
	maxAddress   = 256
	lastSeenStep = time.Minute
)

const administratorColumns = `id, name, display_name, mail, role, scope, directory, disabled, created, last_seen, version, mac`

// Administrators returns all administrators by name.
func (s *Store) Administrators(ctx context.Context) ([]sallyport.Administrator, error) {
	list, err := s.administrators(ctx, `SELECT `+administratorColumns+` FROM administrators`)
	slices.SortFunc(list, func(a, b sallyport.Administrator) int {
		return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// Administrator returns one administrator, or not_found.
func (s *Store) Administrator(ctx context.Context, id sallyport.AdministratorID) (sallyport.Administrator, error) {
	if err := checkID("administrator", string(id)); err != nil {
		return sallyport.Administrator{}, err
	}
	return s.oneAdministrator(ctx, `SELECT `+administratorColumns+` FROM administrators WHERE id = $1`, string(id))
}

// AdministratorByName returns the administrator with the sign-in name, compared without case, or
// not_found.
func (s *Store) AdministratorByName(ctx context.Context, name string) (sallyport.Administrator, error) {
	if err := checkText("name", name, maxSignIn); err != nil {
		return sallyport.Administrator{}, notFound("administrator")
	}
	return s.oneAdministrator(ctx, `SELECT `+administratorColumns+` FROM administrators WHERE name_folded = $1`, fold(name))
}

// PutAdministrator adds (Version 0) or replaces an administrator and returns it as it is kept. A name
// that another has is a conflict, and so is a version that is not the newest. The last super
// administrator who is not disabled stays one. When it was created and last seen is left alone.
func (s *Store) PutAdministrator(ctx context.Context, a sallyport.Administrator) (sallyport.Administrator, error) {
	if err := checkAdministrator(a); err != nil {
		return a, err
	}
	var kept sallyport.Administrator
	err := s.change(ctx, "save administrator", func(ctx context.Context, tx *changing) (err error) {
		if _, err := lockAdministration(ctx, tx); err != nil {
			return err
		}
		kept, err = s.putAdministrator(ctx, tx, a)
		return err
	})
	return kept, err
}

// DeleteAdministrator removes an administrator with all sessions, passkeys and tokens; never the last
// super administrator who is not disabled.
func (s *Store) DeleteAdministrator(ctx context.Context, id sallyport.AdministratorID, version int64) error {
	if err := checkID("administrator", string(id)); err != nil {
		return err
	}
	return s.change(ctx, "delete administrator", func(ctx context.Context, tx *changing) error {
		if _, err := lockAdministration(ctx, tx); err != nil {
			return err
		}
		before, err := s.administratorIn(ctx, tx.Tx, id)
		if spoiled(err) {
			before, err = sallyport.Administrator{ID: id, Role: sallyport.RoleSuper, Version: version}, nil
		}
		if err != nil {
			return err
		}
		if before.Version != version {
			return tx.overtaken(ctx, "administrator", string(id))
		}
		if err := s.keepSuper(ctx, tx.Tx, before, false); err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, "administrator", `DELETE FROM administrators WHERE id = $1`, string(id)); err != nil {
			return err
		}
		return tx.record("administrator.delete", before.Name, string(id), before, nil)
	})
}

// AdministratorSeen notes that an administrator was there at a time; it goes forward only, by minutes.
func (s *Store) AdministratorSeen(ctx context.Context, id sallyport.AdministratorID, at time.Time) error {
	if err := checkID("administrator", string(id)); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := s.engine.exec(ctx, `UPDATE administrators SET last_seen = $2 WHERE id = $1 AND last_seen < $3`,
		string(id), micros(at), micros(at.Add(-lastSeenStep)))
	return s.engine.failure("note administrator's visit", err)
}

// lockAdministration keeps other changes of administrators out until the transaction ends, and returns
// the version of the role grants.
func lockAdministration(ctx context.Context, tx *changing) (grants int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE administration SET one = one RETURNING grants_version`).Scan(&grants)
	if err != nil {
		err = fmt.Errorf("lock administration: %w", err)
	}
	return grants, err
}

func (s *Store) putAdministrator(ctx context.Context, tx *changing, a sallyport.Administrator) (sallyport.Administrator, error) {
	if err := checkSignInName(ctx, tx.Tx, a); err != nil {
		return a, err
	}
	before, err := s.administratorIn(ctx, tx.Tx, a.ID)
	missing := sallyport.ErrorCode(err) == sallyport.CodeNotFound
	switch {
	case a.Version == 0 && err == nil:
		return a, tx.checkVersion(ctx, "administrator", string(a.ID), before.Version, 0)
	case a.Version == 0 && missing:
		if a.Created.IsZero() {
			a.Created = s.now()
		}
		a.Version, a.LastSeen = 1, time.Time{}
		a.Created = fromMicros(micros(a.Created))
		if err := s.writeAdministrator(ctx, tx.Tx, a); err != nil {
			return a, err
		}
		return a, tx.record("administrator.create", a.Name, string(a.ID), nil, a)
	case err != nil:
		return a, err
	case before.Version != a.Version:
		return a, tx.checkVersion(ctx, "administrator", string(a.ID), before.Version, a.Version)
	}
	a.Version, a.Created, a.LastSeen = before.Version+1, before.Created, before.LastSeen
	if err := s.keepSuper(ctx, tx.Tx, before, a.Role == sallyport.RoleSuper && !a.Disabled); err != nil {
		return a, err
	}
	if err := s.writeAdministrator(ctx, tx.Tx, a); err != nil {
		return a, err
	}
	return a, tx.record("administrator.change", a.Name, string(a.ID), before, a)
}

func (s *Store) writeAdministrator(ctx context.Context, tx *sql.Tx, a sallyport.Administrator) error {
	scope, err := json.Marshal(a.Scope)
	if err != nil {
		return fmt.Errorf("encode scope: %w", err)
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO administrators (`+administratorColumns+`, name_folded) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, display_name = excluded.display_name,
			mail = excluded.mail, role = excluded.role, scope = excluded.scope, directory = excluded.directory,
			disabled = excluded.disabled, version = excluded.version, mac = excluded.mac`,
		string(a.ID), a.Name, a.DisplayName, a.Mail, string(a.Role), string(scope), b2i(a.Directory), b2i(a.Disabled),
		micros(a.Created), micros(a.LastSeen), a.Version, s.administratorMAC(a, string(scope)), fold(a.Name))
	if err != nil {
		return fmt.Errorf("write administrator: %w", err)
	}
	return nil
}

// checkSignInName looks for another administrator with the name, to say so; the schema's key settles
// the case of two at once.
func checkSignInName(ctx context.Context, tx *sql.Tx, a sallyport.Administrator) error {
	others, err := count(ctx, tx, `SELECT COUNT(*) FROM administrators WHERE name_folded = $1 AND id <> $2`, fold(a.Name), string(a.ID))
	if err == nil && others > 0 {
		return conflictf("There is an administrator with the name %q already.", a.Name)
	}
	return err
}

// keepSuper refuses to take away the last super administrator who is not disabled.
func (s *Store) keepSuper(ctx context.Context, tx *sql.Tx, before sallyport.Administrator, stays bool) error {
	if stays || before.Role != sallyport.RoleSuper || before.Disabled {
		return nil
	}
	others, err := count(ctx, tx, `SELECT COUNT(*) FROM administrators WHERE role = $1 AND disabled = 0 AND id <> $2`,
		string(sallyport.RoleSuper), string(before.ID))
	if err == nil && others == 0 {
		return conflictf("%q is the last super administrator. Make another one first.", before.Name)
	}
	return err
}

func count(ctx context.Context, tx *sql.Tx, query string, args ...any) (n int64, err error) {
	err = tx.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

func (s *Store) administrators(ctx context.Context, query string, args ...any) ([]sallyport.Administrator, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
	if err != nil {
		return nil, s.engine.failure("read administrators", err)
	}
	list, err := collect(rows, s.scanAdministrator)
	return list, s.engine.failure("read administrators", err)
}

func (s *Store) oneAdministrator(ctx context.Context, query string, args ...any) (sallyport.Administrator, error) {
	list, err := s.administrators(ctx, query, args...)
	return only("administrator", list, err)
}

// administratorIn reads an administrator inside a transaction.
func (s *Store) administratorIn(ctx context.Context, tx *sql.Tx, id sallyport.AdministratorID) (sallyport.Administrator, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+administratorColumns+` FROM administrators WHERE id = $1`, string(id))
	if err != nil {
		return sallyport.Administrator{}, fmt.Errorf("read administrator: %w", err)
	}
	list, err := collect(rows, s.scanAdministrator)
	return only("administrator", list, err)
}

// only returns the one row of a list, or not_found.
func only[T any](noun string, list []T, err error) (one T, _ error) {
	if err == nil && len(list) == 0 {
		err = notFound(noun)
	}
	if err != nil {
		return one, err
	}
	return list[0], nil
}

func (s *Store) scanAdministrator(rows *sql.Rows) (a sallyport.Administrator, err error) {
	var scope string
	var directory, disabled, created, seen int64
	var mac []byte
	if err := rows.Scan(&a.ID, &a.Name, &a.DisplayName, &a.Mail, &a.Role, &scope, &directory, &disabled, &created, &seen, &a.Version, &mac); err != nil {
		return a, err
	}
	a.Directory, a.Disabled = directory == 1, disabled == 1
	a.Created, a.LastSeen = fromMicros(created), fromMicros(seen)
	if !hmac.Equal(mac, s.administratorMAC(a, scope)) {
		return a, tampered("administrators", string(a.ID))
	}
	if err := json.Unmarshal([]byte(scope), &a.Scope); err != nil {
		return a, fmt.Errorf("decode scope: %w", err)
	}
	return a, nil
}

// administratorMAC covers all but when somebody was last seen.
func (s *Store) administratorMAC(a sallyport.Administrator, scope string) []byte {
	return fieldsMAC(s.keptKey(keyAdministration), "administrator", string(a.ID), a.Name, a.DisplayName, a.Mail, string(a.Role), scope,
		strconv.FormatBool(a.Directory), strconv.FormatBool(a.Disabled), strconv.FormatInt(micros(a.Created), 10), strconv.FormatInt(a.Version, 10))
}

// tampered is the error for a row whose MAC does not hold.
func tampered(table, row string) error {
	return sallyport.Errorf(sallyport.CodeInternal, "The appliance's database was changed from outside: what it says about administrators cannot be used.",
		fmt.Errorf("check MAC of %s, row %q: %w", table, row, sealed.ErrOpen))
}
