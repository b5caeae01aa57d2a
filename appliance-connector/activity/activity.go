// Package activity records what happens at the appliance's doors: logins and their timelines, the audit
// trail of their decisions, and RADIUS requests.
//
// It never makes a login wait: what is told is put into bounded queues, gathered for some milliseconds,
// and written together. While the store is away the queues fill; what finds no place any more is counted,
// said in the log and the metrics, and, once the store is back, in the audit trail. RADIUS requests come
// by the thousands a second: of those a part is written, the rest counted only.
//
//	Login, Event, Audit ──────────────▶ queue ─┐
//	RADIUS, Frequent ─▶ not too many? ─▶ queue ─┴─▶ gather ─▶ one transaction ─▶ store
//
// It is handed nothing secret, and keeps nothing once it is written.
package activity

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport"
)

const (
	// Gather is how long the writer waits for more before it writes: a transaction costs as much as some logins in it.
	Gather = 50 * time.Millisecond
	// abandonedEvery is how often logins that nobody went on with are ended.
	abandonedEvery = time.Minute
	// writeTime bounds one write.
	writeTime = 5 * time.Second
	// Waits between two tries while the store is away.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
	// batch is how many of a kind are written at once (the store takes as many).
	batch = 1000
	// known bounds the logins whose end is remembered, so that it is told once.
	known = 8 << 10
)

// How many of each kind wait for the store at most: about 20 MB.
const (
	maxLogins = 5_000
	maxEvents = 20_000
	maxAudit  = 10_000
	maxRADIUS = 5_000
)

// Of what comes by the thousands, this many a second are written, and as many at once.
const frequentRate = 500

// Store writes what was recorded. Each call is one transaction; repeated, it changes nothing but the
// audit trail.
type Store interface {
	// RecordActivity is the three that follow together: all or none.
	RecordActivity(ctx context.Context, logins []sallyport.LoginRecord, events []sallyport.LoginEvent, audit []sallyport.AuditRecord, requests []sallyport.RADIUSActivity) error
	RecordLogins(ctx context.Context, logins []sallyport.LoginRecord, events []sallyport.LoginEvent) error
	AppendAudit(ctx context.Context, records []sallyport.AuditRecord) error
	RecordRADIUS(ctx context.Context, requests []sallyport.RADIUSActivity) error
	// AbandonLogins ends logins that began before a time and are open still.
	AbandonLogins(ctx context.Context, before, now time.Time) (int64, error)
}

// Options are what a Recorder works with.
type Options struct {
	Store     Store
	Appliance sallyport.ApplianceID
	// Life is how long a login may take; one that is open after it is abandoned.
	Life time.Duration
	Now  func() time.Time
	Log  *slog.Logger
}

// Recorder records. Make it with New; Run writes. All methods but Run return at once.
type Recorder struct {
	opts   Options
	wake   chan struct{}
	logins queue[sallyport.LoginRecord]
	events queue[sallyport.LoginEvent]
	audit  queue[sallyport.AuditRecord]
	radius queue[sallyport.RADIUSActivity]

	oftenEvents, oftenRADIUS *rate.Limiter

	mu    sync.Mutex
	ended map[string]sallyport.Outcome // of logins of late
	order []string                     // their ids, the oldest first
	loss  loss

	writing        sync.Mutex // one flush at a time
	abandonedEnded time.Time  // when abandoned logins were last ended
}

// New makes a Recorder.
func New(o Options) *Recorder {
	return &Recorder{
		opts: o, wake: make(chan struct{}, 1),
		logins:      queue[sallyport.LoginRecord]{most: maxLogins},
		events:      queue[sallyport.LoginEvent]{most: maxEvents},
		audit:       queue[sallyport.AuditRecord]{most: maxAudit},
		radius:      queue[sallyport.RADIUSActivity]{most: maxRADIUS},
		oftenEvents: rate.NewLimiter(frequentRate, frequentRate),
		oftenRADIUS: rate.NewLimiter(frequentRate, frequentRate),
		ended:       map[string]sallyport.Outcome{},
	}
}

// Login records how a login stands. It returns false when its end was told before: a step was repeated.
func (r *Recorder) Login(l sallyport.LoginRecord) bool {
	if l.Outcome != sallyport.OutcomeOpen && r.toldBefore(l) {
		return false
	}
	l.Appliance = r.opts.Appliance
	r.took(r.logins.put(l))
	return true
}

// Event records a step of a login's timeline.
func (r *Recorder) Event(e sallyport.LoginEvent) {
	e.Appliance = r.opts.Appliance
	r.took(r.events.put(e))
}

// Frequent is Event for steps that come by the thousands a second; of those a part is recorded.
func (r *Recorder) Frequent(at time.Time, tell func() sallyport.LoginEvent) {
	if !r.oftenEvents.AllowN(at, 1) {
		r.events.leftOut.Add(1)
		return
	}
	r.Event(tell())
}

// Audit records a decision in the audit trail.
func (r *Recorder) Audit(a sallyport.AuditRecord) { r.took(r.audit.put(a)) }

// RADIUS records what became of a RADIUS request; of the requests of one second, a part.
func (r *Recorder) RADIUS(at time.Time, tell func() sallyport.RADIUSActivity) {
	if !r.oftenRADIUS.AllowN(at, 1) {
		r.radius.leftOut.Add(1)
		return
	}
	a := tell()
	a.Appliance = r.opts.Appliance
	r.took(r.radius.put(a))
}

// toldBefore remembers the end of a login, and reports whether it was told before.
func (r *Recorder) toldBefore(l sallyport.LoginRecord) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended[l.ID] == l.Outcome {
		return true
	}
	if _, again := r.ended[l.ID]; !again {
		if len(r.order) >= known {
			delete(r.ended, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, l.ID)
	}
	r.ended[l.ID] = l.Outcome
	return false
}

// took wakes the writer for what found a place, and says so when something found none.
func (r *Recorder) took(kept bool) {
	if !kept {
		r.losing()
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
