package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func newSiteCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "site", Short: "Sites: list, show, add, edit, remove",
		Long: `A site is a place of the enterprise with appliances of its own. One place with all appliances needs none. SITE is a site's name or id.`,
		Example: `  sallyport site add North --range 10.1.0.0/16 --appliance ap-north
  sallyport site edit North --primary South`,
	}
	c.AddCommand(newSiteList(), newSiteShow(), newSiteAdd(), newSiteEdit(), newSiteRemove())
	return c
}

// siteLine is a site for programs.
type siteLine struct {
	ID         sallyport.SiteID        `json:"id"`
	Name       string                  `json:"name"`
	Kind       sallyport.SiteKind      `json:"kind"`
	Ranges     []string                `json:"ranges"`
	Primary    sallyport.SiteID        `json:"primary"`
	Secondary  sallyport.SiteID        `json:"secondary"`
	Appliances []sallyport.ApplianceID `json:"appliances"`
	Version    int64                   `json:"version"`
}

func lineOfSite(x sallyport.Site) siteLine {
	l := siteLine{x.ID, x.Name, x.Kind, []string{}, x.Primary, x.Secondary, orEmpty(x.Appliances), x.Version}
	for _, p := range x.Ranges {
		l.Ranges = append(l.Ranges, p.String())
	}
	return l
}

// siteCells are what people see of a site: kind, ranges, appliances and failover sites.
func (t *task) siteCells(ctx context.Context) (func(sallyport.Site) [4]string, error) {
	sites, err := t.Sites(ctx, t.actor)
	if err != nil {
		return nil, err
	}
	c, err := t.Appliances(ctx, t.actor)
	if err != nil {
		return nil, err
	}
	names := byID(sites, func(x sallyport.Site) (sallyport.SiteID, string) { return x.ID, x.Name })
	hosts := byID(c.Appliances, func(a admin.ApplianceStatus) (sallyport.ApplianceID, string) { return a.ID, a.Name })
	return func(x sallyport.Site) [4]string {
		over := orNone(names[x.Primary])
		if x.Secondary != "" {
			over += ", then " + names[x.Secondary]
		}
		return [4]string{string(x.Kind), orNone(strings.Join(lineOfSite(x).Ranges, ", ")),
			orNone(strings.Join(each(x.Appliances, func(id sallyport.ApplianceID) string { return hosts[id] }), ", ")), over}
	}, nil
}

func (d *desk) site(ctx context.Context, word string) (sallyport.Site, error) {
	list, err := d.Sites(ctx, d.actor)
	if err != nil {
		return sallyport.Site{}, err
	}
	return lookUp(list, "site", "sallyport site list", word, func(x sallyport.Site) []string { return []string{string(x.ID), x.Name} })
}

func completeSite() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		list, err := d.Sites(ctx, d.actor)
		for _, x := range list {
			out = append(out, x.Name)
		}
		return out, err
	})
}

func newSiteList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list", Short: "List the sites, with the appliances that stand there", Args: cobra.NoArgs, Example: `  sallyport site list`,
	}, func(ctx context.Context, t *task, _ []string) error {
		list, err := t.Sites(ctx, t.actor)
		if err != nil {
			return err
		}
		cells, err := t.siteCells(ctx)
		if err != nil {
			return err
		}
		return t.list([]string{"SITE", "KIND", "RANGES", "APPLIANCES", "FAILS OVER TO", "ID"}, func(line func(any, ...string) error) error {
			for _, x := range list {
				c := cells(x)
				if err := line(lineOfSite(x), x.Name, c[0], c[1], c[2], c[3], string(x.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (t *task) showSite(ctx context.Context, x sallyport.Site) error {
	cells, err := t.siteCells(ctx)
	if err != nil {
		return err
	}
	c := cells(x)
	return t.facts(lineOfSite(x), [2]string{"Name", x.Name}, [2]string{"Id", string(x.ID)}, [2]string{"Kind", c[0]}, [2]string{"Address ranges", c[1]},
		[2]string{"Appliances", c[2]}, [2]string{"Fails over to", c[3]}, [2]string{"Version", strconv.FormatInt(x.Version, 10)})
}

func newSiteShow() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "show SITE", Short: "Show a site", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeSite()), Example: `  sallyport site show North`,
	}, func(ctx context.Context, t *task, args []string) error {
		x, err := t.site(ctx, args[0])
		if err != nil {
			return err
		}
		return t.showSite(ctx, x)
	})
}

// siteFlags are what a person says of a site.
type siteFlags struct {
	name, kind, primary, secondary string
	ranges, appliances             []string
}

func (f *siteFlags) flags(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.kind, "kind", string(sallyport.SiteActive), "active, or hot_standby: idle until another site fails over to it")
	s.StringArrayVar(&f.ranges, "range", nil, "network whose computers belong to the site, 10.1.0.0/16; several times for several, none: --range=")
	s.StringArrayVar(&f.appliances, "appliance", nil, "name or id of an appliance that stands there; several times for several, none: --appliance=")
	s.StringVar(&f.primary, "primary", "", "the site that takes over when no appliance of this one can be reached; empty: none")
	s.StringVar(&f.secondary, "secondary", "", "the site that takes over after that one; empty: none")
	completes(c, values(sallyport.SiteActive, sallyport.SiteStandby), "kind")
	completes(c, completeSite(), "primary", "secondary")
	completes(c, completeAppliance(), "appliance")
	completes(c, cobra.NoFileCompletions, "range")
}

// apply changes what was given.
func (f *siteFlags) apply(ctx context.Context, t *task, x *sallyport.Site) error {
	set(t, "name", &x.Name, f.name)
	set(t, "kind", &x.Kind, sallyport.SiteKind(strings.ReplaceAll(f.kind, "-", "_")))
	for flag, where := range map[string]*sallyport.SiteID{"primary": &x.Primary, "secondary": &x.Secondary} {
		if !t.given(flag) {
			continue
		}
		*where = ""
		if word := t.c.Flag(flag).Value.String(); word != "" {
			other, err := t.site(ctx, word)
			if err != nil {
				return err
			}
			*where = other.ID
		}
	}
	if t.given("range") {
		x.Ranges = nil
		for _, text := range f.ranges {
			if text == "" {
				continue
			}
			p, err := admin.ParseNetwork(text)
			if err != nil {
				return &usageError{fmt.Errorf("--range %s", sallyport.ErrorMessage(err))}
			}
			x.Ranges = append(x.Ranges, p)
		}
	}
	if t.given("appliance") {
		x.Appliances = nil
		for _, word := range f.appliances {
			if word == "" {
				continue
			}
			a, err := t.appliance(ctx, word)
			if err != nil {
				return err
			}
			x.Appliances = append(x.Appliances, a.ID)
		}
	}
	return nil
}

func (t *task) saveSite(ctx context.Context, x sallyport.Site) error {
	x, err := t.PutSite(ctx, t.actor, x)
	if err != nil {
		return fieldWords(err)
	}
	return t.showSite(ctx, x)
}

func newSiteAdd() *cobra.Command {
	var f siteFlags
	c := atDesk(&cobra.Command{
		Use: "add NAME", Short: "Add a site", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Long:    `An appliance belongs to one site: one of another site moves here.`,
		Example: `  sallyport site add North --range 10.1.0.0/16 --range 10.2.0.0/16 --appliance ap-north`,
	}, func(ctx context.Context, t *task, args []string) error {
		x := sallyport.Site{Name: args[0], Kind: sallyport.SiteActive}
		if err := f.apply(ctx, t, &x); err != nil {
			return err
		}
		return t.saveSite(ctx, x)
	})
	f.flags(c)
	return c
}

func newSiteEdit() *cobra.Command {
	var f siteFlags
	c := versioned(atDesk(&cobra.Command{
		Use: "edit SITE", Short: "Change a site; what is not given stays as it is", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeSite()),
		Long:    `Lists are replaced as a whole. An appliance belongs to one site: one of another site moves here.`,
		Example: `  sallyport site edit North --primary South --kind hot_standby`,
	}, func(ctx context.Context, t *task, args []string) error {
		if err := t.somethingGiven(); err != nil {
			return err
		}
		x, err := t.site(ctx, args[0])
		if err != nil {
			return err
		}
		if err := f.apply(ctx, t, &x); err != nil {
			return err
		}
		x.Version = t.seen(x.Version)
		return t.saveSite(ctx, x)
	}))
	c.Flags().StringVar(&f.name, "name", "", "another name")
	completes(c, cobra.NoFileCompletions, "name")
	f.flags(c)
	return c
}

func newSiteRemove() *cobra.Command {
	return asking(versioned(atDesk(&cobra.Command{
		Use: "remove SITE", Short: "Remove a site: its appliances belong to none then", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeSite()),
		Long:    `Users and gateways go on as they are. A site that another one fails over to cannot be removed.`,
		Example: `  sallyport site remove North`,
	}, func(ctx context.Context, t *task, args []string) error {
		x, err := t.site(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Remove the site %s? Its %s then belong to none.", x.Name, counted(len(x.Appliances), "appliance", "appliances"))); !ok || err != nil {
			return err
		}
		if err := t.DeleteSite(ctx, t.actor, x.ID, t.seen(x.Version)); err != nil {
			return err
		}
		return t.done(map[string]any{"id": x.ID, "removed": true}, "Removed.")
	})))
}
