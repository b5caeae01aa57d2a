package store

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// Lease is how long a push stays with the replica that sends it after that replica's last sign of
// life. The key runs out by Redis's clock.
const Lease = 2500 * time.Millisecond

// outboxKey is the set of pushes that are still to be sent, of all enterprises.
const outboxKey = "sp:ts:outbox"

// PushRef names a push that is to be sent.
type PushRef struct {
	Tenant    sallyport.TenantID
	Challenge sallyport.ChallengeID
}

func outboxEntry(t sallyport.TenantID, id sallyport.ChallengeID) string {
	return string(t) + "/" + string(id)
}

// PushJob is a push with all that is needed to send it.
type PushJob struct {
	PushRef
	Device    sallyport.DeviceID
	Push      deviceproto.Push
	TTL       time.Duration // the challenge's whole life
	Remaining time.Duration
}

// QueuedPushes returns up to n pushes that are to be sent, whoever has them, in no order.
func (s *Store) QueuedPushes(ctx context.Context, n int) ([]PushRef, error) {
	entries, err := s.redis.SRandMemberN(ctx, outboxKey, int64(n)).Result()
	if err != nil {
		return nil, unavailable("read outbox", err)
	}
	refs := make([]PushRef, 0, len(entries))
	for _, e := range entries {
		t, id, _ := strings.Cut(e, "/")
		refs = append(refs, PushRef{Tenant: sallyport.TenantID(t), Challenge: sallyport.ChallengeID(id)})
	}
	return refs, nil
}

// TakePush takes over a push that nobody holds. It returns nil when somebody does, and when there is
// nothing left to send; then the entry is dropped.
func (s *Store) TakePush(ctx context.Context, r PushRef, owner string) (*PushJob, error) {
	err := s.redis.SetArgs(ctx, challengeKey(r.Tenant, r.Challenge, "lease"), owner, redis.SetArgs{Mode: "NX", TTL: Lease}).Err()
	if err == redis.Nil {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable("take push", err)
	}
	st, err := s.Challenge(ctx, r.Tenant, r.Challenge)
	if code := sallyport.ErrorCode(err); code == sallyport.CodeNotFound || err == nil && (st.End != nil || st.Delivery.Final()) {
		return nil, s.DropPush(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	device, err := s.Device(ctx, r.Tenant, st.Challenge.Device)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound || err == nil && !hasAddress(device.Push) {
		return nil, s.SetDelivery(ctx, r, Delivery{State: DeliveryNoAddress, Reason: "none"})
	}
	if err != nil {
		return nil, err
	}
	return &PushJob{PushRef: r, Device: st.Challenge.Device, Push: device.Push, TTL: st.Challenge.TTL, Remaining: st.Remaining}, nil
}

// RenewPushes keeps pushes that owner holds; one that another replica took over stays with that one.
func (s *Store) RenewPushes(ctx context.Context, refs []PushRef, owner string) error {
	if len(refs) == 0 {
		return nil
	}
	p := s.redis.Pipeline()
	holders := make([]*redis.StringCmd, len(refs))
	for i, r := range refs {
		holders[i] = p.Get(ctx, challengeKey(r.Tenant, r.Challenge, "lease"))
	}
	if err := run(ctx, p); err != nil {
		return unavailable("read leases", err)
	}
	p = s.redis.Pipeline()
	for i, r := range refs {
		if holders[i].Val() == owner {
			p.PExpire(ctx, challengeKey(r.Tenant, r.Challenge, "lease"), Lease)
		}
	}
	return unavailable("renew leases", run(ctx, p))
}

// HoldsPush reports whether owner still holds a push, and whether its challenge is still pending.
func (s *Store) HoldsPush(ctx context.Context, r PushRef, owner string) (bool, error) {
	p := s.redis.Pipeline()
	holder := p.Get(ctx, challengeKey(r.Tenant, r.Challenge, "lease"))
	ended := p.Exists(ctx, challengeKey(r.Tenant, r.Challenge, "end"))
	if err := run(ctx, p); err != nil {
		return false, unavailable("read lease", err)
	}
	return holder.Val() == owner && ended.Val() == 0, nil
}

// ReleasePush gives a push back for any replica to take.
func (s *Store) ReleasePush(ctx context.Context, r PushRef) error {
	return unavailable("release push", s.redis.Del(ctx, challengeKey(r.Tenant, r.Challenge, "lease")).Err())
}

// SetDelivery says what became of a push; a final state takes it out of the outbox.
func (s *Store) SetDelivery(ctx context.Context, r PushRef, d Delivery) error {
	p := s.redis.Pipeline()
	p.SetArgs(ctx, challengeKey(r.Tenant, r.Challenge, "delivery"), encode(d), redis.SetArgs{Mode: "XX", KeepTTL: true})
	if d.Final() {
		dropPush(ctx, p, r)
	}
	if err := run(ctx, p); err != nil {
		return unavailable("keep delivery", err)
	}
	s.events.tell(ctx, ChallengeTopic(r.Tenant, r.Challenge))
	return nil
}

// DropPush takes a push out of the outbox that need not be sent any more.
func (s *Store) DropPush(ctx context.Context, r PushRef) error {
	p := s.redis.Pipeline()
	dropPush(ctx, p, r)
	return unavailable("drop push", run(ctx, p))
}

func dropPush(ctx context.Context, p redis.Pipeliner, r PushRef) {
	p.SRem(ctx, outboxKey, outboxEntry(r.Tenant, r.Challenge))
	p.Del(ctx, challengeKey(r.Tenant, r.Challenge, "lease"))
}
