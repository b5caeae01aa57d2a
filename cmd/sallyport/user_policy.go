package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newUserAssign() *cobra.Command {
	var f userFilter
	var all bool
	c := asking(atDesk(&cobra.Command{
		Use: "assign-policy POLICY [USER ...]", Short: "Give users a user policy by hand: those named, or those that the flags find",
		Long: `Gives a user policy by hand; assignment rules leave it alone from then on. With USER, these users have it. Without,
all that the flags find have it, after a question that says how many they are.`,
		Example: `  sallyport user assign-policy Nurses alice bob
  sallyport user assign-policy Nurses --ou "OU=Ward 3,DC=hospital,DC=example" --unenrolled
  sallyport user assign-policy Pilot --search "it department" --yes`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: completePolicyThenUsers,
	}, func(ctx context.Context, t *task, args []string) error {
		filtered := slices.ContainsFunc(filters[:], t.given)
		switch named := len(args) > 1; {
		case named && (filtered || all):
			return &usageError{errors.New("name the users, or find them by flags, not both")}
		case !named && !filtered && !all:
			return &usageError{errors.New("name the users, or find them by flags; --all means everybody")}
		}
		p, err := t.policy(ctx, args[0])
		if err != nil {
			return err
		}
		q, err := f.query(ctx, t.desk)
		if err != nil {
			return err
		}
		if len(args) > 1 {
			return t.assignNamed(ctx, p, args[1:])
		}
		return t.assignFound(ctx, p, q)
	}))
	f.flags(c)
	c.Flags().BoolVar(&all, "all", false, "everybody who is not removed")
	return c
}

func completePolicyThenUsers(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completePolicy()(c, args, begun)
	}
	return completeUser()(c, args, begun)
}

// assigned is what became of an assignment, for programs.
type assigned struct {
	Policy   sallyport.UserPolicyID `json:"policyId"`
	Users    int                    `json:"users"`
	Assigned int                    `json:"assigned"`
}

// assignNamed gives a policy to the users with these names, to all or none of them.
func (t *task) assignNamed(ctx context.Context, p sallyport.UserPolicy, names []string) error {
	var ids []sallyport.UserID
	for _, name := range names {
		u, err := t.user(ctx, name)
		if err != nil {
			return err
		}
		if u.State == sallyport.UserRemoved {
			return sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf("%s is removed: a policy would be of no use. Nothing was changed.", u.Account), nil)
		}
		if !slices.Contains(ids, u.ID) {
			ids = append(ids, u.ID)
		}
	}
	done := assigned{Policy: p.ID, Users: len(ids)}
	var err error
	if done.Assigned, err = t.AssignPolicy(ctx, t.actor, store.UserQuery{IDs: ids}, p.ID); err != nil {
		return err
	}
	return t.sayAssigned(done, p)
}

// assignFound gives a policy to all users that a query finds, on however many pages.
func (t *task) assignFound(ctx context.Context, p sallyport.UserPolicy, q store.UserQuery) error {
	count := func() (int, error) {
		few := q
		few.Most = 1
		page, err := t.Users(ctx, t.actor, few)
		return page.Total, err
	}
	asked, err := count()
	if err != nil {
		return err
	}
	if asked == 0 {
		return sallyport.Errorf(sallyport.CodeNotFound, "The flags find no user. Nothing was changed.", nil)
	}
	if ok, err := t.sure(fmt.Sprintf("Give %s the user policy %s?", counted(asked, "user", "users"), p.Name)); !ok || err != nil {
		return err
	}
	now, err := count()
	if err != nil {
		return err
	}
	if now != asked {
		return sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf("The flags find %s meanwhile. Nothing was changed.", counted(now, "user", "users")), nil)
	}
	done := assigned{Policy: p.ID, Users: asked}
	if done.Assigned, err = t.AssignPolicy(ctx, t.actor, q, p.ID); err != nil {
		return err
	}
	return t.sayAssigned(done, p)
}

func (t *task) sayAssigned(done assigned, p sallyport.UserPolicy) error {
	return t.done(done, "%s the user policy %s by hand; %d had it already.", counted(done.Assigned, "user was given", "users were given"), p.Name, done.Users-done.Assigned)
}

func newUserRelease() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "release-policy USER", Short: "Take back a policy given by hand: assignment rules count again", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Long:    `The user has the default policy until the next synchronisation finds the assignment rule that fits.`,
		Example: `  sallyport user release-policy alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		if u.PolicyFrom != sallyport.PolicyByHand {
			return sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf("%s has no policy by hand. Nothing was changed.", u.Account), nil)
		}
		if err := t.ReleasePolicy(ctx, t.actor, u.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": u.ID, "account": u.Account}, "%s has the default policy; the next synchronisation applies the assignment rules.", u.Account)
	})
}

func newUserRequire() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "require-2fa USER", Short: "Make every browser that was remembered for a user ask for the second factor again", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Long:    `After that the user can have a browser remembered anew, where the workflow policy allows it.`,
		Example: `  sallyport user require-2fa alice --yes`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Forget every browser that was remembered for %s?", u.Account)); !ok || err != nil {
			return err
		}
		if err := t.RequireSecondFactor(ctx, t.actor, u.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": u.ID, "account": u.Account}, "Every browser asks %s for the second factor again.", u.Account)
	}))
}
