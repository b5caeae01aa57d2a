package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sallyport/sallyport"
)

const assignmentRules = "assignment rules"

// AssignmentRules returns the rules that give synchronised users their policy, in the order in which
// they count, and the version of the list.
func (s *Store) AssignmentRules(ctx context.Context) (rules []sallyport.AssignmentRule, version int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		rules, version, err = readRules(ctx, tx, "")
		return err
	})
	return rules, version, s.engine.failure("read assignment rules", err)
}

// SetAssignmentRules replaces all rules when version is that of the list now, which is one higher then.
// Policies that are given already stay until the next synchronisation.
func (s *Store) SetAssignmentRules(ctx context.Context, rules []sallyport.AssignmentRule, version int64) error {
	if err := checkRules(rules); err != nil {
		return err
	}
	return s.change(ctx, "save assignment rules", func(ctx context.Context, tx *changing) error {
		before, have, err := readRules(ctx, tx.Tx, s.engine.lockRows)
		if err != nil {
			return err
		}
		if have != version {
			return tx.overtaken(ctx, assignmentRules, "assignment-rules")
		}
		if err := writeRules(ctx, tx, rules); err != nil {
			return err
		}
		return tx.record(assignmentRules+".change", assignmentRules, "assignment-rules", before, rules)
	})
}

// writeRules replaces the list and raises its version.
func writeRules(ctx context.Context, tx *changing, rules []sallyport.AssignmentRule) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM assignment_rules`); err != nil {
		return fmt.Errorf("clear assignment rules: %w", err)
	}
	for n, r := range rules {
		result, err := tx.ExecContext(ctx, `INSERT INTO assignment_rules (position, domain_id, kind, dn, policy_id)
			SELECT $1, d.id, $2, $3, p.id FROM domains d CROSS JOIN user_policies p WHERE d.id = $4 AND p.id = $5`,
			n, string(r.Object.Kind), r.Object.DN, string(r.Domain), string(r.Policy))
		if err != nil {
			return fmt.Errorf("write assignment rule: %w", err)
		}
		if written, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("write assignment rule: %w", err)
		} else if written == 0 {
			return conflictf("The domain or the user policy of rule %d does not exist, or no longer.", n+1)
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE assignment_rules_version SET version = version + 1`)
	return err
}

// readRules reads the list, locking its version if asked to.
func readRules(ctx context.Context, tx *sql.Tx, lock string) (rules []sallyport.AssignmentRule, version int64, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT version FROM assignment_rules_version`+lock).Scan(&version); err != nil {
		return nil, 0, fmt.Errorf("read version of assignment rules: %w", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT domain_id, kind, dn, policy_id FROM assignment_rules ORDER BY position`)
	if err != nil {
		return nil, 0, fmt.Errorf("read assignment rules: %w", err)
	}
	rules, err = collect(rows, func(rows *sql.Rows) (r sallyport.AssignmentRule, err error) {
		return r, rows.Scan(&r.Domain, &r.Object.Kind, &r.Object.DN, &r.Policy)
	})
	return rules, version, err
}

func checkRules(rules []sallyport.AssignmentRule) error {
	if len(rules) > maxRules {
		return invalidf("There may be at most %d assignment rules.", maxRules)
	}
	seen := make(map[sallyport.AssignmentRule]bool, len(rules))
	for _, r := range rules {
		if err := first(checkID("domain", string(r.Domain)), checkObject(r.Object), checkID(userPolicy, string(r.Policy))); err != nil {
			return err
		}
		same := r
		same.Policy = ""
		if seen[same] {
			return invalidf("There are two assignment rules for %q: the second would never count.", r.Object.DN)
		}
		seen[same] = true
	}
	return nil
}

func checkObject(o sallyport.DirectoryObject) error {
	switch o.Kind {
	case sallyport.ObjectOU, sallyport.ObjectGroup:
	default:
		return invalidf("A directory object is an OU or a group.")
	}
	return checkDN("directory object's name", o.DN)
}
