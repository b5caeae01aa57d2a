package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/devicestore"
)

// deviceCommands is what the commands of the command-line device share.
type deviceCommands struct {
	dir  string
	old  bool // acts as an app without number matching
	out  output
	now  func() time.Time
	http *http.Client
}

// deviceTimeout bounds one request: the longest wait, and time for the answer.
const deviceTimeout = deviceproto.MaxWait + 15*time.Second

func newAuthenticatorCommand() *cobra.Command {
	a := &deviceCommands{now: time.Now, http: &http.Client{Timeout: deviceTimeout}}
	c := &cobra.Command{
		Use:   "authenticator",
		Short: "Be the phone: enrol, answer sign-ins, show token codes",
		Long: `A device on the command line, for people without a phone at hand, for trying things out and for
tests. It speaks the same protocol as the phone: its keys are made here and stay here, in one file
an account, readable by you alone.

Who can read the files can sign in in your name. Keep them on a machine that is yours.`,
		Example: `  sallyport authenticator enrol 'https://tokens.example.org/authenticator/#e=...'
  sallyport authenticator watch
  sallyport authenticator approve --number 42
  sallyport authenticator code`,
	}
	c.PersistentFlags().StringVar(&a.dir, "store", "", "folder of the accounts (default: sallyport-authenticator in your configuration folder)")
	_ = c.MarkPersistentFlagDirname("store")
	c.PersistentFlags().BoolVar(&a.old, "without-number-matching", false, "act as an app that is too old to ask for the number of a sign-in page")
	c.AddCommand(a.enrolCommand(), a.serialCommand(), a.listCommand(), a.codeCommand(), a.removeCommand(),
		a.pendingCommand(), a.watchCommand(), a.approveCommand(), a.denyCommand())
	return c
}

func (a *deviceCommands) open() (*devicestore.Store, error) {
	dir := a.dir
	if dir == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("find your configuration folder: %w; name one with --store", err)
		}
		dir = filepath.Join(base, "sallyport-authenticator")
	}
	return devicestore.Open(dir)
}

func (a *deviceCommands) client(acc devicestore.Account) *deviceproto.Client {
	return &deviceproto.Client{Base: acc.Base, Tenant: acc.Tenant, Key: acc.Key, HTTP: a.http, Now: a.now}
}

// app is what this device says of its app.
func (a *deviceCommands) app() sallyport.App {
	return sallyport.App{Version: appVersion(), WithoutNumberMatching: a.old}
}

// tellApp says what this app is, in case that has changed. What comes of it shows at the next sign-in.
func (a *deviceCommands) tellApp(ctx context.Context, client *deviceproto.Client, acc devicestore.Account) {
	box, err := deviceproto.SealApp(acc.Key, acc.Details, a.app(), a.now())
	if err == nil {
		_ = client.SetApp(ctx, box) // told again the next time; an older service knows no such thing
	}
}

// account finds the one account that name means; with name "" the only one there is.
func (a *deviceCommands) account(store *devicestore.Store, name string) (devicestore.Account, error) {
	if name == "" {
		all, err := store.Accounts()
		if err != nil {
			return devicestore.Account{}, err
		}
		switch len(all) {
		case 0:
			return devicestore.Account{}, errNoAccount()
		case 1:
			return all[0], nil
		}
		return devicestore.Account{}, &usageError{errors.New("there are several accounts; name one ('sallyport authenticator list' shows them)")}
	}
	acc, err := store.Find(name)
	switch {
	case errors.Is(err, devicestore.ErrNotFound):
		return acc, sallyport.Errorf(sallyport.CodeNotFound, fmt.Sprintf("There is no account %q here. 'sallyport authenticator list' shows them.", name), nil)
	case errors.Is(err, devicestore.ErrAmbiguous):
		return acc, &usageError{fmt.Errorf("several accounts are called %q; use user@enterprise or the beginning of the device number", name)}
	}
	return acc, err
}

// ready returns the accounts that can answer: all, or the one that name means.
func (a *deviceCommands) ready(store *devicestore.Store, name string) ([]devicestore.Account, error) {
	if name != "" {
		acc, err := a.account(store, name)
		if err != nil {
			return nil, err
		}
		if acc.State != devicestore.Ready {
			return nil, errWaiting(acc)
		}
		return []devicestore.Account{acc}, nil
	}
	all, err := store.Accounts()
	if err != nil {
		return nil, err
	}
	var out []devicestore.Account
	for _, acc := range all {
		if acc.State == devicestore.Ready {
			out = append(out, acc)
		}
	}
	if len(out) == 0 {
		return nil, errNoAccount()
	}
	return out, nil
}

func errNoAccount() error {
	return sallyport.Errorf(sallyport.CodeNotFound, "There is no account here yet. Add one with 'sallyport authenticator enrol LINK'.", nil)
}

func errWaiting(acc devicestore.Account) error {
	return sallyport.Errorf(sallyport.CodeNotFound,
		fmt.Sprintf("Your company has not accepted %s yet. Run 'sallyport authenticator enrol' with its link again.", label(acc)), nil)
}

// label names an account to a person.
func label(acc devicestore.Account) string {
	if acc.State != devicestore.Ready {
		return "new account " + acc.Short()
	}
	return printable(acc.User) + ", " + printable(acc.Enterprise)
}

// printable keeps what came from outside from moving the cursor or turning the direction of writing.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r <= 0x9f, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return ' '
		}
		return r
	}, s)
}

// completeAccounts offers the names of the accounts as the first argument.
func (a *deviceCommands) completeAccounts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	store, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	all, err := store.Accounts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, acc := range all {
		name := acc.Short()
		if acc.State == devicestore.Ready {
			name = acc.User + "@" + acc.Enterprise
		}
		names = append(names, cobra.CompletionWithDesc(name, acc.Name))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *deviceCommands) accountFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "account", "", "only this account: user, user@enterprise, or the beginning of the device number")
	_ = c.RegisterFlagCompletionFunc("account", func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.completeAccounts(c, nil, word)
	})
}

// atMost says how a command was called wrongly in this program's own words and exit code.
func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := cobra.MaximumNArgs(n)(c, args); err != nil {
			return &usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
		}
		return nil
	}
}

func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(c, args); err != nil {
			return &usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
		}
		return nil
	}
}

// askLine asks the person at the terminal and returns the line. When ctx ends first the read is left
// to end with the process: a terminal cannot be made to stop reading.
func askLine(ctx context.Context, c *cobra.Command, question string) (string, error) {
	_, _ = fmt.Fprint(c.ErrOrStderr(), question)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 256)).ReadString('\n')
		read <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-read:
		if l.err != nil && (l.text == "" || !errors.Is(l.err, io.EOF)) {
			_, _ = fmt.Fprintln(c.ErrOrStderr())
			return "", fmt.Errorf("read your answer: %w", l.err)
		}
		return l.text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
