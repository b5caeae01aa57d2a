package tunnel

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

const (
	// statementCache is the part of its life for which a statement read from Redis is used before it
	// is read again.
	statementCache = 15
	// maxCachedTenants bounds what is cached of other replicas' tenants.
	maxCachedTenants = 100_000
)

// statements holds the latest key statement of each enterprise that this replica heard or asked for.
type statements struct {
	mu     sync.Mutex
	latest map[sallyport.TenantID]heldStatement
}

type heldStatement struct {
	keys *tunnelpb.KeyStatement
	ends time.Time
}

func (st *statements) init() { st.latest = map[sallyport.TenantID]heldStatement{} }

func (st *statements) get(tenant sallyport.TenantID, now time.Time) *tunnelpb.KeyStatement {
	st.mu.Lock()
	defer st.mu.Unlock()
	held := st.latest[tenant]
	if now.Before(held.ends) {
		return held.keys
	}
	return nil
}

func (st *statements) put(tenant sallyport.TenantID, keys *tunnelpb.KeyStatement, now, ends time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.latest) >= maxCachedTenants {
		for t, held := range st.latest {
			if !now.Before(held.ends) {
				delete(st.latest, t)
			}
		}
	}
	if len(st.latest) < maxCachedTenants {
		st.latest[tenant] = heldStatement{keys, ends}
	}
}

func validStatement(k *tunnelpb.KeyStatement) bool {
	return len(k.GetStatement()) > 0 && len(k.GetStatement()) <= maxStatement &&
		len(k.GetSignature()) > 0 && len(k.GetSignature()) <= maxSignature
}

func statementKey(tenant sallyport.TenantID) string { return "sp:{" + string(tenant) + "}:statement" }

// learnStatement keeps a statement here and, without waiting for it, in Redis.
func (h *Hub) learnStatement(s *stream, keys *tunnelpb.KeyStatement) {
	if s.joining {
		return
	}
	now := h.cfg.Now()
	h.statements.put(s.id.Tenant, keys, now, now.Add(h.cfg.Timing.Statement))
	raw, err := proto.Marshal(keys)
	if err != nil {
		return
	}
	h.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.cfg.Redis.Set(ctx, statementKey(s.id.Tenant), raw, h.cfg.Timing.Statement).Err(); err != nil {
			h.log.Warn("key statement not shared", "tenant", s.id.Tenant, "error", err)
		}
	})
}

// Statement returns the latest key statement of an enterprise, for browsers. Without one the error
// has CodeUnavailable: no appliance was connected for the last minutes.
func (h *Hub) Statement(ctx context.Context, tenant sallyport.TenantID) (*tunnelpb.KeyStatement, error) {
	now := h.cfg.Now()
	if keys := h.statements.get(tenant, now); keys != nil {
		return keys, nil
	}
	raw, err := h.cfg.Redis.Get(ctx, statementKey(tenant)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, unavailable(nil)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	keys := &tunnelpb.KeyStatement{}
	if err := proto.Unmarshal(raw, keys); err != nil || !validStatement(keys) {
		return nil, unavailable(errors.New("read key statement: malformed"))
	}
	h.statements.put(tenant, keys, now, now.Add(h.cfg.Timing.Statement/statementCache))
	return keys, nil
}
