package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport"
)

const (
	userPolicy        = "user policy"
	userPolicyColumns = `id, name, note, standard, licensed, remote_access, COALESCE(enrol_rule_id, ''), version`
	// settingLicences is the setting that says for how many users remote access was bought.
	settingLicences = "licences"
)

// PolicyWithUsers is a user policy and how many users have it, removed ones left out.
type PolicyWithUsers struct {
	sallyport.UserPolicy
	Users int
}

// UserPolicies returns all user policies by name.
func (s *Store) UserPolicies(ctx context.Context) (list []PolicyWithUsers, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		policies, err := readPolicies(ctx, tx, "")
		if err != nil {
			return err
		}
		users, err := countByPolicy(ctx, tx)
		if err != nil {
			return fmt.Errorf("count users: %w", err)
		}
		list = make([]PolicyWithUsers, len(policies))
		for i, p := range policies {
			list[i] = PolicyWithUsers{UserPolicy: p, Users: users[p.ID]}
		}
		return nil
	})
	return list, s.engine.failure("read user policies", err)
}

// UserPolicy returns one user policy, or not_found.
func (s *Store) UserPolicy(ctx context.Context, id sallyport.UserPolicyID) (sallyport.UserPolicy, error) {
	if err := checkID(userPolicy, string(id)); err != nil {
		return sallyport.UserPolicy{}, err
	}
	return s.onePolicy(ctx, `WHERE id = $1`, string(id))
}

// DefaultUserPolicy returns the policy of users whom no rule and nobody gave another one.
func (s *Store) DefaultUserPolicy(ctx context.Context) (sallyport.UserPolicy, error) {
	return s.onePolicy(ctx, `WHERE standard = 1`)
}

// PutUserPolicy adds a user policy (Version 0; an empty ID gets one) or replaces it, and returns it as
// it is now. Default is left as it is: see SetDefaultUserPolicy.
func (s *Store) PutUserPolicy(ctx context.Context, p sallyport.UserPolicy) (sallyport.UserPolicy, error) {
	if p.ID == "" && p.Version == 0 {
		p.ID = sallyport.UserPolicyID(sallyport.NewID())
	}
	if err := checkUserPolicy(p); err != nil {
		return sallyport.UserPolicy{}, err
	}
	given := p.Version
	err := s.change(ctx, "save user policy", func(ctx context.Context, tx *changing) error {
		before, err := s.lockPolicy(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if err := first(tx.checkVersion(ctx, userPolicy, string(p.ID), before.Version, given),
			tx.checkName(ctx, "user_policies", userPolicy, string(p.ID), p.Name)); err != nil {
			return err
		}
		if p.EnrolRule != "" {
			if rule, err := s.lockEnrolRule(ctx, tx, p.EnrolRule); err != nil || rule.Version == 0 {
				return cmp.Or(err, error(notFound(enrolRule)))
			}
		}
		p.Default, p.Version = before.Default, before.Version+1
		if err := writePolicy(ctx, tx.Tx, p); err != nil {
			return err
		}
		return tx.record(userPolicy+"."+verb(given), p.Name, string(p.ID), orNothing(given, before), p)
	})
	if err != nil {
		return sallyport.UserPolicy{}, err
	}
	return p, nil
}

// DeleteUserPolicy removes a user policy; its users go to the default one. The default policy, and one
// that an assignment rule gives, are a conflict.
func (s *Store) DeleteUserPolicy(ctx context.Context, id sallyport.UserPolicyID, version int64) error {
	if err := checkID(userPolicy, string(id)); err != nil {
		return err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	return s.change(ctx, "delete user policy", func(ctx context.Context, tx *changing) error {
		if err := s.takeTime(ctx, tx); err != nil {
			return err
		}
		before, err := s.lockPolicy(ctx, tx, id)
		if err != nil {
			return err
		}
		if before.Version == 0 {
			return notFound(userPolicy)
		}
		if err := first(tx.checkVersion(ctx, userPolicy, string(id), before.Version, version), checkUnused(ctx, tx, before)); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE users SET policy_id = (SELECT id FROM user_policies WHERE standard = 1),
			policy_from = $2, version = version + 1 WHERE policy_id = $1`, string(id), string(sallyport.PolicyByDefault))
		if err != nil {
			return fmt.Errorf("move users: %w", err)
		}
		moved, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("move users: %w", err)
		}
		if err := deleteOne(ctx, tx.Tx, userPolicy, `DELETE FROM user_policies WHERE id = $1`, string(id)); err != nil {
			return err
		}
		return tx.record(userPolicy+".delete", before.Name, string(id), PolicyWithUsers{before, int(moved)}, nil)
	})
}

// checkUnused refuses the end of a policy that others rely on.
func checkUnused(ctx context.Context, tx *changing, p sallyport.UserPolicy) error {
	if p.Default {
		return conflictf("This is the default user policy. Make another one the default first.")
	}
	var dn string
	err := tx.QueryRowContext(ctx, `SELECT dn FROM assignment_rules WHERE policy_id = $1 ORDER BY position LIMIT 1`, string(p.ID)).Scan(&dn)
	switch {
	case err == nil:
		return conflictf("The assignment rule for %q gives this user policy. Change the rule first.", dn)
	case errors.Is(err, sql.ErrNoRows):
		return nil
	}
	return fmt.Errorf("read assignment rules: %w", err)
}

// SetDefaultUserPolicy makes another policy the default. Users who have the former default keep it until
// their next synchronisation.
func (s *Store) SetDefaultUserPolicy(ctx context.Context, id sallyport.UserPolicyID) error {
	if err := checkID(userPolicy, string(id)); err != nil {
		return err
	}
	return s.change(ctx, "set default user policy", func(ctx context.Context, tx *changing) error {
		known := false
		err := s.changePolicies(ctx, tx, []sallyport.UserPolicyID{id}, func(p *sallyport.UserPolicy, listed bool) {
			known = known || listed
			p.Default = listed
		})
		if err == nil && !known {
			err = notFound(userPolicy)
		}
		return err
	})
}

// AssociateWorkflow makes exactly these user policies, and no others, those of the workflow policy
// "Remote access log in".
func (s *Store) AssociateWorkflow(ctx context.Context, policies []sallyport.UserPolicyID) error {
	if err := checkPolicyIDs(policies); err != nil {
		return err
	}
	return s.change(ctx, "associate user policies", func(ctx context.Context, tx *changing) error {
		return s.changePolicies(ctx, tx, policies, func(p *sallyport.UserPolicy, listed bool) { p.RemoteAccess = listed })
	})
}

// changePolicies changes what policies are associated with, and records each one that did change. Those
// that are no longer the default are written first: there is one default at any moment.
func (s *Store) changePolicies(ctx context.Context, tx *changing, listed []sallyport.UserPolicyID, do func(p *sallyport.UserPolicy, listed bool)) error {
	all, err := readPolicies(ctx, tx.Tx, s.engine.lockRows)
	if err != nil {
		return err
	}
	for _, id := range listed {
		if !slices.ContainsFunc(all, func(p sallyport.UserPolicy) bool { return p.ID == id }) {
			return notFound(userPolicy)
		}
	}
	slices.SortStableFunc(all, func(a, b sallyport.UserPolicy) int { return cmp.Compare(b2i(b.Default), b2i(a.Default)) })
	for _, before := range all {
		p := before
		do(&p, slices.Contains(listed, p.ID))
		if p == before {
			continue
		}
		p.Version++
		if err := writePolicy(ctx, tx.Tx, p); err != nil {
			return err
		}
		if err := tx.record(userPolicy+".change", p.Name, string(p.ID), before, p); err != nil {
			return err
		}
	}
	return nil
}

// Licences returns how many active users have a policy that consumes a licence, and how many licences
// there are: the setting "licences"; 0 is no limit.
func (s *Store) Licences(ctx context.Context) (used, total int, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.number(ctx, s.engine.read, `SELECT COUNT(*) FROM users
		WHERE state = 'active' AND policy_id IN (SELECT id FROM user_policies WHERE licensed = 1)`)
	if err != nil {
		return 0, 0, s.engine.failure("count licences", err)
	}
	value, err := s.Setting(ctx, settingLicences)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		return int(n), 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	if total, err = strconv.Atoi(value); err != nil || total < 0 {
		return 0, 0, invalidf("The setting %q is not a number of licences.", settingLicences)
	}
	return int(n), total, nil
}

func (s *Store) onePolicy(ctx context.Context, where string, args ...any) (p sallyport.UserPolicy, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var found bool
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		p, found, err = one(readPolicies(ctx, tx, where, args...))
		return err
	})
	if err == nil && !found {
		err = notFound(userPolicy)
	}
	return p, s.engine.failure("read user policy", err)
}

// lockPolicy reads a policy for a change; Version 0 when there is none.
func (s *Store) lockPolicy(ctx context.Context, tx *changing, id sallyport.UserPolicyID) (sallyport.UserPolicy, error) {
	p, _, err := one(readPolicies(ctx, tx.Tx, `WHERE id = $1`+s.engine.lockRows, string(id)))
	return p, err
}

// readPolicies returns policies by name.
func readPolicies(ctx context.Context, tx *sql.Tx, where string, args ...any) ([]sallyport.UserPolicy, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+userPolicyColumns+` FROM user_policies `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read user policies: %w", err)
	}
	list, err := collect(rows, scanPolicy)
	slices.SortFunc(list, func(a, b sallyport.UserPolicy) int {
		return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

func scanPolicy(rows *sql.Rows) (p sallyport.UserPolicy, err error) {
	var standard, licensed, remote int64
	err = rows.Scan(&p.ID, &p.Name, &p.Note, &standard, &licensed, &remote, &p.EnrolRule, &p.Version)
	p.Default, p.Licensed, p.RemoteAccess = standard == 1, licensed == 1, remote == 1
	return p, err
}

func writePolicy(ctx context.Context, tx *sql.Tx, p sallyport.UserPolicy) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO user_policies (id, name, name_folded, note, standard, licensed, remote_access, enrol_rule_id, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, note = excluded.note,
			standard = excluded.standard, licensed = excluded.licensed, remote_access = excluded.remote_access,
			enrol_rule_id = excluded.enrol_rule_id, version = excluded.version`,
		string(p.ID), p.Name, fold(p.Name), p.Note, b2i(p.Default), b2i(p.Licensed), b2i(p.RemoteAccess),
		sql.NullString{String: string(p.EnrolRule), Valid: p.EnrolRule != ""}, p.Version)
	if err != nil {
		return fmt.Errorf("write user policy: %w", err)
	}
	return nil
}

// countByPolicy counts the users who are not removed.
func countByPolicy(ctx context.Context, tx *sql.Tx) (map[sallyport.UserPolicyID]int, error) {
	rows, err := tx.QueryContext(ctx, `SELECT policy_id, COUNT(*) FROM users WHERE state <> 'removed' GROUP BY policy_id`)
	if err != nil {
		return nil, err
	}
	users := make(map[sallyport.UserPolicyID]int)
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var id sallyport.UserPolicyID
		var n int
		err := rows.Scan(&id, &n)
		users[id] = n
		return struct{}{}, err
	})
	return users, err
}

func checkUserPolicy(p sallyport.UserPolicy) error {
	if p.Note != "" {
		if err := checkText("note", p.Note, maxNote); err != nil {
			return err
		}
	}
	if p.EnrolRule != "" {
		if err := checkID(enrolRule, string(p.EnrolRule)); err != nil {
			return err
		}
	}
	return first(checkID(userPolicy, string(p.ID)), checkText("name of the user policy", p.Name, maxName))
}

func checkPolicyIDs(ids []sallyport.UserPolicyID) error {
	if len(ids) > maxPolicies {
		return invalidf("At most %d user policies are named at once.", maxPolicies)
	}
	for _, id := range ids {
		if err := checkID(userPolicy, string(id)); err != nil {
			return err
		}
	}
	return nil
}
