package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func newUserPhone() *cobra.Command {
	c := &cobra.Command{
		Use: "phone", Short: "Phone numbers of a user, where codes are sent by text message: list, add, remove",
		Long:    `Numbers are shown by their last two digits.`,
		Example: `  sallyport user phone list alice`,
	}
	c.AddCommand(newUserPhoneList(), newUserPhoneAdd(), newUserPhoneRemove())
	return c
}

// phoneLine is a phone number for programs.
type phoneLine struct {
	ID       sallyport.PhoneID     `json:"id"`
	Account  sallyport.AccountName `json:"account"`
	Tail     string                `json:"lastDigits"`
	Enrolled time.Time             `json:"enrolled"`
}

func lineOfPhone(p sallyport.Phone) phoneLine {
	return phoneLine{p.ID, p.Account, p.Number.Tail(), p.Enrolled}
}

func newUserPhoneList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list USER", Short: "List the phone numbers of a user, the newest first", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Example: `  sallyport user phone list alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		phones, err := t.Phones(ctx, t.actor, u.ID)
		if err != nil {
			return err
		}
		return t.list([]string{"ENDS IN", "ENROLLED", "ID"}, func(line func(any, ...string) error) error {
			for _, p := range phones {
				if err := line(lineOfPhone(p), p.Number.Tail(), when(p.Enrolled), string(p.ID)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newUserPhoneAdd() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "add USER NUMBER", Short: "Add a phone number for a user: codes are sent there", Args: cobra.ExactArgs(2), ValidArgsFunction: firstArg(completeUser()),
		Long: `Make sure whose phone it is. A number without its country is read as of the country in the SMS settings.
A user may have five.`,
		Example: `  sallyport user phone add alice "+44 7700 900123"`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		p, err := t.AddPhone(ctx, t.actor, u.ID, args[1])
		if err != nil {
			return fieldWords(err)
		}
		return t.done(lineOfPhone(p), "Added: the number that ends in %s.", p.Number.Tail())
	})
}

func userPhones() ofUser[sallyport.Phone] {
	return ofUser[sallyport.Phone]{what: "phone number", list: "sallyport user phone list", read: (*admin.Service).Phones,
		names: func(p sallyport.Phone) []string { return []string{string(p.ID), p.Number.Tail()} },
		words: func(p sallyport.Phone) string { return "ends in " + p.Number.Tail() }}
}

func newUserPhoneRemove() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "remove USER PHONE", Short: "Delete a phone number of a user; PHONE is its id or its last two digits", Args: cobra.ExactArgs(2),
		Long:    `No codes are sent there any more. The user enrols it, or another one, anew.`,
		Example: `  sallyport user phone remove alice 23`, ValidArgsFunction: userPhones().complete,
	}, func(ctx context.Context, t *task, args []string) error {
		u, p, err := userPhones().find(ctx, t.desk, args)
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Delete the phone number of %s that ends in %s? No codes are sent there any more.", u.Account, p.Number.Tail())); !ok || err != nil {
			return err
		}
		if err := t.DeletePhone(ctx, t.actor, u.ID, p.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"id": p.ID, "removed": true}, "Removed.")
	}))
}
