package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sallyport/sallyport"
)

// maxAssignedShown is up to how many users an audit record lists one by one.
const maxAssignedShown = 100

// assignment is what the audit trail shows of a bulk assignment.
type assignment struct {
	Policy sallyport.UserPolicyID   `json:"policy,omitempty"`
	From   sallyport.PolicySource   `json:"from,omitempty"`
	Users  int                      `json:"users"`
	Query  *UserQuery               `json:"query,omitempty"`
	Had    map[string]int           `json:"had,omitempty"` // users by the policy they had
	Some   map[string]assignedFirst `json:"who,omitempty"` // by account, when they are few
}

// assignedFirst is the policy that a user had.
type assignedFirst struct {
	Policy sallyport.UserPolicyID `json:"policy"`
	From   sallyport.PolicySource `json:"from"`
}

// AssignPolicy gives a policy to all users that are meant, whatever page is asked for, and returns how
// many did not have it from this source.
func (s *Store) AssignPolicy(ctx context.Context, q UserQuery, policy sallyport.UserPolicyID, from sallyport.PolicySource) (changed int, err error) {
	switch from {
	case sallyport.PolicyByDefault, sallyport.PolicyByRule, sallyport.PolicyByHand:
	default:
		return 0, invalidf("A user policy is given by default, by a rule, or by hand.")
	}
	if err := checkID(userPolicy, string(policy)); err != nil {
		return 0, err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	err = s.change(ctx, "assign user policy", func(ctx context.Context, tx *changing) error {
		if err := s.takeTime(ctx, tx); err != nil {
			return err
		}
		p, err := s.lockPolicy(ctx, tx, policy)
		if err != nil {
			return err
		}
		if p.Version == 0 {
			return notFound(userPolicy)
		}
		c, err := q.conditions(ctx, tx.Tx)
		if err != nil {
			return err
		}
		c.add(`(policy_id <> ? OR policy_from <> ?)`, string(policy), string(from))
		before, err := assignedBefore(ctx, tx, c)
		if err != nil {
			return err
		}
		c.args = append(c.args, string(policy), string(from))
		result, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE users SET policy_id = $%d, policy_from = $%d, version = version + 1%s`,
			len(c.args)-1, len(c.args), c.where()), c.args...)
		if err != nil {
			return fmt.Errorf("write users: %w", err)
		}
		n, err := result.RowsAffected()
		if changed, tx.raise = int(n), n > 0; err != nil || n == 0 {
			return err
		}
		q.After, q.Most = "", 0
		return tx.record("user.assign policy", p.Name, string(policy), before,
			assignment{Policy: policy, From: from, Users: changed, Query: &q})
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

// assignedBefore reads what the users have who are about to get a policy.
func assignedBefore(ctx context.Context, tx *changing, c conditions) (a assignment, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT policy_id, COUNT(*) FROM users`+c.where()+` GROUP BY policy_id`, c.args...)
	if err != nil {
		return a, fmt.Errorf("count users: %w", err)
	}
	a.Had = make(map[string]int)
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var policy string
		var n int
		err := rows.Scan(&policy, &n)
		a.Had[policy] = n
		a.Users += n
		return struct{}{}, err
	})
	if err != nil || a.Users > maxAssignedShown {
		return a, err
	}
	if rows, err = tx.QueryContext(ctx, `SELECT account, policy_id, policy_from FROM users`+c.where(), c.args...); err != nil {
		return a, fmt.Errorf("list users: %w", err)
	}
	a.Some = make(map[string]assignedFirst)
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var account string
		var had assignedFirst
		err := rows.Scan(&account, &had.Policy, &had.From)
		a.Some[account] = had
		return struct{}{}, err
	})
	return a, err
}
