package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// Bounds of what is kept of a login, in octets; what is longer is cut.
const (
	maxLoginID   = 256
	maxUserName  = 256
	maxReason    = 256
	maxDetail    = 1024
	maxEventJSON = 8 << 10
	maxWord      = 64
	// maxTimeline bounds how many events of one support code are returned.
	maxTimeline = 1000
	// maxSteps bounds the points of a chart.
	maxSteps = 10_000
)

const (
	loginColumns = `id, time, ended, support_code, user_name, account, integration_id, door, outcome, method, reason, detail, address, appliance`
	eventColumns = `support_code, time, step, message, detail, appliance`
)

// LoginQuery says which logins are asked for; zero fields ask for all.
type LoginQuery struct {
	From, To time.Time // From <= time < To
	// Text is looked for, without case, in user name, account, address and support code. A page then
	// looks at 100,000 logins, so that one with few of them or none may have a next one.
	Text        string
	Account     sallyport.AccountName
	Integration sallyport.IntegrationID
	Outcome     sallyport.Outcome
	After       string // Next of the page before; empty begins
	Most        int    // 1 to 1000; 0 means 50
}

// LoginPage is a part of the logins.
type LoginPage struct {
	Logins []sallyport.LoginRecord
	Next   string // asks for the next page; empty at the end
}

// LoginCount is how the logins ended that began in one step of a chart.
type LoginCount struct {
	From                             time.Time
	Granted, Denied, Abandoned, Open int
}

// RecordLogins writes records and events in one transaction, at most 1,000 of each. A record with an id
// that is there replaces it, but for the time it began, and one that has ended is not opened again.
// Writing a batch twice changes nothing. Texts that are too long are cut.
func (s *Store) RecordLogins(ctx context.Context, records []sallyport.LoginRecord, events []sallyport.LoginEvent) error {
	return s.RecordActivity(ctx, records, events, nil, nil)
}

// RecordActivity is RecordLogins, AppendAudit and RecordRADIUS in one transaction: all or none.
func (s *Store) RecordActivity(ctx context.Context, records []sallyport.LoginRecord, events []sallyport.LoginEvent,
	audit []sallyport.AuditRecord, requests []RADIUSActivity) error {
	if err := first(checkBatch("logins", len(records)), checkBatch("login events", len(events)),
		checkBatch("audit records", len(audit)), checkBatch("RADIUS requests", len(requests))); err != nil {
		return err
	}
	logins, err := loginRows(records)
	if err != nil {
		return err
	}
	radius, err := radiusRows(requests)
	if err != nil {
		return err
	}
	steps := eventRows(events)
	ctx, cancel := patiently(ctx)
	defer cancel()
	err = s.engine.transact(ctx, func(tx *sql.Tx) error {
		if err := s.writeLogins(ctx, tx, logins, steps); err != nil {
			return err
		}
		if err := s.appendAudit(ctx, tx, audit); err != nil {
			return err
		}
		return s.writeRADIUS(ctx, tx, radius)
	})
	return s.engine.failure("write records", err)
}

func (s *Store) writeLogins(ctx context.Context, tx *sql.Tx, logins, events [][]any) error {
	if err := s.engine.insertRows(ctx, tx, `INSERT INTO logins (`+loginColumns+`, code, search)`, `ON CONFLICT (id) DO UPDATE SET
			ended = excluded.ended, support_code = excluded.support_code, user_name = excluded.user_name, account = excluded.account,
			integration_id = excluded.integration_id, door = excluded.door, outcome = excluded.outcome, method = excluded.method,
			reason = excluded.reason, detail = excluded.detail, address = excluded.address, appliance = excluded.appliance,
			code = excluded.code, search = excluded.search
			WHERE logins.outcome = 'open' OR excluded.outcome <> 'open'`, logins); err != nil {
		return fmt.Errorf("write logins: %w", err)
	}
	if err := s.engine.insertRows(ctx, tx, `INSERT INTO login_events (`+eventColumns+`, id, code)`, `ON CONFLICT (id) DO NOTHING`, events); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

// loginRows takes the last state of each login; sorted, so that two batches at once do not wait for
// one another in a ring.
func loginRows(records []sallyport.LoginRecord) ([][]any, error) {
	last := make(map[string]sallyport.LoginRecord, len(records))
	for _, r := range records {
		r.ID = clean(r.ID, maxLoginID)
		if r.ID == "" || r.Time.IsZero() {
			return nil, invalidf("A login needs an identifier and a time.")
		}
		if before, twice := last[r.ID]; twice {
			r.Time = before.Time
			if r.Outcome == sallyport.OutcomeOpen && before.Outcome != sallyport.OutcomeOpen {
				continue
			}
		}
		last[r.ID] = r
	}
	rows := make([][]any, 0, len(last))
	for _, r := range last {
		user, account, address := clean(r.UserName, maxUserName), clean(string(r.Account), maxAccount), clean(r.Address, maxAddress)
		code := clean(r.SupportCode, maxWord)
		rows = append(rows, []any{
			r.ID, micros(r.Time), micros(r.Ended), code, user, account, clean(string(r.Integration), maxWord), clean(string(r.Door), maxWord),
			clean(string(r.Outcome), maxWord), clean(string(r.Method), maxWord), clean(string(r.Reason), maxReason), clean(r.Detail, maxDetail),
			address, clean(string(r.Appliance), maxWord), canonical(code), searchText(user, account, address, code, canonical(code)),
		})
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(string), b[0].(string)) })
	return rows, nil
}

func eventRows(events []sallyport.LoginEvent) [][]any {
	rows := make([][]any, 0, len(events))
	for _, e := range events {
		code, message, appliance := clean(e.SupportCode, maxWord), clean(e.Message, maxReason), clean(string(e.Appliance), maxWord)
		detail := string(boundJSON(e.Detail, maxEventJSON))
		rows = append(rows, []any{code, micros(e.Time), int64(e.Step), message, detail, appliance,
			contentID(code, micros(e.Time), fmt.Sprint(e.Step), message, detail, appliance), canonical(code)})
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[6].(string), b[6].(string)) })
	return rows
}

// searchText is what a search by text looks through.
func searchText(parts ...string) string { return fold(strings.Join(parts, "\n")) }

// Logins returns a page of logins, the newest first.
func (s *Store) Logins(ctx context.Context, q LoginQuery) (page LoginPage, err error) {
	most, err := pageSize(q.Most)
	if err != nil {
		return page, err
	}
	after, err := pageAfter(q.After)
	if err != nil {
		return page, err
	}
	list, next, err := s.loginTimeline().page(ctx, s, q.conditions(), searchWord(q.Text), after, most)
	return LoginPage{Logins: list, Next: next.String()}, err
}

// EachLogin calls each with every login asked for, the newest first, and ends with its error. It holds a
// thousand at a time; After and Most do not count.
func (s *Store) EachLogin(ctx context.Context, q LoginQuery, each func(sallyport.LoginRecord) error) error {
	return s.loginTimeline().each(ctx, s, q.conditions, searchWord(q.Text), each)
}

func (s *Store) loginTimeline() timeline[sallyport.LoginRecord] {
	return timeline[sallyport.LoginRecord]{
		table: "logins",
		read:  s.logins,
		mark:  func(r sallyport.LoginRecord) *mark { return &mark{time: micros(r.Time), id: r.ID} },
		search: func(c *conditions, text string) {
			c.add("(search LIKE ? ESCAPE '!' OR code = ?)", contains(text), canonical(text))
		},
	}
}

func (q LoginQuery) conditions() *conditions {
	c := &conditions{}
	c.between(q.From, q.To)
	c.equal("account", string(q.Account))
	c.equal("integration_id", string(q.Integration))
	c.equal("outcome", string(q.Outcome))
	return c
}

// LoginBySupportCode returns the login with the support code, however it was typed, and its timeline,
// the oldest event first; not_found if there is none. A login that is not recorded yet has events only.
func (s *Store) LoginBySupportCode(ctx context.Context, code string) (record sallyport.LoginRecord, timeline []sallyport.LoginEvent, err error) {
	code = canonical(clean(code, maxWord))
	if code == "" {
		return record, nil, notFound("login")
	}
	c := &conditions{}
	c.add("code = ?", code)
	list, err := s.logins(ctx, c, 1)
	if err != nil {
		return record, nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read,
		fmt.Sprintf(`SELECT %s FROM login_events WHERE code = $1 ORDER BY time, step, id LIMIT %d`, eventColumns, maxTimeline), code)
	if err != nil {
		return record, nil, s.engine.failure("read events", err)
	}
	if timeline, err = collect(rows, scanEvent); err != nil {
		return record, nil, s.engine.failure("read events", err)
	}
	if len(list) > 0 {
		record = list[0]
	} else if len(timeline) == 0 {
		return record, nil, notFound("login")
	}
	return record, timeline, nil
}

// LoginCounts counts logins by how they ended, in steps from from up to to, for a chart; steps without
// logins are there too. At most 10,000 steps, of a second at least.
func (s *Store) LoginCounts(ctx context.Context, from, to time.Time, step time.Duration) ([]LoginCount, error) {
	if step < time.Second || !to.After(from) || to.Sub(from)/step >= maxSteps {
		return nil, invalidf("A chart has at most %d steps of a second or more.", maxSteps)
	}
	counts := make([]LoginCount, 0, to.Sub(from)/step+1)
	for at := from; at.Before(to); at = at.Add(step) {
		counts = append(counts, LoginCount{From: at.UTC()})
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read,
		// By outcome and time, which an index holds.
		`SELECT (time - $1) / $2 AS step, outcome, COUNT(*) FROM logins
			WHERE outcome IN ('open', 'granted', 'denied', 'abandoned') AND time >= $1 AND time < $3 GROUP BY 1, 2`,
		micros(from), step.Microseconds(), micros(to))
	if err != nil {
		return nil, s.engine.failure("count logins", err)
	}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var at, n int
		var outcome sallyport.Outcome
		err := rows.Scan(&at, &outcome, &n)
		if err == nil && at < len(counts) {
			counts[at].add(outcome, n)
		}
		return struct{}{}, err
	})
	return counts, s.engine.failure("count logins", err)
}

func (c *LoginCount) add(outcome sallyport.Outcome, n int) {
	switch outcome {
	case sallyport.OutcomeGranted:
		c.Granted += n
	case sallyport.OutcomeDenied:
		c.Denied += n
	case sallyport.OutcomeAbandoned:
		c.Abandoned += n
	case sallyport.OutcomeOpen:
		c.Open += n
	}
}

func (s *Store) logins(ctx context.Context, c *conditions, most int) ([]sallyport.LoginRecord, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.read.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM logins%s ORDER BY time DESC, id DESC LIMIT %d`, loginColumns, c.where(), most), c.args...)
	if err != nil {
		return nil, s.engine.failure("read logins", err)
	}
	list, err := collect(rows, scanLogin)
	return list, s.engine.failure("read logins", err)
}

func scanLogin(rows *sql.Rows) (r sallyport.LoginRecord, err error) {
	var at, ended int64
	err = rows.Scan(&r.ID, &at, &ended, &r.SupportCode, &r.UserName, &r.Account, &r.Integration, &r.Door, &r.Outcome, &r.Method,
		&r.Reason, &r.Detail, &r.Address, &r.Appliance)
	r.Time, r.Ended = fromMicros(at), fromMicros(ended)
	return r, err
}

func scanEvent(rows *sql.Rows) (e sallyport.LoginEvent, err error) {
	var at int64
	var detail string
	err = rows.Scan(&e.SupportCode, &at, &e.Step, &e.Message, &detail, &e.Appliance)
	e.Time = fromMicros(at)
	if detail != "" {
		e.Detail = json.RawMessage(detail)
	}
	return e, err
}
