package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// scopeFlags say whom somebody looks after.
type scopeFlags struct{ ous, policies []string }

func (f *scopeFlags) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.ous, "ou", nil, `look after users below this OU (its DN); may be given more than once; "" ends the limit (default: everybody)`)
	c.Flags().StringArrayVar(&f.policies, "policy", nil, "look after users of this user policy; may be given more than once, and with --ou")
	completes(c, completePolicy(), "policy")
	completes(c, cobra.NoFileCompletions, "ou")
}

// apply changes the scope if one was given.
func (f *scopeFlags) apply(ctx context.Context, t *task, s *sallyport.Scope) (err error) {
	if t.given("ou") {
		s.OUs = slices.DeleteFunc(slices.Clone(f.ous), func(dn string) bool { return dn == "" })
	}
	if t.given("policy") {
		words := slices.DeleteFunc(slices.Clone(f.policies), func(w string) bool { return w == "" })
		s.Policies, err = t.policies(ctx, words)
	}
	return err
}

// administratorFlags are what a person says of an administrator.
type administratorFlags struct {
	scopeFlags
	name, displayName, mail, role string
	directory, disabled           bool
}

func (f *administratorFlags) flags(c *cobra.Command) {
	f.scopeFlags.flags(c)
	c.Flags().StringVar(&f.displayName, "display-name", "", "what they are called")
	c.Flags().StringVar(&f.mail, "mail", "", "e-mail address")
	c.Flags().StringVar(&f.role, "role", string(sallyport.RoleHelpDesk), "super, admin, helpdesk or auditor")
	completes(c, completeRole(), "role")
	completes(c, cobra.NoFileCompletions, "display-name", "mail")
}

func (f *administratorFlags) apply(ctx context.Context, t *task, a *sallyport.Administrator) error {
	if err := checkRole(f.role); err != nil {
		return err
	}
	if a.Version == 0 {
		a.Role = sallyport.Role(f.role)
	}
	set(t, "name", &a.Name, f.name)
	set(t, "display-name", &a.DisplayName, f.displayName)
	set(t, "mail", &a.Mail, f.mail)
	set(t, "role", &a.Role, sallyport.Role(f.role))
	set(t, "disabled", &a.Disabled, f.disabled)
	return f.scopeFlags.apply(ctx, t, &a.Scope)
}

// saidOnce prints an administrator with a password that was just made.
func (t *task) saidOnce(a sallyport.Administrator, password sallyport.Secret, what string) error {
	l := lineOfAdministrator(a)
	l.Password = string(password)
	return t.show(l, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s %s (%s), id %s.\n", what, printable(a.DisplayName), printable(a.Name), a.ID)
		if password != "" {
			_, _ = fmt.Fprintf(w, "Password for the next sign-in, shown once: %s\nThey choose one of their own then, and a second factor.\n", string(password))
		}
	})
}

func newAdministratorAdd() *cobra.Command {
	var f administratorFlags
	c := atDesk(&cobra.Command{
		Use: "add NAME", Short: "Add an administrator; a first password is made and shown once", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Adds an administrator who signs in as NAME. Without --directory a first password is made and shown, once: it has to be changed at the
first sign-in, which asks for a second factor as well. With --directory the password is the directory's, and NAME an account.`,
		Example: `  sallyport administrator add olive --display-name "Olive Ong" --mail olive@hospital.example --role admin
  sallyport administrator add 'HOSPITAL\olive' --directory --display-name "Olive Ong"`,
	}, func(ctx context.Context, t *task, args []string) error {
		a := sallyport.Administrator{Name: args[0], Directory: f.directory}
		if err := f.apply(ctx, t, &a); err != nil {
			return err
		}
		a, password, err := t.PutAdministrator(ctx, t.actor, a)
		if err != nil {
			return fieldWords(err)
		}
		return t.saidOnce(a, password, "Added")
	})
	f.flags(c)
	c.Flags().BoolVar(&f.directory, "directory", false, "the password is the directory's")
	_ = c.MarkFlagRequired("display-name")
	return c
}

func newAdministratorEdit() *cobra.Command {
	var f administratorFlags
	c := asking(versioned(atDesk(&cobra.Command{
		Use: "edit NAME", Short: "Change an administrator; what is not given stays as it is", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeAdministrator()),
		Long: `Who is disabled, or whose role or scope becomes another, is signed out everywhere. --ou and --policy replace the whole list of each.`,
		Example: `  sallyport administrator edit olive --role admin --ou "" --policy ""
  sallyport administrator edit olive --disabled --yes`,
	}, func(ctx context.Context, t *task, args []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		before, err := t.administrator(ctx, args[0])
		if err != nil {
			return err
		}
		a := before
		if err := f.apply(ctx, t, &a); err != nil {
			return err
		}
		a.Version = t.seen(a.Version)
		if a.Disabled && !before.Disabled {
			if ok, err := t.sure(fmt.Sprintf("Disable %s? They are signed out, and their API tokens end.", before.Name)); !ok || err != nil {
				return err
			}
		}
		if a, _, err = t.PutAdministrator(ctx, t.actor, a); err != nil {
			return fieldWords(err)
		}
		return t.saidOnce(a, "", "Changed")
	})))
	f.flags(c)
	c.Flags().StringVar(&f.name, "name", "", "another sign-in name")
	c.Flags().BoolVar(&f.disabled, "disabled", false, "cannot sign in; --disabled=false: may again")
	completes(c, cobra.NoFileCompletions, "name")
	return c
}

// onAdministrator is a command that asks, and then does something to one administrator.
func onAdministrator(c *cobra.Command, question string, do func(ctx context.Context, t *task, a sallyport.Administrator) error) *cobra.Command {
	c.Args, c.ValidArgsFunction = cobra.ExactArgs(1), firstArg(completeAdministrator())
	return asking(atDesk(c, func(ctx context.Context, t *task, args []string) error {
		a, err := t.administrator(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf(question, a.Name)); !ok || err != nil {
			return err
		}
		return do(ctx, t, a)
	}))
}

func newAdministratorRemove() *cobra.Command {
	return versioned(onAdministrator(&cobra.Command{
		Use: "remove NAME", Short: "Remove an administrator, with sessions, second factors and API tokens",
		Long:    `What they did stays in the audit trail. The last super administrator cannot be removed.`,
		Example: `  sallyport administrator remove olive`,
	}, "Remove %s, with sessions, second factors and API tokens?", func(ctx context.Context, t *task, a sallyport.Administrator) error {
		if err := t.DeleteAdministrator(ctx, t.actor, a.ID, t.seen(a.Version)); err != nil {
			return err
		}
		return t.done(map[string]any{"id": a.ID, "removed": true}, "Removed.")
	}))
}

func newAdministratorPassword() *cobra.Command {
	return onAdministrator(&cobra.Command{
		Use: "reset-password NAME", Short: "Make a new password for an administrator, shown once; their sessions end",
		Long:    `Give it to them by word of mouth, once you are sure who asks. It has to be changed at the next sign-in.`,
		Example: `  sallyport administrator reset-password olive`,
	}, "End the password and all sessions of %s?", func(ctx context.Context, t *task, a sallyport.Administrator) error {
		password, err := t.ResetPassword(ctx, t.actor, a.ID)
		if err != nil {
			return err
		}
		return t.saidOnce(a, password, "A new password was made for")
	})
}

func newAdministratorFactor() *cobra.Command {
	return onAdministrator(&cobra.Command{
		Use: "reset-second-factor NAME", Short: "Remove all second factors of an administrator who lost theirs; their sessions end",
		Long:    `Be sure who asks: whoever has the password can then add a second factor of their own.`,
		Example: `  sallyport administrator reset-second-factor olive`,
	}, "Remove passkeys, code generator, recovery codes and sessions of %s?", func(ctx context.Context, t *task, a sallyport.Administrator) error {
		if err := t.ResetSecondFactor(ctx, t.actor, a.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": a.ID, "reset": true}, "%s makes a new second factor at the next sign-in.", a.Name)
	})
}

func newAdministratorRemoveFactor() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "remove-factor NAME FACTOR", Short: "Remove a second factor of an administrator, unless it is the only one", Args: cobra.ExactArgs(2),
		Long:    `FACTOR is the name or id of a passkey, or "totp" for the code generator; 'sallyport administrator show' has them.`,
		Example: `  sallyport administrator remove-factor olive "Old laptop"`, ValidArgsFunction: completeAdministratorThenFactor,
	}, func(ctx context.Context, t *task, args []string) error {
		a, err := t.administrator(ctx, args[0])
		if err != nil {
			return err
		}
		f, err := t.AdministratorFactors(ctx, t.actor, a.ID)
		if err != nil {
			return err
		}
		factor, name := args[1], "the code generator"
		if factor != admin.FactorTOTP {
			k, err := lookUp(f.Passkeys, "second factor", "sallyport administrator show "+a.Name, args[1], func(k admin.Passkey) []string { return []string{k.ID, k.Name} })
			if err != nil {
				return err
			}
			factor, name = k.ID, "the passkey "+k.Name
		}
		if ok, err := t.sure(fmt.Sprintf("Remove %s of %s?", name, a.Name)); !ok || err != nil {
			return err
		}
		if err := t.RemoveFactor(ctx, t.actor, a.ID, factor); err != nil {
			return err
		}
		return t.done(map[string]any{"id": a.ID, "factor": factor, "removed": true}, "Removed.")
	}))
}

func completeAdministratorThenFactor(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return completeAdministrator()(c, args, begun)
	}
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		a, err := d.administrator(ctx, args[0])
		if err != nil {
			return nil, err
		}
		f, err := d.AdministratorFactors(ctx, d.actor, a.ID)
		for _, k := range f.Passkeys {
			out = append(out, cobra.CompletionWithDesc(k.ID, printable(k.Name)))
		}
		if f.TOTP {
			out = append(out, cobra.CompletionWithDesc(admin.FactorTOTP, "the code generator"))
		}
		return out, err
	})(c, args, begun)
}
