package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newWorkflowCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "workflow", Short: `The workflow policy "Remote access log in": show, edit, associate`,
		Long: `What somebody has to show at the gateway, and the user policies that this is live for. Run these on an appliance; a running appliance
takes a change within a second or two.`,
		Example: `  sallyport workflow edit --allow password+app --allow password+otp --remember --remember-for 14d
  sallyport workflow associate Pilot Nurses`,
	}
	c.AddCommand(newWorkflowShow(), newWorkflowEdit(), newWorkflowAssociate())
	return c
}

// combinations are the ways to log in.
func combinations() []sallyport.Combination {
	return []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.PasswordAndOTP, sallyport.PINAndOTP,
		sallyport.OTPAlone, sallyport.PasswordAndExternal, sallyport.PasswordAndPasskey}
}

// workflowLine is the workflow policy for programs.
type workflowLine struct {
	Allowed        []sallyport.Combination `json:"allowed"`
	NumberMatching bool                    `json:"numberMatching"`
	Remember       bool                    `json:"remember"`
	RememberFor    string                  `json:"rememberFor"`
	Policies       []string                `json:"policies"`
	Version        int64                   `json:"version"`
}

func (t *task) showWorkflow(ctx context.Context, w sallyport.LoginWorkflow) error {
	policies, err := t.UserPolicies(ctx, t.actor)
	if err != nil {
		return err
	}
	l := workflowLine{orEmpty(w.Allowed), w.NumberMatching, w.Remember.Allowed, lengthWords(w.Remember.For), []string{}, w.Version}
	for _, p := range policies {
		if p.RemoteAccess {
			l.Policies = append(l.Policies, p.Name)
		}
	}
	allowed := make([]string, len(w.Allowed))
	for i, a := range w.Allowed {
		allowed[i] = string(a)
	}
	remembered := "no"
	if w.Remember.Allowed {
		remembered = "for " + l.RememberFor
	}
	return t.facts(l, [2]string{"Allowed", strings.Join(allowed, ", ")}, [2]string{"Number matching", yesNo(w.NumberMatching)}, [2]string{"Devices remembered", remembered},
		[2]string{"Live for", orNone(strings.Join(l.Policies, ", "))}, [2]string{"Version", strconv.FormatInt(w.Version, 10)})
}

func newWorkflowShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show", Short: "Show what a login has to give, and for which user policies", Args: cobra.NoArgs, Example: `  sallyport workflow show -o json`,
	}, func(ctx context.Context, t *task, _ []string) error {
		w, err := t.LoginWorkflow(ctx, t.actor)
		if err != nil {
			return err
		}
		return t.showWorkflow(ctx, w)
	})
}

func newWorkflowEdit() *cobra.Command {
	var allow []string
	var matching, remember bool
	var rememberFor string
	c := asking(versioned(atDesk(&cobra.Command{
		Use: "edit", Short: "Change the workflow policy; what is not given stays as it is", Args: cobra.NoArgs,
		Long: `--allow replaces the whole list. A temporary code stands in for the second factor of any of the combinations. Remembering devices switched off
forgets those remembered for good; a shorter time bites at once, a longer one lengthens.`,
		Example: `  sallyport workflow edit --allow password+app --allow password+sms
  sallyport workflow edit --number-matching=false --remember --remember-for 14d`,
	}, func(ctx context.Context, t *task, _ []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		w, err := t.LoginWorkflow(ctx, t.actor)
		if err != nil {
			return err
		}
		forgets := w.Remember.Allowed && t.given("remember") && !remember
		if t.given("allow") {
			if w.Allowed, err = readCombinations(allow); err != nil {
				return err
			}
		}
		if t.given("remember-for") {
			if w.Remember.For, err = length(rememberFor); err != nil {
				return &usageError{fmt.Errorf("--remember-for %w", err)}
			}
		}
		set(t, "number-matching", &w.NumberMatching, matching)
		set(t, "remember", &w.Remember.Allowed, remember)
		w.Version = t.seen(w.Version)
		if forgets {
			if ok, err := t.sure("Forget all remembered devices, for good?"); !ok || err != nil {
				return err
			}
		}
		if w, err = t.SetLoginWorkflow(ctx, t.actor, w); err != nil {
			return fieldWords(err)
		}
		return t.showWorkflow(ctx, w)
	})))
	f := c.Flags()
	f.StringArrayVar(&allow, "allow", nil, "combination of factors that lets somebody in; may be given more than once")
	f.BoolVar(&matching, "number-matching", true, "the number on the page has to be typed in the app")
	f.BoolVar(&remember, "remember", false, "users may skip the second factor on remembered devices")
	f.StringVar(&rememberFor, "remember-for", "", "how long a device is remembered: 1h to 120d")
	completes(c, values(combinations()...), "allow")
	completes(c, values("8h", "1d", "7d", "30d", "120d"), "remember-for")
	return c
}

func readCombinations(words []string) (out []sallyport.Combination, err error) {
	for _, w := range words {
		if !slices.Contains(combinations(), sallyport.Combination(w)) {
			return nil, wrongWord("allow", w, combinations()...)
		}
		out = append(out, sallyport.Combination(w))
	}
	return out, nil
}

// policyList are the arguments of a command that says which user policies something is for.
func policyList(none *bool) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if (len(args) == 0) != *none {
			return &usageError{errors.New("name all the user policies that it is for, or --none")}
		}
		return nil
	}
}

func newWorkflowAssociate() *cobra.Command {
	var none bool
	c := asking(atDesk(&cobra.Command{
		Use: "associate [POLICY ...]", Short: "Say which user policies the workflow policy is live for: these, and no others", Args: policyList(&none), ValidArgsFunction: completePolicy(),
		Long: `This is what goes live. Name all of the policies: the users of one that is live and is not named are kept out. To add or take off a
single one: 'sallyport policy edit POLICY --live'.`,
		Example: `  sallyport workflow associate Pilot Nurses`,
	}, func(ctx context.Context, t *task, args []string) error {
		ids, err := t.policies(ctx, args)
		if err != nil {
			return err
		}
		list, err := t.UserPolicies(ctx, t.actor)
		if err != nil {
			return err
		}
		var off []string
		for _, p := range list {
			if p.RemoteAccess && !slices.Contains(ids, p.ID) {
				off = append(off, fmt.Sprintf("%s (%s)", p.Name, counted(p.Users, "user", "users")))
			}
		}
		if len(off) > 0 {
			if ok, err := t.sure("Take remote access from " + strings.Join(off, ", ") + "?"); !ok || err != nil {
				return err
			}
		}
		if err := t.AssociateWorkflow(ctx, t.actor, ids); err != nil {
			return err
		}
		w, err := t.LoginWorkflow(ctx, t.actor)
		if err != nil {
			return err
		}
		return t.showWorkflow(ctx, w)
	}))
	c.Flags().BoolVar(&none, "none", false, "for none at all")
	return c
}
