package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	qrcode "github.com/skip2/go-qrcode"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newApplianceEnrol() *cobra.Command {
	var (
		p    place
		o    output
		user string
	)
	c := &cobra.Command{
		Use:   "enrol",
		Short: "Enrol a phone for a user, by QR code or link",
		Long: `Shows a QR code and a link for one user. Whoever opens it first enrols a phone for that user, so give it
to nobody else. It can be used once and ends after 30 minutes. The command waits until the phone has enrolled.`,
		Example: `  sallyport appliance enrol --user alice --config /etc/sallyport/appliance.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				account, err := accountOf(ctx, a, user)
				if err != nil {
					return err
				}
				return enrol(ctx, c, &o, a, account)
			})
		},
	}
	p.admin(c)
	o.flag(c)
	c.Flags().StringVar(&user, "user", "", "the user: alice, HOSPITAL\\alice or alice@hospital.example")
	_ = c.MarkFlagRequired("user")
	return c
}

// accountOf finds the account that a name means.
func accountOf(ctx context.Context, a *opened, user string) (sallyport.AccountName, error) {
	d, err := appliance.OpenDirectory(ctx, a.store, -1, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer d.Close()
	account, err := d.LookUp(ctx, user)
	return account.Name, err
}

func enrol(ctx context.Context, c *cobra.Command, o *output, a *opened, account sallyport.AccountName) (err error) {
	phones, err := devices.Dial(a.trust.TokenService, a.trust.TLS(""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, phones.Close()) }()
	e, err := phones.Invite(ctx, a.trust.Tenant, a.trust.EnterpriseName, account)
	if err != nil {
		return err
	}
	link := string(e.Link.Text())
	if err := o.print(c.OutOrStdout(), map[string]string{"user": string(account), "link": link, "enrolmentId": string(e.ID)}, func(w io.Writer) {
		if code, err := qrcode.New(link, qrcode.Low); err == nil {
			_, _ = fmt.Fprint(w, code.ToSmallString(false))
		}
		_, _ = fmt.Fprintf(w, "For %s, once, within %v:\n%s\n\nWaiting for the phone (Ctrl-C ends the invitation) ...\n", account, devices.LinkLife, link)
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, devices.LinkLife)
	defer cancel()
	if e.Attestation, err = attestation.ReadPolicy(ctx, a.store); err != nil {
		return err
	}
	d, err := phones.Await(ctx, e, time.Now, a.store.PutDevice)
	if err != nil {
		return err
	}
	return o.print(c.OutOrStdout(), map[string]string{"user": string(account), "deviceId": string(d.ID), "name": d.Name, "platform": d.Platform}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Enrolled: %s (%s) for %s.\n", d.Name, d.Platform, account)
	})
}

func newApplianceDevices() *cobra.Command {
	c := &cobra.Command{Use: "devices", Short: "List and remove enrolled phones"}
	c.AddCommand(newDevicesList(), newDevicesRemove())
	return c
}

// deviceLine is a device for programs, without its secrets.
type deviceLine struct {
	ID       sallyport.DeviceID    `json:"id"`
	Account  sallyport.AccountName `json:"account"`
	Name     string                `json:"name"`
	Platform string                `json:"platform"`
	Enrolled time.Time             `json:"enrolled"`
}

// devicesPage is how many devices are read at a time.
const devicesPage = 500

func newDevicesList() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "list", Short: "List the enrolled phones of all users", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c, func(ctx context.Context, a *opened) error {
				lines := []deviceLine{}
				for page := (store.DevicePage{Limit: devicesPage}); ; {
					list, err := a.store.AllDevices(ctx, page)
					if err != nil {
						return err
					}
					for _, d := range list {
						lines = append(lines, lineOfDevice(d))
					}
					if len(list) < devicesPage {
						break
					}
					last := list[len(list)-1]
					page.After = store.DeviceMark{Account: last.Account, ID: last.ID}
				}
				return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
					_, _ = fmt.Fprintln(w, "ACCOUNT\tNAME\tPLATFORM\tENROLLED\tID")
					for _, l := range lines {
						_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Account, l.Name, l.Platform, l.Enrolled.Format(time.DateTime), l.ID)
					}
				})
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}

func newDevicesRemove() *cobra.Command {
	var p place
	var yes bool
	c := &cobra.Command{
		Use: "remove DEVICE-ID", Short: "Remove a phone, as when it is lost", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c, func(ctx context.Context, a *opened) (err error) {
				d, err := a.store.Device(ctx, sallyport.DeviceID(args[0]))
				if err != nil {
					return err
				}
				if ok, err := confirm(c, yes, fmt.Sprintf("Remove %s of %s? It can approve nothing any more.", d.Name, d.Account)); !ok || err != nil {
					return err
				}
				if err := a.store.DeleteDevice(ctx, d.ID); err != nil {
					return err
				}
				phones, err := devices.Dial(a.trust.TokenService, a.trust.TLS(""))
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, phones.Close()) }()
				if err := phones.Remove(ctx, d.ID); err != nil {
					_, _ = fmt.Fprintln(c.ErrOrStderr(), "The token service could not be told; it keeps the phone's push address, of which no use is made.")
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

// confirm asks before what cannot be undone.
func confirm(c *cobra.Command, yes bool, question string) (bool, error) {
	if yes {
		return true, nil
	}
	_, _ = fmt.Fprint(c.ErrOrStderr(), question+" [y/N] ")
	line, err := readLine(c.InOrStdin())
	if err != nil {
		return false, err
	}
	if line != "y" && line != "yes" {
		_, err := fmt.Fprintln(c.ErrOrStderr(), "Nothing was changed.")
		return false, err
	}
	return true, nil
}
