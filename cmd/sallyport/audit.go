package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newAuditCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "The audit trail: list it, verify that nobody changed it",
		Long: `What people did and what was decided about logins, with who and when. Run these on an appliance.`,
	}
	c.AddCommand(newAuditList(), newAuditVerify())
	return c
}

// maxAuditList bounds how many records one command shows.
const maxAuditList = 10_000

// auditFilter is which records somebody wants to see.
type auditFilter struct {
	store.AuditQuery
	period
}

func (v *auditFilter) flags(c *cobra.Command) {
	f := c.Flags()
	v.period.flags(c)
	f.StringVar(&v.Actor, "actor", "", "who did it: name or id, as written there")
	f.StringVar(&v.Action, "action", "", `what was done: "domain.change", or with a dot at the end all of a noun: "domain."`)
	f.StringVar(&v.Object, "object", "", "to what: name or id, as written there")
	f.StringVar(&v.SupportCode, "support-code", "", "decisions about the login with this support code")
	f.StringVar(&v.Chain, "appliance", "", `records of this appliance; "local" are those of its commands`)
	f.StringVar(&v.Text, "text", "", "any text in a record, also in what was before and after")
	f.IntVar(&v.Most, "most", 50, fmt.Sprintf("how many, the newest; at most %d", maxAuditList))
	_ = c.RegisterFlagCompletionFunc("action", cobra.FixedCompletions([]string{"administrator.", "device.", "domain.", "enrol rule.", "integration.", "login.",
		"master key.", "temporary code.", "user.", "user policy."}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	for _, name := range []string{"actor", "object", "support-code", "appliance", "text", "most"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// query is the filter as the store has it.
func (v *auditFilter) query() (q store.AuditQuery, err error) {
	q = v.AuditQuery
	if v.Most < 1 || v.Most > maxAuditList {
		return q, &usageError{fmt.Errorf("--most: use 1 to %d", maxAuditList)}
	}
	q.From, q.To, err = v.read(time.Now())
	return q, err
}

// auditLine is a record as programs see it.
type auditLine struct {
	Appliance   string          `json:"appliance"`
	Sequence    int64           `json:"sequence"`
	Time        time.Time       `json:"time"`
	Actor       auditActor      `json:"actor"`
	Action      string          `json:"action"`
	Object      string          `json:"object,omitempty"`
	ObjectID    string          `json:"objectId,omitempty"`
	Before      json.RawMessage `json:"before,omitempty"`
	After       json.RawMessage `json:"after,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	SupportCode string          `json:"supportCode,omitempty"`
}

type auditActor struct {
	Kind    sallyport.ActorKind `json:"kind"`
	ID      string              `json:"id,omitempty"`
	Name    string              `json:"name,omitempty"`
	Role    sallyport.Role      `json:"role,omitempty"`
	Address string              `json:"address,omitempty"`
}

func auditLineOf(r sallyport.AuditRecord) auditLine {
	return auditLine{Appliance: r.Chain, Sequence: r.Sequence, Time: r.Time, Action: r.Action, Object: r.Object, ObjectID: r.ObjectID,
		Before: r.Before, After: r.After, Reason: r.Reason, SupportCode: r.SupportCode,
		Actor: auditActor{r.Actor.Kind, r.Actor.ID, r.Actor.Name, r.Actor.Role, r.Actor.Address}}
}

// auditRecords reads the newest records that the filter means, page by page.
func (d *desk) auditRecords(ctx context.Context, q store.AuditQuery) ([]auditLine, error) {
	lines, most := []auditLine{}, q.Most
	for {
		q.Most = min(most-len(lines), 1000)
		page, err := d.AuditRecords(ctx, d.actor, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			lines = append(lines, auditLineOf(r))
		}
		if q.After = page.Next; page.Next == "" || len(lines) == most {
			return lines, nil
		}
	}
}

func newAuditList() *cobra.Command {
	var p place
	var v auditFilter
	var o output
	c := &cobra.Command{
		Use: "list", Short: "List records of the audit trail, the newest first", Args: cobra.NoArgs,
		Long: `Lists records of the audit trail, the newest first. --output json has everything of a record: what was before and
after, roles and addresses.`,
		Example: `  sallyport audit list --action login. --from 2026-11-25
  sallyport audit list --actor chief@hospital.example --output json --most 1000`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withDesk(c, func(ctx context.Context, d *desk) error {
				q, err := v.query()
				if err != nil {
					return err
				}
				lines, err := d.auditRecords(ctx, q)
				if err != nil {
					return err
				}
				return o.print(c.OutOrStdout(), lines, func(w io.Writer) {
					_, _ = fmt.Fprintln(w, "WHEN\tWHO\tDID\tTO\tWHY\tRECORD")
					for _, l := range lines {
						_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s %d\n", when(l.Time), printable(cmp.Or(l.Actor.Name, string(l.Actor.Kind))), l.Action, printable(l.Object),
							printable(l.Reason), l.Appliance, l.Sequence)
					}
				})
			})
		},
	}
	p.admin(c)
	v.flags(c)
	o.flag(c)
	return c
}

// verified is what came of verifying the trail, for programs.
type verified struct {
	Holds   bool          `json:"holds"`
	Records int64         `json:"records"`
	Finding *auditFinding `json:"finding,omitempty"`
}

type auditFinding struct {
	Fault     store.AuditFault `json:"fault"`
	Appliance string           `json:"appliance,omitempty"`
	Sequence  int64            `json:"sequence,omitempty"`
	Message   string           `json:"message"`
}

// toldEvery is after how many records somebody who waits is told.
const toldEvery = 100_000

func newAuditVerify() *cobra.Command {
	var p place
	var o output
	c := &cobra.Command{
		Use: "verify", Short: "Check that nobody changed the audit trail past the appliances", Args: cobra.NoArgs,
		Long: `Checks every record of the audit trail: each one's MAC covers the record before it. Fails, and names the first record
that does not hold, when one was changed, removed or put in past the appliances. A million records take a minute or so.

What it cannot see is a database put back whole to how it was earlier: compare the number of records.`,
		Example: `  sallyport audit verify --output json`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withDesk(c, func(ctx context.Context, d *desk) error {
				var v verified
				told := int64(0)
				found, err := d.VerifyAudit(ctx, d.actor, func(records int64) {
					if v.Records = records; records/toldEvery > told/toldEvery {
						_, _ = fmt.Fprintf(c.ErrOrStderr(), "%d records checked so far\n", records)
						told = records
					}
				})
				if err != nil {
					return err
				}
				if v.Holds = found == nil; found != nil {
					v.Finding = &auditFinding{found.Fault, found.Chain, found.Sequence, found.Message}
				}
				if v.Holds || o.format != "text" {
					err = o.print(c.OutOrStdout(), v, func(w io.Writer) {
						_, _ = fmt.Fprintf(w, "The audit trail holds: %d records checked.\n", v.Records)
					})
				}
				if err != nil || v.Holds {
					return err
				}
				return sallyport.Errorf(sallyport.CodeConflict, "The audit trail does not hold. "+found.Message, nil)
			})
		},
	}
	p.admin(c)
	o.flag(c)
	return c
}
