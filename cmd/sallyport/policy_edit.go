package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newPolicyAdd() *cobra.Command {
	var f policyFlags
	c := atDesk(&cobra.Command{
		Use: "add NAME", Short: "Add a user policy", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Adds a user policy that nobody has yet: 'sallyport user assign-policy' gives it to users, and so do assignment rules
('sallyport policy rules'). Its users log in from outside once it consumes a licence, is live, and belongs to an enrol rule.`,
		Example: `  sallyport policy add Pilot --licence --live --enrol-rule "Enrol on site" --note "IT department first"`,
	}, func(ctx context.Context, t *task, args []string) error {
		p := sallyport.UserPolicy{Name: args[0]}
		if err := f.apply(ctx, t, &p); err != nil {
			return err
		}
		return t.savePolicy(ctx, p, "Added")
	})
	f.flags(c)
	return c
}

func newPolicyEdit() *cobra.Command {
	var f policyFlags
	c := asking(versioned(atDesk(&cobra.Command{
		Use: "edit POLICY", Short: "Change a user policy; what is not given stays as it is", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completePolicy()),
		Long: `Changes a user policy; what is not given stays as it is. Who takes the licence away, or takes the policy off remote access, keeps its
users out, and is asked first.`,
		Example: `  sallyport policy edit Pilot --live
  sallyport policy edit Pilot --name Nurses --if-version 4
  sallyport policy edit Leavers --licence=false --yes`,
	}, func(ctx context.Context, t *task, args []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		was, err := t.countedPolicy(ctx, args[0])
		if err != nil {
			return err
		}
		p := was.UserPolicy
		if err := f.apply(ctx, t, &p); err != nil {
			return err
		}
		p.Version = t.seen(p.Version)
		if in := was.Licensed && was.RemoteAccess; in && !(p.Licensed && p.RemoteAccess) && was.Users > 0 {
			if ok, err := t.sure(fmt.Sprintf("Keep the %s of %s out? Gateways let them in no more, unless they take users without a licence.",
				counted(was.Users, "user", "users"), was.Name)); !ok || err != nil {
				return err
			}
		}
		return t.savePolicy(ctx, p, "Changed")
	})))
	f.flags(c)
	c.Flags().StringVar(&f.name, "name", "", "another name")
	completes(c, cobra.NoFileCompletions, "name")
	return c
}

func newPolicyCopy() *cobra.Command {
	var f policyFlags
	c := atDesk(&cobra.Command{
		Use: "copy POLICY NAME", Short: "Add a user policy with the values of another, but for what is given", Args: cobra.ExactArgs(2), ValidArgsFunction: firstArg(completePolicy()),
		Long:    `The copy is live where the other one is, but nobody has it yet.`,
		Example: `  sallyport policy copy Nurses "Night nurses" --note "nights only"`,
	}, func(ctx context.Context, t *task, args []string) error {
		p, err := t.policy(ctx, args[0])
		if err != nil {
			return err
		}
		p.Name, p.Version, p.Default = args[1], 0, false
		if err := f.apply(ctx, t, &p); err != nil {
			return err
		}
		return t.savePolicy(ctx, p, "Added")
	})
	f.flags(c)
	return c
}

func newPolicyRemove() *cobra.Command {
	return asking(versioned(atDesk(&cobra.Command{
		Use: "remove POLICY", Short: "Remove a user policy: its users have the default one then", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completePolicy()),
		Long:    `The default policy, and one that an assignment rule gives, cannot be removed.`,
		Example: `  sallyport policy remove Pilot`,
	}, func(ctx context.Context, t *task, args []string) error {
		p, err := t.countedPolicy(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Remove the user policy %s? %s it, and would have the default policy.", p.Name, counted(p.Users, "user has", "users have"))); !ok || err != nil {
			return err
		}
		if err := t.DeleteUserPolicy(ctx, t.actor, p.ID, t.seen(p.Version)); err != nil {
			return err
		}
		return t.done(map[string]any{"id": p.ID, "removed": true}, "Removed.")
	})))
}

func newPolicyDefault() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "set-default POLICY", Short: "Say which policy users have whom no rule and nobody gave another one", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completePolicy()),
		Long:    `Users who have the former default keep it until their next synchronisation.`,
		Example: `  sallyport policy set-default Nurses`,
	}, func(ctx context.Context, t *task, args []string) error {
		p, err := t.policy(ctx, args[0])
		if err != nil {
			return err
		}
		if err := t.SetDefaultUserPolicy(ctx, t.actor, p.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": p.ID, "default": true}, "%s is the default user policy.", p.Name)
	})
}
