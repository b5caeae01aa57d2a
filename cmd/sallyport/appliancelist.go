package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// applianceLine is an appliance for programs.
type applianceLine struct {
	ID      sallyport.ApplianceID `json:"id"`
	Name    string                `json:"name"`
	Version string                `json:"version"`
	Site    sallyport.SiteID      `json:"site"`
	State   string                `json:"state"`
	Heard   string                `json:"heard"`
	Streams []string              `json:"streams"`
	Trouble string                `json:"trouble"`
	RADIUS  string                `json:"radius"`
	Advice  []string              `json:"advice"`
}

func lineOfAppliance(a admin.ApplianceStatus) applianceLine {
	l := applianceLine{a.ID, a.Name, a.Version, a.Site, "connected", when(a.Heard), []string{}, a.Trouble, a.RADIUS, []string{}}
	for _, s := range a.Streams {
		l.Streams = append(l.Streams, s.Replica)
	}
	for _, v := range a.Advice {
		l.Advice = append(l.Advice, v.Text)
	}
	switch {
	case a.Silent:
		l.State = "silent"
	case len(a.Streams) == 0:
		l.State = "not connected"
	case len(a.Advice) > 0:
		l.State = "needs attention"
	}
	return l
}

func (d *desk) appliance(ctx context.Context, word string) (admin.ApplianceStatus, error) {
	c, err := d.Appliances(ctx, d.actor)
	if err != nil {
		return admin.ApplianceStatus{}, err
	}
	return lookUp(c.Appliances, "appliance", "sallyport appliance list", word, func(a admin.ApplianceStatus) []string { return []string{string(a.ID), a.Name} })
}

func completeAppliance() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		c, err := d.Appliances(ctx, d.actor)
		for _, a := range c.Appliances {
			out = append(out, cobra.CompletionWithDesc(string(a.ID), printable(a.Name)))
		}
		return out, err
	})
}

func newApplianceList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list", Short: "List the appliances of the enterprise, and how each is doing", Args: cobra.NoArgs, Example: `  sallyport appliance list`,
	}, func(ctx context.Context, t *task, _ []string) error {
		c, err := t.Appliances(ctx, t.actor)
		if err != nil {
			return err
		}
		return t.list([]string{"APPLIANCE", "SITE", "STATE", "LAST HEARD", "VERSION", "ADVICE", "ID"}, func(line func(any, ...string) error) error {
			for _, a := range c.Appliances {
				l := lineOfAppliance(a)
				if err := line(l, l.Name, orNone(a.SiteName), l.State, l.Heard, l.Version, orNone(strings.Join(l.Advice, " ")), string(l.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newApplianceRename() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "rename APPLIANCE NAME", Short: "Give an appliance a name; an empty one is that of its host again", Args: cobra.ExactArgs(2), ValidArgsFunction: firstArg(completeAppliance()),
		Long:    `It is what people see in lists. APPLIANCE is its id, or its name so far.`,
		Example: `  sallyport appliance rename ap-1.hospital.example "Cellar, left"`,
	}, func(ctx context.Context, t *task, args []string) error {
		a, err := t.appliance(ctx, args[0])
		if err != nil {
			return err
		}
		if err := t.RenameAppliance(ctx, t.actor, a.ID, args[1]); err != nil {
			return fieldWords(err)
		}
		if a, err = t.appliance(ctx, string(a.ID)); err != nil {
			return err
		}
		return t.done(lineOfAppliance(a), "It is called %s now.", a.Name)
	})
}

func newApplianceRemove() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "remove APPLIANCE", Short: "Take an appliance that is gone for good off the list", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeAppliance()),
		Long: `One that still runs is back within seconds. The certificate that it shows to the cloud stays good: have the operator of the cloud end it,
with 'sallyport enterprise revoke'.`,
		Example: `  sallyport appliance remove ap-1.hospital.example`,
	}, func(ctx context.Context, t *task, args []string) error {
		a, err := t.appliance(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Take the appliance %s off the list?", a.Name)); !ok || err != nil {
			return err
		}
		if err := t.RemoveAppliance(ctx, t.actor, a.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": a.ID, "removed": true}, "Removed.")
	}))
}
