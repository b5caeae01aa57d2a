// Package golive does for tests and the demo what an administrator does before the first login: the
// default user policy belongs to an enrol rule, and is associated with the workflow policy "Remote access
// log in".
package golive

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// defaultPolicy and standardRule are there in every new database.
const (
	defaultPolicy = sallyport.UserPolicyID("default")
	standardRule  = sallyport.EnrolRuleID("standard")
)

// Prepare makes remote access live for everybody with the default policy.
func Prepare(ctx context.Context, s *store.Store) error {
	if err := s.AssociatePolicies(ctx, standardRule, []sallyport.UserPolicyID{defaultPolicy}); err != nil {
		return fmt.Errorf("associate enrol rule: %w", err)
	}
	if err := s.AssociateWorkflow(ctx, []sallyport.UserPolicyID{defaultPolicy}); err != nil {
		return fmt.Errorf("associate workflow: %w", err)
	}
	return nil
}
