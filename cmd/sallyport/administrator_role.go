package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newRoles() *cobra.Command {
	c := &cobra.Command{
		Use: "roles", Short: "Roles of directory groups: list, add, move, remove",
		Long: `Members of a group, nested ones included, may sign in to the console with their own password and a second factor, and have the role of
the group. Who is in several has that of the first in the list. NUMBER is a group's place in it.`,
		Example: `  sallyport administrator roles add --group "CN=VPN help desk,OU=Groups,DC=hospital,DC=example" --role helpdesk
  sallyport administrator roles move 2 1`,
	}
	c.AddCommand(newRolesList(), newRolesAdd(), newRolesMove(), newRolesRemove())
	return c
}

// grantLine is a role of a group for programs.
type grantLine struct {
	Number   int                      `json:"number"`
	Group    string                   `json:"group"`
	Domain   sallyport.DomainID       `json:"domain"`
	Role     sallyport.Role           `json:"role"`
	OUs      []string                 `json:"ous"`
	Policies []sallyport.UserPolicyID `json:"policies"`
}

// grants prints the list, which all of these commands end with.
func (t *task) grants(ctx context.Context) error {
	grants, _, err := t.RoleGrants(ctx, t.actor)
	if err != nil {
		return err
	}
	policies, err := t.policyNames(ctx)
	if err != nil {
		return err
	}
	return t.list([]string{"NUMBER", "ROLE", "GROUP", "LOOKS AFTER"}, func(line func(any, ...string) error) error {
		for i, g := range grants {
			l := grantLine{i + 1, g.Group, g.Domain, g.Role, orEmpty(g.Scope.OUs), orEmpty(g.Scope.Policies)}
			if err := line(l, strconv.Itoa(l.Number), string(l.Role), l.Group, scopeWords(g.Scope, policies)); err != nil {
				return err
			}
		}
		return nil
	})
}

// changeGrants changes the list, and prints it as it is then.
func (t *task) changeGrants(ctx context.Context, change changing[sallyport.RoleGrant]) error {
	return changeList(ctx, t.RoleGrants, t.SetRoleGrants, t.grants, t.actor, change)
}

func newRolesList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list", Short: "List the groups that have a role, in the order in which they are asked", Args: cobra.NoArgs, Example: `  sallyport administrator roles list`,
	}, func(ctx context.Context, t *task, _ []string) error { return t.grants(ctx) })
}

func newRolesAdd() *cobra.Command {
	var scope scopeFlags
	var group, role string
	var at int
	c := atDesk(&cobra.Command{
		Use: "add", Short: "Give a directory group a role", Args: cobra.NoArgs,
		Example: `  sallyport administrator roles add --group "CN=VPN admins,OU=Groups,DC=hospital,DC=example" --role admin --at 1
  sallyport administrator roles add --group "CN=Ward 3 desk,OU=Groups,DC=hospital,DC=example" --role helpdesk --ou "OU=Ward 3,DC=hospital,DC=example"`,
	}, func(ctx context.Context, t *task, _ []string) error {
		if err := checkRole(role); err != nil {
			return err
		}
		domain, err := t.domainOf(ctx, group)
		if err != nil {
			return err
		}
		g := sallyport.RoleGrant{Domain: domain, Group: group, Role: sallyport.Role(role)}
		if err := scope.apply(ctx, t, &g.Scope); err != nil {
			return err
		}
		return t.changeGrants(ctx, func(list []sallyport.RoleGrant) ([]sallyport.RoleGrant, error) { return placeAt(list, at, g) })
	})
	f := c.Flags()
	f.StringVar(&group, "group", "", "DN of the group")
	f.StringVar(&role, "role", "", "super, admin, helpdesk or auditor")
	f.IntVar(&at, "at", 0, "its place in the list (default: the last one)")
	scope.flags(c)
	completes(c, completeRole(), "role")
	completes(c, cobra.NoFileCompletions, "group", "at")
	_ = c.MarkFlagRequired("group")
	_ = c.MarkFlagRequired("role")
	return c
}

func newRolesMove() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "move NUMBER TO", Short: "Move a group to another place in the list", Args: cobra.ExactArgs(2), ValidArgsFunction: completeGrant,
		Example: `  sallyport administrator roles move 2 1`,
	}, func(ctx context.Context, t *task, args []string) error {
		return t.changeGrants(ctx, moving[sallyport.RoleGrant](args[0], args[1]))
	})
}

func newRolesRemove() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "remove NUMBER", Short: "Take the role from a group", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeGrant),
		Long:    `Its members cannot sign in any more, unless another group gives them a role. Who is signed in stays so until the session ends.`,
		Example: `  sallyport administrator roles remove 2`,
	}, func(ctx context.Context, t *task, args []string) error {
		return t.changeGrants(ctx, removing(t, args[0], func(g sallyport.RoleGrant) string {
			return fmt.Sprintf("Take the role %s from %s?", g.Role, g.Group)
		}))
	}))
}

// completeGrant offers the numbers of the groups.
func completeGrant(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completeNumber(c, args, begun, func(ctx context.Context, d *desk) ([]string, error) {
		list, _, err := d.RoleGrants(ctx, d.actor)
		return each(list, func(g sallyport.RoleGrant) string { return g.Group }), err
	})
}
