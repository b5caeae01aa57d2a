package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func lineOfDevice(d sallyport.Device) deviceLine {
	return deviceLine{d.ID, d.Account, d.Name, d.Platform, d.Enrolled}
}

func writeDevices(w io.Writer, list []deviceLine) {
	for _, d := range list {
		_, _ = fmt.Fprintf(w, "Device:\t%s\n", printable(fmt.Sprintf("%s (%s), enrolled %s, id %s", d.Name, d.Platform, when(d.Enrolled), d.ID)))
	}
}

func newUserDevices() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "devices USER", Short: "List the devices of a user, the newest first", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Example: `  sallyport user devices alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		devices, err := t.Devices(ctx, t.actor, u.ID)
		if err != nil {
			return err
		}
		return t.list([]string{"DEVICE", "KIND", "APP", "ENROLLED", "ID"}, func(line func(any, ...string) error) error {
			for _, d := range devices {
				version := cmp.Or(d.App.Version, "-")
				if d.App.WithoutNumberMatching {
					version += " (cannot match numbers)"
				}
				if err := line(lineOfDevice(d), d.Name, d.Platform, version, when(d.Enrolled), string(d.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func userDevices() ofUser[sallyport.Device] {
	return ofUser[sallyport.Device]{what: "device", list: "sallyport user devices", read: (*admin.Service).Devices,
		names: func(d sallyport.Device) []string { return []string{string(d.ID), d.Name} },
		words: func(d sallyport.Device) string { return printable(d.Name) }}
}

func newUserRemoveDevice() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "remove-device USER DEVICE", Short: "Delete a device that its user has lost; DEVICE is its id or its name", Args: cobra.ExactArgs(2),
		Long:    `It can approve nothing any more, and its token codes end. The user enrols it, or another one, anew.`,
		Example: `  sallyport user remove-device alice "Alice's iPhone"`, ValidArgsFunction: userDevices().complete,
	}, func(ctx context.Context, t *task, args []string) error {
		u, d, err := userDevices().find(ctx, t.desk, args)
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Delete the device %s of %s? It can approve nothing any more.", d.Name, u.Account)); !ok || err != nil {
			return err
		}
		if err := t.DeleteDevice(ctx, t.actor, u.ID, d.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": d.ID, "removed": true}, "Removed.")
	}))
}
