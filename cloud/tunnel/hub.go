// Package tunnel is the cloud's end of the tunnel: appliances dial in and keep streams open, and
// the rest of the cloud gives a request to some appliance of an enterprise without knowing where it is.
//
// A Hub holds the streams of this replica. What other replicas hold stands in Redis as leases
// (presence.go); a request for one of those is handed over by Redis pub/sub (handover.go). A request
// whose work may have begun is never given to a second appliance: see Hub.Do.
//
// The hub never looks into what it carries, never dials out, and keeps nothing on disk.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// MaxFrame bounds a frame in both directions, in octets.
const MaxFrame = 64 << 10

// Renewer gives an appliance a new certificate before the old one ends.
type Renewer interface {
	// Renew signs csr (PKCS#10 DER) for id and returns the chain in DER, leaf first.
	Renew(ctx context.Context, id pki.Identity, csr []byte) ([][]byte, error)
}

// Revocations knows which appliances were cut off.
type Revocations interface {
	Revoked(ctx context.Context, id pki.Identity) (bool, error)
	// Watch calls cut for every identity in live() that is revoked, soon after it was. It ends with ctx.
	Watch(ctx context.Context, live func() []pki.Identity, cut func(pki.Identity)) error
}

// Config says what a Hub needs. Redis, Revocations and Renewer are required; zero values of the rest mean the defaults.
type Config struct {
	// Replica names this replica for people and for appliances, which look for replicas of
	// different names. It must be a sallyport.ValidID.
	Replica     string
	Version     string
	Redis       redis.UniversalClient
	Revocations Revocations
	Renewer     Renewer
	Log         *slog.Logger
	Now         func() time.Time
	Limits      Limits
	Timing      Timing
}

// Limits bound what appliances can take up.
type Limits struct {
	// InFlight is how many requests may wait for answers on one stream (16,384).
	InFlight int
	// Calls is how many calls of one stream are worked on at once (64).
	Calls int
	// Streams is how many streams one appliance may have on this replica (8).
	Streams int
	// Queue is how many octets may wait to be sent on one stream (4 MiB); beyond, it is cut.
	Queue int
	// Handovers is how many requests are worked on for other replicas at once (32,768).
	Handovers int
}

// Timing holds the clocks of the tunnel.
type Timing struct {
	// Heartbeat is sent both ways this often (3 s). A stream that is silent for three is cut.
	Heartbeat time.Duration
	// Lease is how long an entry in the presence outlives its last renewal (9 s); renewed three times in it.
	Lease time.Duration
	// Accept is how long a replica has to take a handover before it goes elsewhere (500 ms).
	Accept time.Duration
	// Beat is how often a replica that works on handovers shows it to their origin (400 ms). One
	// that is silent for four is lost.
	Beat time.Duration
	// Statement is how long a key statement is given out after it came (150 s).
	Statement time.Duration
}

func orElse[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

func (c *Config) complete() error {
	if !sallyport.ValidID(c.Replica) {
		return fmt.Errorf("replica name %q: 1 to 64 letters, digits, - and _", c.Replica)
	}
	if c.Redis == nil || c.Revocations == nil || c.Renewer == nil {
		return errors.New("tunnel hub needs Redis, Revocations and Renewer")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	orElse(&c.Limits.InFlight, 16384)
	orElse(&c.Limits.Calls, 64)
	orElse(&c.Limits.Streams, 8)
	orElse(&c.Limits.Queue, 4<<20)
	orElse(&c.Limits.Handovers, 32768)
	orElse(&c.Timing.Heartbeat, 3*time.Second)
	orElse(&c.Timing.Lease, 9*time.Second)
	orElse(&c.Timing.Accept, 500*time.Millisecond)
	orElse(&c.Timing.Beat, 400*time.Millisecond)
	orElse(&c.Timing.Statement, 150*time.Second)
	return nil
}

// Hub holds the streams of one replica. Run must run for anything but requests between this
// replica and its own streams.
type Hub struct {
	tunnelpb.UnimplementedTunnelServer
	cfg     Config
	log     *slog.Logger
	address string // of this process, for other replicas

	mu      sync.RWMutex
	tenants map[sallyport.TenantID]map[*stream]struct{}
	count   int
	emptied chan struct{} // closed and replaced whenever the last stream goes

	draining   atomic.Bool
	presence   presence
	handovers  handovers
	statements statements
	work       sync.WaitGroup // calls and handovers under way
}

// NewHub makes a hub.
func NewHub(cfg Config) (*Hub, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("make tunnel hub: %w", err)
	}
	h := &Hub{
		cfg: cfg, log: cfg.Log, address: cfg.Replica + "." + sallyport.NewID(),
		tenants: map[sallyport.TenantID]map[*stream]struct{}{}, emptied: make(chan struct{}),
	}
	h.presence.init()
	h.handovers.init(cfg.Limits.Handovers)
	h.statements.init()
	return h, nil
}

// Run keeps presence, handovers, heartbeats and revocation going until ctx ends, waits for the work
// under way, and takes this replica out of the presence.
func (h *Hub) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.keepPresence(ctx) })
	g.Go(func() error { return h.keepHandovers(ctx) })
	g.Go(func() error { return h.keepStreams(ctx) })
	g.Go(func() error {
		return h.cfg.Revocations.Watch(ctx, h.identities, func(id pki.Identity) { h.cutAppliance(id, reasonRevoked) })
	})
	err := g.Wait()
	h.work.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Drain tells every appliance to move to another replica and waits until all have gone and their
// requests are answered, or until ctx ends. New streams are refused from now on.
func (h *Hub) Drain(ctx context.Context) error {
	h.draining.Store(true)
	for _, s := range h.streams() {
		s.drain("the replica shuts down")
	}
	for {
		h.mu.RLock()
		n, gone := h.count, h.emptied
		h.mu.RUnlock()
		if n == 0 {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return fmt.Errorf("drain tunnel, %d streams left: %w", n, ctx.Err())
		}
	}
}

// Stats counts what a hub holds now.
type Stats struct {
	Streams, InFlight, Handovers int
}

// Stats is for metrics and tests.
func (h *Hub) Stats() Stats {
	st := Stats{Handovers: h.handovers.open()}
	for _, s := range h.streams() {
		st.Streams++
		st.InFlight += s.load()
	}
	return st
}

// add takes a stream in, unless its appliance has too many already.
func (h *Hub) add(s *stream) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	same := 0
	for other := range h.tenants[s.id.Tenant] {
		if other.id == s.id {
			same++
		}
	}
	if same >= h.cfg.Limits.Streams {
		return sallyport.Errorf(sallyport.CodeLimited, "This appliance has too many streams open.", nil)
	}
	if h.tenants[s.id.Tenant] == nil {
		h.tenants[s.id.Tenant] = map[*stream]struct{}{}
	}
	h.tenants[s.id.Tenant][s] = struct{}{}
	h.count++
	return nil
}

func (h *Hub) remove(s *stream) {
	h.mu.Lock()
	delete(h.tenants[s.id.Tenant], s)
	if len(h.tenants[s.id.Tenant]) == 0 {
		delete(h.tenants, s.id.Tenant)
	}
	h.count--
	if h.count == 0 {
		close(h.emptied)
		h.emptied = make(chan struct{})
	}
	h.mu.Unlock()
	h.presence.touch(s.id.Tenant)
}

func (h *Hub) streams() []*stream {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*stream, 0, h.count)
	for _, set := range h.tenants {
		for s := range set {
			out = append(out, s)
		}
	}
	return out
}

func (h *Hub) streamsOf(tenant sallyport.TenantID) []*stream {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*stream, 0, len(h.tenants[tenant]))
	for s := range h.tenants[tenant] {
		out = append(out, s)
	}
	return out
}

func (h *Hub) localTenants() []sallyport.TenantID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]sallyport.TenantID, 0, len(h.tenants))
	for t := range h.tenants {
		out = append(out, t)
	}
	return out
}

func (h *Hub) identities() []pki.Identity {
	seen := map[pki.Identity]struct{}{}
	for _, s := range h.streams() {
		seen[s.id] = struct{}{}
	}
	out := make([]pki.Identity, 0, len(seen))
	for id := range seen {
		out = append(out, id)
	}
	return out
}

func (h *Hub) cutAppliance(id pki.Identity, reason string) {
	for _, s := range h.streamsOf(id.Tenant) {
		if s.id == id {
			s.cut(reason)
		}
	}
}

// keepStreams sends heartbeats and cuts what is silent, stuck or out of date.
func (h *Hub) keepStreams(ctx context.Context) error {
	tick := time.NewTicker(h.cfg.Timing.Heartbeat / 8)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now := h.cfg.Now()
		for _, s := range h.streams() {
			s.watch(now)
		}
	}
}
