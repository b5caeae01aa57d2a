package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

func newIntegrationCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "integration", Short: "Gateways: add, list, show, edit, rotate the secret, attributes, script, remove",
		Long: `Run these on an appliance. A running appliance takes a change within a second or two, without a restart.
ID is an integration's id or its nickname.`,
		Example: `  sallyport integration add --nickname "Hospital VPN" --client 192.0.2.10 --origin https://vpn.hospital.example
  sallyport integration script "Hospital VPN"
  sallyport integration rotate "Hospital VPN" --overlap 48h`,
	}
	c.AddCommand(newIntegrationAdd(), newIntegrationList(), newIntegrationShow(), newIntegrationEdit(), newIntegrationRotate(),
		newIntegrationAttributes(), newIntegrationScript(), newIntegrationHealth(), newIntegrationRemove())
	return c
}

// gatewayDesk is the administration of gateways for somebody at this appliance's terminal.
type gatewayDesk struct{ *desk }

// withGateways opens the appliance's administration for f.
func (p *place) withGateways(c *cobra.Command, f func(context.Context, *gatewayDesk) error) error {
	return p.withDesk(c, func(ctx context.Context, d *desk) error { return f(ctx, &gatewayDesk{d}) })
}

// atTerminal is who runs this command: whoever can read the appliance's keys may do everything.
func atTerminal() sallyport.Actor {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname() // without one the name alone has to do
	return sallyport.Actor{Kind: sallyport.ActorLocal, Name: name + "@" + cmp.Or(host, "this host"), Role: sallyport.RoleSuper}
}

// find returns the integration with the id or the nickname.
func (d *gatewayDesk) find(ctx context.Context, word string) (sallyport.Integration, error) {
	list, err := d.Integrations(ctx, d.actor)
	if err != nil {
		return sallyport.Integration{}, err
	}
	for _, in := range list {
		if string(in.ID) == word || strings.EqualFold(in.Nickname, word) {
			return in, nil
		}
	}
	return sallyport.Integration{}, sallyport.Errorf(sallyport.CodeNotFound,
		fmt.Sprintf("There is no integration with the id or nickname %q. 'sallyport integration list' shows them.", word), nil)
}

// complete offers the ids with their nicknames, as far as the appliance's things can be opened.
func (p *place) complete(c *cobra.Command, args []string, _ string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		_ = p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
			list, err := d.Integrations(ctx, d.actor)
			for _, in := range list {
				out = append(out, cobra.CompletionWithDesc(string(in.ID), in.Nickname))
			}
			return err
		})
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// warn says what was done all the same.
func warn(c *cobra.Command, warnings []string) {
	for _, w := range warnings {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "Warning: "+w)
	}
}

func newIntegrationScript() *cobra.Command {
	var p place
	var o output
	var fromCloud string
	c := &cobra.Command{
		Use: "script ID", Short: "Show the script for a gateway's logon page, standard and modern",
		Long: `Shows what to paste into the gateway: the script tag for the standard logon page (before </body> in
logon.inc), and the address and integrity hash for the modern one (External JavaScript). It pins the
script and the enterprise's root key; it holds no secret. Ask for it as often as you like: after an upgrade
the script is a newer one, and pages that carry an older one go on working.`,
		Example: `  sallyport integration script "Hospital VPN" --output json`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				v, err := d.IntegrationScript(ctx, d.actor, in.ID, fromCloud)
				if err != nil {
					return err
				}
				return o.print(c.OutOrStdout(), v, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Standard logon page, before </body> in logon.inc:\n\n%s\n\nModern logon page, External JavaScript 1 Address:\n\n%s\n\nIntegrity:\n\n%s\n",
						v.StandardTag, v.ModernAddress, v.Integrity)
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	c.Flags().StringVar(&fromCloud, "cloud", "", "the cloud's address as browsers reach it (default: the one from the provisioning)")
	return c
}

func newIntegrationRemove() *cobra.Command {
	var p place
	var yes bool
	c := &cobra.Command{
		Use: "remove ID", Short: "Remove a gateway: nobody logs in there any more", Args: cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		Example: `  sallyport integration remove "Old VPN" --yes`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				if ok, err := confirm(c, yes, fmt.Sprintf("Remove %s? Nobody can log in there any more.", in.Nickname)); !ok || err != nil {
					return err
				}
				if err := d.DeleteIntegration(ctx, d.actor, in.ID, in.Version); err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), "Removed.")
				return err
			})
		},
	}
	p.admin(c)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// secretFrom reads a shared secret from a file, "-" from standard input; "" is none.
func secretFrom(c *cobra.Command, file string) (sallyport.Secret, error) {
	switch file {
	case "":
		return "", nil
	case "-":
		line, err := readLine(c.InOrStdin())
		if err == nil && line == "" {
			err = &usageError{errors.New("no secret was given on standard input")}
		}
		return sallyport.Secret(line), err
	}
	secret, err := secretFile(file)
	if err == nil && secret == "" {
		err = &usageError{fmt.Errorf("%s is empty", file)}
	}
	return secret, err
}
