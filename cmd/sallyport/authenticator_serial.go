package main

import (
	"context"
	"crypto/ecdh"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

func (a *deviceCommands) serialCommand() *cobra.Command {
	var name string
	var yes bool
	var wait time.Duration
	c := &cobra.Command{
		Use:   "serial ADDRESS",
		Short: "Show a serial number and a token code, to add an account by typing them at a sign-in",
		Long: `Shows a serial number and a token code that you type where your company's sign-in page asks for
them. Then it asks whether the account is to be added to this device, and adds it.

ADDRESS is the device address of your company's token service, as in its links: what stands before
/authenticator/. The serial number can be typed as long as this command runs; the next run has
another one. After five wrong codes it takes another one by itself.`,
		Example:           `  sallyport authenticator serial https://tokens.example.org`,
		Args:              exactly(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			base, err := deviceproto.ParseAddress(args[0])
			if err != nil {
				return &usageError{err}
			}
			if err := a.out.print(io.Discard, nil, func(io.Writer) {}); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), wait)
			defer cancel()
			i, err := a.invited(ctx, c, base, yes)
			if err != nil {
				return err
			}
			if name == "" {
				name = defaultDeviceName()
			}
			return a.enrol(c, i.Link, name, wait)
		},
	}
	c.Flags().StringVar(&name, "name", "", "what to call this device, at most 64 characters (default: the name of this machine)")
	c.Flags().DurationVar(&wait, "wait", 15*time.Minute, "how long to wait for somebody to type them")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "add the account without asking")
	a.out.flag(c)
	return c
}

// shownSerial is a serial number as long as it is shown: nothing of it is kept.
type shownSerial struct {
	client *deviceproto.Client
	box    *ecdh.PrivateKey
	seed   sallyport.Key
	serial deviceproto.Serial
	wrong  int
}

// invited shows serial numbers until an invitation has come whose code was right, and the person has taken it.
func (a *deviceCommands) invited(ctx context.Context, c *cobra.Command, base string, yes bool) (deviceproto.Invitation, error) {
	for {
		s, err := a.showSerial(ctx, base)
		if err != nil {
			return deviceproto.Invitation{}, err
		}
		i, err := a.awaitInvitation(ctx, c, s)
		a.hide(c, s)
		switch {
		case sallyport.ErrorCode(err) == sallyport.CodeNotFound:
			_, _ = fmt.Fprintln(c.ErrOrStderr(), "The serial number has expired. Here is another one.")
			continue
		case err != nil:
			return i, err
		case s.wrong >= deviceproto.MaxWrongInvitations:
			_, _ = fmt.Fprintln(c.ErrOrStderr(), "Too many wrong codes were typed. Here is another serial number.")
			continue
		}
		sure, err := confirm(c, yes, fmt.Sprintf("Add the account %s at %s to this device?", printable(i.Account.User), printable(i.Account.Enterprise)))
		if err == nil && !sure {
			err = sallyport.Errorf(sallyport.CodeDenied, "The account was not added.", nil)
		}
		return i, err
	}
}

func (a *deviceCommands) showSerial(ctx context.Context, base string) (*shownSerial, error) {
	key, err := deviceproto.NewKey()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	s := &shownSerial{client: &deviceproto.Client{Base: base, Tenant: deviceproto.UnclaimedTenant, Key: key, HTTP: a.http, Now: a.now}}
	if s.box, err = deviceproto.NewBoxKey(); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	s.seed = deviceproto.NewSeed()
	pub, err := deviceproto.BoxPublicKey(s.box)
	if err != nil {
		return nil, err
	}
	s.serial, err = s.client.ShowSerial(ctx, pub)
	return s, err
}

// hide tells the service that the serial number is over; it forgets it by itself, too.
func (a *deviceCommands) hide(c *cobra.Command, s *shownSerial) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), retryPause)
	defer cancel()
	_ = s.client.HideSerial(ctx, s.serial)
}

// awaitInvitation shows the code of every moment, and waits. It returns as well after too many wrong codes.
func (a *deviceCommands) awaitInvitation(ctx context.Context, c *cobra.Command, s *shownSerial) (deviceproto.Invitation, error) {
	// The codes are shown by one who is waited for, so that nothing is written after the end.
	codes, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		_ = a.showCodes(codes, c, s) // a terminal that is gone ends the command by itself
	}()
	defer func() { stop(); <-shown }()
	for {
		list, err := s.client.Invitations(ctx, s.serial, enrolWait)
		switch code := sallyport.ErrorCode(err); {
		case ctx.Err() != nil:
			return deviceproto.Invitation{}, sallyport.Errorf(sallyport.CodeExpired, "Nobody has typed the serial number. Run the command again for another one.", nil)
		case code == sallyport.CodeUnavailable || code == sallyport.CodeLimited:
			_ = pause(ctx, retryPause) // the loop looks at ctx
		case err != nil:
			return deviceproto.Invitation{}, err
		}
		for _, p := range list {
			i, right, err := a.look(ctx, s, p)
			if err != nil {
				return i, err
			}
			if right || s.wrong >= deviceproto.MaxWrongInvitations {
				return i, nil
			}
		}
	}
}

// look opens one invitation and says whether its code is right. One that cannot be opened was made by somebody else for
// something else, and is left.
func (a *deviceCommands) look(ctx context.Context, s *shownSerial, p deviceproto.PendingInvitation) (i deviceproto.Invitation, right bool, err error) {
	box, err := deviceproto.Decode(p.Sealed)
	if err == nil {
		i, err = deviceproto.OpenInvitation(s.box, s.serial, p.Tenant, p.ID, box)
	}
	if err != nil || i.Link.Base != s.client.Base {
		s.wrong++ // whoever sends such things does not get to do so for ever
		return i, false, pause(ctx, retryPause)
	}
	if right = i.CodeHolds(s.seed, a.now()); !right {
		s.wrong++
	}
	err = s.client.AnswerInvitation(ctx, s.serial, p.ID, i.Verdict(right))
	if code := sallyport.ErrorCode(err); code == sallyport.CodeExpired || code == sallyport.CodeConflict {
		return i, false, nil // too late: the page has told the user so
	}
	return i, right, err
}

// showCodes writes the serial number with its code, again whenever the code changes, until ctx ends.
func (a *deviceCommands) showCodes(ctx context.Context, c *cobra.Command, s *shownSerial) error {
	for {
		now := a.now()
		code, err := deviceproto.TokenCode(s.seed, now)
		if err != nil {
			return err
		}
		if a.out.format == "json" {
			err = json.NewEncoder(c.OutOrStdout()).Encode(serialEvent{"serial", s.serial.Text(), string(code)})
		} else {
			err = a.out.print(c.OutOrStdout(), nil, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Serial number\t%s\tToken code\t%s\n", s.serial.Text(), string(code))
			})
		}
		if err != nil {
			return err
		}
		next := now.Truncate(deviceproto.CodePeriod).Add(deviceproto.CodePeriod)
		if err := pause(ctx, next.Sub(now)); err != nil {
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				return nil
			}
			return err
		}
	}
}

type serialEvent struct {
	Event  string `json:"event"`
	Serial string `json:"serial"`
	Code   string `json:"code"`
}
