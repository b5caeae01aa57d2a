package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

// shownDomain is a domain for programs.
type shownDomain struct {
	ID          sallyport.DomainID          `json:"id"`
	Name        string                      `json:"name"`
	NetBIOS     string                      `json:"netbios"`
	Servers     []string                    `json:"servers"`
	BindName    string                      `json:"bindName"`
	Base        string                      `json:"base"`
	UPNSuffixes []string                    `json:"upnSuffixes"`
	Scope       []sallyport.DirectoryObject `json:"scope"`
	Every       string                      `json:"every"`
	Users       int                         `json:"users"`
	Enrolled    int                         `json:"enrolled"`
	Problem     string                      `json:"problem,omitempty"`
	Last        *shownRun                   `json:"lastSynchronisation,omitempty"`
	Next        *time.Time                  `json:"nextSynchronisation,omitempty"`
}

// shownRun is a synchronisation for programs.
type shownRun struct {
	ID      string                         `json:"id"`
	Kind    sallyport.SynchronisationKind  `json:"kind"`
	State   sallyport.SynchronisationState `json:"state"`
	Started time.Time                      `json:"started"`
	Ended   *time.Time                     `json:"ended,omitempty"`
	By      string                         `json:"by"`
	Read    int                            `json:"read"`
	Added   int                            `json:"added"`
	Changed int                            `json:"changed"`
	Removed int                            `json:"removed"`
	Message string                         `json:"message,omitempty"`
}

func domainLine(d sallyport.Domain) shownDomain {
	return shownDomain{ID: d.ID, Name: d.Name, NetBIOS: d.NetBIOS, Servers: d.Servers, BindName: d.BindName, Base: d.Base,
		UPNSuffixes: d.UPNSuffixes, Scope: d.Scope, Every: d.Every.String()}
}

func statusLine(s admin.DomainStatus) shownDomain {
	l := domainLine(s.Domain)
	l.Users, l.Enrolled, l.Problem = s.Users, s.Enrolled, s.Problem
	if s.Last.ID != "" {
		l.Last = runLine(s.Last)
	}
	if s.Scheduled && !s.Next.IsZero() {
		l.Next = &s.Next
	}
	return l
}

func runLine(y sallyport.Synchronisation) *shownRun {
	r := &shownRun{ID: y.ID, Kind: y.Kind, State: y.State, Started: y.Started, By: y.By,
		Read: y.Read, Added: y.Added, Changed: y.Changed, Removed: y.Removed, Message: y.Message}
	if !y.Ended.IsZero() {
		r.Ended = &y.Ended
	}
	return r
}

func newDomainList() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "list", Short: "List the domains, with their users and synchronisations", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withDomains(c, func(ctx context.Context, d *domainDesk) error {
				list, err := d.Domains(ctx, d.actor)
				if err != nil {
					return err
				}
				lines := make([]shownDomain, 0, len(list))
				for _, s := range list {
					lines = append(lines, statusLine(s))
				}
				return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
					_, _ = fmt.Fprintln(w, "DOMAIN\tNETBIOS\tUSERS\tENROLLED\tANSWERS\tLAST SYNCHRONISATION\tNEXT\tID")
					for _, s := range list {
						_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", s.Domain.Name, s.Domain.NetBIOS, s.Users, s.Enrolled,
							yesNo(s.Problem == ""), lastWords(s.Last), nextWords(s), s.Domain.ID)
					}
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func lastWords(y sallyport.Synchronisation) string {
	if y.ID == "" {
		return "never"
	}
	return fmt.Sprintf("%s %s", when(y.Started), y.State)
}

func nextWords(s admin.DomainStatus) string {
	switch {
	case !s.Scheduled:
		return "on demand"
	case s.Next.IsZero():
		return "at once"
	}
	return when(s.Next)
}

func newDomainEdit() *cobra.Command {
	var p place
	var v described
	var o output
	c := &cobra.Command{
		Use: "edit DOMAIN", Short: "Change a domain; what is not given stays as it is",
		Long:    `Asks the directory before it saves. With another server, authority or account, the password is needed again.`,
		Example: `  sallyport domain edit hospital.example --ou "" --group "" --every 30m`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: p.completeDomain,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withDomains(c, func(ctx context.Context, d *domainDesk) error {
				dom, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
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
	return c
}

func newDomainRemove() *cobra.Command {
	var p place
	var yes bool
	c := &cobra.Command{
		Use: "remove DOMAIN", Short: "Remove a domain: none of its users logs in any more", Args: cobra.ExactArgs(1), ValidArgsFunction: p.completeDomain,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withDomains(c, func(ctx context.Context, d *domainDesk) error {
				dom, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				if ok, err := confirm(c, yes, fmt.Sprintf("Remove %s? None of its users can log in any more.", dom.Name)); !ok || err != nil {
					return err
				}
				if err := d.DeleteDomain(ctx, d.actor, dom.ID, dom.Version); err != nil {
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

func newDomainTry() *cobra.Command {
	var p place
	var v described
	var o output
	c := &cobra.Command{
		Use: "try [DOMAIN]", Short: "Ask a domain whether it can be used, and change nothing",
		Long:    `Asks a domain as it is, or as it would be with what is given; without DOMAIN one that is not added yet.`,
		Example: `  sallyport domain try --server ldaps://dc1.hospital.example --bind-name svc@hospital.example --bind-password-file password.txt`,
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: p.completeDomain,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withDomains(c, func(ctx context.Context, d *domainDesk) (err error) {
				var dom sallyport.Domain
				if len(args) == 1 {
					if dom, err = d.find(ctx, args[0]); err != nil {
						return err
					}
				}
				if err := v.apply(c, &dom); err != nil {
					return err
				}
				found, err := d.TryDomain(ctx, d.actor, dom)
				if err != nil {
					return fieldWords(err)
				}
				warn(c, found.Warnings)
				return o.print(c.OutOrStdout(), shownFound(found), func(w io.Writer) { writeFound(w, found) })
			})
		},
	}
	p.admin(c)
	v.flags(c)
	o.flag(c)
	return c
}

func shownFound(f directory.Found) map[string]any {
	return map[string]any{"name": f.DNSName, "netbios": f.NetBIOS, "base": f.Base, "pdcEmulator": f.PDC, "warnings": f.Warnings,
		"lockout": map[string]any{"threshold": f.Lockout.Threshold, "duration": f.Lockout.Duration.String(), "window": f.Lockout.Window.String()}}
}

func writeFound(w io.Writer, f directory.Found) {
	_, _ = fmt.Fprintf(w, "Domain:\t%s (%s)\nUsers below:\t%s\n", f.DNSName, f.NetBIOS, f.Base)
	if f.Lockout.Threshold == 0 {
		_, _ = fmt.Fprintln(w, "Lockout:\tnever")
		return
	}
	howLong := "until an administrator unlocks it"
	if f.Lockout.Duration > 0 {
		howLong = fmt.Sprintf("for %v", f.Lockout.Duration)
	}
	_, _ = fmt.Fprintf(w, "Lockout:\tafter %d wrong passwords, %s\n", f.Lockout.Threshold, howLong)
}

func newDomainSync() *cobra.Command {
	var p place
	var o output
	var full, preview bool
	var confirmed string
	c := &cobra.Command{
		Use: "sync DOMAIN", Short: "Synchronise a domain's users now, or see what that would do",
		Long: `Reads what changed since the last synchronisation (--full: everything), and waits for the end. One that would
remove more than a tenth of the users, and more than five, changes nothing and asks: look at it with --preview,
and let it go on with --confirm and its id.`,
		Example: `  sallyport domain sync hospital.example --preview
  sallyport domain sync hospital.example`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: p.completeDomain,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withDomains(c, func(ctx context.Context, d *domainDesk) error {
				dom, err := d.find(ctx, args[0])
				if err != nil {
					return err
				}
				if preview {
					return showPreview(ctx, c, &o, d, dom)
				}
				kind := sallyport.SynchroniseChanges
				if full {
					kind = sallyport.SynchroniseFull
				}
				var y sallyport.Synchronisation
				if confirmed != "" {
					y, err = d.ConfirmSynchronisation(ctx, d.actor, dom.ID, confirmed)
				} else {
					y, err = d.Synchronise(ctx, d.actor, dom.ID, kind)
				}
				if err != nil {
					return err
				}
				return showRun(c, &o, y)
			})
		},
	}
	p.admin(c)
	o.flag(c)
	c.Flags().BoolVar(&full, "full", false, "read everything")
	c.Flags().BoolVar(&preview, "preview", false, "show what a full synchronisation would do, and change nothing")
	c.Flags().StringVar(&confirmed, "confirm", "", "id of a synchronisation that asks: remove the users it asked about")
	c.MarkFlagsMutuallyExclusive("full", "preview", "confirm")
	return c
}

func showRun(c *cobra.Command, o *output, y sallyport.Synchronisation) error {
	if err := o.print(c.OutOrStdout(), runLine(y), func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%d read: %d added, %d changed, %d removed.\n", y.Read, y.Added, y.Changed, y.Removed)
		if y.State == sallyport.SynchronisationDone && y.Message != "" {
			_, _ = fmt.Fprintln(w, y.Message)
		}
	}); err != nil {
		return err
	}
	switch y.State {
	case sallyport.SynchronisationDone:
		return nil
	case sallyport.SynchronisationAsks:
		return sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf("%s To confirm: sallyport domain sync DOMAIN --confirm %s", y.Message, y.ID), nil)
	}
	return sallyport.Errorf(sallyport.CodeUnavailable, y.Message, nil)
}

// previewed is how many users of each kind a preview shows.
const previewed = 50

func showPreview(ctx context.Context, c *cobra.Command, o *output, d *domainDesk, dom sallyport.Domain) error {
	v, err := d.PreviewSynchronisation(ctx, d.actor, dom.ID, previewed)
	if err != nil {
		return err
	}
	return o.print(c.OutOrStdout(), map[string]any{"run": runLine(v.Run), "asks": v.Asks,
		"added": v.Added, "changed": v.Changed, "removed": v.Removed}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%d users read: %d would be added, %d changed, %d removed.\n", v.Run.Read, v.Run.Added, v.Run.Changed, v.Run.Removed)
		for _, part := range []struct {
			what string
			list []usersync.Difference
		}{{"added", v.Added}, {"changed", v.Changed}, {"removed", v.Removed}} {
			for _, x := range part.list {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", part.what, x.Account, x.DisplayName, strings.Join(x.Fields, ", "))
			}
		}
		if v.Asks {
			_, _ = fmt.Fprintln(w, "So many would be removed that the synchronisation would ask first.")
		}
	})
}
