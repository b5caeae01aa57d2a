package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newRADIUSRequestCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "radius-request", Short: "RADIUS requests of the gateways, what they were told, and what to do about it",
		Example: `  sallyport radius-request list --outcome drop --since 1h`,
	}
	c.AddCommand(newRADIUSRequestList())
	return c
}

// radiusLine is a RADIUS request for programs.
type radiusLine struct {
	Time           time.Time               `json:"time"`
	Integration    sallyport.IntegrationID `json:"integration"`
	Source         string                  `json:"source"`
	UserName       string                  `json:"userName"`
	Account        sallyport.AccountName   `json:"account"`
	Outcome        sallyport.RADIUSOutcome `json:"answer"`
	Reason         string                  `json:"reason"`
	Cure           string                  `json:"cure"`
	NASIdentifier  string                  `json:"nasIdentifier"`
	CallingStation string                  `json:"callingStation"`
	CalledStation  string                  `json:"calledStation"`
	Appliance      sallyport.ApplianceID   `json:"appliance"`
}

// radiusFilter is which RADIUS requests a command is about.
type radiusFilter struct {
	period
	search, integration, outcome string
}

func radiusOutcomes() []sallyport.RADIUSOutcome {
	return []sallyport.RADIUSOutcome{sallyport.RADIUSAccepted, sallyport.RADIUSRejected, sallyport.RADIUSChallenged, sallyport.RADIUSDropped, sallyport.RADIUSAccounting}
}

func (f *radiusFilter) flags(c *cobra.Command) {
	f.period.flags(c)
	c.Flags().StringVar(&f.search, "search", "", "requests with this text in user name, account, source, calling station or NAS identifier")
	c.Flags().StringVar(&f.integration, "integration", "", "requests of this gateway: its nickname or id")
	c.Flags().StringVar(&f.outcome, "outcome", "", "accept, reject, challenge, drop (not answered), or accounting (what a gateway told of a session)")
	completes(c, values(radiusOutcomes()...), "outcome")
	completes(c, completeIntegration(), "integration")
	completes(c, cobra.NoFileCompletions, "search")
}

func (f *radiusFilter) query(ctx context.Context, d *desk) (q store.RADIUSQuery, err error) {
	q = store.RADIUSQuery{Text: f.search, Outcome: sallyport.RADIUSOutcome(f.outcome)}
	if f.outcome != "" && !slices.Contains(radiusOutcomes(), q.Outcome) {
		return q, wrongWord("outcome", f.outcome, radiusOutcomes()...)
	}
	if q.Integration, err = d.integrationID(ctx, f.integration); err != nil {
		return q, err
	}
	q.From, q.To, err = f.read(time.Now())
	return q, err
}

func (d *desk) eachRADIUSRequest(ctx context.Context, q store.RADIUSQuery, each func(sallyport.RADIUSActivity) error) error {
	q.Most = userPage
	return pages(func(after string) ([]sallyport.RADIUSActivity, string, error) {
		q.After = after
		p, err := d.RADIUSRequests(ctx, d.actor, q)
		return p.Requests, p.Next, err
	}, each)
}

func newRADIUSRequestList() *cobra.Command {
	var f radiusFilter
	var most int
	c := atDesk(&cobra.Command{
		Use: "list", Short: "List RADIUS requests, the newest first", Args: cobra.NoArgs,
		Example: `  sallyport radius-request list --integration "Hospital VPN" --since 30m
  sallyport radius-request list --outcome drop --most 0 -o json`,
	}, func(ctx context.Context, t *task, _ []string) error {
		q, err := f.query(ctx, t.desk)
		if err != nil {
			return err
		}
		gateways, err := t.integrationNames(ctx)
		if err != nil {
			return err
		}
		return t.list([]string{"TIME", "GATEWAY", "SOURCE", "NAS", "USER", "ANSWER", "CAUSE", "CURE"}, func(line func(any, ...string) error) error {
			return enough(t.eachRADIUSRequest(ctx, q, firstOf(most, func(a sallyport.RADIUSActivity) error {
				return line(radiusLine{a.Time, a.Integration, a.Source, a.UserName, a.Account, a.Outcome, a.Reason, a.Cure, a.NASIdentifier, a.CallingStation, a.CalledStation, a.Appliance},
					when(a.Time), orNone(gateways[a.Integration]), a.Source, orNone(a.NASIdentifier), orNone(a.UserName), string(a.Outcome), a.Reason, a.Cure)
			})))
		})
	})
	f.flags(c)
	mostFlag(c, &most)
	return c
}
