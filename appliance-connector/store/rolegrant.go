package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport"
)

const (
	// maxGrants bounds the list of role grants.
	maxGrants = 200
	// grantList is what people call it.
	grantList = "role grant list"
)

// RoleGrants returns the roles that directory groups give, in the order in which they were set, and the
// version to set them with.
func (s *Store) RoleGrants(ctx context.Context) (grants []sallyport.RoleGrant, version int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		grants, version, err = s.readGrants(ctx, tx)
		return err
	})
	return grants, version, s.engine.failure("read role grants", err)
}

// SetRoleGrants replaces the role grants if version is that of the ones there are.
func (s *Store) SetRoleGrants(ctx context.Context, grants []sallyport.RoleGrant, version int64) error {
	if err := checkGrants(grants); err != nil {
		return err
	}
	return s.change(ctx, "save role grants", func(ctx context.Context, tx *changing) error {
		if _, err := lockAdministration(ctx, tx); err != nil {
			return err
		}
		before, was, err := s.readGrants(ctx, tx.Tx)
		if err != nil {
			return err
		}
		if was != version {
			return tx.overtaken(ctx, grantList, grantList)
		}
		text, err := json.Marshal(grants)
		if err != nil {
			return fmt.Errorf("encode role grants: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE administration SET sealed_role_grants = $1, grants_version = $2`,
			s.box.seal(grantsPlace(version+1), text), version+1); err != nil {
			return fmt.Errorf("write role grants: %w", err)
		}
		return tx.record(grantList+".change", grantList, grantList, before, grants)
	})
}

func (s *Store) readGrants(ctx context.Context, tx *sql.Tx) (grants []sallyport.RoleGrant, version int64, err error) {
	var box []byte
	if err := tx.QueryRowContext(ctx, `SELECT sealed_role_grants, grants_version FROM administration`).Scan(&box, &version); err != nil {
		return nil, 0, err
	}
	if box == nil && version == 0 {
		return nil, 0, nil // never set
	}
	text, err := s.box.open(grantsPlace(version), box)
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(text, &grants); err != nil {
		return nil, 0, fmt.Errorf("decode role grants: %w", err)
	}
	return grants, version, nil
}

func grantsPlace(version int64) place {
	return place{table: "administration", column: "sealed_role_grants", row: "1", binding: []string{strconv.FormatInt(version, 10)}}
}

func checkGrants(grants []sallyport.RoleGrant) error {
	if len(grants) > maxGrants {
		return invalidf("There may be at most %d role grants.", maxGrants)
	}
	for _, g := range grants {
		if err := first(checkID("domain", string(g.Domain)), checkText("group", g.Group, maxDN), checkRole(g.Role), checkScope(g.Scope)); err != nil {
			return err
		}
	}
	return nil
}
