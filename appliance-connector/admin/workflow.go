package admin

import (
	"context"

	"github.com/sallyport/sallyport"
)

// LoginWorkflow returns the workflow policy "Remote access log in".
func (s *Service) LoginWorkflow(ctx context.Context, actor sallyport.Actor) (sallyport.LoginWorkflow, error) {
	db, err := s.as(actor, "LoginWorkflow")
	if err != nil {
		return sallyport.LoginWorkflow{}, err
	}
	return db.LoginWorkflow(ctx)
}

// SetLoginWorkflow changes it. Remembering devices switched off forgets those remembered for good.
func (s *Service) SetLoginWorkflow(ctx context.Context, actor sallyport.Actor, w sallyport.LoginWorkflow) (sallyport.LoginWorkflow, error) {
	db, err := s.as(actor, "SetLoginWorkflow")
	if err != nil {
		return w, err
	}
	return db.SetLoginWorkflow(ctx, w)
}

// AssociateWorkflow says which user policies the workflow policy is for: that is what goes live.
func (s *Service) AssociateWorkflow(ctx context.Context, actor sallyport.Actor, policies []sallyport.UserPolicyID) error {
	db, err := s.as(actor, "AssociateWorkflow")
	if err != nil {
		return err
	}
	return db.AssociateWorkflow(ctx, policies)
}
