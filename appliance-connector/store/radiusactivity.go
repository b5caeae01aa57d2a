package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

// RADIUSActivity is what became of one RADIUS request.
type RADIUSActivity = sallyport.RADIUSActivity

const radiusColumns = `id, time, integration_id, source, user_name, account, outcome, reason, cure, nas_identifier, calling_station, called_station, appliance`

// RADIUSQuery says which RADIUS requests are asked for; zero fields ask for all.
type RADIUSQuery struct {
	From, To time.Time // From <= time < To
	// Text is looked for, without case, in user name, account, source, calling station and NAS identifier.
	// A page then looks at 100,000 requests, so that one with few of them or none may have a next one.
	Text        string
	Account     sallyport.AccountName
	Integration sallyport.IntegrationID
	Outcome     sallyport.RADIUSOutcome
	After       string // Next of the page before; empty begins
	Most        int    // 1 to 1000; 0 means 50
}

// RADIUSPage is a part of the RADIUS requests.
type RADIUSPage struct {
	Requests []RADIUSActivity
	Next     string // asks for the next page; empty at the end
}

// RecordRADIUS writes what became of RADIUS requests in one transaction, at most 1,000. Writing a batch
// twice changes nothing. Texts that are too long are cut.
func (s *Store) RecordRADIUS(ctx context.Context, requests []RADIUSActivity) error {
	return s.RecordActivity(ctx, nil, nil, nil, requests)
}

func radiusRows(requests []RADIUSActivity) ([][]any, error) {
	rows := make([][]any, 0, len(requests))
	for _, r := range requests {
		if r.Time.IsZero() {
			return nil, invalidf("A RADIUS request needs a time.")
		}
		rows = append(rows, radiusRow(r))
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(string), b[0].(string)) })
	return rows, nil
}

func (s *Store) writeRADIUS(ctx context.Context, tx *sql.Tx, rows [][]any) error {
	if err := s.engine.insertRows(ctx, tx, `INSERT INTO radius_activity (`+radiusColumns+`, search)`, `ON CONFLICT (id) DO NOTHING`, rows); err != nil {
		return fmt.Errorf("write RADIUS requests: %w", err)
	}
	return nil
}

func radiusRow(r RADIUSActivity) []any {
	integration, source, user := clean(string(r.Integration), maxWord), clean(r.Source, maxAddress), clean(r.UserName, maxUserName)
	account, outcome, reason := clean(string(r.Account), maxAccount), clean(string(r.Outcome), maxWord), clean(r.Reason, maxReason)
	nas, station, appliance := clean(r.NASIdentifier, maxReason), clean(r.CallingStation, maxReason), clean(string(r.Appliance), maxWord)
	called := clean(r.CalledStation, maxReason)
	id := contentID(integration, micros(r.Time), source, user, account, outcome, reason, nas, station, called, appliance)
	if r.Key != "" {
		id = contentID(integration, 0, r.Key)
	}
	return []any{id, micros(r.Time), integration, source, user, account, outcome, reason, clean(r.Cure, maxDetail), nas, station, called, appliance,
		searchText(user, account, source, station, nas)}
}

// contentID makes an id out of what a row says, so that the same row has the same one.
func contentID(first string, time int64, rest ...string) string {
	h := sha256.New()
	h.Write([]byte(strconv.Quote(first) + strconv.FormatInt(time, 10)))
	for _, r := range rest {
		h.Write([]byte(strconv.Quote(r)))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// RADIUSRequests returns a page of RADIUS requests, the newest first.
func (s *Store) RADIUSRequests(ctx context.Context, q RADIUSQuery) (page RADIUSPage, err error) {
	most, err := pageSize(q.Most)
	if err != nil {
		return page, err
	}
	after, err := pageAfter(q.After)
	if err != nil {
		return page, err
	}
	list, next, err := s.radiusTimeline().page(ctx, s, q.conditions(), searchWord(q.Text), after, most)
	for _, r := range list {
		page.Requests = append(page.Requests, r.RADIUSActivity)
	}
	page.Next = next.String()
	return page, err
}

// EachRADIUS calls each with every RADIUS request asked for, the newest first, and ends with its error.
// It holds a thousand at a time; After and Most do not count.
func (s *Store) EachRADIUS(ctx context.Context, q RADIUSQuery, each func(RADIUSActivity) error) error {
	return s.radiusTimeline().each(ctx, s, q.conditions, searchWord(q.Text), func(r radiusRequest) error { return each(r.RADIUSActivity) })
}

func (s *Store) radiusTimeline() timeline[radiusRequest] {
	return timeline[radiusRequest]{
		table:  "radius_activity",
		read:   s.radiusRequests,
		mark:   func(r radiusRequest) *mark { return &mark{time: micros(r.Time), id: r.id} },
		search: func(c *conditions, text string) { c.add("search LIKE ? ESCAPE '!'", contains(text)) },
	}
}

func (q RADIUSQuery) conditions() *conditions {
	c := &conditions{}
	c.between(q.From, q.To)
	c.equal("account", string(q.Account))
	c.equal("integration_id", string(q.Integration))
	c.equal("outcome", string(q.Outcome))
	return c
}

// radiusRequest is a request with its place in the list.
type radiusRequest struct {
	RADIUSActivity
	id string
}

func (s *Store) radiusRequests(ctx context.Context, c *conditions, most int) ([]radiusRequest, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.read.QueryContext(ctx,
		fmt.Sprintf(`SELECT %s FROM radius_activity%s ORDER BY time DESC, id DESC LIMIT %d`, radiusColumns, c.where(), most), c.args...)
	if err != nil {
		return nil, s.engine.failure("read RADIUS requests", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (r radiusRequest, err error) {
		var at int64
		err = rows.Scan(&r.id, &at, &r.Integration, &r.Source, &r.UserName, &r.Account, &r.Outcome, &r.Reason, &r.Cure,
			&r.NASIdentifier, &r.CallingStation, &r.CalledStation, &r.Appliance)
		r.Time = fromMicros(at)
		return r, err
	})
	return list, s.engine.failure("read RADIUS requests", err)
}

// RADIUSCounts is how many RADIUS requests of a gateway ended in which way.
type RADIUSCounts struct{ Accepted, Rejected, Challenged, Dropped int }

// CountRADIUS counts the requests of each integration since a time. Requests that no integration has are
// under the empty id.
func (s *Store) CountRADIUS(ctx context.Context, since time.Time) (map[sallyport.IntegrationID]RADIUSCounts, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read,
		`SELECT integration_id, outcome, COUNT(*) FROM radius_activity WHERE time >= $1 GROUP BY integration_id, outcome`, micros(since))
	if err != nil {
		return nil, s.engine.failure("count RADIUS requests", err)
	}
	out := map[sallyport.IntegrationID]RADIUSCounts{}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var id sallyport.IntegrationID
		var outcome sallyport.RADIUSOutcome
		var n int
		err := rows.Scan(&id, &outcome, &n)
		c := out[id]
		switch outcome {
		case sallyport.RADIUSAccepted:
			c.Accepted += n
		case sallyport.RADIUSRejected:
			c.Rejected += n
		case sallyport.RADIUSChallenged:
			c.Challenged += n
		case sallyport.RADIUSDropped:
			c.Dropped += n
		}
		out[id] = c
		return struct{}{}, err
	})
	return out, s.engine.failure("count RADIUS requests", err)
}
