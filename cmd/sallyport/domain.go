package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

func newDomainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "domain", Short: "Active Directory domains: add, list, edit, remove, try, synchronise",
		Long: `Run these on an appliance. A running appliance takes a change within a second or two, without a restart.
DOMAIN is a domain's DNS name, NetBIOS name or id.`,
	}
	c.AddCommand(newDomainAdd(), newDomainList(), newDomainEdit(), newDomainRemove(), newDomainTry(), newDomainSync())
	return c
}

// domainDesk is the administration of domains for somebody at this appliance's terminal.
type domainDesk struct{ *desk }

// withDomains opens the appliance's administration for f.
func (p *place) withDomains(c *cobra.Command, f func(context.Context, *domainDesk) error) error {
	return p.with(c, func(ctx context.Context, a *opened) error {
		quiet := slog.New(slog.DiscardHandler)
		d, err := appliance.OpenDirectory(ctx, a.store, 0, quiet)
		if err != nil {
			return err
		}
		defer d.Close()
		cfg := appliance.Administration(a.store, a.trust, a.ring)
		cfg.Domains, cfg.Synchroniser = d, atOnce{appliance.NewSynchroniser(a.store, d, "command-"+sallyport.NewID(), quiet)}
		s, err := admin.New(cfg)
		if err != nil {
			return err
		}
		return f(ctx, &domainDesk{&desk{s, atTerminal()}})
	})
}

// atOnce synchronises while the command runs, since nothing of it is left afterwards.
type atOnce struct{ *usersync.Service }

func (a atOnce) Start(ctx context.Context, d sallyport.DomainID, kind sallyport.SynchronisationKind, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	return a.Synchronise(ctx, d, kind, actor)
}

func (a atOnce) Confirm(ctx context.Context, d sallyport.DomainID, id string, actor sallyport.Actor) (sallyport.Synchronisation, error) {
	return a.ConfirmNow(ctx, d, id, actor)
}

// find returns the domain that a word means.
func (d *domainDesk) find(ctx context.Context, word string) (sallyport.Domain, error) {
	list, err := d.Domains(ctx, d.actor)
	if err != nil {
		return sallyport.Domain{}, err
	}
	for _, s := range list {
		if string(s.Domain.ID) == word || strings.EqualFold(s.Domain.Name, word) || strings.EqualFold(s.Domain.NetBIOS, word) {
			return s.Domain, nil
		}
	}
	return sallyport.Domain{}, sallyport.Errorf(sallyport.CodeNotFound, fmt.Sprintf("There is no domain %q. 'sallyport domain list' shows them.", word), nil)
}

// complete offers the domains, as far as the appliance's things can be opened.
func (p *place) completeDomain(c *cobra.Command, args []string, _ string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		_ = p.withDomains(c, func(ctx context.Context, d *domainDesk) error {
			list, err := d.Domains(ctx, d.actor)
			for _, s := range list {
				out = append(out, cobra.CompletionWithDesc(s.Domain.Name, s.Domain.NetBIOS))
			}
			return err
		})
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// described is what a person says of a domain.
type described struct {
	name, netbios, authority, bindName, passwordFile, base string
	servers, suffixes, ous, groups                         []string
	every                                                  time.Duration
	untried                                                bool
}

func (v *described) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&v.servers, "server", nil, "domain controller, in the order in which they are asked: ldaps://HOST[:PORT], or ldap://HOST[:PORT] for StartTLS; may be given more than once")
	f.StringVar(&v.authority, "ca", "", "PEM file with the authority of the controllers' certificates (default: the system's)")
	f.StringVar(&v.bindName, "bind-name", "", "the service account: a DN or a UPN")
	f.StringVar(&v.passwordFile, "bind-password-file", "", "file with the service account's password, - for standard input")
	f.StringVar(&v.base, "base", "", "DN below which users are (default: the whole domain)")
	f.StringArrayVar(&v.suffixes, "upn-suffix", nil, "further suffix under which a sAMAccountName is a log-in name; may be given more than once")
	f.StringArrayVar(&v.ous, "ou", nil, "synchronise users below this OU only; may be given more than once, and with --group")
	f.StringArrayVar(&v.groups, "group", nil, "synchronise members of this group only, nested ones included; may be given more than once")
	f.DurationVar(&v.every, "every", time.Hour, "time between two synchronisations; 0 for on demand only")
	f.StringVar(&v.name, "name", "", "the domain's DNS name (default: what the directory says)")
	f.StringVar(&v.netbios, "netbios-name", "", "the domain's NetBIOS name (default: what the directory says)")
	_ = c.MarkFlagFilename("ca", "pem", "crt", "cer")
	_ = c.MarkFlagFilename("bind-password-file")
}

// untriedFlag is for saving what cannot be reached.
func (v *described) untriedFlag(c *cobra.Command) {
	c.Flags().BoolVar(&v.untried, "untried", false, "save it without asking the directory; needs --name and --netbios-name")
}

// apply changes what was given.
func (v *described) apply(c *cobra.Command, d *sallyport.Domain) error {
	given := c.Flags().Changed
	for flag, set := range map[string]func(){
		"server": func() { d.Servers = v.servers }, "bind-name": func() { d.BindName = v.bindName }, "base": func() { d.Base = v.base },
		"upn-suffix": func() { d.UPNSuffixes = v.suffixes }, "every": func() { d.Every = v.every },
		"name": func() { d.Name = v.name }, "netbios-name": func() { d.NetBIOS = v.netbios },
	} {
		if given(flag) || d.Version == 0 {
			set()
		}
	}
	if given("ou") || given("group") {
		d.Scope = nil
		for _, dn := range v.ous {
			d.Scope = append(d.Scope, sallyport.DirectoryObject{Kind: sallyport.ObjectOU, DN: dn})
		}
		for _, dn := range v.groups {
			d.Scope = append(d.Scope, sallyport.DirectoryObject{Kind: sallyport.ObjectGroup, DN: dn})
		}
		d.Scope = slices.DeleteFunc(d.Scope, func(o sallyport.DirectoryObject) bool { return o.DN == "" }) // --ou "" ends the limit
	}
	if given("ca") {
		text, err := authorityFile(v.authority)
		if err != nil {
			return err
		}
		d.Authority = text
	}
	return v.password(c, d)
}

// maxAuthorityFile bounds a file with certificates, in octets.
const maxAuthorityFile = 32 << 10

// authorityFile reads certificates; "" for no file is the system's authorities.
func authorityFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("read authority: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxAuthorityFile+1))
	if err != nil {
		return "", fmt.Errorf("read authority: %w", err)
	}
	if len(text) > maxAuthorityFile {
		return "", fmt.Errorf("read authority: %s has more than %d octets", name, maxAuthorityFile)
	}
	return string(text), nil
}

func (v *described) password(c *cobra.Command, d *sallyport.Domain) (err error) {
	switch v.passwordFile {
	case "":
	case "-":
		var line string
		line, err = readLine(c.InOrStdin())
		d.BindPassword = sallyport.Secret(line)
	default:
		d.BindPassword, err = secretFile(v.passwordFile)
	}
	return err
}

func newDomainAdd() *cobra.Command {
	var p place
	var v described
	var o output
	c := &cobra.Command{
		Use: "add", Short: "Add a domain, once it was found to answer",
		Long: `Asks the directory first, and says what is wrong if something is. The service account needs no rights beyond
reading users and groups. A running appliance synchronises the domain at once, unless --every is 0.`,
		Example: `  sallyport domain add --server ldaps://dc1.hospital.example --server ldaps://dc2.hospital.example --ca domain-ca.pem \
      --bind-name svc-sallyport@hospital.example --bind-password-file password.txt --group "CN=VPN users,OU=Groups,DC=hospital,DC=example"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withDomains(c, func(ctx context.Context, d *domainDesk) error {
				var dom sallyport.Domain
				if err := v.apply(c, &dom); err != nil {
					return err
				}
				return v.save(ctx, c, &o, d, dom)
			})
		},
	}
	p.admin(c)
	v.flags(c)
	v.untriedFlag(c)
	o.flag(c)
	for _, name := range []string{"server", "bind-name", "bind-password-file"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

func (v *described) save(ctx context.Context, c *cobra.Command, o *output, d *domainDesk, dom sallyport.Domain) error {
	saved, err := d.PutDomain(ctx, d.actor, dom, v.untried)
	if err != nil {
		return fieldWords(err)
	}
	warn(c, saved.Found.Warnings)
	return o.print(c.OutOrStdout(), domainLine(saved.Domain), func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Saved %s (%s), id %s.\n", saved.Domain.Name, saved.Domain.NetBIOS, saved.Domain.ID)
	})
}

// fieldWords says what is wrong with the fields, for somebody who sees no form.
func fieldWords(err error) error {
	var f admin.FieldErrors
	if errors.As(err, &f) {
		return sallyport.Errorf(sallyport.CodeInvalid, f.Error(), nil)
	}
	return err
}
