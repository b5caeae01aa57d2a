package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
)

// maxGrants bounds the role grants: a sign-in may have to ask for each.
const maxGrants = 50

// RoleGrants lists the directory groups whose members have a role, in the order in which they are asked:
// the first one counts. The version goes back with SetRoleGrants.
func (s *Service) RoleGrants(ctx context.Context, actor sallyport.Actor) ([]sallyport.RoleGrant, int64, error) {
	db, err := s.as(actor, "RoleGrants")
	if err != nil {
		return nil, 0, err
	}
	return db.RoleGrants(ctx)
}

// GrantDomains lists the domains whose groups can have a role: their names by id.
func (s *Service) GrantDomains(ctx context.Context, actor sallyport.Actor) (map[sallyport.DomainID]string, error) {
	db, err := s.as(actor, "GrantDomains")
	if err != nil {
		return nil, err
	}
	list, err := db.Domains(ctx)
	out := make(map[sallyport.DomainID]string, len(list))
	for _, d := range list {
		out[d.ID] = d.Name
	}
	return out, err
}

// SetRoleGrants replaces the list. Who signed in by a grant before keeps the role until their session ends.
func (s *Service) SetRoleGrants(ctx context.Context, actor sallyport.Actor, grants []sallyport.RoleGrant, version int64) error {
	db, err := s.as(actor, "SetRoleGrants")
	if err != nil {
		return err
	}
	if len(grants) > maxGrants {
		return sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf("There can be at most %d role grants.", maxGrants), nil)
	}
	f := FieldErrors{}
	for _, g := range grants {
		f.check(g.Domain != "", "domain", "Choose a domain.")
		f.check(strings.Contains(g.Group, "=") && plain(g.Group, 400), "group", "Enter the group's distinguished name, such as CN=VPN admins,OU=Groups,DC=hospital,DC=test.")
		f.check(slices.Contains(roles, g.Role), "role", "Choose a role.")
		f.check(g.Role != sallyport.RoleSuper || g.Scope.Unlimited(), "scope", "A super administrator looks after everybody.")
	}
	if err := f.err(); err != nil {
		return err
	}
	return db.SetRoleGrants(ctx, grants, version)
}
