package admin

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport"
)

// EnrolRules returns all enrol rules by name.
func (s *Service) EnrolRules(ctx context.Context, actor sallyport.Actor) ([]sallyport.EnrolRule, error) {
	db, err := s.as(actor, "EnrolRules")
	if err != nil {
		return nil, err
	}
	return db.EnrolRules(ctx)
}

// EnrolRule returns one.
func (s *Service) EnrolRule(ctx context.Context, actor sallyport.Actor, id sallyport.EnrolRuleID) (sallyport.EnrolRule, error) {
	db, err := s.as(actor, "EnrolRule")
	if err != nil {
		return sallyport.EnrolRule{}, err
	}
	return db.EnrolRule(ctx, id)
}

// PutEnrolRule makes a rule (Version 0) or changes one.
func (s *Service) PutEnrolRule(ctx context.Context, actor sallyport.Actor, r sallyport.EnrolRule) (sallyport.EnrolRule, error) {
	db, err := s.as(actor, "PutEnrolRule")
	if err != nil {
		return r, err
	}
	r.Name = strings.TrimSpace(r.Name)
	if r.Version == 0 {
		r.ID = sallyport.EnrolRuleID(sallyport.NewID())
	}
	return db.PutEnrolRule(ctx, r)
}

// DeleteEnrolRule deletes a rule; its user policies then belong to none.
func (s *Service) DeleteEnrolRule(ctx context.Context, actor sallyport.Actor, id sallyport.EnrolRuleID, version int64) error {
	db, err := s.as(actor, "DeleteEnrolRule")
	if err != nil {
		return err
	}
	return db.DeleteEnrolRule(ctx, id, version)
}

// AssociatePolicies says which user policies belong to a rule. One that belongs to another moves.
func (s *Service) AssociatePolicies(ctx context.Context, actor sallyport.Actor, rule sallyport.EnrolRuleID, policies []sallyport.UserPolicyID) error {
	db, err := s.as(actor, "AssociatePolicies")
	if err != nil {
		return err
	}
	return db.AssociatePolicies(ctx, rule, policies)
}
