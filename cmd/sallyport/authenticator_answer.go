package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

const answerTries = 3

var errTooOld = sallyport.Errorf(sallyport.CodeUnsupported, "This app is too old to ask for the number of the sign-in page. Type the token code there.", nil)

func (a *deviceCommands) approveCommand() *cobra.Command {
	var account, number string
	c := &cobra.Command{
		Use:   "approve [ID]",
		Short: "Approve a sign-in with the number that its page shows",
		Long: `Approves the sign-in that is waiting. ID, or the beginning of it, is needed only when several are.
Without --number it shows who is signing in where, and asks for the number.

An answer is final: a wrong number ends the sign-in. Whether the number was right only the sign-in
page can say.`,
		Example: `  sallyport authenticator approve
  sallyport authenticator approve --number 42`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeChallenges,
		RunE: func(c *cobra.Command, args []string) error {
			one, err := a.find(c, strings.Join(args, ""), account)
			if err != nil {
				return err
			}
			if a.old && one.details.Digits > 0 {
				return errTooOld
			}
			if number == "" && one.details.Digits > 0 {
				if number, err = a.askNumber(c, one); err != nil {
					return err
				}
			}
			if err := checkNumber(number, one.details.Digits); err != nil {
				return &usageError{err}
			}
			return a.answer(c, one, sallyport.DecisionApprove, number)
		},
	}
	c.Flags().StringVarP(&number, "number", "n", "", "the number that the sign-in page shows")
	a.accountFlag(c, &account)
	a.out.flag(c)
	return c
}

func (a *deviceCommands) denyCommand() *cobra.Command {
	var account string
	var notMe bool
	c := &cobra.Command{
		Use:   "deny [ID]",
		Short: "Deny a sign-in, or report that it was not you",
		Long: `Denies the sign-in that is waiting. ID, or the beginning of it, is needed only when several are.

A request only comes after your password was typed correctly. With --not-me your company is told that
it was not you; change your password then.`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeChallenges,
		RunE: func(c *cobra.Command, args []string) error {
			one, err := a.find(c, strings.Join(args, ""), account)
			if err != nil {
				return err
			}
			decision := sallyport.DecisionDeny
			if notMe {
				decision = sallyport.DecisionNotMe
			}
			return a.answer(c, one, decision, "")
		},
	}
	c.Flags().BoolVar(&notMe, "not-me", false, "report that it was not you who is signing in")
	a.accountFlag(c, &account)
	a.out.flag(c)
	return c
}

func (a *deviceCommands) completeChallenges(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c.SetContext(context.Background())
	found, err := a.pending(c, "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, w := range found {
		ids = append(ids, cobra.CompletionWithDesc(string(w.id), printable(w.details.User)+", "+printable(w.details.Application)))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// find returns the one challenge that is waiting, or the one whose id begins with id.
func (a *deviceCommands) find(c *cobra.Command, id, account string) (waiting, error) {
	found, err := a.pending(c, account)
	if err != nil {
		return waiting{}, err
	}
	var fits []waiting
	for _, w := range found {
		if strings.HasPrefix(string(w.id), id) {
			fits = append(fits, w)
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1:
		ids := make([]string, len(fits))
		for i, w := range fits {
			ids[i] = fmt.Sprintf("%s (%s)", w.id, label(w.account))
		}
		return waiting{}, &usageError{fmt.Errorf("several sign-ins are waiting; name one: %s", strings.Join(ids, "; "))}
	case id != "":
		return waiting{}, sallyport.Errorf(sallyport.CodeNotFound, fmt.Sprintf("No sign-in %q is waiting. It may have ended.", id), nil)
	}
	return waiting{}, sallyport.Errorf(sallyport.CodeNotFound, "No sign-in is waiting. Begin at the sign-in page, then run this again.", nil)
}

func (a *deviceCommands) askNumber(c *cobra.Command, one waiting) (string, error) {
	t := tabwriter.NewWriter(c.ErrOrStderr(), 0, 4, 2, ' ', 0)
	a.describe(t, one)
	if err := t.Flush(); err != nil {
		return "", err
	}
	number, err := askLine(c.Context(), c, "Number shown on the sign-in page: ")
	if errors.Is(err, io.EOF) {
		return "", &usageError{errors.New("nobody gave the number, so nothing was sent; use --number")}
	}
	return number, err
}

// checkNumber keeps a slip of the finger from ending the sign-in.
func checkNumber(number string, digits int) error {
	right := len(number) == digits
	for _, r := range number {
		right = right && '0' <= r && r <= '9'
	}
	switch {
	case right:
		return nil
	case digits == 0:
		return errors.New("this sign-in asks for no number; nothing was sent")
	}
	return fmt.Errorf("the number has %d digits; nothing was sent", digits)
}

type answerView struct {
	ID       sallyport.ChallengeID `json:"id"`
	Account  string                `json:"account"`
	Decision sallyport.Decision    `json:"decision"`
	Sent     bool                  `json:"sent"`
}

func (a *deviceCommands) answer(c *cobra.Command, one waiting, decision sallyport.Decision, number string) error {
	app := a.app()
	box, err := deviceproto.SealAnswer(one.account.Key, one.account.Details, deviceproto.Answer{
		Challenge: one.id, Decision: decision, Number: number,
		User: one.details.User, Application: one.details.Application, At: a.now(), App: &app,
	})
	if err != nil {
		return fmt.Errorf("make answer: %w", err)
	}
	if err := send(c.Context(), a.client(one.account), one.id, box); err != nil {
		return explainAnswer(err)
	}
	words := map[sallyport.Decision]string{
		sallyport.DecisionApprove: "Sent. Go on at the sign-in page. If it says that the number was wrong, begin again there.",
		sallyport.DecisionDeny:    "Denied. The sign-in was stopped.",
		sallyport.DecisionNotMe:   "Stopped and reported. Change your password now, and tell your help desk.",
	}[decision]
	v := answerView{ID: one.id, Account: one.account.User + "@" + one.account.Enterprise, Decision: decision, Sent: true}
	return a.out.print(c.OutOrStdout(), v, func(w io.Writer) { _, _ = fmt.Fprintln(w, words) })
}

// send sends the answer, and sends the same octets again when the network swallowed them: an answer
// that arrived before is taken as the same.
func send(ctx context.Context, client *deviceproto.Client, id sallyport.ChallengeID, box []byte) error {
	for try := 1; ; try++ {
		err := client.Answer(ctx, id, box)
		if sallyport.ErrorCode(err) != sallyport.CodeUnavailable || try == answerTries || ctx.Err() != nil {
			return err
		}
		if pause(ctx, time.Second) != nil {
			return err
		}
	}
}

func explainAnswer(err error) error {
	code := sallyport.ErrorCode(err)
	words := map[sallyport.Code]string{
		sallyport.CodeExpired:  "Too late: the sign-in has ended. Begin again at the sign-in page.",
		sallyport.CodeNotFound: "Too late: the sign-in has ended. Begin again at the sign-in page.",
		sallyport.CodeConflict: "The sign-in was already answered.",
	}[code]
	if words == "" {
		return err
	}
	return sallyport.Errorf(code, words, nil)
}
