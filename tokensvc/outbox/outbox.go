// Package outbox sends the pushes of challenges. A push leaves at once, from the replica that made its
// challenge; Redis keeps it until it has been sent, under a lease, so that another replica sends it
// when this one dies. It tries again with back-off while the challenge lives, and says what became of
// every push. It never decides anything about a challenge.
//
//	queued ── sent
//	   │ ├── no address (the provider has forgotten it; so do we)
//	   │ └── failed (credential, rejected; or out of time)
//	   └─ throttled, provider down: queued again after a wait
package outbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// Store is the outbox's place in Redis.
type Store interface {
	QueuedPushes(ctx context.Context, n int) ([]store.PushRef, error)
	TakePush(ctx context.Context, r store.PushRef, owner string) (*store.PushJob, error)
	HoldsPush(ctx context.Context, r store.PushRef, owner string) (bool, error)
	RenewPushes(ctx context.Context, refs []store.PushRef, owner string) error
	ReleasePush(ctx context.Context, r store.PushRef) error
	SetDelivery(ctx context.Context, r store.PushRef, d store.Delivery) error
	ForgetAddress(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID, gone deviceproto.Push) error
}

// Observer counts what happens, for metrics.
type Observer interface {
	PushAttempt(provider deviceproto.Provider, outcome push.Outcome, took time.Duration)
	PushEnded(provider deviceproto.Provider, state store.DeliveryState)
}

// Config is what an outbox needs. Owner names this replica.
type Config struct {
	Store   Store
	Senders map[deviceproto.Provider]push.Sender
	Observe Observer
	Owner   string
	Log     *slog.Logger
	Now     func() time.Time
	// Workers is how many pushes a provider is sent at a time, Queue how many wait for it here; more
	// wait in Redis. Zero is 128 and 4096.
	Workers, Queue int
}

// The rhythm of the outbox.
const (
	renewEvery = store.Lease / 3
	sweepEvery = 500 * time.Millisecond
	sweepSize  = 256
	// writeTime bounds what has to be written after ctx has ended.
	writeTime = 2 * time.Second
	// drain is how long pushes under way may take to finish when this replica shuts down.
	drain = 5 * time.Second
)

// Outbox sends. Run must run for anything to leave.
type Outbox struct {
	cfg    Config
	lanes  map[deviceproto.Provider]chan *job
	closed atomic.Bool

	mu    sync.Mutex
	held  map[store.PushRef]struct{}
	waits sync.WaitGroup // jobs that wait for their next try
}

// New returns an outbox for the configured senders.
func New(cfg Config) *Outbox {
	if cfg.Workers == 0 {
		cfg.Workers = 128
	}
	if cfg.Queue == 0 {
		cfg.Queue = 4096
	}
	o := &Outbox{cfg: cfg, lanes: map[deviceproto.Provider]chan *job{}, held: map[store.PushRef]struct{}{}}
	for p := range cfg.Senders {
		o.lanes[p] = make(chan *job, cfg.Queue)
	}
	return o
}

// Send hands over a push whose lease this replica holds. It never waits: with no room here the lease
// is given back, and whichever replica has room takes the push from Redis.
func (o *Outbox) Send(ctx context.Context, p store.PushJob) {
	o.send(ctx, newJob(p, o.cfg.Now()))
}

func (o *Outbox) send(ctx context.Context, j *job) {
	lane := o.lanes[j.Push.Provider]
	if lane == nil {
		o.finish(ctx, j, store.Delivery{State: store.DeliveryFailed, Reason: "provider"})
		o.cfg.Log.Error("push provider is not configured", "provider", j.Push.Provider, "challenge", j.Challenge,
			"advice", "configure the credential of this provider at the token service")
		return
	}
	o.hold(j.PushRef)
	if !o.closed.Load() {
		select {
		case lane <- j:
			return
		default:
			o.cfg.Log.Warn("push queue is full; the push waits in redis", "provider", j.Push.Provider, "challenge", j.Challenge)
		}
	}
	o.giveBack(ctx, j)
}

// giveBack lets go of a push, for any replica to take.
func (o *Outbox) giveBack(ctx context.Context, j *job) {
	o.letGo(j.PushRef)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if err := o.cfg.Store.ReleasePush(ctx, j.PushRef); err != nil {
		o.cfg.Log.Warn("push not given back; its lease runs out", "challenge", j.Challenge, "error", err)
	}
}

func (o *Outbox) hold(r store.PushRef) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held[r] = struct{}{}
}

func (o *Outbox) letGo(r store.PushRef) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.held, r)
}

func (o *Outbox) holding() []store.PushRef {
	o.mu.Lock()
	defer o.mu.Unlock()
	refs := make([]store.PushRef, 0, len(o.held))
	for r := range o.held {
		refs = append(refs, r)
	}
	return refs
}

// Held counts the pushes that this replica is busy with.
func (o *Outbox) Held() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.held)
}

// Run sends until ctx ends; then it finishes what is under way, for at most 5 s, and gives the rest back.
func (o *Outbox) Run(ctx context.Context) error {
	// Requests to the providers outlive ctx by the drain.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var workers, keepers sync.WaitGroup
	for _, lane := range o.lanes {
		for range o.cfg.Workers {
			workers.Go(func() { o.work(ctx, work, lane) })
		}
	}
	keepers.Go(func() { every(work, renewEvery, o.renew) })
	keepers.Go(func() { every(ctx, sweepEvery, o.sweep) })
	<-ctx.Done()
	o.closed.Store(true)
	timer := time.AfterFunc(drain, cancel)
	workers.Wait()
	o.waits.Wait()
	timer.Stop()
	cancel()
	keepers.Wait()
	o.empty(ctx)
	return ctx.Err()
}

func every(ctx context.Context, d time.Duration, do func(context.Context)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			do(ctx)
		}
	}
}

func (o *Outbox) work(stop, work context.Context, lane chan *job) {
	for {
		select {
		case <-stop.Done():
			return
		case j := <-lane:
			o.attempt(stop, work, j)
		}
	}
}

// empty gives back what was still queued here.
func (o *Outbox) empty(ctx context.Context) {
	for _, lane := range o.lanes {
		for {
			select {
			case j := <-lane:
				o.giveBack(ctx, j)
				continue
			default:
			}
			break
		}
	}
}

func (o *Outbox) renew(ctx context.Context) {
	if err := o.cfg.Store.RenewPushes(ctx, o.holding(), o.cfg.Owner); err != nil && ctx.Err() == nil {
		o.cfg.Log.Warn("leases of pushes not renewed; another replica may send them a second time", "error", err)
	}
}

// sweep takes over pushes that nobody holds: their replica died, or had no room.
func (o *Outbox) sweep(ctx context.Context) {
	refs, err := o.cfg.Store.QueuedPushes(ctx, sweepSize)
	if err != nil {
		if ctx.Err() == nil {
			o.cfg.Log.Warn("outbox not swept", "error", err)
		}
		return
	}
	for _, r := range refs {
		if !o.room() {
			return
		}
		p, err := o.cfg.Store.TakePush(ctx, r, o.cfg.Owner)
		if err != nil {
			if ctx.Err() == nil {
				o.cfg.Log.Warn("push not taken over", "challenge", r.Challenge, "error", err)
			}
			return
		}
		if p != nil {
			o.cfg.Log.Info("push taken over", "challenge", p.Challenge, "tenant", p.Tenant)
			o.Send(ctx, *p)
		}
	}
}

// room reports whether every lane could take another push.
func (o *Outbox) room() bool {
	for _, lane := range o.lanes {
		if len(lane) >= cap(lane) {
			return false
		}
	}
	return true
}
