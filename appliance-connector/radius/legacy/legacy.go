// Package legacy is the login engine's front door to RADIUS: for gateways whose users log in without the
// overlay, with user name and password in the gateway's own form. It decides nothing about a login; it turns
// Access-Requests into the engine's events, and prompts into Access-Accept, Access-Reject and Access-Challenge.
//
//	Access-Request ─▶ begun elsewhere? ─▶ engine: password, policy ─┬─ granted, denied ──▶ Accept, Reject
//	  (name, password)  │ yes: join it                              ├─ push, plain ──────▶ held until it is answered
//	                    ▼                                           └─ number, code, choice ▶ Challenge with State
//	Access-Request ─▶ State opens? ─▶ taken before? ─▶ engine: the step ─▶ likewise
//	  (name, answer, State)               │ by the same answer: join it; by another one: refused
//
// One intent is one login, however often a gateway asks: the same name, password and calling station at the
// same integration join what is under way, on any appliance, and so does the same answer to the same challenge. The
// verdict reaches all of them. What settles it is a row in the store that whoever is first takes; see step.go.
//
// A login that waits for its user holds its request in memory and a place among MostWaiting; beyond that,
// requests are refused at once rather than left to time out.
package legacy

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// Lengths of time of a request.
const (
	// beginTime is how long directory, policy and the making of a push may take.
	beginTime = 12 * time.Second
	// HoldTime is how long a request waits for the answer to a push. The token service ends a push after
	// login.PushLife; what is more is for that to arrive.
	HoldTime = login.PushLife + 2*time.Second
	// reserve is for what comes before and after: the store, and the user's groups.
	reserve = 4 * time.Second
)

// Engine is the login engine.
type Engine interface {
	Begin(context.Context, login.Attempt) (login.State, error)
	Wait(context.Context, login.State) (login.State, error)
	Act(context.Context, login.State, login.Action) (login.State, error)
	Push(context.Context, login.State) (login.State, error)
	Code(context.Context, login.State, sallyport.Secret) (login.State, error)
	GiveUp(context.Context, login.State) login.State
	Prompt(login.State) sallyport.Prompt
	OpenCompact(k login.Keeper, box []byte, c login.Context) (login.State, error)
}

// Steps settles, over all appliances of the enterprise, who takes a step, and keeps its result for the others.
type Steps interface {
	// TakeRADIUSStep reports taken to one caller until expires; to the others, who has it and the result,
	// which is empty at first.
	TakeRADIUSStep(ctx context.Context, step, owner []byte, expires, now time.Time) (taken bool, holder, result []byte, err error)
	// SetRADIUSStep keeps the result, as long as the owner has the step.
	SetRADIUSStep(ctx context.Context, step, owner, result []byte, expires time.Time) error
	RADIUSStep(ctx context.Context, step []byte) (holder, result []byte, err error)
	FreeRADIUSStep(ctx context.Context, step []byte) error
}

// Options are what a Door works with. Zero values have the defaults named.
type Options struct {
	Engine Engine
	Steps  Steps
	// Tokens decides for integrations of the cloud experience, and about gateway tokens.
	Tokens radius.InstantVerifier
	// States seals what travels in State, and results of steps.
	States login.Keeper
	// Key is secret; the names of steps follow from it.
	Key   sallyport.Key
	Now   func() time.Time // nil: time.Now
	Sleep func(context.Context, time.Duration)
	Log   *slog.Logger
	// Hold is how long a request waits for the answer to a push; HoldTime.
	Hold time.Duration
	// MostWaiting is how many requests may be under way at a time; 12,000.
	MostWaiting int
}

// Door is the front door. It is a radius.InstantVerifier and a radius.PatientVerifier.
type Door struct {
	Options
	waiting atomic.Int64
	joined  atomic.Uint64
	busy    atomic.Uint64

	mu      sync.Mutex
	flights map[stepID]*flight
}

// New makes a Door.
func New(o Options) *Door {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Hold == 0 {
		o.Hold = HoldTime
	}
	if o.MostWaiting == 0 {
		o.MostWaiting = 12_000
	}
	return &Door{Options: o, flights: make(map[stepID]*flight)}
}

// Stats is what a Door has counted since it started.
type Stats struct {
	Waiting int64  // requests under way now
	Joined  uint64 // requests that joined a login under way
	Busy    uint64 // refused because too many were under way
}

// Stats returns the counters as they stand.
func (d *Door) Stats() Stats { return Stats{d.waiting.Load(), d.joined.Load(), d.busy.Load()} }

// ours reports whether a query is a login in RADIUS, or part of one.
func ours(q *radius.Query) bool {
	switch q.Integration.Experience {
	case sallyport.ExperienceLegacy:
		return true
	case sallyport.ExperienceBoth:
		return !gatewaytoken.LooksLike(string(q.Passcode))
	}
	return false
}

// VerifyNow decides about gateway tokens that need no waiting.
func (d *Door) VerifyNow(q *radius.Query) (radius.Verdict, bool) {
	if ours(q) {
		return radius.Verdict{}, false
	}
	return d.Tokens.VerifyNow(q)
}

// Patience is longer for those who wait for a person.
func (d *Door) Patience(q *radius.Query) time.Duration {
	if ours(q) {
		return beginTime + d.Hold + reserve
	}
	return 0
}

// Verify decides about anything.
func (d *Door) Verify(ctx context.Context, q radius.Query) radius.Verdict {
	if !ours(&q) {
		return d.Tokens.Verify(ctx, q)
	}
	defer d.waiting.Add(-1)
	if d.waiting.Add(1) > int64(d.MostWaiting) {
		d.busy.Add(1)
		return tooMany
	}
	var st step
	if q.State == nil {
		bad := unfit(&q)
		if bad != nil {
			return *bad
		}
		st = d.beginning(&q)
	} else {
		s, err := d.Engine.OpenCompact(d.States, q.State, contextOf(&q))
		if err != nil {
			return stateRefused(err)
		}
		st = d.answering(&q, s)
	}
	r, err := d.take(ctx, &q, st)
	if err != nil {
		return failed(err)
	}
	return d.verdict(r.State)
}

// verdict says to the gateway how a login stands.
func (d *Door) verdict(s login.State) radius.Verdict {
	switch s.Kind {
	case sallyport.PromptDone:
		return radius.Verdict{Accept: true, Account: s.Account}
	case sallyport.PromptDenied:
		return denied(s)
	}
	box, err := d.States.SealCompact(s)
	if err != nil {
		return stateTooLong(s, err)
	}
	return radius.Verdict{Challenge: box, Message: question(d.Engine.Prompt(s)), Account: s.Account}
}
