package tunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
)

// The presence in Redis, all in the slot of the enterprise:
//
//	sp:{tenant}:presence            a set: the addresses of replicas that may hold streams
//	sp:{tenant}:presence:<address>  the lease of one replica: the streams that it holds (JSON)
//
// Redis ends the leases, so no two clocks have to agree. A reader drops addresses without a lease.
const (
	presenceIndexTTL = 24 * time.Hour
	presenceCache    = time.Second
	presenceBatch    = 256
	maxPresence      = 256 << 10
	// presenceTimeout bounds a look into Redis: without it a request would wait long to hear that
	// nothing can be found now.
	presenceTimeout = time.Second
)

func presenceKey(tenant sallyport.TenantID) string { return "sp:{" + string(tenant) + "}:presence" }

func leaseKey(tenant sallyport.TenantID, address string) string {
	return presenceKey(tenant) + ":" + address
}

// lease is what a replica says of its streams of one enterprise.
type lease struct {
	Replica string        `json:"replica"`
	Address string        `json:"address"`
	Streams []leaseStream `json:"streams"`
}

type leaseStream struct {
	Appliance sallyport.ApplianceID `json:"appliance"`
	Instance  string                `json:"instance"`
	Version   string                `json:"version"`
	SinceMs   int64                 `json:"sinceMs"`
	HeardMs   int64                 `json:"heardMs"`
	Joining   bool                  `json:"joining,omitempty"`
	Join      bool                  `json:"join,omitempty"` // can answer a join
	Draining  bool                  `json:"draining,omitempty"`
}

// presence is what this replica keeps in memory of it: what it has to write, and what it read lately.
type presence struct {
	mu    sync.Mutex
	dirty map[sallyport.TenantID]struct{}
	wake  chan struct{}
	seen  map[sallyport.TenantID]seenLeases
}

type seenLeases struct {
	leases []lease
	at     time.Time
}

func (p *presence) init() {
	p.dirty = map[sallyport.TenantID]struct{}{}
	p.seen = map[sallyport.TenantID]seenLeases{}
	p.wake = make(chan struct{}, 1)
}

// touch has the lease of tenant written soon.
func (p *presence) touch(tenant sallyport.TenantID) {
	p.mu.Lock()
	p.dirty[tenant] = struct{}{}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *presence) takeDirty() []sallyport.TenantID {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]sallyport.TenantID, 0, len(p.dirty))
	for t := range p.dirty {
		out = append(out, t)
	}
	clear(p.dirty)
	return out
}

func (p *presence) cached(tenant sallyport.TenantID, now time.Time) ([]lease, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.seen[tenant]
	return s.leases, ok && now.Sub(s.at) < presenceCache
}

func (p *presence) remember(tenant sallyport.TenantID, leases []lease, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(leases) == 0 {
		delete(p.seen, tenant)
		return
	}
	p.seen[tenant] = seenLeases{leases, now}
}

// forget has the next request read Redis again.
func (p *presence) forget(tenant sallyport.TenantID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.seen, tenant)
}

func (p *presence) dropOld(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, s := range p.seen {
		if now.Sub(s.at) >= presenceCache {
			delete(p.seen, t)
		}
	}
}

// keepPresence writes leases: at once what changed, and all of them three times in a lease.
func (h *Hub) keepPresence(ctx context.Context) error {
	tick := time.NewTicker(h.cfg.Timing.Lease / 3)
	defer tick.Stop()
	healthy := true
	for {
		var todo []sallyport.TenantID
		select {
		case <-ctx.Done():
			h.leavePresence()
			return ctx.Err()
		case <-h.presence.wake:
			todo = h.presence.takeDirty()
		case <-tick.C:
			todo = h.presence.takeDirty()
			todo = append(todo, h.localTenants()...)
			h.presence.dropOld(h.cfg.Now())
		}
		err := h.writeLeases(ctx, todo)
		if (err == nil) != healthy && ctx.Err() == nil {
			healthy = err == nil
			h.log.Warn("presence in redis", "healthy", healthy, "error", err)
		}
	}
}

// leavePresence takes this replica out, as far as Redis is there.
func (h *Hub) leavePresence() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for chunk := range slices.Chunk(append(h.presence.takeDirty(), h.localTenants()...), presenceBatch) {
		_, err := h.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, t := range chunk {
				p.Del(ctx, leaseKey(t, h.address))
				p.SRem(ctx, presenceKey(t), h.address)
			}
			return nil
		})
		if err != nil {
			return // the leases end by themselves
		}
	}
}

func (h *Hub) writeLeases(ctx context.Context, tenants []sallyport.TenantID) error {
	for chunk := range slices.Chunk(tenants, presenceBatch) {
		_, err := h.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, t := range chunk {
				h.writeLease(ctx, p, t)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write presence: %w", err)
		}
	}
	return nil
}

func (h *Hub) writeLease(ctx context.Context, p redis.Pipeliner, tenant sallyport.TenantID) {
	own := h.ownLease(tenant)
	if len(own.Streams) == 0 {
		p.Del(ctx, leaseKey(tenant, h.address))
		p.SRem(ctx, presenceKey(tenant), h.address)
		return
	}
	raw, err := json.Marshal(own)
	if err != nil {
		return // strings and numbers always encode
	}
	p.SAdd(ctx, presenceKey(tenant), h.address)
	p.PExpire(ctx, presenceKey(tenant), presenceIndexTTL)
	p.Set(ctx, leaseKey(tenant, h.address), raw, h.cfg.Timing.Lease)
}

func (h *Hub) ownLease(tenant sallyport.TenantID) lease {
	l := lease{Replica: h.cfg.Replica, Address: h.address}
	for _, s := range h.streamsOf(tenant) {
		if !s.leaving.Load() {
			l.Streams = append(l.Streams, s.describe())
		}
	}
	return l
}

func (s *stream) describe() leaseStream {
	return leaseStream{
		Appliance: s.id.Appliance, Instance: s.instance, Version: s.version, SinceMs: s.since.UnixMilli(),
		HeardMs: s.epoch.Add(time.Duration(s.heard.Load())).UnixMilli(),
		Joining: s.joining, Join: s.has(featureJoin), Draining: s.draining.Load(),
	}
}

// others returns the leases of the other replicas: what was read within the last second, unless fresh.
func (h *Hub) others(ctx context.Context, tenant sallyport.TenantID, fresh bool) ([]lease, error) {
	now := h.cfg.Now()
	if leases, ok := h.presence.cached(tenant, now); ok && !fresh {
		return leases, nil
	}
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	leases, err := h.readLeases(ctx, tenant)
	if err != nil {
		return nil, err
	}
	h.presence.remember(tenant, leases, now)
	return leases, nil
}

func (h *Hub) readLeases(ctx context.Context, tenant sallyport.TenantID) ([]lease, error) {
	addresses, err := h.cfg.Redis.SMembers(ctx, presenceKey(tenant)).Result()
	if err != nil {
		return nil, fmt.Errorf("read presence: %w", err)
	}
	var keys, from []string
	for _, a := range addresses {
		if a != h.address {
			keys, from = append(keys, leaseKey(tenant, a)), append(from, a)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := h.cfg.Redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("read presence: %w", err)
	}
	var out []lease
	var dead []any
	for i, v := range values {
		l, ok := parseLease(v)
		if !ok || l.Address != from[i] {
			dead = append(dead, from[i])
			continue
		}
		out = append(out, l)
	}
	if len(dead) > 0 {
		// A replica that was only late puts itself back with its next renewal.
		_ = h.cfg.Redis.SRem(ctx, presenceKey(tenant), dead...).Err()
	}
	return out, nil
}

func parseLease(v any) (lease, bool) {
	raw, ok := v.(string)
	if !ok || len(raw) > maxPresence {
		return lease{}, false
	}
	var l lease
	if err := json.Unmarshal([]byte(raw), &l); err != nil {
		return lease{}, false
	}
	for _, s := range l.Streams {
		if !sallyport.ValidID(string(s.Appliance)) {
			return lease{}, false
		}
	}
	return l, true
}
