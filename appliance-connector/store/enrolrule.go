package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
)

const (
	enrolRule        = "enrol rule"
	enrolRuleColumns = `id, name, unenrolled, prompt_at_gateway, prompt_on_site, may_delay, temporary_code, version`
)

// EnrolRules returns all enrol rules by name.
func (s *Store) EnrolRules(ctx context.Context) ([]sallyport.EnrolRule, error) {
	list, err := s.enrolRules(ctx, `SELECT `+enrolRuleColumns+` FROM enrol_rules`)
	slices.SortFunc(list, func(a, b sallyport.EnrolRule) int {
		return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// EnrolRule returns one enrol rule, or not_found.
func (s *Store) EnrolRule(ctx context.Context, id sallyport.EnrolRuleID) (sallyport.EnrolRule, error) {
	if err := checkID(enrolRule, string(id)); err != nil {
		return sallyport.EnrolRule{}, err
	}
	r, found, err := one(s.enrolRules(ctx, `SELECT `+enrolRuleColumns+` FROM enrol_rules WHERE id = $1`, string(id)))
	if err == nil && !found {
		err = notFound(enrolRule)
	}
	return r, err
}

// PutEnrolRule adds an enrol rule (Version 0; an empty ID gets one) or replaces it, and returns it as it
// is now.
func (s *Store) PutEnrolRule(ctx context.Context, r sallyport.EnrolRule) (sallyport.EnrolRule, error) {
	if r.ID == "" && r.Version == 0 {
		r.ID = sallyport.EnrolRuleID(sallyport.NewID())
	}
	if err := checkEnrolRule(r); err != nil {
		return sallyport.EnrolRule{}, err
	}
	given := r.Version
	err := s.change(ctx, "save enrol rule", func(ctx context.Context, tx *changing) error {
		before, err := s.lockEnrolRule(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		r.Version = before.Version + 1
		if err := first(tx.checkVersion(ctx, enrolRule, string(r.ID), before.Version, given),
			tx.checkName(ctx, "enrol_rules", enrolRule, string(r.ID), r.Name)); err != nil {
			return err
		}
		if err := writeEnrolRule(ctx, tx.Tx, r); err != nil {
			return fmt.Errorf("write enrol rule: %w", err)
		}
		return tx.record(enrolRule+"."+verb(given), r.Name, string(r.ID), orNothing(given, before), r)
	})
	if err != nil {
		return sallyport.EnrolRule{}, err
	}
	return r, nil
}

// DeleteEnrolRule removes an enrol rule. One that user policies belong to is a conflict: their users
// would be left without a rule unnoticed.
func (s *Store) DeleteEnrolRule(ctx context.Context, id sallyport.EnrolRuleID, version int64) error {
	if err := checkID(enrolRule, string(id)); err != nil {
		return err
	}
	return s.change(ctx, "delete enrol rule", func(ctx context.Context, tx *changing) error {
		before, err := s.lockEnrolRule(ctx, tx, id)
		if err != nil {
			return err
		}
		if before.Version == 0 {
			return notFound(enrolRule)
		}
		if err := tx.checkVersion(ctx, enrolRule, string(id), before.Version, version); err != nil {
			return err
		}
		policies, err := readPolicies(ctx, tx.Tx, `WHERE enrol_rule_id = $1`, string(id))
		if err != nil {
			return err
		}
		if len(policies) > 0 {
			return conflictf("The user policies %s belong to this enrol rule. Give them another one first.", policyNames(policies))
		}
		if err := deleteOne(ctx, tx.Tx, enrolRule, `DELETE FROM enrol_rules WHERE id = $1`, string(id)); err != nil {
			return err
		}
		return tx.record(enrolRule+".delete", before.Name, string(id), before, nil)
	})
}

// AssociatePolicies makes exactly these user policies belong to an enrol rule; those of other rules
// move over, and others that belonged to it belong to none.
func (s *Store) AssociatePolicies(ctx context.Context, rule sallyport.EnrolRuleID, policies []sallyport.UserPolicyID) error {
	if err := first(checkID(enrolRule, string(rule)), checkPolicyIDs(policies)); err != nil {
		return err
	}
	return s.change(ctx, "associate user policies", func(ctx context.Context, tx *changing) error {
		before, err := s.lockEnrolRule(ctx, tx, rule)
		if err != nil {
			return err
		}
		if before.Version == 0 {
			return notFound(enrolRule)
		}
		return s.changePolicies(ctx, tx, policies, func(p *sallyport.UserPolicy, listed bool) {
			switch {
			case listed:
				p.EnrolRule = rule
			case p.EnrolRule == rule:
				p.EnrolRule = ""
			}
		})
	})
}

// lockEnrolRule reads a rule for a change; Version 0 when there is none.
func (s *Store) lockEnrolRule(ctx context.Context, tx *changing, id sallyport.EnrolRuleID) (sallyport.EnrolRule, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+enrolRuleColumns+` FROM enrol_rules WHERE id = $1`+s.engine.lockRows, string(id))
	if err != nil {
		return sallyport.EnrolRule{}, fmt.Errorf("read enrol rule: %w", err)
	}
	r, _, err := one(collect(rows, scanEnrolRule))
	return r, err
}

func (s *Store) enrolRules(ctx context.Context, query string, args ...any) ([]sallyport.EnrolRule, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
	if err != nil {
		return nil, s.engine.failure("read enrol rules", err)
	}
	list, err := collect(rows, scanEnrolRule)
	return list, s.engine.failure("read enrol rules", err)
}

func scanEnrolRule(rows *sql.Rows) (r sallyport.EnrolRule, err error) {
	var gateway, site, delay, code int64
	err = rows.Scan(&r.ID, &r.Name, &r.Unenrolled, &gateway, &site, &delay, &code, &r.Version)
	r.PromptAtGateway, r.PromptOnSite, r.MayDelay, r.TemporaryCode = gateway == 1, site == 1, delay == 1, code == 1
	return r, err
}

func writeEnrolRule(ctx context.Context, tx *sql.Tx, r sallyport.EnrolRule) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO enrol_rules (`+enrolRuleColumns+`, name_folded) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, unenrolled = excluded.unenrolled,
			prompt_at_gateway = excluded.prompt_at_gateway, prompt_on_site = excluded.prompt_on_site,
			may_delay = excluded.may_delay, temporary_code = excluded.temporary_code, version = excluded.version`,
		string(r.ID), r.Name, string(r.Unenrolled), b2i(r.PromptAtGateway), b2i(r.PromptOnSite), b2i(r.MayDelay),
		b2i(r.TemporaryCode), r.Version, fold(r.Name))
	return err
}

func checkEnrolRule(r sallyport.EnrolRule) error {
	switch r.Unenrolled {
	case sallyport.UnenrolledPassword, sallyport.UnenrolledOther:
	default:
		return invalidf("Users who have not enrolled get in with the password alone, or with a different login method.")
	}
	return first(checkID(enrolRule, string(r.ID)), checkText("name of the enrol rule", r.Name, maxName))
}

// policyNames lists user policies for people.
func policyNames(list []sallyport.UserPolicy) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = fmt.Sprintf("%q", p.Name)
	}
	return strings.Join(names, ", ")
}
