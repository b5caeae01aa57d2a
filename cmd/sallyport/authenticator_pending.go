package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/devicestore"
)

// waiting is a challenge that waits for an answer, opened.
type waiting struct {
	account devicestore.Account
	id      sallyport.ChallengeID
	details sallyport.ChallengeDetails
	ends    time.Time
}

// challengeView is a challenge as programs see it.
type challengeView struct {
	ID          sallyport.ChallengeID `json:"id"`
	Account     string                `json:"account"`
	User        string                `json:"user"`
	Application string                `json:"application"`
	Place       string                `json:"place"`
	Time        time.Time             `json:"time"`
	Digits      int                   `json:"digits"`
	RemainingMS int64                 `json:"remainingMs"`
}

func (a *deviceCommands) view(w waiting) challengeView {
	return challengeView{
		ID: w.id, Account: w.account.User + "@" + w.account.Enterprise, User: w.details.User, Application: w.details.Application,
		Place: w.details.Place, Time: w.details.Time, Digits: w.details.Digits, RemainingMS: max(0, w.ends.Sub(a.now()).Milliseconds()),
	}
}

func (a *deviceCommands) pendingCommand() *cobra.Command {
	var account string
	c := &cobra.Command{
		Use:               "pending",
		Short:             "Show the sign-ins that wait for an answer now",
		Long:              "Shows the sign-ins that wait for an answer now. 'watch' shows them as they come.",
		Args:              exactly(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := a.pending(c, account)
			if err != nil {
				return err
			}
			views := []challengeView{}
			for _, w := range found {
				views = append(views, a.view(w))
			}
			return a.out.print(c.OutOrStdout(), views, func(w io.Writer) {
				if len(found) == 0 {
					_, _ = fmt.Fprintln(w, "No sign-in is waiting.")
				}
				for _, one := range found {
					a.describe(w, one)
				}
			})
		},
	}
	a.accountFlag(c, &account)
	a.out.flag(c)
	return c
}

// describe shows a challenge to a person.
func (a *deviceCommands) describe(w io.Writer, one waiting) {
	d := one.details
	_, _ = fmt.Fprintf(w, "Sign-in\t%s\n", one.id)
	_, _ = fmt.Fprintf(w, "  Account\t%s\n", label(one.account))
	_, _ = fmt.Fprintf(w, "  User\t%s\n", printable(d.User))
	_, _ = fmt.Fprintf(w, "  Application\t%s\n", printable(d.Application))
	_, _ = fmt.Fprintf(w, "  Place\t%s\n", printable(d.Place))
	_, _ = fmt.Fprintf(w, "  Time\t%s\n", d.Time.Local().Format(time.DateTime))
	_, _ = fmt.Fprintf(w, "  Remaining\t%d s\n", int(max(0, one.ends.Sub(a.now()).Round(time.Second).Seconds())))
}

// pending asks for the challenges of all accounts at once, or of one. An account that cannot be asked
// is told of and left out; when none could be asked that is the error.
func (a *deviceCommands) pending(c *cobra.Command, account string) ([]waiting, error) {
	store, err := a.open()
	if err != nil {
		return nil, err
	}
	accounts, err := a.ready(store, account)
	if err != nil {
		return nil, err
	}
	found, errs := make([]*waiting, len(accounts)), make([]error, len(accounts))
	var group errgroup.Group
	group.SetLimit(8)
	for i, acc := range accounts {
		group.Go(func() error {
			client := a.client(acc)
			a.tellApp(c.Context(), client, acc)
			found[i], errs[i] = a.ask(c.Context(), client, acc, 0)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	var out []waiting
	failed := 0
	for i, acc := range accounts {
		switch {
		case errs[i] != nil:
			failed++
			if len(accounts) > 1 {
				_, _ = fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", label(acc), explain(errs[i]))
			}
		case found[i] != nil:
			out = append(out, *found[i])
		}
	}
	if failed == len(accounts) {
		return nil, errs[0]
	}
	return out, nil
}

var errUnreadable = sallyport.Errorf(sallyport.CodeInvalid,
	"A sign-in request came that this device cannot read. If you are signing in, use the token code.", nil)

// ask asks for the challenge of one account, and waits up to wait for one. Without one it returns nil.
func (a *deviceCommands) ask(ctx context.Context, client *deviceproto.Client, acc devicestore.Account, wait time.Duration) (*waiting, error) {
	list, err := client.Challenges(ctx, wait)
	if sallyport.ErrorCode(err) == sallyport.CodeDenied {
		return nil, sallyport.Errorf(sallyport.CodeDenied, "This device is not accepted any more. Remove the account, and ask your company for a new link.", nil)
	}
	if err != nil || len(list) == 0 {
		return nil, err
	}
	box, err := deviceproto.Decode(list[0].Sealed)
	if err != nil {
		return nil, errUnreadable
	}
	details, err := deviceproto.OpenDetails(acc.Details, acc.Device, list[0].ID, box)
	if err != nil {
		return nil, errUnreadable
	}
	ends := a.now().Add(time.Duration(list[0].RemainingMS) * time.Millisecond)
	return &waiting{account: acc, id: list[0].ID, details: details, ends: ends}, nil
}

const (
	followPause  = 2 * time.Second // how often to ask whether a challenge still stands
	longestPause = 30 * time.Second
)

func (a *deviceCommands) watchCommand() *cobra.Command {
	var account string
	c := &cobra.Command{
		Use:   "watch",
		Short: "Show sign-ins as they come, until interrupted",
		Long: `Shows every sign-in that waits for an answer as it comes, and when it has ended. Ends with Ctrl-C.
With --output json every line is one event: {"event": "challenge", ...} or {"event": "ended", "id": ...}.
Answer with 'approve' or 'deny' in another terminal.`,
		Args:              exactly(0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			store, err := a.open()
			if err != nil {
				return err
			}
			accounts, err := a.ready(store, account)
			if err != nil {
				return err
			}
			if a.out.format != "json" {
				_, _ = fmt.Fprintln(c.ErrOrStderr(), "Waiting for sign-ins. Ctrl-C ends.")
			}
			return a.watch(c, accounts)
		},
	}
	a.accountFlag(c, &account)
	a.out.flag(c)
	return c
}

// watcher writes what several accounts hear, one event at a time.
type watcher struct {
	a  *deviceCommands
	c  *cobra.Command
	mu sync.Mutex
}

// watch ends with the context, or when no account is left that is accepted.
func (a *deviceCommands) watch(c *cobra.Command, accounts []devicestore.Account) error {
	w := &watcher{a: a, c: c}
	errs := make([]error, len(accounts))
	var group sync.WaitGroup
	for i, acc := range accounts {
		group.Go(func() { errs[i] = w.follow(c.Context(), acc) })
	}
	group.Wait()
	if c.Context().Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// follow watches one account until the context ends or the device is not accepted any more.
func (w *watcher) follow(ctx context.Context, acc devicestore.Account) error {
	client := w.a.client(acc)
	w.a.tellApp(ctx, client, acc)
	var current *waiting
	said, failures := "", 0
	for ctx.Err() == nil {
		wait := deviceproto.MaxWait
		if current != nil {
			wait = 0
		}
		found, err := w.a.ask(ctx, client, acc, wait)
		switch code := sallyport.ErrorCode(err); {
		case ctx.Err() != nil:
			return nil
		case code == sallyport.CodeDenied:
			return err
		case err != nil:
			if said != err.Error() {
				w.complain(acc, err)
			}
			said = err.Error()
			failures++
			_ = pause(ctx, min(time.Duration(failures)*followPause, longestPause)) // the loop looks at ctx
			continue
		}
		said, failures = "", 0
		current = w.compare(current, found)
		if current != nil {
			_ = pause(ctx, followPause) // likewise
		}
	}
	return nil
}

func (w *watcher) compare(before, found *waiting) *waiting {
	if before != nil && (found == nil || found.id != before.id) {
		w.ended(before.id)
	}
	if found != nil && (before == nil || found.id != before.id) {
		w.challenge(*found)
	}
	return found
}

type watchEvent struct {
	Event string `json:"event"`
	challengeView
}

type endedEvent struct {
	Event string                `json:"event"`
	ID    sallyport.ChallengeID `json:"id"`
}

func (w *watcher) challenge(one waiting) {
	w.write(watchEvent{"challenge", w.a.view(one)}, func(out io.Writer) { w.a.describe(out, one) })
}

func (w *watcher) ended(id sallyport.ChallengeID) {
	w.write(endedEvent{"ended", id}, func(out io.Writer) { _, _ = fmt.Fprintf(out, "Ended\t%s\n", id) })
}

// write writes one event: a line of JSON, or text.
func (w *watcher) write(event any, text func(io.Writer)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.c.OutOrStdout()
	if w.a.out.format == "json" {
		_ = json.NewEncoder(out).Encode(event) // a reader that went away ends us by signal
		return
	}
	_ = w.a.out.print(out, event, text) // likewise
}

func (w *watcher) complain(acc devicestore.Account, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = fmt.Fprintf(w.c.ErrOrStderr(), "%s: %s\n", label(acc), explain(err))
}
