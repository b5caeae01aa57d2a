package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// auditSearched bounds how many records one page of a search by text looks at.
const auditSearched = 20_000

// AuditQuery says which audit records are asked for; zero fields ask for all.
type AuditQuery struct {
	From, To time.Time // From <= time < To
	Chain    string
	Actor    string // id or name, as it was written
	// Action is the whole action, or its noun with the dot behind it: "login." finds every decision.
	Action      string
	Object      string // id or name, as it was written
	SupportCode string // as typed
	// Text is looked for, without case, in every text of a record, and in what was before and after.
	Text  string
	After string // Next of the page before; empty begins
	Most  int    // 1 to 1000; 0 means 50
}

// AuditPage is a part of the audit records.
type AuditPage struct {
	Records []sallyport.AuditRecord
	// Next asks for the next page; empty at the end. A search by text may give a page with few records
	// or none that has a next one: it looks at 20,000 records at a time.
	Next string
}

// AuditRecords returns a page of audit records, the newest first.
func (s *Store) AuditRecords(ctx context.Context, q AuditQuery) (page AuditPage, err error) {
	most, err := pageSize(q.Most)
	if err != nil {
		return page, err
	}
	at, err := pageAfter(q.After)
	if err != nil {
		return page, err
	}
	read, bound := most, deadline
	if q.Text != "" {
		read, bound = maxPage, patiently
	}
	ctx, cancel := bound(ctx)
	defer cancel()
	for looked := 0; ; {
		list, err := s.auditBefore(ctx, q, at, read)
		if err != nil {
			return AuditPage{}, s.engine.failure("read audit records", err)
		}
		for _, r := range list {
			at = &mark{micros(r.Time), r.Chain, r.Sequence}
			if q.Text != "" && !mentions(r, fold(q.Text)) {
				continue
			}
			if page.Records = append(page.Records, r); len(page.Records) == most {
				page.Next = at.String()
				return page, nil
			}
		}
		if looked += len(list); len(list) < read {
			return page, nil
		}
		if looked >= auditSearched {
			page.Next = at.String()
			return page, nil
		}
	}
}

// AuditRecord returns one record, or not_found.
func (s *Store) AuditRecord(ctx context.Context, chain string, sequence int64) (sallyport.AuditRecord, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	c := &conditions{}
	c.add("chain = ?", chain)
	c.add("sequence = ?", sequence)
	list, err := s.auditRecords(ctx, c, "sequence", 1)
	if err != nil {
		return sallyport.AuditRecord{}, s.engine.failure("read audit record", err)
	}
	if len(list) == 0 {
		return sallyport.AuditRecord{}, notFound("audit record")
	}
	return list[0], nil
}

func (s *Store) auditBefore(ctx context.Context, q AuditQuery, at *mark, most int) ([]sallyport.AuditRecord, error) {
	c := q.conditions()
	if at != nil {
		c.add("(time, chain, sequence) < (?, ?, ?)", at.time, at.id, at.number)
	}
	return s.auditRecords(ctx, c, "time DESC, chain DESC, sequence DESC", most)
}

// AuditedAppliances returns the appliances that have written to the audit trail.
func (s *Store) AuditedAppliances(ctx context.Context) (list []sallyport.ApplianceID, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		chains, err := chainsIn(ctx, tx, "audit_heads")
		list = nil
		for _, chain := range chains {
			if chain != localChain {
				list = append(list, sallyport.ApplianceID(chain))
			}
		}
		return err
	})
	return list, s.engine.failure("read chains of audit records", err)
}

// EachAuditRecord calls each with every record asked for, chain by chain, the oldest first, and ends
// with its error. It holds a thousand records at a time; After and Most do not count.
func (s *Store) EachAuditRecord(ctx context.Context, q AuditQuery, each func(sallyport.AuditRecord) error) error {
	var chain string
	sequence, text := int64(-1<<62), fold(q.Text)
	for {
		c := q.conditions()
		c.add("(chain, sequence) > (?, ?)", chain, sequence)
		list, err := s.auditRecords(ctx, c, "chain, sequence", maxPage)
		if err != nil {
			return s.engine.failure("read audit records", err)
		}
		for _, r := range list {
			chain, sequence = r.Chain, r.Sequence
			if text != "" && !mentions(r, text) {
				continue
			}
			if err := each(r); err != nil {
				return err
			}
		}
		if len(list) < maxPage {
			return nil
		}
	}
}

func (q AuditQuery) conditions() *conditions {
	c := &conditions{}
	c.between(q.From, q.To)
	c.equal("chain", q.Chain)
	if q.Actor != "" {
		c.add("(actor_id = ? OR actor_name = ?)", q.Actor, q.Actor)
	}
	if noun, isNoun := strings.CutSuffix(q.Action, "."); isNoun {
		c.add("action >= ? AND action < ?", noun+".", noun+"/") // "/" is what comes after "."
	} else {
		c.equal("action", q.Action)
	}
	if q.Object != "" {
		c.add("(object_id = ? OR object = ?)", q.Object, q.Object)
	}
	if code := canonical(q.SupportCode); code != "" {
		c.add("REPLACE(support_code, '-', '') = ?", code)
	}
	return c
}

// mentions reports whether one of the record's texts contains text, which is folded.
func mentions(r sallyport.AuditRecord, text string) bool {
	for _, s := range []string{r.Actor.Name, r.Actor.Address, r.Action, r.Object, r.ObjectID, r.Reason, r.SupportCode,
		string(r.Before), string(r.After)} {
		if strings.Contains(fold(s), text) {
			return true
		}
	}
	return false
}

func (s *Store) auditRecords(ctx context.Context, c *conditions, order string, most int) ([]sallyport.AuditRecord, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.read.QueryContext(ctx,
		`SELECT `+auditColumns+` FROM audit`+c.where()+` ORDER BY `+order+fmt.Sprintf(` LIMIT %d`, most), c.args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (sallyport.AuditRecord, error) {
		r, _, err := scanAudit(rows)
		return r, err
	})
}

func scanAudit(rows *sql.Rows) (r sallyport.AuditRecord, mac []byte, err error) {
	var at int64
	var before, after string
	err = rows.Scan(&r.Chain, &r.Sequence, &at, &r.Actor.Kind, &r.Actor.ID, &r.Actor.Name, &r.Actor.Role, &r.Actor.Address,
		&r.Action, &r.Object, &r.ObjectID, &before, &after, &r.Reason, &r.SupportCode, &mac)
	r.Time = fromMicros(at)
	if before != "" {
		r.Before = json.RawMessage(before)
	}
	if after != "" {
		r.After = json.RawMessage(after)
	}
	return r, mac, err
}

// canonical is a support code as it is kept for looking it up.
func canonical(code string) string {
	return string(sallyport.CanonicalCode(sallyport.Secret(code)))
}
