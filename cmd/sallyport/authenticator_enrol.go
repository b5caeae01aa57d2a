package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/devicestore"
)

const (
	enrolWait    = 20 * time.Second // one request for the outcome
	retryPause   = 2 * time.Second
	maxLinkInput = 2048
)

func (a *deviceCommands) enrolCommand() *cobra.Command {
	var name string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "enrol LINK",
		Short: "Add an account with the link from your company",
		Long: `Adds an account with the link that your company gave you. Makes a key for it, tells the token
service, waits until your company has accepted this device, and shows whose account it is.

The link holds a secret. Give "-" to have it read from standard input: then it does not stand in the
history of your shell. Running the command again with the same link goes on where it stopped, and
makes no second device.`,
		Example: `  sallyport authenticator enrol 'https://tokens.example.org/authenticator/#e=...'
  sallyport authenticator enrol - --name "Alice's laptop" < link.txt`,
		Args:              exactly(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			link, err := readLink(c.InOrStdin(), args[0])
			if err != nil {
				return &usageError{err}
			}
			if name == "" {
				name = defaultDeviceName()
			}
			return a.enrol(c, link, name, wait)
		},
	}
	c.Flags().StringVar(&name, "name", "", "what to call this device, at most 64 characters (default: the name of this machine)")
	c.Flags().DurationVar(&wait, "wait", 2*time.Minute, "how long to wait for your company")
	a.out.flag(c)
	return c
}

func readLink(in io.Reader, arg string) (deviceproto.Link, error) {
	if arg == "-" {
		text, err := io.ReadAll(io.LimitReader(in, maxLinkInput))
		if err != nil {
			return deviceproto.Link{}, fmt.Errorf("read link: %w", err)
		}
		arg = string(text)
	}
	link, err := deviceproto.ParseLink(arg)
	if err != nil {
		return deviceproto.Link{}, fmt.Errorf("%w; copy the whole link, with everything after the # sign, and put it in quotes", err)
	}
	return link, nil
}

func (a *deviceCommands) enrol(c *cobra.Command, link deviceproto.Link, name string, wait time.Duration) error {
	store, err := a.open()
	if err != nil {
		return err
	}
	acc, err := store.FindEnrolment(link.Tenant, link.Enrolment)
	if errors.Is(err, devicestore.ErrNotFound) {
		acc, err = a.prepare(store, link, name)
	}
	if err != nil {
		return err
	}
	if acc.State != devicestore.Ready {
		ctx, cancel := context.WithTimeout(c.Context(), wait)
		defer cancel()
		if acc, err = a.finish(ctx, c, store, acc); err != nil {
			return err
		}
	}
	return a.out.print(c.OutOrStdout(), viewAccount(acc), func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Account added: %s at %s.\n", printable(acc.User), printable(acc.Enterprise))
	})
}

// prepare makes the keys and keeps them before anybody hears of them, so that a lost answer makes no
// second device.
func (a *deviceCommands) prepare(store *devicestore.Store, link deviceproto.Link, name string) (devicestore.Account, error) {
	key, err := deviceproto.NewKey()
	if err != nil {
		return devicestore.Account{}, fmt.Errorf("make key: %w", err)
	}
	id := deviceproto.Thumbprint(&key.PublicKey)
	keys := deviceproto.DeriveKeys(link.Secret, id)
	acc := devicestore.Account{
		Device: id, Base: link.Base, Tenant: link.Tenant, Enrolment: link.Enrolment, Name: name, State: devicestore.Waiting,
		Created: a.now(), Key: key, Details: keys.Details, Seed: keys.Seed, Proof: keys.Proof,
	}
	return acc, store.Save(acc)
}

// finish registers acc and waits for the appliance. An enrolment that can no longer succeed is
// forgotten.
func (a *deviceCommands) finish(ctx context.Context, c *cobra.Command, store *devicestore.Store, acc devicestore.Account) (devicestore.Account, error) {
	client := a.client(acc)
	app, err := deviceproto.SealApp(acc.Key, acc.Details, a.app(), a.now())
	if err != nil {
		return acc, err
	}
	about := deviceproto.About{Name: acc.Name, Platform: "cli", AppVersion: appVersion(), Push: deviceproto.Push{Provider: deviceproto.ProviderNone}, App: app}
	err = client.Register(ctx, acc.Enrolment, acc.Proof, about)
	var opened deviceproto.Account
	if err == nil {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "Waiting for your company to accept this device...")
		opened, err = outcome(ctx, client, acc, enrolWait)
	} else if already, settled := outcome(ctx, client, acc, 0); settled == nil {
		opened, err = already, nil // accepted at an earlier run whose end was not seen
	}
	if err != nil {
		return acc, endEnrolment(store, acc, err)
	}
	acc.User, acc.Enterprise, acc.State, acc.Proof = opened.User, opened.Enterprise, devicestore.Ready, nil
	return acc, store.Save(acc)
}

var (
	errRefused = errors.New("refused by the appliance")
	errForeign = errors.New("sealed by somebody who does not know the link")
	errOpen    = errors.New("not settled yet")
)

// outcome waits until the appliance has said yes or no, or with each 0 looks once.
func outcome(ctx context.Context, client *deviceproto.Client, acc devicestore.Account, each time.Duration) (deviceproto.Account, error) {
	for {
		status, err := client.EnrolmentStatus(ctx, acc.Enrolment, each)
		switch {
		case err == nil && status.Status == deviceproto.EnrolmentAccepted:
			return openAccount(acc, status.Sealed)
		case err == nil && status.Status == deviceproto.EnrolmentRefused:
			return deviceproto.Account{}, errRefused
		case err != nil && sallyport.ErrorCode(err) != sallyport.CodeUnavailable:
			return deviceproto.Account{}, err
		case each == 0:
			return deviceproto.Account{}, errOpen
		case err != nil:
			if pause(ctx, retryPause) != nil {
				return deviceproto.Account{}, err
			}
		}
		if ctx.Err() != nil {
			return deviceproto.Account{}, ctx.Err()
		}
	}
}

func openAccount(acc devicestore.Account, sealed string) (deviceproto.Account, error) {
	box, err := deviceproto.Decode(sealed)
	if err != nil {
		return deviceproto.Account{}, errForeign
	}
	opened, err := deviceproto.OpenAccount(acc.Details, acc.Device, box)
	if err != nil {
		return deviceproto.Account{}, errForeign
	}
	return opened, nil
}

// endEnrolment says why it failed, and forgets an account that can no longer become one.
func endEnrolment(store *devicestore.Store, acc devicestore.Account, cause error) error {
	words := map[sallyport.Code]string{
		sallyport.CodeInvalid:  "The token service did not accept the registration.",
		sallyport.CodeDenied:   "The token service did not accept this device. Ask your company for a new link.",
		sallyport.CodeNotFound: "This link is not valid, or no longer. Ask your company for a new one.",
		sallyport.CodeExpired:  "This link is too old. Ask your company for a new one.",
		sallyport.CodeConflict: "This link was already used on another device. If that was not you, tell your company; then ask for a new link.",
	}[sallyport.ErrorCode(cause)]
	code := sallyport.ErrorCode(cause)
	switch {
	case errors.Is(cause, context.DeadlineExceeded):
		return sallyport.Errorf(sallyport.CodeUnavailable, "Your company has not answered yet. Run the same command again to go on waiting.", nil)
	case errors.Is(cause, errRefused):
		code, words = sallyport.CodeDenied, "Your company did not accept this device. Ask for a new link."
	case errors.Is(cause, errForeign):
		code, words = sallyport.CodeDenied, "The answer was not from the company that made the link, so nothing of it is kept here. Tell your company, and ask for a new link."
	case words == "":
		return cause // may still succeed
	}
	if err := store.Remove(acc.Device); err != nil {
		return err
	}
	return sallyport.Errorf(code, words, nil)
}

func defaultDeviceName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "command line"
	}
	var name []rune
	for _, r := range host {
		if unicode.IsPrint(r) && len(name) < deviceproto.MaxName {
			name = append(name, r)
		}
	}
	return string(name)
}

// appVersion is the version in the 32 characters that the protocol has for it.
func appVersion() string {
	v := version()
	return v[:min(len(v), 32)]
}
