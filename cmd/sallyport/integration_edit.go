package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// gateway is what a person says of an integration.
type gateway struct {
	nickname, note, secretFile, policy, language string
	experience, encoding, separator              string
	clients, origins                             []string
	nonLicensed, askMethod                       bool
	fingerprints, tlsNames                       []string
	tlsAuthority                                 string
}

func (g *gateway) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.nickname, "nickname", "", "what people call it; shown on the phone")
	f.StringVar(&g.note, "note", "", "anything that administrators should know")
	f.StringArrayVar(&g.clients, "client", nil, "address, network or host name that its RADIUS requests come from; may be given more than once")
	f.StringArrayVar(&g.origins, "origin", nil, "origin of its logon page, https://vpn.hospital.example; may be given more than once")
	f.StringVar(&g.policy, "message-authenticator", "once_seen", "refuse RADIUS requests without Message-Authenticator: always, never, or once_seen (as soon as the gateway has sent it once)")
	f.BoolVar(&g.nonLicensed, "allow-non-licensed", false, "let users without a licence, and accounts that are not in the list of users, in on the directory's word alone")
	f.StringVar(&g.language, "language", "", "language of pages and messages when the browser names none that there is: en, es, fr, de, ar or tr (default: the enterprise's)")
	f.StringVar(&g.experience, "experience", "cloud", "how users log in: cloud (in the overlay), legacy (the whole login in RADIUS), or both")
	f.StringVar(&g.encoding, "password-encoding", "utf-8", "how the gateway writes names and passwords: utf-8 or windows-1252")
	f.StringVar(&g.separator, "passcode-separator", "", "lets users type password and code, or password and push, into one field with this mark between; for legacy and both")
	f.BoolVar(&g.askMethod, "ask-method", false, "have users who have several second factors choose one before a phone is asked; for legacy and both")
	f.StringArrayVar(&g.fingerprints, "tls-fingerprint", nil, "SHA-256 of a certificate by which it is known over TLS, as 'openssl x509 -noout -fingerprint -sha256' prints it; may be given more than once")
	f.StringVar(&g.tlsAuthority, "tls-ca", "", "PEM file with the authority of the certificates by which it is known over TLS; needs --tls-name")
	f.StringArrayVar(&g.tlsNames, "tls-name", nil, "host name or address that its certificate of that authority is for; may be given more than once")
	_ = c.MarkFlagFilename("tls-ca", "pem", "crt", "cer")
	_ = c.RegisterFlagCompletionFunc("experience", cobra.FixedCompletions([]string{"cloud", "legacy", "both"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("password-encoding", cobra.FixedCompletions([]string{"utf-8", "windows-1252"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("message-authenticator", cobra.FixedCompletions([]string{"always", "never", "once_seen"}, cobra.ShellCompDirectiveNoFileComp))
	completes(c, values(sallyport.Languages()...), "language")
	for _, name := range []string{"nickname", "note", "client", "origin", "passcode-separator", "tls-fingerprint", "tls-name"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// apply changes what was given.
func (g *gateway) apply(c *cobra.Command, in *sallyport.Integration) error {
	changed := c.Flags().Changed
	if changed("nickname") {
		in.Nickname = g.nickname
	}
	if changed("note") {
		in.Note = g.note
	}
	if changed("client") {
		var err error
		if in.Clients, in.Hosts, err = admin.ParseSources(g.clients); err != nil {
			return &usageError{errors.New("--client " + sallyport.ErrorMessage(err))}
		}
	}
	if changed("origin") {
		in.Origins = g.origins
	}
	if changed("message-authenticator") {
		in.MessageAuthenticator = sallyport.MessageAuthenticator(strings.ReplaceAll(g.policy, "-", "_"))
	}
	if changed("allow-non-licensed") {
		in.AllowNonLicensed = g.nonLicensed
	}
	if changed("language") {
		in.Language = g.language
	}
	g.applyLegacy(changed, in)
	return g.applyTLS(changed, in)
}

// applyTLS changes what was given of how the gateway is known over TLS; "" ends what was.
func (g *gateway) applyTLS(changed func(string) bool, in *sallyport.Integration) (err error) {
	given := func(list []string) (out []string) {
		for _, s := range list {
			if s != "" {
				out = append(out, strings.ToLower(s))
			}
		}
		return out
	}
	if changed("tls-fingerprint") {
		in.TLS.Fingerprints = given(g.fingerprints)
		for n, f := range in.TLS.Fingerprints {
			in.TLS.Fingerprints[n] = admin.ParseFingerprint(f)
		}
	}
	if changed("tls-name") {
		in.TLS.Names = given(g.tlsNames)
	}
	if changed("tls-ca") {
		in.TLS.Authority, err = authorityFile(g.tlsAuthority)
	}
	return err
}

// applyLegacy changes what was given of logins in RADIUS.
func (g *gateway) applyLegacy(changed func(string) bool, in *sallyport.Integration) {
	if changed("experience") {
		in.Experience = sallyport.Experience(g.experience)
	}
	if changed("password-encoding") {
		in.PasswordEncoding = sallyport.PasswordEncoding(g.encoding)
	}
	if changed("passcode-separator") {
		in.PasscodeSeparator = g.separator
	}
	if changed("ask-method") {
		in.AskMethod = g.askMethod
	}
}

func newIntegrationAdd() *cobra.Command {
	var p place
	var g gateway
	var o output
	c := &cobra.Command{
		Use: "add", Short: "Add a gateway",
		Long: `Adds a gateway. Unless --secret-file is given, its RADIUS secret is made and shown, once: a computer's secret of 32
characters is what protects the exchange with the gateway.`,
		Example: `  sallyport integration add --nickname "Hospital VPN" --client 192.0.2.10 --origin https://vpn.hospital.example
  sallyport integration add --nickname "Clinic VPN" --client vpn1.clinic.example --client 192.0.2.0/28 \
      --origin https://vpn.clinic.example --message-authenticator always --secret-file secret.txt`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(g.origins) == 0 && g.experience != string(sallyport.ExperienceLegacy) {
				return &usageError{errors.New("--origin is needed: the address of the logon page; only with --experience legacy there is none")}
			}
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in := sallyport.Integration{Kind: admin.KindF5}
				if err := g.apply(c, &in); err != nil {
					return err
				}
				var err error
				if in.Secret, err = secretFrom(c, g.secretFile); err != nil {
					return err
				}
				saved, err := d.AddIntegration(ctx, d.actor, in)
				if err != nil {
					return err
				}
				warn(c, saved.Warnings)
				line := lineOf(saved.Integration)
				line.Secret = string(saved.Secret)
				return o.print(c.OutOrStdout(), line, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Added %s, id %s.\n", line.Nickname, line.ID)
					if line.Secret != "" {
						_, _ = fmt.Fprintf(w, "RADIUS secret, shown once: %s\n", line.Secret)
					}
					if line.Experience != sallyport.ExperienceLegacy {
						_, _ = fmt.Fprintf(w, "Get the script for its logon page: sallyport integration script %s\n", line.ID)
					}
				})
			})
		},
	}
	p.admin(c)
	g.flags(c)
	c.Flags().StringVar(&g.secretFile, "secret-file", "", "file with the RADIUS secret, - for standard input (default: one is made and shown)")
	o.flag(c)
	for _, name := range []string{"nickname", "client"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

func newIntegrationEdit() *cobra.Command {
	var p place
	var g gateway
	var o output
	c := &cobra.Command{
		Use: "edit ID", Short: "Change a gateway; what is not given stays as it is", Args: cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		Long: `Changes a gateway; what is not given stays as it is. --client and --origin replace the whole list.
The secret is changed by 'sallyport integration rotate'.`,
		Example: `  sallyport integration edit "Hospital VPN" --client 192.0.2.10 --client 192.0.2.11
  sallyport integration edit "Hospital VPN" --message-authenticator never`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				if err := g.apply(c, &in); err != nil {
					return err
				}
				return d.save(ctx, c, &o, in)
			})
		},
	}
	p.admin(c)
	g.flags(c)
	o.flag(c)
	return c
}

// save saves a changed integration and says so.
func (d *gatewayDesk) save(ctx context.Context, c *cobra.Command, o *output, in sallyport.Integration) error {
	saved, err := d.SetIntegration(ctx, d.actor, in)
	if err != nil {
		return err
	}
	warn(c, saved.Warnings)
	return o.print(c.OutOrStdout(), lineOf(saved.Integration), func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Changed %s.\n", saved.Integration.Nickname)
	})
}

func newIntegrationRotate() *cobra.Command {
	var p place
	var o output
	var file string
	var overlap time.Duration
	var end, yes bool
	c := &cobra.Command{
		Use: "rotate ID", Short: "Give a gateway a new RADIUS secret, with time to change it there", Args: cobra.ExactArgs(1), ValidArgsFunction: p.complete,
		Long: `Gives a gateway a new RADIUS secret. For as long as --overlap says the old one is taken too, and each request is
answered under the secret that it used: enter the new one at the gateway meanwhile. 'sallyport integration show' says when the old
one was last used; --end stops taking it before its time.`,
		Example: `  sallyport integration rotate "Hospital VPN" --overlap 48h
  sallyport integration rotate "Hospital VPN" --end`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withGateways(c, func(ctx context.Context, d *gatewayDesk) error {
				in, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				if end {
					return d.endOverlap(ctx, c, &o, in, yes)
				}
				secret, err := secretFrom(c, file)
				if err != nil {
					return err
				}
				if overlap == 0 {
					if ok, err := confirm(c, yes, fmt.Sprintf("Change the secret of %s at once? Nobody can log in there until the gateway has the new one.", in.Nickname)); !ok || err != nil {
						return err
					}
				}
				saved, err := d.RotateIntegrationSecret(ctx, d.actor, in.ID, in.Version, secret, overlap)
				if err != nil {
					return err
				}
				warn(c, saved.Warnings)
				line := lineOf(saved.Integration)
				line.Secret = string(saved.Secret)
				return o.print(c.OutOrStdout(), line, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "%s has a new secret.\n", line.Nickname)
					if line.Secret != "" {
						_, _ = fmt.Fprintf(w, "RADIUS secret, shown once: %s\n", line.Secret)
					}
					if !line.PreviousUntil.IsZero() {
						_, _ = fmt.Fprintf(w, "The old one is taken until %s.\n", when(line.PreviousUntil))
					}
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	f := c.Flags()
	f.StringVar(&file, "secret-file", "", "file with the new secret, - for standard input (default: one is made and shown)")
	f.DurationVar(&overlap, "overlap", admin.DefaultOverlap, "how long the old secret is taken as well, up to 720h; 0 for not at all")
	f.BoolVar(&end, "end", false, "stop taking the old secret now")
	f.BoolVar(&yes, "yes", false, "do not ask")
	c.MarkFlagsMutuallyExclusive("end", "overlap")
	c.MarkFlagsMutuallyExclusive("end", "secret-file")
	return c
}

func (d *gatewayDesk) endOverlap(ctx context.Context, c *cobra.Command, o *output, in sallyport.Integration, yes bool) error {
	if ok, err := confirm(c, yes, fmt.Sprintf("Stop taking the old secret of %s?", in.Nickname)); !ok || err != nil {
		return err
	}
	saved, err := d.EndIntegrationOverlap(ctx, d.actor, in.ID, in.Version)
	if err != nil {
		return err
	}
	return o.print(c.OutOrStdout(), lineOf(saved.Integration), func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s is known by its new secret alone.\n", saved.Integration.Nickname)
	})
}
