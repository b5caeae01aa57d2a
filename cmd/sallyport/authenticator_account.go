package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/devicestore"
)

// accountView is an account as programs see it: nothing secret.
type accountView struct {
	User       string             `json:"user"`
	Enterprise string             `json:"enterprise"`
	Device     sallyport.DeviceID `json:"deviceId"`
	Name       string             `json:"name"`
	State      devicestore.State  `json:"state"`
	Added      time.Time          `json:"added"`
}

func viewAccount(acc devicestore.Account) accountView {
	return accountView{User: acc.User, Enterprise: acc.Enterprise, Device: acc.Device, Name: acc.Name, State: acc.State, Added: acc.Created}
}

func (a *deviceCommands) listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:               "list",
		Short:             "Show the accounts of this device",
		Args:              exactly(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			store, err := a.open()
			if err != nil {
				return err
			}
			all, err := store.Accounts()
			if err != nil {
				return err
			}
			views := []accountView{}
			for _, acc := range all {
				views = append(views, viewAccount(acc))
			}
			return a.out.print(c.OutOrStdout(), views, func(w io.Writer) { printAccounts(w, all) })
		},
	}
	a.out.flag(c)
	return c
}

func printAccounts(w io.Writer, all []devicestore.Account) {
	if len(all) == 0 {
		_, _ = fmt.Fprintln(w, "There is no account here yet. Add one with 'sallyport authenticator enrol LINK'.")
		return
	}
	_, _ = fmt.Fprintln(w, "USER\tENTERPRISE\tDEVICE\tNAME\tSTATE\tADDED")
	for _, acc := range all {
		user, enterprise := printable(acc.User), printable(acc.Enterprise)
		if acc.State != devicestore.Ready {
			user, enterprise = "-", "-"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", user, enterprise, acc.Short(), printable(acc.Name), acc.State, acc.Created.Local().Format(time.DateOnly))
	}
}

type codeView struct {
	User       string `json:"user"`
	Enterprise string `json:"enterprise"`
	Code       string `json:"code"`
	Seconds    int    `json:"secondsLeft"`
}

func (a *deviceCommands) codeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "code [ACCOUNT]",
		Short: "Show the token code of an account, or of all",
		Long: `Shows the token code and how many seconds it is still shown. Works without a network. The clock of
this machine has to be right.`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeAccounts,
		RunE: func(c *cobra.Command, args []string) error {
			store, err := a.open()
			if err != nil {
				return err
			}
			accounts, err := a.ready(store, strings.Join(args, ""))
			if err != nil {
				return err
			}
			views, err := a.codes(accounts)
			if err != nil {
				return err
			}
			return a.out.print(c.OutOrStdout(), views, func(w io.Writer) {
				for _, v := range views {
					_, _ = fmt.Fprintf(w, "%s\t%d s left\t%s, %s\n", v.Code, v.Seconds, printable(v.User), printable(v.Enterprise))
				}
			})
		},
	}
	a.out.flag(c)
	return c
}

func (a *deviceCommands) codes(accounts []devicestore.Account) ([]codeView, error) {
	now := a.now()
	period := int64(deviceproto.CodePeriod / time.Second)
	var views []codeView
	for _, acc := range accounts {
		code, err := deviceproto.TokenCode(acc.Seed, now)
		if err != nil {
			return nil, err
		}
		views = append(views, codeView{User: acc.User, Enterprise: acc.Enterprise, Code: string(code), Seconds: int(period - now.Unix()%period)})
	}
	return views, nil
}

func (a *deviceCommands) removeCommand() *cobra.Command {
	var yes, local bool
	c := &cobra.Command{
		Use:   "remove ACCOUNT",
		Short: "Remove an account and its keys from this device",
		Long: `Removes an account and its keys from this device, after asking, and tells the token service to send
nothing here any more. To use the account again you need a new link from your company.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeAccounts,
		RunE: func(c *cobra.Command, args []string) error {
			store, err := a.open()
			if err != nil {
				return err
			}
			acc, err := a.account(store, args[0])
			if err != nil {
				return err
			}
			sure, err := confirm(c, yes, "Remove "+label(acc)+" from this device?")
			if err != nil || !sure {
				return err
			}
			return a.remove(c, store, acc, local)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&local, "local", false, "remove it here even when the token service cannot be told")
	a.out.flag(c)
	return c
}

func (a *deviceCommands) remove(c *cobra.Command, store *devicestore.Store, acc devicestore.Account, local bool) error {
	err := a.client(acc).Forget(c.Context())
	switch code := sallyport.ErrorCode(err); {
	case err == nil, code == sallyport.CodeDenied, code == sallyport.CodeNotFound: // told, or it knows no such device
	case local:
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "The token service was not told (%s). Tell your company.\n", sallyport.ErrorMessage(err))
	default:
		return sallyport.Errorf(code, "The token service could not be told, so nothing was removed. --local removes the account from this device all the same.", err)
	}
	if err := store.Remove(acc.Device); err != nil {
		return err
	}
	return a.out.print(c.OutOrStdout(), viewAccount(acc), func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Removed: %s.\n", label(acc))
	})
}
