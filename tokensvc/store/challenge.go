package store

import (
	"bytes"
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// Challenge is one question to a device, sealed by the appliance.
type Challenge struct {
	Tenant sallyport.TenantID
	ID     sallyport.ChallengeID
	Device sallyport.DeviceID
	Sealed []byte
	TTL    time.Duration
}

// EndReason says how a challenge ended.
type EndReason string

const (
	EndAnswered   EndReason = "answered"
	EndExpired    EndReason = "expired"
	EndSuperseded EndReason = "superseded"
	EndCancelled  EndReason = "cancelled"
)

// End is how a challenge ended; it has one end, and the first one stays.
type End struct {
	Reason EndReason
	Sealed []byte // the device's answer
}

// DeliveryState says what became of a push.
type DeliveryState string

const (
	DeliveryQueued    DeliveryState = "queued"
	DeliverySent      DeliveryState = "sent"
	DeliveryFailed    DeliveryState = "failed"
	DeliveryNoAddress DeliveryState = "no_address"
)

// Delivery is the present state of a challenge's push.
type Delivery struct {
	State  DeliveryState
	Reason string // a short word for the log: "throttled"
}

// Final reports whether nothing more will be tried.
func (d Delivery) Final() bool { return d.State != DeliveryQueued }

// Status is how a challenge stands.
type Status struct {
	Challenge Challenge
	Remaining time.Duration
	Delivery  Delivery
	End       *End // nil while it is pending
}

// Created is what CreateChallenge found or did.
type Created struct {
	// New is false when the challenge existed already: then nothing was done.
	New       bool
	Remaining time.Duration
	Device    Device
}

// Queued reports whether a push was queued that the caller holds and is to send.
func (c Created) Queued() bool { return c.New && hasAddress(c.Device.Push) }

// record is a challenge as it stands in Redis.
type record struct {
	Device sallyport.DeviceID
	Sealed []byte
	TTL    time.Duration
}

const errNoChallenge = "This sign-in request is not known here."

// CreateChallenge makes a challenge, ends a pending one of the same device, and queues the push, held
// by owner, all or nothing. Errors: CodeNotFound (device), CodeConflict (the id is another device's).
func (s *Store) CreateChallenge(ctx context.Context, c Challenge, owner string) (Created, error) {
	for range races {
		made, superseded, err := s.lookBefore(ctx, c)
		if err != nil {
			return Created{}, unavailable("create challenge", err)
		}
		if !made.New {
			return made, nil
		}
		// The queue comes first: an entry without a challenge is dropped by whoever finds it, a
		// challenge without an entry would never be pushed.
		if hasAddress(made.Device.Push) {
			if err := s.redis.SAdd(ctx, outboxKey, outboxEntry(c.Tenant, c.ID)).Err(); err != nil {
				return Created{}, unavailable("create challenge", err)
			}
		}
		written, err := s.writeChallenge(ctx, c, made.Device.Push, superseded, owner)
		if err != nil {
			return Created{}, unavailable("create challenge", err)
		}
		if !written {
			continue
		}
		s.requeue(ctx, c, made.Device.Push)
		topics := []Topic{DeviceTopic(c.Tenant, c.Device)}
		if superseded != "" {
			topics = append(topics, ChallengeTopic(c.Tenant, superseded))
		}
		s.events.tell(ctx, topics...)
		return made, nil
	}
	return Created{}, unavailable("create challenge", redis.TxFailedErr)
}

// requeue repeats the queue entry, in case somebody who swept the queue found it before the challenge
// was there and dropped it. Only a replica that dies in between would notice that it is missing.
func (s *Store) requeue(ctx context.Context, c Challenge, push deviceproto.Push) {
	if !hasAddress(push) {
		return
	}
	if err := s.redis.SAdd(ctx, outboxKey, outboxEntry(c.Tenant, c.ID)).Err(); err != nil {
		s.events.log.Warn("push not queued a second time; it is sent from here", "error", err)
	}
}

func (s *Store) lookBefore(ctx context.Context, c Challenge) (made Created, pending sallyport.ChallengeID, err error) {
	p := s.redis.Pipeline()
	held := p.Get(ctx, challengeKey(c.Tenant, c.ID, "record"))
	left := p.PTTL(ctx, challengeKey(c.Tenant, c.ID, "live"))
	old := p.Get(ctx, pendingKey(c.Tenant, c.Device))
	device := p.HGetAll(ctx, deviceKey(c.Tenant, c.Device))
	if err := run(ctx, p); err != nil {
		return Created{}, "", err
	}
	if held.Val() != "" {
		var r record
		if err := decode(held.Val(), &r); err != nil {
			return Created{}, "", err
		}
		if r.Device != c.Device {
			return Created{}, "", conflict("This challenge id belongs to another device.")
		}
		return Created{Remaining: max(left.Val(), 0)}, "", nil
	}
	if len(device.Val()) == 0 {
		return Created{}, "", notFound(errNoDevice)
	}
	return Created{New: true, Remaining: c.TTL, Device: deviceOf(device.Val())}, sallyport.ChallengeID(old.Val()), nil
}

// createChallenge writes a challenge and ends the older one, unless another of this id, or for this device, came in
// between: then it returns 0 and did nothing. A watched transaction took a connection and four round trips.
//
//	KEYS: record, live, delivery, pending, lease; end of the older challenge, or of this one
//	ARGV: the older challenge or "", record, its life, time to answer, delivery, this challenge, owner or "", lease, end, its life
//
// Times are in milliseconds.
var createChallenge = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 or (redis.call('GET', KEYS[4]) or '') ~= ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[4])
redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[3])
redis.call('SET', KEYS[4], ARGV[6], 'PX', ARGV[4])
if ARGV[7] ~= '' then
	redis.call('SET', KEYS[5], ARGV[7], 'PX', ARGV[8])
end
if ARGV[1] ~= '' then
	redis.call('SET', KEYS[6], ARGV[9], 'NX', 'PX', ARGV[10])
end
return 1
`)

// writeChallenge writes a challenge in place of the older one, or of none, and says whether that was so still.
func (s *Store) writeChallenge(ctx context.Context, c Challenge, push deviceproto.Push, older sallyport.ChallengeID, owner string) (bool, error) {
	delivery := Delivery{State: DeliveryQueued}
	if !hasAddress(push) {
		delivery, owner = Delivery{State: DeliveryNoAddress, Reason: "none"}, ""
	}
	key := func(part string) string { return challengeKey(c.Tenant, c.ID, part) }
	ended := c.ID
	if older != "" {
		ended = older
	}
	n, err := createChallenge.Run(ctx, s.redis,
		[]string{key("record"), key("live"), key("delivery"), pendingKey(c.Tenant, c.Device), key("lease"), challengeKey(c.Tenant, ended, "end")},
		string(older), encode(record{Device: c.Device, Sealed: c.Sealed, TTL: c.TTL}), (c.TTL + keep).Milliseconds(), c.TTL.Milliseconds(),
		encode(delivery), string(c.ID), owner, Lease.Milliseconds(), encode(End{Reason: EndSuperseded}), keep.Milliseconds()).Int()
	return n == 1, err
}

// Challenge says how a challenge stands; CodeNotFound when there is none. One whose time has run out
// is ended by whoever looks first.
func (s *Store) Challenge(ctx context.Context, t sallyport.TenantID, id sallyport.ChallengeID) (Status, error) {
	p := s.redis.Pipeline()
	held := p.Get(ctx, challengeKey(t, id, "record"))
	left := p.PTTL(ctx, challengeKey(t, id, "live"))
	delivery := p.Get(ctx, challengeKey(t, id, "delivery"))
	ended := p.Get(ctx, challengeKey(t, id, "end"))
	if err := run(ctx, p); err != nil {
		return Status{}, unavailable("read challenge", err)
	}
	if held.Val() == "" {
		return Status{}, notFound(errNoChallenge)
	}
	st, err := readStatus(t, id, held.Val(), delivery.Val(), ended.Val())
	if err != nil {
		return Status{}, err
	}
	st.Remaining = max(left.Val(), 0)
	if st.End == nil && st.Remaining == 0 {
		end, err := s.end(ctx, t, id, End{Reason: EndExpired})
		if err != nil {
			return Status{}, err
		}
		st.End = &end
	}
	return st, nil
}

func readStatus(t sallyport.TenantID, id sallyport.ChallengeID, held, delivery, ended string) (Status, error) {
	var r record
	if err := decode(held, &r); err != nil {
		return Status{}, err
	}
	st := Status{Challenge: Challenge{Tenant: t, ID: id, Device: r.Device, Sealed: r.Sealed, TTL: r.TTL}}
	if delivery != "" {
		if err := decode(delivery, &st.Delivery); err != nil {
			return Status{}, err
		}
	}
	if ended == "" {
		return st, nil
	}
	st.End = &End{}
	return st, decode(ended, st.End)
}

// PendingChallenge returns what waits for a device; nil when nothing does.
func (s *Store) PendingChallenge(ctx context.Context, t sallyport.TenantID, d sallyport.DeviceID) (*Status, error) {
	id, err := absent(s.redis.Get(ctx, pendingKey(t, d)))
	if err != nil {
		return nil, unavailable("read pending challenge", err)
	}
	if id == "" {
		return nil, nil
	}
	st, err := s.Challenge(ctx, t, sallyport.ChallengeID(id))
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound || err == nil && st.End != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &st, nil
}

// AnswerChallenge ends a challenge with the device's answer. The very same answer again is no error.
// Errors: CodeNotFound (also for another device's challenge), CodeExpired, CodeConflict.
func (s *Store) AnswerChallenge(ctx context.Context, t sallyport.TenantID, d sallyport.DeviceID, id sallyport.ChallengeID, sealed []byte) error {
	st, err := s.Challenge(ctx, t, id)
	if err != nil {
		return err
	}
	if st.Challenge.Device != d {
		return notFound(errNoChallenge)
	}
	end := End{Reason: EndAnswered, Sealed: sealed}
	if st.End != nil {
		end = *st.End
	} else if end, err = s.end(ctx, t, id, end); err != nil {
		return err
	}
	switch {
	case end.Reason != EndAnswered:
		return expired("This sign-in request has ended.")
	case !bytes.Equal(end.Sealed, sealed):
		return conflict("This sign-in request was answered already.")
	}
	return nil
}

// CancelChallenge ends a challenge without an answer; one that has ended stays as it is.
func (s *Store) CancelChallenge(ctx context.Context, t sallyport.TenantID, id sallyport.ChallengeID) error {
	st, err := s.Challenge(ctx, t, id)
	if err != nil || st.End != nil {
		return err
	}
	_, err = s.end(ctx, t, id, End{Reason: EndCancelled})
	if err == nil {
		s.events.tell(ctx, DeviceTopic(t, st.Challenge.Device))
	}
	return err
}

// end settles how a challenge ended, once, and returns the end that counts.
func (s *Store) end(ctx context.Context, t sallyport.TenantID, id sallyport.ChallengeID, end End) (End, error) {
	key := challengeKey(t, id, "end")
	p := s.redis.TxPipeline()
	p.SetArgs(ctx, key, encode(end), redis.SetArgs{Mode: "NX", TTL: keep})
	held := p.Get(ctx, key)
	if err := run(ctx, p); err != nil {
		return End{}, unavailable("end challenge", err)
	}
	var first End
	if err := decode(held.Val(), &first); err != nil {
		return End{}, unavailable("read end of challenge", err)
	}
	s.events.tell(ctx, ChallengeTopic(t, id))
	return first, nil
}

func hasAddress(p deviceproto.Push) bool {
	return p.Token != "" && (p.Provider == deviceproto.ProviderAPNs || p.Provider == deviceproto.ProviderFCM)
}
