package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// Bounds of a batch of claims.
const (
	maxClaims   = 512
	maxClaimTTL = 10 * time.Minute
	minClaimKey = 16
	maxClaimKey = 32
	maxOwner    = 16
)

func claimKey(tenant sallyport.TenantID, key []byte) string {
	return "sp:{" + string(tenant) + "}:claim:" + base64.RawURLEncoding.EncodeToString(key)
}

// claim settles who is first. Within the time to live of a key one owner is told true, and told so
// again; an empty owner is told true once.
func (h *Hub) claim(ctx context.Context, tenant sallyport.TenantID, claims []*tunnelpb.Claim) ([]bool, error) {
	if err := checkClaims(claims); err != nil {
		return nil, err
	}
	owners := make([]string, len(claims))
	sets := make([]*redis.StatusCmd, len(claims))
	_, err := h.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, c := range claims {
			owners[i] = owner(c)
			sets[i] = p.SetArgs(ctx, claimKey(tenant, c.GetKey()), owners[i], redis.SetArgs{
				Mode: "NX", TTL: time.Duration(c.GetTtlMs()) * time.Millisecond,
			})
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, claimFailed(err)
	}
	first := make([]bool, len(claims))
	var again []int
	for i, set := range sets {
		switch err := set.Err(); {
		case err == nil:
			first[i] = true
		case errors.Is(err, redis.Nil):
			again = append(again, i)
		default:
			return nil, claimFailed(err)
		}
	}
	return first, h.ownClaims(ctx, tenant, claims, owners, again, first)
}

// ownClaims finds those of the claims taken before that were taken by the same owner: it repeats
// itself, or the client library sent the batch twice because the first answer was lost.
func (h *Hub) ownClaims(ctx context.Context, tenant sallyport.TenantID, claims []*tunnelpb.Claim, owners []string, taken []int, first []bool) error {
	if len(taken) == 0 {
		return nil
	}
	gets := make([]*redis.StringCmd, len(taken))
	_, err := h.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, i := range taken {
			gets[n] = p.Get(ctx, claimKey(tenant, claims[i].GetKey()))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return claimFailed(err)
	}
	for n, i := range taken {
		// A key that has just ended was somebody else's: what it stood for has ended too.
		got, err := gets[n].Result()
		first[i] = err == nil && got == owners[i]
	}
	return nil
}

func owner(c *tunnelpb.Claim) string {
	if len(c.GetOwner()) > 0 {
		return "o" + string(c.GetOwner())
	}
	return "r" + rand.Text()
}

func checkClaims(claims []*tunnelpb.Claim) error {
	if len(claims) == 0 || len(claims) > maxClaims {
		return sallyport.Errorf(sallyport.CodeInvalid, "A batch holds 1 to 512 claims.", nil)
	}
	for _, c := range claims {
		ttl := time.Duration(c.GetTtlMs()) * time.Millisecond
		if n := len(c.GetKey()); n < minClaimKey || n > maxClaimKey || ttl <= 0 || ttl > maxClaimTTL || len(c.GetOwner()) > maxOwner {
			return sallyport.Errorf(sallyport.CodeInvalid, "A claim has a key of 16 to 32 octets, an owner of at most 16, and lasts at most 10 minutes.", nil)
		}
	}
	return nil
}

func claimFailed(err error) error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "One-time use cannot be checked now.", err)
}
