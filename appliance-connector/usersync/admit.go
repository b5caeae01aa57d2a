package usersync

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

var admitted = sallyport.Actor{Kind: sallyport.ActorSystem, Name: "log-in"}

// Admit adds somebody to the list whose password was just found right, as the next synchronisation would.
// ok is false when the account is not within what is synchronised: nothing is changed then.
func (s *Service) Admit(ctx context.Context, a sallyport.Account) (u sallyport.User, ok bool, err error) {
	domain, err := s.Store.Domain(ctx, a.Domain)
	if err != nil {
		return u, false, err
	}
	c, err := s.scopeOf(ctx, domain)
	if err != nil {
		return u, false, err
	}
	var found []sallyport.User
	if err := s.Directory.Read(ctx, a.Domain, func(src Source) error {
		return src.UsersByGUID(ctx, []string{a.GUID}, func(x sallyport.User) error { found = append(found, x); return nil })
	}); err != nil {
		return u, false, fmt.Errorf("read account: %w", err)
	}
	if len(found) != 1 || found[0].Account != a.Name {
		return u, false, nil
	}
	in, err := s.groupsOf(ctx, c, found[0])
	if err != nil {
		return u, false, err
	}
	if !c.includes(found[0].DN, in) {
		return u, false, nil
	}
	if _, err := s.Store.As(admitted).ApplyUsers(ctx, a.Domain, []store.UserChange{changeOf(found[0], c.policy(found[0].DN, in))}); err != nil {
		return u, false, err
	}
	u, err = s.Store.UserByGUID(ctx, a.Domain, a.GUID)
	return u, err == nil, err
}

// groupsOf returns the memberships of one user, asking only when groups matter.
func (s *Service) groupsOf(ctx context.Context, c *scope, u sallyport.User) (membership, error) {
	ofScope, ofRules := c.groups()
	if len(ofScope)+len(ofRules) == 0 {
		return func(string) bool { return false }, nil
	}
	groups, err := s.Directory.Groups(ctx, u.Domain, u.DN, true)
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	return func(group string) bool {
		for _, g := range groups {
			if sallyport.SameDN(g, group) {
				return true
			}
		}
		return false
	}, nil
}
