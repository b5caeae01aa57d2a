// Package store is the token service's memory in Redis: enrolments, apps that show a serial number, devices, challenges and their
// ends, pushes that are still to be sent, and the events by which replicas wake each other. What
// stands there is sealed, public or an address; a dump of it approves nothing and shows nobody.
//
// Every key of an enterprise carries its hash tag, so that one enterprise is one slot of a Cluster.
// Time is Redis's own: a thing is over when its key has gone, whatever the clocks of the replicas say.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// keep is how long the record of something outlives its end, so that whoever asks late is told how
// it ended instead of that it never was.
const keep = 5 * time.Minute

// races is how often a transaction is tried that lost against another one.
const races = 16

// transactions is how many run at once. Each holds a connection of the pool, which has 64 (redisconn),
// and may ask for a second one: with as many transactions as connections, all would wait for ever.
const transactions = 32

// Store reads and writes that memory.
type Store struct {
	redis  redis.UniversalClient
	events *Events
	room   chan struct{} // for transactions
}

// New returns a store that tells events what it changed.
func New(rdb redis.UniversalClient, events *Events) *Store {
	return &Store{redis: rdb, events: events, room: make(chan struct{}, transactions)}
}

// Ping reports whether Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	return unavailable("reach redis", s.redis.Ping(ctx).Err())
}

func enrolmentKey(t sallyport.TenantID, id sallyport.EnrolmentID, part string) string {
	return fmt.Sprintf("sp:{%s}:ts:enrolment:%s:%s", t, id, part)
}

func deviceKey(t sallyport.TenantID, id sallyport.DeviceID) string {
	return fmt.Sprintf("sp:{%s}:ts:device:%s", t, id)
}

func pendingKey(t sallyport.TenantID, id sallyport.DeviceID) string {
	return fmt.Sprintf("sp:{%s}:ts:pending:%s", t, id)
}

func challengeKey(t sallyport.TenantID, id sallyport.ChallengeID, part string) string {
	return fmt.Sprintf("sp:{%s}:ts:challenge:%s:%s", t, id, part)
}

func unclaimedKey(serial deviceproto.Serial, part string) string {
	return fmt.Sprintf("sp:{serial:%s}:ts:unclaimed:%s", serial, part)
}

func onceKey(t sallyport.TenantID, d sallyport.DeviceID, id string) string {
	return fmt.Sprintf("sp:{%s}:ts:once:%s:%s", t, d, id)
}

// Once reports whether id is seen for the first time within ttl from this device.
func (s *Store) Once(ctx context.Context, t sallyport.TenantID, d sallyport.DeviceID, id string, ttl time.Duration) (bool, error) {
	err := s.redis.SetArgs(ctx, onceKey(t, d, id), "1", redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, unavailable("claim request id", err)
}

// watch runs fn in an optimistic transaction over keys, again when another one came first.
func (s *Store) watch(ctx context.Context, fn func(*redis.Tx) error, keys ...string) error {
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	case <-ctx.Done():
		return unavailable("settle transaction", ctx.Err())
	}
	for range races {
		err := s.redis.Watch(ctx, fn, keys...)
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
	return unavailable("settle transaction", redis.TxFailedErr)
}

// unavailable gives an error of Redis its code; one that has a code already passes.
func unavailable(doing string, err error) error {
	var coded *sallyport.Error
	if err == nil || errors.As(err, &coded) {
		return err
	}
	return sallyport.Errorf(sallyport.CodeUnavailable, "The service cannot answer now. Please try again.", fmt.Errorf("%s: %w", doing, err))
}

func notFound(message string) error { return sallyport.Errorf(sallyport.CodeNotFound, message, nil) }

func expired(message string) error { return sallyport.Errorf(sallyport.CodeExpired, message, nil) }

func conflict(message string) error { return sallyport.Errorf(sallyport.CodeConflict, message, nil) }

// encode marshals a record of this package, which cannot fail.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: " + err.Error())
	}
	return string(b)
}

func decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	return nil
}

// absent turns "no such key" into "".
func absent(c *redis.StringCmd) (string, error) {
	v, err := c.Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return v, err
}

// run executes a pipeline; that a key is missing is not its failure.
func run(ctx context.Context, p redis.Pipeliner) error {
	_, err := p.Exec(ctx)
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
