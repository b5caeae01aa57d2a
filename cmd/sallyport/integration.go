package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/embed"
)

// kindF5 is the only kind of gateway so far.
const kindF5 = "f5-big-ip"

func newIntegrationCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "integration", Short: "Gateways: add, list, edit, remove, and the script for their logon page",
		Long: "Run these on an appliance. A running appliance takes a change within a second or two, without a restart.",
	}
	c.AddCommand(newIntegrationAdd(), newIntegrationEdit(), newIntegrationList(), newIntegrationScript(), newIntegrationRemove())
	return c
}

// gateway is what a person says of an integration.
type gateway struct {
	nickname, secretFile string
	clients, origins     []string
	demandMA             bool
}

func (g *gateway) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.nickname, "nickname", "", "what people call it; shown on the phone")
	f.StringArrayVar(&g.clients, "client", nil, "address or network that its RADIUS requests come from; may be given more than once")
	f.StringArrayVar(&g.origins, "origin", nil, "origin of its logon page, https://vpn.hospital.example; may be given more than once")
	f.StringVar(&g.secretFile, "secret-file", "", "file with the RADIUS secret, - for standard input (default: one is made and shown)")
	f.BoolVar(&g.demandMA, "require-message-authenticator", false, "refuse RADIUS requests without Message-Authenticator (BIG-IP 16.1.6, 17.1.2 and later send it)")
}

// apply changes what was given.
func (g *gateway) apply(c *cobra.Command, in *sallyport.Integration) error {
	f := c.Flags()
	if f.Changed("nickname") {
		in.Nickname = g.nickname
	}
	if f.Changed("client") {
		in.Clients = nil
		for _, s := range g.clients {
			p, err := parseClient(s)
			if err != nil {
				return err
			}
			in.Clients = append(in.Clients, p)
		}
	}
	if f.Changed("origin") {
		in.Origins = g.origins
	}
	if f.Changed("require-message-authenticator") {
		in.RequireMessageAuthenticator = g.demandMA
	}
	return g.secret(c, in)
}

// adviseSecret is the length from which a RADIUS secret is not warned about.
const adviseSecret = 22

func (g *gateway) secret(c *cobra.Command, in *sallyport.Integration) (err error) {
	switch {
	case g.secretFile == "-":
		var line string
		line, err = readLine(c.InOrStdin())
		in.Secret = sallyport.Secret(line)
	case g.secretFile != "":
		in.Secret, err = secretFile(g.secretFile)
	case in.Secret == "":
		in.Secret = sallyport.NewCode(6)
	}
	if err == nil && len(in.Secret) < adviseSecret {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "Warning: the secret has %d characters; use at least %d, made by a computer.\n", len(in.Secret), adviseSecret)
	}
	return err
}

func parseClient(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, &usageError{fmt.Errorf("client %q: use an address (192.0.2.1) or a network (192.0.2.0/24)", s)}
	}
	return p.Masked(), nil
}

type integrationLine struct {
	ID       sallyport.IntegrationID `json:"id"`
	Kind     string                  `json:"kind"`
	Nickname string                  `json:"nickname"`
	Clients  []netip.Prefix          `json:"clients"`
	Origins  []string                `json:"origins"`
	DemandMA bool                    `json:"requireMessageAuthenticator"`
	Secret   string                  `json:"secret,omitempty"`
}

func lineOf(in sallyport.Integration) integrationLine {
	return integrationLine{ID: in.ID, Kind: in.Kind, Nickname: in.Nickname, Clients: in.Clients, Origins: in.Origins, DemandMA: in.RequireMessageAuthenticator}
}

func newIntegrationAdd() *cobra.Command {
	var p place
	var g gateway
	var o output
	c := &cobra.Command{
		Use: "add", Short: "Add a gateway",
		Example: `  sallyport integration add --nickname "Hospital VPN" --client 192.0.2.10 --origin https://vpn.hospital.example`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				in := sallyport.Integration{ID: sallyport.IntegrationID(sallyport.NewID()), Kind: kindF5}
				if err := g.apply(c, &in); err != nil {
					return err
				}
				if err := a.store.PutIntegration(ctx, in); err != nil {
					return err
				}
				line := lineOf(in)
				if g.secretFile == "" {
					line.Secret = string(in.Secret)
				}
				return o.print(c.OutOrStdout(), line, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Added %s, id %s.\n", in.Nickname, in.ID)
					if line.Secret != "" {
						_, _ = fmt.Fprintf(w, "RADIUS secret, shown once: %s\n", line.Secret)
					}
					_, _ = fmt.Fprintf(w, "Get the script for its logon page: sallyport integration script %s\n", in.ID)
				})
			})
		},
	}
	p.admin(c)
	g.flags(c)
	o.flag(c)
	for _, name := range []string{"nickname", "client", "origin"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

func newIntegrationEdit() *cobra.Command {
	var p place
	var g gateway
	c := &cobra.Command{
		Use: "edit ID", Short: "Change a gateway; what is not given stays as it is", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				in, err := a.store.Integration(ctx, sallyport.IntegrationID(args[0]))
				if err != nil {
					return err
				}
				if err := g.apply(c, &in); err != nil {
					return err
				}
				if err := a.store.PutIntegration(ctx, in); err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "Changed %s.\n", in.Nickname)
				return err
			})
		},
	}
	p.admin(c)
	g.flags(c)
	return c
}

func newIntegrationList() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "list", Short: "List the gateways", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				list, err := a.store.Integrations(ctx)
				if err != nil {
					return err
				}
				lines := make([]integrationLine, 0, len(list))
				for _, in := range list {
					lines = append(lines, lineOf(in))
				}
				return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
					_, _ = fmt.Fprintln(w, "NICKNAME\tRADIUS CLIENTS\tORIGINS\tMESSAGE-AUTHENTICATOR\tID")
					for _, l := range lines {
						ma := "checked when present"
						if l.DemandMA {
							ma = "demanded"
						}
						_, _ = fmt.Fprintf(w, "%s\t%v\t%v\t%s\t%s\n", l.Nickname, l.Clients, l.Origins, ma, l.ID)
					}
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}

func newIntegrationScript() *cobra.Command {
	var p place
	var o output
	var fromCloud string
	c := &cobra.Command{
		Use: "script ID", Short: "Show the script for a gateway's logon page, standard and modern",
		Long: `Shows what to paste into the gateway: the script tag for the standard logon page (before </body> in
logon.inc), and the address and integrity hash for the modern one (External JavaScript). It pins the
script and the enterprise's root key; it holds no secret.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				in, err := a.store.Integration(ctx, sallyport.IntegrationID(args[0]))
				if err != nil {
					return err
				}
				cloudURL := a.trust.CloudURL
				if fromCloud != "" {
					cloudURL = fromCloud
				}
				tag, address, integrity, err := embed.Script(cloudURL, in.ID, a.trust.Tenant, a.ring.Fingerprint())
				if err != nil {
					return err
				}
				v := map[string]string{"standardTag": tag, "modernAddress": address, "integrity": integrity}
				return o.print(c.OutOrStdout(), v, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Standard logon page, before </body> in logon.inc:\n\n%s\n\nModern logon page, External JavaScript 1 Address:\n\n%s\n\nIntegrity:\n\n%s\n", tag, address, integrity)
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
		Use: "remove ID", Short: "Remove a gateway: nobody logs in there any more", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				in, err := a.store.Integration(ctx, sallyport.IntegrationID(args[0]))
				if err != nil {
					return err
				}
				if ok, err := confirm(c, yes, fmt.Sprintf("Remove %s? Nobody can log in there any more.", in.Nickname)); !ok || err != nil {
					return err
				}
				if err := a.store.DeleteIntegration(ctx, in.ID); err != nil {
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
