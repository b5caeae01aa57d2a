package usersync

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport"
)

// scope says who of a domain is synchronised, and with which policy.
type scope struct {
	base     string
	objects  []sallyport.DirectoryObject
	rules    []sallyport.AssignmentRule // of this domain
	standard sallyport.UserPolicyID
}

// scopeOf reads what holds for a domain now.
func (s *Service) scopeOf(ctx context.Context, d sallyport.Domain) (*scope, error) {
	all, _, err := s.Store.AssignmentRules(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.Store.DefaultUserPolicy(ctx)
	if err != nil {
		return nil, err
	}
	c := &scope{base: d.Base, objects: d.Scope, standard: p.ID}
	for _, r := range all {
		if r.Domain == d.ID {
			c.rules = append(c.rules, r)
		}
	}
	return c, nil
}

// groups returns the DNs of the groups that matter, those of the scope first.
func (c *scope) groups() (ofScope, ofRules []string) {
	for _, o := range c.objects {
		if o.Kind == sallyport.ObjectGroup {
			ofScope = append(ofScope, o.DN)
		}
	}
	for _, r := range c.rules {
		if r.Object.Kind == sallyport.ObjectGroup {
			ofRules = append(ofRules, r.Object.DN)
		}
	}
	return ofScope, ofRules
}

// membership reports whether somebody is in a group.
type membership func(group string) bool

// includes reports whether an account is within what is synchronised.
func (c *scope) includes(dn string, in membership) bool {
	if c.base != "" && !sallyport.BelowDN(dn, c.base) {
		return false
	}
	if len(c.objects) == 0 {
		return true
	}
	for _, o := range c.objects {
		if fits(o, dn, in) {
			return true
		}
	}
	return false
}

// policy returns what the first rule that fits gives; "": none fits.
func (c *scope) policy(dn string, in membership) sallyport.UserPolicyID {
	for _, r := range c.rules {
		if fits(r.Object, dn, in) {
			return r.Policy
		}
	}
	return ""
}

func fits(o sallyport.DirectoryObject, dn string, in membership) bool {
	if o.Kind == sallyport.ObjectGroup {
		return in(o.DN)
	}
	return sallyport.BelowDN(dn, o.DN)
}

// settled reports whether a user has the policy that a synchronisation would give.
func (c *scope) settled(u sallyport.User, policy sallyport.UserPolicyID) bool {
	from := sallyport.PolicyByRule
	if policy == "" {
		from = sallyport.PolicyByDefault
	}
	return u.PolicyFrom == sallyport.PolicyByHand || u.PolicyFrom == from && u.Policy == cmp.Or(policy, c.standard)
}

// members are the groups that matter with everybody who is in them, by the group's DN in lower case.
type members map[string]guids

// membersOf reads the groups that matter.
func (r *run) membersOf(ctx context.Context) (members, error) {
	m := members{}
	ofScope, ofRules := r.scope.groups()
	for i, group := range append(ofScope, ofRules...) {
		key := strings.ToLower(group)
		if _, known := m[key]; known {
			continue
		}
		var all guids
		found, err := r.source.Members(ctx, group, func(g string) error {
			all.add(g)
			return r.tick(ctx)
		})
		if err != nil {
			return nil, err
		}
		if !found && i < len(ofScope) {
			return nil, sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf(
				"The group %q, to which the domain's users are limited, is not in the directory any more. Change what is synchronised.", group), nil)
		}
		if !found {
			r.note(fmt.Sprintf("The group %q of an assignment rule is not in the directory any more.", group))
		}
		all.complete()
		m[key] = all
	}
	return m, nil
}

// of returns the memberships of one user.
func (m members) of(g guid) membership {
	return func(group string) bool { return m[strings.ToLower(group)].has(g) }
}

// all returns everybody who is in a group.
func (m members) all(group string) guids { return m[strings.ToLower(group)] }
