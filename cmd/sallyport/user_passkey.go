package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func newUserPasskey() *cobra.Command {
	c := &cobra.Command{
		Use: "passkey", Short: "Passkeys of a user, enrolled at the gateway: list, remove",
		Example: `  sallyport user passkey list alice`,
	}
	c.AddCommand(newUserPasskeyList(), newUserPasskeyRemove())
	return c
}

// passkeyLine is a user's passkey for programs.
type passkeyLine struct {
	ID       sallyport.PasskeyID   `json:"id"`
	Account  sallyport.AccountName `json:"account"`
	Name     string                `json:"name"`
	Host     string                `json:"host"`
	Enrolled time.Time             `json:"enrolled"`
	LastUsed time.Time             `json:"lastUsed"`
	Copied   time.Time             `json:"copied"` // since when there may be a copy of it
}

func lineOfPasskey(p sallyport.Passkey) passkeyLine {
	return passkeyLine{p.ID, p.Account, p.Name, p.Host, p.Enrolled, p.Used, p.Copied}
}

func (l passkeyLine) state() string {
	if l.Copied.IsZero() {
		return "good"
	}
	return "copied"
}

func (l passkeyLine) words() string {
	text := fmt.Sprintf("%s for %s, enrolled %s", l.Name, l.Host, when(l.Enrolled))
	if !l.Copied.IsZero() {
		text += ", not taken since " + when(l.Copied) + ": there may be a copy of it"
	}
	return text + ", id " + string(l.ID)
}

func newUserPasskeyList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list USER", Short: "List the passkeys of a user, the newest first", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Long:    `One that is "copied" is not taken any more: its counter went back, so that there may be a copy of it.`,
		Example: `  sallyport user passkey list alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		passkeys, err := t.UserPasskeys(ctx, t.actor, u.ID)
		if err != nil {
			return err
		}
		return t.list([]string{"PASSKEY", "FOR", "STATE", "ENROLLED", "USED LAST", "ID"}, func(line func(any, ...string) error) error {
			for _, p := range passkeys {
				l := lineOfPasskey(p)
				if err := line(l, l.Name, l.Host, l.state(), when(l.Enrolled), when(l.LastUsed), string(l.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func userPasskeys() ofUser[sallyport.Passkey] {
	return ofUser[sallyport.Passkey]{what: "passkey", list: "sallyport user passkey list", read: (*admin.Service).UserPasskeys,
		names: func(p sallyport.Passkey) []string { return []string{string(p.ID), p.Name} },
		words: func(p sallyport.Passkey) string { return printable(p.Name) }}
}

func newUserPasskeyRemove() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "remove USER PASSKEY", Short: "Delete a passkey of a user; PASSKEY is its id or its name", Args: cobra.ExactArgs(2),
		Long:    `It opens nothing any more. The user enrols it, or another one, anew.`,
		Example: `  sallyport user passkey remove alice "Security key"`, ValidArgsFunction: userPasskeys().complete,
	}, func(ctx context.Context, t *task, args []string) error {
		u, p, err := userPasskeys().find(ctx, t.desk, args)
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Delete the passkey %q of %s? It opens nothing any more.", p.Name, u.Account)); !ok || err != nil {
			return err
		}
		if err := t.DeleteUserPasskey(ctx, t.actor, u.ID, p.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": p.ID, "removed": true}, "Removed.")
	}))
}
