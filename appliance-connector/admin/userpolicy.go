package admin

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// UserPolicies returns all user policies by name, with how many users have each.
func (s *Service) UserPolicies(ctx context.Context, actor sallyport.Actor) ([]store.PolicyWithUsers, error) {
	db, err := s.as(actor, "UserPolicies")
	if err != nil {
		return nil, err
	}
	return db.UserPolicies(ctx)
}

// UserPolicy returns one.
func (s *Service) UserPolicy(ctx context.Context, actor sallyport.Actor, id sallyport.UserPolicyID) (sallyport.UserPolicy, error) {
	db, err := s.as(actor, "UserPolicy")
	if err != nil {
		return sallyport.UserPolicy{}, err
	}
	return db.UserPolicy(ctx, id)
}

// PutUserPolicy makes a policy (Version 0) or changes one. A copy is a new one with the values of another.
func (s *Service) PutUserPolicy(ctx context.Context, actor sallyport.Actor, p sallyport.UserPolicy) (sallyport.UserPolicy, error) {
	db, err := s.as(actor, "PutUserPolicy")
	if err != nil {
		return p, err
	}
	p.Name, p.Note = strings.TrimSpace(p.Name), strings.TrimSpace(p.Note)
	if p.Version == 0 {
		p.ID = sallyport.UserPolicyID(sallyport.NewID())
	}
	return db.PutUserPolicy(ctx, p)
}

// DeleteUserPolicy deletes a policy; its users have the default policy then.
func (s *Service) DeleteUserPolicy(ctx context.Context, actor sallyport.Actor, id sallyport.UserPolicyID, version int64) error {
	db, err := s.as(actor, "DeleteUserPolicy")
	if err != nil {
		return err
	}
	return db.DeleteUserPolicy(ctx, id, version)
}

// SetDefaultUserPolicy says which policy new users have that no rule fits.
func (s *Service) SetDefaultUserPolicy(ctx context.Context, actor sallyport.Actor, id sallyport.UserPolicyID) error {
	db, err := s.as(actor, "SetDefaultUserPolicy")
	if err != nil {
		return err
	}
	return db.SetDefaultUserPolicy(ctx, id)
}

// PolicyRules returns the rules that give users their policy, in their order.
func (s *Service) PolicyRules(ctx context.Context, actor sallyport.Actor) ([]sallyport.AssignmentRule, int64, error) {
	db, err := s.as(actor, "PolicyRules")
	if err != nil {
		return nil, 0, err
	}
	return db.AssignmentRules(ctx)
}

// SetPolicyRules replaces them; the next synchronisation of each domain applies them.
func (s *Service) SetPolicyRules(ctx context.Context, actor sallyport.Actor, rules []sallyport.AssignmentRule, version int64) error {
	db, err := s.as(actor, "SetPolicyRules")
	if err != nil {
		return err
	}
	return db.SetAssignmentRules(ctx, rules, version)
}

// Licences says for how many users remote access is in use and was bought; a total of 0 is no limit.
func (s *Service) Licences(ctx context.Context, actor sallyport.Actor) (used, total int, err error) {
	db, err := s.as(actor, "Licences")
	if err != nil {
		return 0, 0, err
	}
	return db.Licences(ctx)
}
