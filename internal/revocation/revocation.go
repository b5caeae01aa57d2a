// Package revocation is the list of appliances that were cut off, in Redis, for the cloud and the
// token service alike. A certificate of a revoked appliance is refused although it has not ended.
package revocation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/pki"
)

const channel = "sp:revoked"

// resync is how often a watcher reads the list again, in case a message was lost.
const resync = 2 * time.Second

// List is the list. Entries stay for good: an identity is never given out twice.
type List struct {
	Redis redis.UniversalClient
}

func key(tenant sallyport.TenantID) string { return fmt.Sprintf("sp:{%s}:revoked", tenant) }

// Revoke cuts an appliance off, everywhere, within seconds.
func (l List) Revoke(ctx context.Context, id pki.Identity) error {
	if err := l.Redis.SAdd(ctx, key(id.Tenant), string(id.Appliance)).Err(); err != nil {
		return fmt.Errorf("revoke appliance: %w", err)
	}
	// A lost message is made up for by the watchers' resync.
	_ = l.Redis.Publish(ctx, channel, id.String()).Err()
	return nil
}

// Revoked reports whether an appliance was cut off. On an error the caller must refuse.
func (l List) Revoked(ctx context.Context, id pki.Identity) (bool, error) {
	yes, err := l.Redis.SIsMember(ctx, key(id.Tenant), string(id.Appliance)).Result()
	if err != nil {
		return false, fmt.Errorf("read revocation list: %w", err)
	}
	return yes, nil
}

// Watch calls cut for every identity in live() that is on the list, at once when it is put there
// and at the latest at the next look, every 2 s. It ends with ctx.
func (l List) Watch(ctx context.Context, live func() []pki.Identity, cut func(pki.Identity)) error {
	sub := l.Redis.Subscribe(ctx, channel)
	defer func() { _ = sub.Close() }()
	tick := time.NewTicker(resync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sub.Channel():
		case <-tick.C:
		}
		revoked, err := l.among(ctx, live())
		if err != nil {
			continue // looked at again at the next tick
		}
		for _, id := range revoked {
			cut(id)
		}
	}
}

// batch is how many questions are put to Redis at a time.
const batch = 512

// among returns those of ids that were cut off.
func (l List) among(ctx context.Context, ids []pki.Identity) (out []pki.Identity, err error) {
	for part := range slices.Chunk(ids, batch) {
		answers := make([]*redis.BoolCmd, len(part))
		_, err := l.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range part {
				answers[i] = p.SIsMember(ctx, key(id.Tenant), string(id.Appliance))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read revocation list: %w", err)
		}
		for i, a := range answers {
			if a.Val() {
				out = append(out, part[i])
			}
		}
	}
	return out, nil
}
