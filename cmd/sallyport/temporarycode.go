package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func newTemporaryCodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "temporary-code", Short: "Temporary codes for users without their phone: issue, list, revoke",
		Long: `A temporary code is a second factor for somebody who does not have the phone at hand, for remote access only. A user has
one at most. It can be used until it expires, is revoked, the user enrols a factor, or logs in with the usual one again.`,
		Example: `  sallyport temporary-code issue alice --life 8h
  sallyport temporary-code revoke alice`,
	}
	c.AddCommand(newTemporaryCodeIssue(), newTemporaryCodeList(), newTemporaryCodeRevoke())
	return c
}

// temporaryCodeLine is a temporary code for programs; Code only where it was just made.
type temporaryCodeLine struct {
	ID      string                     `json:"id"`
	Account sallyport.AccountName      `json:"account"`
	Good    bool                       `json:"good"`
	Issued  time.Time                  `json:"issued"`
	Expires time.Time                  `json:"expires"`
	By      string                     `json:"by"`
	Ended   time.Time                  `json:"ended,omitzero"`
	EndedBy sallyport.TemporaryCodeEnd `json:"endedBy,omitempty"`
	Code    string                     `json:"code,omitempty"`
}

func lineOfTemporaryCode(now time.Time) func(sallyport.TemporaryCode) temporaryCodeLine {
	return func(c sallyport.TemporaryCode) temporaryCodeLine {
		return temporaryCodeLine{ID: c.ID, Account: c.Account, Good: c.Good(now), Issued: c.Issued, Expires: c.Expires, By: c.By, Ended: c.Ended, EndedBy: c.EndedBy}
	}
}

// state says whether a code is good, and else why not.
func (l temporaryCodeLine) state() string {
	switch {
	case l.Good:
		return "good"
	case l.EndedBy == sallyport.EndedByRevocation:
		return "revoked " + when(l.Ended)
	case l.EndedBy == sallyport.EndedByEnrolment:
		return "ended " + when(l.Ended) + ": a factor was enrolled"
	case l.EndedBy == sallyport.EndedByUsualLogin:
		return "ended " + when(l.Ended) + ": the usual factor was used again"
	}
	return "expired"
}

func (l temporaryCodeLine) words() string {
	return fmt.Sprintf("%s; issued %s by %s, until %s", l.state(), when(l.Issued), l.By, when(l.Expires))
}

func newTemporaryCodeIssue() *cobra.Command {
	var life string
	c := atDesk(&cobra.Command{
		Use: "issue USER", Short: "Give a user a temporary code; it is shown once", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Long: `Make sure who is on the phone, then read the code out. It is shown this once, and revokes the one before. The user types it where a code
is asked for. It works as often as needed until it ends.`,
		Example: `  sallyport temporary-code issue alice
  sallyport temporary-code issue alice@hospital.example --life 3d --output json`,
	}, func(ctx context.Context, t *task, args []string) error {
		d, err := length(life)
		if err != nil {
			return &usageError{fmt.Errorf("--life %w", err)}
		}
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		code, secret, err := t.IssueTemporaryCode(ctx, t.actor, u.ID, d)
		if err != nil {
			return fieldWords(err)
		}
		line := lineOfTemporaryCode(time.Now())(code)
		line.Code = string(secret)
		return t.show(line, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Temporary code for %s, shown once: %s\nGood until %s.\n", printable(string(line.Account)), line.Code, when(line.Expires))
		})
	})
	c.Flags().StringVar(&life, "life", lengthWords(admin.TemporaryCodeDefault), "how long it is good: 15m to 90d")
	completes(c, values("1h", "8h", "1d", "3d", "7d", "30d", "90d"), "life")
	return c
}

func newTemporaryCodeList() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "list USER", Short: "List the temporary codes of a user, ended ones as well, never the codes themselves", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Example: `  sallyport temporary-code list alice`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		codes, err := t.TemporaryCodes(ctx, t.actor, u.ID)
		if err != nil {
			return err
		}
		return t.list([]string{"ISSUED", "BY", "EXPIRES", "STATE"}, func(line func(any, ...string) error) error {
			for _, l := range each(codes, lineOfTemporaryCode(time.Now())) {
				if err := line(l, when(l.Issued), l.By, when(l.Expires), l.state()); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newTemporaryCodeRevoke() *cobra.Command {
	return asking(atDesk(&cobra.Command{
		Use: "revoke USER", Short: "End the temporary code of a user", Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(completeUser()),
		Example: `  sallyport temporary-code revoke alice --yes`,
	}, func(ctx context.Context, t *task, args []string) error {
		u, err := t.user(ctx, args[0])
		if err != nil {
			return err
		}
		if ok, err := t.sure(fmt.Sprintf("Revoke the temporary code of %s?", u.Account)); !ok || err != nil {
			return err
		}
		if err := t.RevokeTemporaryCode(ctx, t.actor, u.ID); err != nil {
			return err
		}
		return t.done(map[string]any{"account": u.Account, "revoked": true}, "Revoked.")
	}))
}
