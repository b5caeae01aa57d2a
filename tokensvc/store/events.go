package store

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// channel carries the names of what has changed; what it changed to is read from its key.
const channel = "sp:ts:events"

// Topic names something that a goroutine may wait for.
type Topic string

// ChallengeTopic changes with a challenge's delivery and its end.
func ChallengeTopic(t sallyport.TenantID, id sallyport.ChallengeID) Topic {
	return Topic("c/" + string(t) + "/" + string(id))
}

// DeviceTopic changes when a device has another pending challenge.
func DeviceTopic(t sallyport.TenantID, id sallyport.DeviceID) Topic {
	return Topic("d/" + string(t) + "/" + string(id))
}

// EnrolmentTopic changes when a device registers and when the appliance decides.
func EnrolmentTopic(t sallyport.TenantID, id sallyport.EnrolmentID) Topic {
	return Topic("e/" + string(t) + "/" + string(id))
}

// UnclaimedTopic changes when the app of a serial number is invited, and when it answers.
func UnclaimedTopic(serial deviceproto.Serial) Topic { return Topic("u/" + string(serial)) }

// Events wakes whoever waits for a topic on this replica when any replica changed it. A message only
// wakes; the woken reads the state anew. So a lost message delays (the waiters look by themselves
// every few seconds) and never misleads.
type Events struct {
	redis redis.UniversalClient
	log   *slog.Logger
	ready atomic.Bool

	mu      sync.Mutex
	waiting map[Topic]map[chan struct{}]struct{}
}

// NewEvents returns events that Run has to feed.
func NewEvents(rdb redis.UniversalClient, log *slog.Logger) *Events {
	return &Events{redis: rdb, log: log, waiting: map[Topic]map[chan struct{}]struct{}{}}
}

// Wait returns a channel that gets a value after each change of topic; changes that come faster than
// they are read become one. Call stop when done.
func (e *Events) Wait(topic Topic) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting[topic] == nil {
		e.waiting[topic] = map[chan struct{}]struct{}{}
	}
	e.waiting[topic][c] = struct{}{}
	return c, func() { e.leave(topic, c) }
}

// Waiting counts those who wait.
func (e *Events) Waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, cs := range e.waiting {
		n += len(cs)
	}
	return n
}

// Ready reports whether the subscription has been made.
func (e *Events) Ready() bool { return e.ready.Load() }

func (e *Events) leave(topic Topic, c chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting[topic], c)
	if len(e.waiting[topic]) == 0 {
		delete(e.waiting, topic)
	}
}

// Run holds the one subscription of this replica until ctx ends.
func (e *Events) Run(ctx context.Context) error {
	sub := e.redis.Subscribe(ctx, channel)
	defer func() { _ = sub.Close() }()
	defer e.ready.Store(false)
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(4096), redis.WithChannelHealthCheckInterval(3*time.Second))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-messages:
			e.receive(m)
		}
	}
}

func (e *Events) receive(m any) {
	switch m := m.(type) {
	case *redis.Subscription:
		// The first time, and after every lost connection: whatever was said meanwhile is made up for.
		if m.Kind == "subscribe" {
			e.ready.Store(true)
			e.wakeAll()
		}
	case *redis.Message:
		for topic := range strings.SplitSeq(m.Payload, " ") {
			e.wake(Topic(topic))
		}
	}
}

// tell wakes the waiters of topics on every replica. The change stands already when it is called, so
// a failure is logged and made up for by the waiters' own looks.
func (e *Events) tell(ctx context.Context, topics ...Topic) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = string(t)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := e.redis.Publish(ctx, channel, strings.Join(names, " ")).Err(); err != nil {
		e.log.Warn("event not published; other replicas notice within seconds", "error", err)
		for _, t := range topics {
			e.wake(t)
		}
	}
}

func (e *Events) wake(topic Topic) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.waiting[topic] {
		poke(c)
	}
}

func (e *Events) wakeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, cs := range e.waiting {
		for c := range cs {
			poke(c)
		}
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
