package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/export"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newLoginCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "login", Short: "Logins at the gateways: list them, explain one",
		Example: `  sallyport login list --user alice --since 1d
  sallyport login explain 7H2K-9QXM`,
	}
	c.AddCommand(newLoginList(), newLoginExplain())
	return c
}

// loginLine is a login for programs.
type loginLine struct {
	Time        time.Time               `json:"time"`
	Ended       time.Time               `json:"ended,omitzero"`
	SupportCode string                  `json:"supportCode"`
	UserName    string                  `json:"userName"`
	Account     sallyport.AccountName   `json:"account"`
	Integration sallyport.IntegrationID `json:"integration"`
	Door        sallyport.Door          `json:"door"`
	Outcome     sallyport.Outcome       `json:"outcome"`
	Method      sallyport.Method        `json:"secondFactor"`
	Reason      sallyport.Reason        `json:"reason"`
	Detail      string                  `json:"detail"`
	Address     string                  `json:"address"`
	Appliance   sallyport.ApplianceID   `json:"appliance"`
}

func lineOfLogin(l sallyport.LoginRecord) loginLine {
	return loginLine{l.Time, l.Ended, l.SupportCode, l.UserName, l.Account, l.Integration, l.Door, l.Outcome, l.Method, l.Reason, l.Detail, l.Address, l.Appliance}
}

// ending says how a login ended, and why.
func (l loginLine) ending() string {
	if why := export.Reason(l.Reason); why != "" {
		return export.Outcome(l.Outcome) + ": " + why
	}
	return export.Outcome(l.Outcome)
}

func (l loginLine) words() string {
	return fmt.Sprintf("%s (second factor %s, from %s, support code %s)", l.ending(), orNone(string(l.Method)), orNone(l.Address), orNone(l.SupportCode))
}

// errEnough ends a list at the number of lines that were asked for.
var errEnough = errors.New("enough")

// firstOf passes on the first most elements; 0: all of them.
func firstOf[T any](most int, do func(T) error) func(T) error {
	n := 0
	return func(v T) error {
		if n++; most > 0 && n > most {
			return errEnough
		}
		return do(v)
	}
}

// enough takes the end that firstOf made for none.
func enough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// mostFlag is for lists without an end that anybody waits for.
func mostFlag(c *cobra.Command, most *int) {
	c.Flags().IntVar(most, "most", 100, "list so many at most, the newest ones; 0 for all")
	completes(c, cobra.NoFileCompletions, "most")
}

// loginFilter is which logins a command is about.
type loginFilter struct {
	period
	search, integration, outcome string
}

func outcomes() []sallyport.Outcome {
	return []sallyport.Outcome{sallyport.OutcomeGranted, sallyport.OutcomeDenied, sallyport.OutcomeAbandoned, sallyport.OutcomeOpen}
}

func (f *loginFilter) flags(c *cobra.Command) {
	f.period.flags(c)
	c.Flags().StringVar(&f.search, "search", "", "logins with this text in user name, account, address or support code")
	c.Flags().StringVar(&f.integration, "integration", "", "logins at this gateway: its nickname or id")
	c.Flags().StringVar(&f.outcome, "outcome", "", "granted, denied, abandoned or open")
	completes(c, values(outcomes()...), "outcome")
	completes(c, completeIntegration(), "integration")
	completes(c, cobra.NoFileCompletions, "search")
}

func (f *loginFilter) query(ctx context.Context, d *desk) (q store.LoginQuery, err error) {
	q = store.LoginQuery{Text: f.search, Outcome: sallyport.Outcome(f.outcome)}
	if f.outcome != "" && !slices.Contains(outcomes(), q.Outcome) {
		return q, wrongWord("outcome", f.outcome, outcomes()...)
	}
	if q.Integration, err = d.integrationID(ctx, f.integration); err != nil {
		return q, err
	}
	q.From, q.To, err = f.read(time.Now())
	return q, err
}

// integrationID returns the id of an integration by nickname or id; "" for none.
func (d *desk) integrationID(ctx context.Context, word string) (sallyport.IntegrationID, error) {
	if word == "" {
		return "", nil
	}
	in, err := (&gatewayDesk{d}).find(ctx, word)
	return in.ID, err
}

func (d *desk) integrationNames(ctx context.Context) (map[sallyport.IntegrationID]string, error) {
	list, err := d.Integrations(ctx, d.actor)
	return byID(list, func(in sallyport.Integration) (sallyport.IntegrationID, string) { return in.ID, in.Nickname }), err
}

func completeIntegration() cobra.CompletionFunc {
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		list, err := d.Integrations(ctx, d.actor)
		for _, in := range list {
			out = append(out, in.Nickname)
		}
		return out, err
	})
}

// eachLogin calls each with every login asked for, the newest first.
func (d *desk) eachLogin(ctx context.Context, q store.LoginQuery, each func(sallyport.LoginRecord) error) error {
	q.Most = userPage
	return pages(func(after string) ([]sallyport.LoginRecord, string, error) {
		q.After = after
		p, err := d.Logins(ctx, d.actor, q)
		return p.Logins, p.Next, err
	}, each)
}

func newLoginList() *cobra.Command {
	var f loginFilter
	var user string
	var most int
	c := atDesk(&cobra.Command{
		Use: "list", Short: "List logins, the newest first", Args: cobra.NoArgs,
		Example: `  sallyport login list --outcome denied --since 8h
  sallyport login list --user alice --most 0 -o json
  sallyport login list --integration "Hospital VPN" --from 2026-11-01 --to 2026-11-30`,
	}, func(ctx context.Context, t *task, _ []string) error {
		q, err := f.query(ctx, t.desk)
		if err != nil {
			return err
		}
		if user != "" {
			u, err := t.user(ctx, user)
			if err != nil {
				return err
			}
			q.Account = u.Account
		}
		gateways, err := t.integrationNames(ctx)
		if err != nil {
			return err
		}
		return t.list([]string{"TIME", "USER", "GATEWAY", "SECOND FACTOR", "FROM", "SUPPORT CODE", "ENDED"}, func(line func(any, ...string) error) error {
			return enough(t.eachLogin(ctx, q, firstOf(most, func(r sallyport.LoginRecord) error {
				l := lineOfLogin(r)
				return line(l, when(l.Time), orNone(l.UserName), gateways[l.Integration], orNone(string(l.Method)), orNone(l.Address), l.SupportCode, l.ending())
			})))
		})
	})
	f.flags(c)
	mostFlag(c, &most)
	c.Flags().StringVar(&user, "user", "", "logins of this user")
	completes(c, completeUser(), "user")
	return c
}

// eventLine is a step of a login for programs.
type eventLine struct {
	Time      time.Time             `json:"time"`
	Step      int                   `json:"step,omitempty"`
	Message   string                `json:"message"`
	Detail    string                `json:"detail,omitempty"`
	Appliance sallyport.ApplianceID `json:"appliance"`
}

func newLoginExplain() *cobra.Command {
	return atDesk(&cobra.Command{
		Use: "explain SUPPORT-CODE", Short: "Explain a login step by step: browser, directory, phone, gateway", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `The page that refused the user shows the support code: two groups of four characters. The steps that have a number are described in
docs/login-steps.md.`,
		Example: `  sallyport login explain 7H2K-9QXM`,
	}, func(ctx context.Context, t *task, args []string) error {
		record, events, err := t.ExplainLogin(ctx, t.actor, args[0])
		if err != nil {
			return err
		}
		gateways, err := t.integrationNames(ctx)
		if err != nil {
			return err
		}
		v := struct {
			Login  *loginLine  `json:"login"` // null: not ended yet
			Events []eventLine `json:"events"`
		}{nil, each(events, func(e sallyport.LoginEvent) eventLine {
			return eventLine{e.Time, e.Step, e.Message, export.Detail(e.Detail), e.Appliance}
		})}
		if record.ID != "" {
			l := lineOfLogin(record)
			v.Login = &l
		}
		return t.show(v, func(w io.Writer) {
			writeLogin(w, v.Login, gateways)
			writeEvents(w, events)
		})
	})
}

func writeLogin(w io.Writer, l *loginLine, gateways map[sallyport.IntegrationID]string) {
	if l == nil {
		_, _ = fmt.Fprintln(w, "It has not ended yet.")
		return
	}
	writeFacts(w, [2]string{"Ended", export.Outcome(l.Outcome)}, [2]string{"Told the user", export.Reason(l.Reason)}, [2]string{"The cause", l.Detail},
		[2]string{"User name as typed", orNone(l.UserName)}, [2]string{"Account", orNone(string(l.Account))}, [2]string{"Second factor", orNone(string(l.Method))},
		[2]string{"Began", when(l.Time)}, [2]string{"Gateway", gateways[l.Integration]}, [2]string{"Came in by", export.Door(l.Door)}, [2]string{"From", orNone(l.Address)},
		[2]string{"Appliance", string(l.Appliance)})
}

func writeEvents(w io.Writer, events []sallyport.LoginEvent) {
	for _, e := range events {
		step := ""
		if e.Step > 0 {
			step = "step " + strconv.Itoa(e.Step)
		}
		title, text := export.Event(e)
		_, _ = fmt.Fprintln(w, strings.TrimRight(strings.Join([]string{e.Time.UTC().Format("15:04:05.000Z"), step, printable(strings.TrimSpace(title + " " + text))}, "\t"), "\t"))
	}
}
