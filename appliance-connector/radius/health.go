package radius

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
)

// HeardRecorder keeps what the server has heard, for administrators and for the other appliances.
type HeardRecorder interface {
	RecordGatewayHeard(ctx context.Context, heard []sallyport.GatewayHealth) error
	RecordUnknownSources(ctx context.Context, sources []sallyport.UnknownSource) error
	SawMessageAuthenticator(ctx context.Context, id sallyport.IntegrationID, at time.Time) error
}

const (
	flushEvery = 5 * time.Second
	flushTime  = 2 * time.Second // for one flush
	maxUnknown = 256             // unknown sources remembered at a time
)

// second is a time to the second that many goroutines set without waiting for one another, and mostly
// without writing.
type second struct{ atomic.Int64 }

func (s *second) at(now time.Time) {
	if t := now.Unix(); s.Load() < t {
		s.Store(t)
	}
}

func (s *second) time() time.Time {
	if t := s.Load(); t != 0 {
		return time.Unix(t, 0).UTC()
	}
	return time.Time{}
}

// memory is what the server remembers of an integration, from one configuration to the next.
type memory struct {
	version                    int64       // of the integration
	seen                       atomic.Bool // Message-Authenticator, under once_seen
	firstSeen                  second      // zero once the recorder knows
	heard, accepted, oldSecret second

	mu      sync.Mutex
	bad     complaint
	badAt   time.Time
	flushed sallyport.GatewayHealth // what the recorder knows
}

// next is what is remembered of another version of the integration. m may be nil.
func (m *memory) next(version int64) *memory {
	next := &memory{version: version}
	if m == nil {
		return next
	}
	next.heard.Store(m.heard.Load())
	next.accepted.Store(m.accepted.Load())
	next.oldSecret.Store(m.oldSecret.Load())
	m.mu.Lock()
	defer m.mu.Unlock()
	next.bad, next.badAt, next.flushed = m.bad, m.badAt, m.flushed
	return next
}

func (m *memory) refused(c complaint, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bad, m.badAt = c, now.UTC().Truncate(time.Second)
}

// health returns what is known, and whether the recorder does not know it yet.
func (m *memory) health(id sallyport.IntegrationID, appliance sallyport.ApplianceID) (h sallyport.GatewayHealth, changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h = sallyport.GatewayHealth{
		Integration: id, Appliance: appliance, Heard: m.heard.time(), Accepted: m.accepted.time(), OldSecret: m.oldSecret.time(),
		Error: m.bad.cause, Cure: m.bad.cure, ErrorTime: m.badAt,
	}
	return h, h != m.flushed
}

func (m *memory) took(h sallyport.GatewayHealth) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flushed = h
}

// unknownSources counts addresses that no integration has. A flood of invented ones pushes others out,
// mostly those not heard for long, and costs no more than the bound.
type unknownSources struct {
	mu      sync.Mutex
	heard   map[netip.Addr]*sallyport.UnknownSource
	changed map[netip.Addr]bool
}

func newUnknownSources() *unknownSources {
	return &unknownSources{heard: make(map[netip.Addr]*sallyport.UnknownSource), changed: make(map[netip.Addr]bool)}
}

func (u *unknownSources) note(source netip.Addr, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.heard[source]
	if e == nil {
		if len(u.heard) >= maxUnknown {
			u.makeRoom()
		}
		e = &sallyport.UnknownSource{Source: source, First: now}
		u.heard[source] = e
	}
	e.Last = now
	e.Count++
	u.changed[source] = true
}

// makeRoom drops the one not heard for longest out of a few: the order of a map is random.
func (u *unknownSources) makeRoom() {
	var oldest *sallyport.UnknownSource
	looked := 0
	for _, e := range u.heard {
		if oldest == nil || e.Last.Before(oldest.Last) {
			oldest = e
		}
		if looked++; looked == 8 {
			break
		}
	}
	delete(u.heard, oldest.Source)
	delete(u.changed, oldest.Source)
}

// take returns what changed since it was taken last.
func (u *unknownSources) take(appliance sallyport.ApplianceID) (out []sallyport.UnknownSource) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for source := range u.changed {
		e := *u.heard[source]
		e.Appliance = appliance
		out = append(out, e)
	}
	clear(u.changed)
	return out
}

// putBack marks sources that could not be kept as changed.
func (u *unknownSources) putBack(list []sallyport.UnknownSource) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range list {
		if u.heard[e.Source] != nil {
			u.changed[e.Source] = true
		}
	}
}

// keepHeard hands what was heard to the recorder every few seconds, and once more when ctx ends.
func (s *Server) keepHeard(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		s.flush(context.WithoutCancel(ctx))
	}
}

// flush hands over what changed since the last time. What the recorder does not take is handed over again.
func (s *Server) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err := s.flushHealth(ctx)
	if sources := s.unknown.take(s.opts.Appliance); len(sources) > 0 {
		if e := s.opts.Recorder.RecordUnknownSources(ctx, sources); e != nil {
			s.unknown.putBack(sources)
			err = e
		}
	}
	if err != nil {
		s.opts.Log.Warn("what gateways did is not kept for now", "code", sallyport.ErrorCode(err), "err", err)
	}
}

func (s *Server) flushHealth(ctx context.Context) (failed error) {
	var heard []sallyport.GatewayHealth
	var of []*memory
	for id, m := range s.memories() {
		if first := m.firstSeen.time(); !first.IsZero() {
			if err := s.opts.Recorder.SawMessageAuthenticator(ctx, id, first); err != nil {
				failed = err
			} else {
				m.firstSeen.Store(0)
			}
		}
		if h, changed := m.health(id, s.opts.Appliance); changed {
			heard, of = append(heard, h), append(of, m)
		}
	}
	if len(heard) == 0 {
		return failed
	}
	if err := s.opts.Recorder.RecordGatewayHeard(ctx, heard); err != nil {
		return err
	}
	for i, m := range of {
		m.took(heard[i])
	}
	return failed
}
