package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

type rememberedLine struct {
	ID         sallyport.RememberedID `json:"id"`
	Browser    string                 `json:"browser"`
	Place      string                 `json:"place"`
	LastPlace  string                 `json:"lastPlace"`
	Remembered time.Time              `json:"remembered"`
	LastUsed   time.Time              `json:"lastUsed"`
	Until      time.Time              `json:"until"`
}

func lineOfRemembered(d admin.Remembered) rememberedLine {
	return rememberedLine{d.ID, cmp.Or(d.Browser, "a browser"), d.Place, d.LastPlace, d.Made, d.LastUsed, d.Until}
}

func (l rememberedLine) words() string {
	return fmt.Sprintf("%s, remembered %s from %s, until %s, id %s", l.Browser, when(l.Remembered), l.Place, when(l.Until), l.ID)
}

func newUserRemembered() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "remembered USER", Short: "List the browsers that may skip the second factor for a user, the newest first", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Example: `  sallyport user remembered alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		devices, err := t.RememberedDevices(ctx, t.actor, u.ID)
		if err != nil {
			return err
		}
		return t.list([]string{"BROWSER", "FROM", "REMEMBERED", "USED LAST", "UNTIL", "ID"}, func(line func(any, ...string) error) error {
			for _, d := range devices {
				l := lineOfRemembered(d)
				if err := line(l, l.Browser, l.Place, when(l.Remembered), when(l.LastUsed), when(l.Until), string(l.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func userBrowsers() ofUser[admin.Remembered] {
	return ofUser[admin.Remembered]{what: "remembered device", list: "sallyport user remembered", read: (*admin.Service).RememberedDevices,
		names: func(d admin.Remembered) []string { return []string{string(d.ID)} },
		words: func(d admin.Remembered) string { return printable(lineOfRemembered(d).Browser) }}
}

func newUserForget() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "forget USER DEVICE", Short: "Make one remembered browser of a user ask for the second factor again; DEVICE is its id", Args: cobra.ExactArgs(2),
		Long:    `It asks at its next login, whatever else it has kept. Then the user can have it remembered anew. "sallyport user require-2fa" forgets them all.`,
		Example: `  sallyport user forget alice 3q2-7wAAAAAAAAAAAAAAAA`, ValidArgsFunction: userBrowsers().complete,
	}, func(ctx context.Context, t *task, args []string) error {
		u, d, err := userBrowsers().find(ctx, t.desk, args)
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Forget %s of %s? It asks for the second factor again.", lineOfRemembered(d).Browser, u.Account)); !ok || err != nil {
			return err
		}
		if err := t.DeleteRememberedDevice(ctx, t.actor, u.ID, d.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": d.ID, "forgotten": true}, "Forgotten.")
	}))
}
