package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	user        = "user"
	userColumns = `id, domain_id, guid, account, upn, dn, display_name, mail, state, policy_id, policy_from,
	second_factor_since, created, synchronised, version`
)

// User returns one user, or not_found.
func (s *Store) User(ctx context.Context, id sallyport.UserID) (sallyport.User, error) {
	if err := checkID(user, string(id)); err != nil {
		return sallyport.User{}, err
	}
	return s.oneUser(ctx, `WHERE id = $1`, string(id))
}

// UserByAccount returns the user whose account has this name, or not_found. That may be a removed one:
// a name belongs to its last user until another one takes it.
func (s *Store) UserByAccount(ctx context.Context, account sallyport.AccountName) (sallyport.User, error) {
	if err := checkAccount(account); err != nil {
		return sallyport.User{}, err
	}
	return s.oneUser(ctx, `WHERE account = $1`, string(account))
}

// UserByGUID returns the user of a domain with this objectGUID, or not_found.
func (s *Store) UserByGUID(ctx context.Context, domain sallyport.DomainID, guid string) (sallyport.User, error) {
	if err := first(checkID("domain", string(domain)), checkGUID(guid)); err != nil {
		return sallyport.User{}, err
	}
	return s.oneUser(ctx, `WHERE domain_id = $1 AND guid = $2`, string(domain), guid)
}

func (s *Store) oneUser(ctx context.Context, where string, args ...any) (sallyport.User, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+userColumns+` FROM users `+where, args...)
	if err != nil {
		return sallyport.User{}, s.engine.failure("read user", err)
	}
	u, found, err := one(collect(rows, scanUser))
	if err == nil && !found {
		err = notFound(user)
	}
	return u, s.engine.failure("read user", err)
}

// RequireSecondFactor makes devices that a user had remembered before since ask for the second factor
// again. It never goes back: an earlier since than the one before changes nothing.
func (s *Store) RequireSecondFactor(ctx context.Context, id sallyport.UserID, since time.Time) error {
	if err := checkID(user, string(id)); err != nil {
		return err
	}
	if !since.After(time.Unix(0, 0)) {
		return invalidf("The time from which the second factor is required is missing.")
	}
	return s.change(ctx, "require second factor", func(ctx context.Context, tx *changing) error {
		before, found, err := one(s.lockUsers(ctx, tx, `WHERE id = $1`, string(id)))
		if err != nil {
			return err
		}
		if !found {
			return notFound(user)
		}
		after := before
		after.SecondFactorSince, after.Version = fromMicros(micros(since)), before.Version+1
		if tx.raise = after.SecondFactorSince.After(before.SecondFactorSince); !tx.raise {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `UPDATE users SET second_factor_since = $2, version = $3 WHERE id = $1`,
			string(id), micros(since), after.Version); err != nil {
			return fmt.Errorf("write user: %w", err)
		}
		if err := forget(ctx, tx, "2FA is required on all devices.", `account = $1`, string(before.Account)); err != nil {
			return err
		}
		return tx.record("user.require second factor", string(before.Account), string(id), before, after)
	})
}

// lockUsers reads users for a change.
func (s *Store) lockUsers(ctx context.Context, tx *changing, where string, args ...any) ([]sallyport.User, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+userColumns+` FROM users `+where+s.engine.lockRows, args...)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	return collect(rows, scanUser)
}

func scanUser(rows *sql.Rows) (u sallyport.User, err error) {
	var since, created, synchronised int64
	err = rows.Scan(&u.ID, &u.Domain, &u.GUID, &u.Account, &u.UPN, &u.DN, &u.DisplayName, &u.Mail, &u.State, &u.Policy, &u.PolicyFrom,
		&since, &created, &synchronised, &u.Version)
	u.SecondFactorSince, u.Created, u.Synchronised = orNever(since), fromMicros(created), fromMicros(synchronised)
	return u, err
}

// checkGUID takes an objectGUID as 32 hexadecimal digits in lower case.
func checkGUID(guid string) error {
	octets, err := hex.DecodeString(guid)
	if err != nil || len(octets) != 16 || hex.EncodeToString(octets) != guid {
		return invalidf("An objectGUID is written as 32 hexadecimal digits in lower case.")
	}
	return nil
}
