package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newPolicyRules() *cobra.Command {
	c := &cobra.Command{
		Use: "rules", Short: "Assignment rules, which give users their policy when they are synchronised: list, add, move, remove",
		Long: `Of the rules that fit a user, the first one counts; a policy given by hand is left alone. The next synchronisation of each
domain applies the rules. NUMBER is a rule's place in the list.`,
		Example: `  sallyport policy rules add Doctors --group "CN=Doctors,OU=Groups,DC=hospital,DC=example" --at 1
  sallyport policy rules move 3 1`,
	}
	c.AddCommand(newRulesList(), newRulesAdd(), newRulesMove(), newRulesRemove())
	return c
}

// ruleLine is an assignment rule for programs.
type ruleLine struct {
	Number   int                    `json:"number"`
	Policy   string                 `json:"policy"`
	PolicyID sallyport.UserPolicyID `json:"policyId"`
	Kind     sallyport.ObjectKind   `json:"kind"`
	DN       string                 `json:"dn"`
	Domain   sallyport.DomainID     `json:"domain"`
}

// rules prints the list, which all of these commands end with.
func (t *task) rules(ctx context.Context) error {
	rules, _, err := t.PolicyRules(ctx, t.actor)
	if err != nil {
		return err
	}
	names, err := t.policyNames(ctx)
	if err != nil {
		return err
	}
	return t.list([]string{"NUMBER", "POLICY", "FOR", "DN"}, func(line func(any, ...string) error) error {
		for i, r := range rules {
			l := ruleLine{i + 1, names[r.Policy], r.Policy, r.Object.Kind, r.Object.DN, r.Domain}
			if err := line(l, strconv.Itoa(l.Number), l.Policy, string(l.Kind), l.DN); err != nil {
				return err
			}
		}
		return nil
	})
}

// changeRules changes the list, and prints it as it is then.
func (t *task) changeRules(ctx context.Context, change changing[sallyport.AssignmentRule]) error {
	return changeList(ctx, t.PolicyRules, t.SetPolicyRules, t.rules, t.actor, change)
}

func newRulesList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list", Short: "List the assignment rules in the order in which they count", Args: cobra.NoArgs, Example: `  sallyport policy rules list`,
	}, func(ctx context.Context, t *task, _ []string) error { return t.rules(ctx) })
}

func newRulesAdd() *cobra.Command {
	var ou, group string
	var at int
	c := atDesk(&cobra.Command{
		Use: "add POLICY", Short: "Add a rule: users below an OU, or in a group, have the policy", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completePolicy()),
		Long: `Members of a group are those in nested groups as well. The domain is found by the DN.`,
		Example: `  sallyport policy rules add Nurses --ou "OU=Ward 3,DC=hospital,DC=example"
  sallyport policy rules add Doctors --group "CN=Doctors,OU=Groups,DC=hospital,DC=example" --at 1`,
	}, func(ctx context.Context, t *task, args []string) error {
		p, err := t.policy(ctx, args[0])
		if err != nil {
			return err
		}
		o := sallyport.DirectoryObject{Kind: sallyport.ObjectOU, DN: ou}
		if group != "" {
			o = sallyport.DirectoryObject{Kind: sallyport.ObjectGroup, DN: group}
		}
		domain, err := t.domainOf(ctx, o.DN)
		if err != nil {
			return err
		}
		return t.changeRules(ctx, func(rules []sallyport.AssignmentRule) ([]sallyport.AssignmentRule, error) {
			return placeAt(rules, at, sallyport.AssignmentRule{Domain: domain, Object: o, Policy: p.ID})
		})
	})
	f := c.Flags()
	f.StringVar(&ou, "ou", "", "DN of the OU")
	f.StringVar(&group, "group", "", "DN of the group")
	f.IntVar(&at, "at", 0, "its place in the list (default: the last one)")
	c.MarkFlagsMutuallyExclusive("ou", "group")
	c.MarkFlagsOneRequired("ou", "group")
	completes(c, cobra.NoFileCompletions, "ou", "group", "at")
	return c
}

func newRulesMove() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "move NUMBER TO", Short: "Move a rule to another place in the list", Args: cobra.ExactArgs(2), ValidArgsFunction: completeRule,
		Example: `  sallyport policy rules move 3 1`,
	}, func(ctx context.Context, t *task, args []string) error {
		return t.changeRules(ctx, moving[sallyport.AssignmentRule](args[0], args[1]))
	})
}

func newRulesRemove() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "remove NUMBER", Short: "Remove a rule", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeRule),
		Long:    `Users keep the policy until their next synchronisation.`,
		Example: `  sallyport policy rules remove 2`,
	}, func(ctx context.Context, t *task, args []string) error {
		return t.changeRules(ctx, removing(t, args[0], func(r sallyport.AssignmentRule) string {
			return fmt.Sprintf("Remove the rule for %s?", r.Object.DN)
		}))
	}))
}

// completeRule offers the numbers of the rules.
func completeRule(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completeNumber(c, args, begun, func(ctx context.Context, d *desk) ([]string, error) {
		list, _, err := d.PolicyRules(ctx, d.actor)
		return each(list, func(r sallyport.AssignmentRule) string { return r.Object.DN }), err
	})
}
