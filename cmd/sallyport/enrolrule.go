package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newEnrolRuleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "enrol-rule", Short: "Enrol rules: list, show, add, edit, remove, associate with user policies",
		Long: `An enrol rule says what users may do who have not enrolled a second factor, and where they are asked to. A user policy belongs
to one rule at most. RULE is a rule's name or id.`,
		Example: `  sallyport enrol-rule add "Enrol on site" --at-gateway=false --unenrolled password
  sallyport enrol-rule associate "Enrol on site" Nurses Doctors`,
	}
	c.AddCommand(newEnrolRuleList(), newEnrolRuleShow(), newEnrolRuleAdd(), newEnrolRuleEdit(), newEnrolRuleRemove(), newEnrolRuleAssociate())
	return c
}

// enrolRuleLine is an enrol rule for programs.
type enrolRuleLine struct {
	ID            sallyport.EnrolRuleID      `json:"id"`
	Name          string                     `json:"name"`
	Unenrolled    sallyport.UnenrolledAccess `json:"unenrolled"`
	AtGateway     bool                       `json:"atGateway"`
	OnSite        bool                       `json:"onSite"`
	MayDelay      bool                       `json:"mayDelay"`
	TemporaryCode bool                       `json:"temporaryCode"`
	Policies      []string                   `json:"policies"`
	Version       int64                      `json:"version"`
}

func (d *desk) enrolRule(ctx context.Context, word string) (sallyport.EnrolRule, error) {
	list, err := d.EnrolRules(ctx, d.actor)
	if err != nil {
		return sallyport.EnrolRule{}, err
	}
	return lookUp(list, "enrol rule", "sallyport enrol-rule list", word, func(r sallyport.EnrolRule) []string { return []string{string(r.ID), r.Name} })
}

func (d *desk) enrolRuleNames(ctx context.Context) (map[sallyport.EnrolRuleID]string, error) {
	list, err := d.EnrolRules(ctx, d.actor)
	return byID(list, func(r sallyport.EnrolRule) (sallyport.EnrolRuleID, string) { return r.ID, r.Name }), err
}

func completeEnrolRule() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		list, err := d.EnrolRules(ctx, d.actor)
		for _, r := range list {
			out = append(out, r.Name)
		}
		return out, err
	})
}

// enrolRuleLines are rules with the user policies that belong to each.
func (t *task) enrolRuleLines(ctx context.Context, rules ...sallyport.EnrolRule) ([]enrolRuleLine, error) {
	policies, err := t.UserPolicies(ctx, t.actor)
	if err != nil {
		return nil, err
	}
	return each(rules, func(r sallyport.EnrolRule) enrolRuleLine {
		l := enrolRuleLine{r.ID, r.Name, r.Unenrolled, r.PromptAtGateway, r.PromptOnSite, r.MayDelay, r.TemporaryCode, []string{}, r.Version}
		for _, p := range policies {
			if p.EnrolRule == r.ID {
				l.Policies = append(l.Policies, p.Name)
			}
		}
		return l
	}), nil
}

func newEnrolRuleList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list", Short: "List the enrol rules, with the user policies that belong to each", Args: cobra.NoArgs, Example: `  sallyport enrol-rule list`,
	}, func(ctx context.Context, t *task, _ []string) error {
		rules, err := t.EnrolRules(ctx, t.actor)
		if err != nil {
			return err
		}
		lines, err := t.enrolRuleLines(ctx, rules...)
		if err != nil {
			return err
		}
		return t.list([]string{"RULE", "UNTIL ENROLLED", "AT GATEWAY", "ON SITE", "MAY DELAY", "TEMPORARY CODE", "POLICIES", "ID"}, func(line func(any, ...string) error) error {
			for _, l := range lines {
				if err := line(l, l.Name, string(l.Unenrolled), yesNo(l.AtGateway), yesNo(l.OnSite), yesNo(l.MayDelay), yesNo(l.TemporaryCode),
					orNone(strings.Join(l.Policies, ", ")), string(l.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (t *task) showEnrolRule(ctx context.Context, r sallyport.EnrolRule) error {
	lines, err := t.enrolRuleLines(ctx, r)
	if err != nil {
		return err
	}
	l := lines[0]
	return t.facts(l, [2]string{"Name", l.Name}, [2]string{"Id", string(l.ID)}, [2]string{"Until enrolled", string(l.Unenrolled)},
		[2]string{"Asked at the gateway", yesNo(l.AtGateway)}, [2]string{"Asked on site", yesNo(l.OnSite)}, [2]string{"May delay", yesNo(l.MayDelay)},
		[2]string{"Needs a temporary code", yesNo(l.TemporaryCode)}, [2]string{"User policies", orNone(strings.Join(l.Policies, ", "))}, [2]string{"Version", strconv.FormatInt(l.Version, 10)})
}

func newEnrolRuleShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show RULE", Short: "Show an enrol rule", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeEnrolRule()), Example: `  sallyport enrol-rule show "Enrol on site"`,
	}, func(ctx context.Context, t *task, args []string) error {
		r, err := t.enrolRule(ctx, args[0])
		if err != nil {
			return err
		}
		return t.showEnrolRule(ctx, r)
	})
}

// enrolRuleFlags are what a person says of an enrol rule.
type enrolRuleFlags struct {
	name, unenrolled                string
	gateway, site, delay, temporary bool
}

func (f *enrolRuleFlags) flags(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.unenrolled, "unenrolled", string(sallyport.UnenrolledOther), "how users get in until they have enrolled: password (alone), or other_method (an OTP token or a temporary code, else not at all)")
	fl.BoolVar(&f.gateway, "at-gateway", true, "ask to enrol at the gateway, after the password")
	fl.BoolVar(&f.site, "on-site", true, "ask to enrol on the self-service page inside the network")
	fl.BoolVar(&f.delay, "may-delay", false, `users may say "not now"`)
	fl.BoolVar(&f.temporary, "temporary-code", false, "enrolling at the gateway needs a temporary code")
	completes(c, values(sallyport.UnenrolledPassword, sallyport.UnenrolledOther), "unenrolled")
}

// apply changes what was given; of a new rule everything.
func (f *enrolRuleFlags) apply(t *task, r *sallyport.EnrolRule) error {
	unenrolled := sallyport.UnenrolledAccess(strings.ReplaceAll(f.unenrolled, "-", "_"))
	if unenrolled != sallyport.UnenrolledPassword && unenrolled != sallyport.UnenrolledOther {
		return wrongWord("unenrolled", f.unenrolled, sallyport.UnenrolledPassword, sallyport.UnenrolledOther)
	}
	if r.Version == 0 {
		r.Unenrolled, r.PromptAtGateway, r.PromptOnSite, r.MayDelay, r.TemporaryCode = unenrolled, f.gateway, f.site, f.delay, f.temporary
		return nil
	}
	set(t, "name", &r.Name, f.name)
	set(t, "unenrolled", &r.Unenrolled, unenrolled)
	set(t, "at-gateway", &r.PromptAtGateway, f.gateway)
	set(t, "on-site", &r.PromptOnSite, f.site)
	set(t, "may-delay", &r.MayDelay, f.delay)
	set(t, "temporary-code", &r.TemporaryCode, f.temporary)
	return nil
}

func newEnrolRuleAdd() *cobra.Command {
	var f enrolRuleFlags
	c := atDesk(&cobra.Command{
		Use: "add NAME", Short: "Add an enrol rule", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Example: `  sallyport enrol-rule add "Grace until March" --unenrolled password --may-delay`,
	}, func(ctx context.Context, t *task, args []string) error {
		r := sallyport.EnrolRule{Name: args[0]}
		if err := f.apply(t, &r); err != nil {
			return err
		}
		r, err := t.PutEnrolRule(ctx, t.actor, r)
		if err != nil {
			return fieldWords(err)
		}
		return t.showEnrolRule(ctx, r)
	})
	f.flags(c)
	return c
}

func newEnrolRuleEdit() *cobra.Command {
	var f enrolRuleFlags
	c := versioned(atDesk(&cobra.Command{
		Use: "edit RULE", Short: "Change an enrol rule; what is not given stays as it is", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeEnrolRule()),
		Example: `  sallyport enrol-rule edit "Grace until March" --unenrolled other_method`,
	}, func(ctx context.Context, t *task, args []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		r, err := t.enrolRule(ctx, args[0])
		if err != nil {
			return err
		}
		if err := f.apply(t, &r); err != nil {
			return err
		}
		r.Version = t.seen(r.Version)
		if r, err = t.PutEnrolRule(ctx, t.actor, r); err != nil {
			return fieldWords(err)
		}
		return t.showEnrolRule(ctx, r)
	}))
	f.flags(c)
	c.Flags().StringVar(&f.name, "name", "", "another name")
	completes(c, cobra.NoFileCompletions, "name")
	return c
}

func newEnrolRuleRemove() *cobra.Command {
	return asking(versioned(atDesk(&cobra.Command{
		Use: "remove RULE", Short: "Remove an enrol rule that no user policy belongs to", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeEnrolRule()),
		Example: `  sallyport enrol-rule remove "Grace until March" --yes`,
	}, func(ctx context.Context, t *task, args []string) error {
		r, err := t.enrolRule(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Remove the enrol rule %s?", r.Name)); !ok || err != nil {
			return err
		}
		if err := t.DeleteEnrolRule(ctx, t.actor, r.ID, t.seen(r.Version)); err != nil {
			return err
		}
		return t.done(map[string]any{"id": r.ID, "removed": true}, "Removed.")
	})))
}

func newEnrolRuleAssociate() *cobra.Command {
	var none bool
	list := policyList(&none)
	c := atDesk(&cobra.Command{
		Use: "associate RULE [POLICY ...]", Short: "Say which user policies belong to a rule: these, and no others", ValidArgsFunction: completeRuleThenPolicies,
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MinimumNArgs(1)(c, args); err != nil {
				return err
			}
			return list(c, args[1:])
		},
		Long: `Policies of other rules move over; those that belonged to this one and are not named belong to none, and their users who have not
enrolled are refused. For a single policy: 'sallyport policy edit POLICY --enrol-rule RULE'.`,
		Example: `  sallyport enrol-rule associate "Enrol on site" Nurses Doctors`,
	}, func(ctx context.Context, t *task, args []string) error {
		r, err := t.enrolRule(ctx, args[0])
		if err != nil {
			return err
		}
		ids, err := t.policies(ctx, args[1:])
		if err != nil {
			return err
		}
		if err := t.AssociatePolicies(ctx, t.actor, r.ID, ids); err != nil {
			return err
		}
		return t.showEnrolRule(ctx, r)
	})
	c.Flags().BoolVar(&none, "none", false, "none at all")
	return c
}

func completeRuleThenPolicies(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeEnrolRule()(c, args, begun)
	}
	return completePolicy()(c, args, begun)
}
