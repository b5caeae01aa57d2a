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
	var made Created
	var superseded sallyport.ChallengeID
	err := s.watch(ctx, func(tx *redis.Tx) error {
		found, old, err := s.lookBefore(ctx, tx, c)
		if err != nil {
			return err
		}
		made, superseded = found, old
		if !found.New {
			return nil
		}
		// The queue comes first: an entry without a challenge is dropped by whoever finds it, a
		// challenge without an entry would never be pushed.
		if hasAddress(found.Device.Push) {
			if err := s.redis.SAdd(ctx, outboxKey, outboxEntry(c.Tenant, c.ID)).Err(); err != nil {
				return err
			}
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			writeChallenge(ctx, p, c, found.Device.Push, owner)
			if superseded != "" {
				p.SetArgs(ctx, challengeKey(c.Tenant, superseded, "end"), encode(End{Reason: EndSuperseded}), redis.SetArgs{Mode: "NX", TTL: keep})
			}
			return nil
		})
		if err == redis.Nil { // the older one had ended already
			err = nil
		}
		return err
	}, challengeKey(c.Tenant, c.ID, "record"), pendingKey(c.Tenant, c.Device))
	if err != nil {
		return Created{}, unavailable("create challenge", err)
	}
	if made.New {
		s.requeue(ctx, c, made.Device.Push)
		topics := []Topic{DeviceTopic(c.Tenant, c.Device)}
		if superseded != "" {
			topics = append(topics, ChallengeTopic(c.Tenant, superseded))
		}
		s.events.tell(ctx, topics...)
	}
	return made, nil
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

func (s *Store) lookBefore(ctx context.Context, tx *redis.Tx, c Challenge) (made Created, pending sallyport.ChallengeID, err error) {
	p := tx.Pipeline()
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

func writeChallenge(ctx context.Context, p redis.Pipeliner, c Challenge, push deviceproto.Push, owner string) {
	life := c.TTL + keep
	delivery := Delivery{State: DeliveryQueued}
	if !hasAddress(push) {
		delivery = Delivery{State: DeliveryNoAddress, Reason: "none"}
	}
	p.Set(ctx, challengeKey(c.Tenant, c.ID, "record"), encode(record{Device: c.Device, Sealed: c.Sealed, TTL: c.TTL}), life)
	p.Set(ctx, challengeKey(c.Tenant, c.ID, "live"), "1", c.TTL)
	p.Set(ctx, challengeKey(c.Tenant, c.ID, "delivery"), encode(delivery), life)
	p.Set(ctx, pendingKey(c.Tenant, c.Device), string(c.ID), c.TTL)
	if !delivery.Final() {
		p.Set(ctx, challengeKey(c.Tenant, c.ID, "lease"), owner, Lease)
	}
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
