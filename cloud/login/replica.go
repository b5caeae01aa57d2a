package login

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
)

// A replica's sign of life: one key for the whole process. A login names the instance that drives
// its waiting, so keeping 100,000 of them costs one renewal a second, not 100,000.
const (
	aliveFor   = 3 * time.Second
	aliveEvery = time.Second
	// blindAfter is how long a replica may be without Redis before it ends its streams.
	blindAfter = 5 * time.Second
)

// channel carries "view <enterprise> <login> <version>" and "gone <instance>" to every replica. A lost
// message is made up for by polls and by the look that every stream takes when the subscription comes
// back.
const channel = "sp:logins"

type replica struct {
	redis      redis.UniversalClient
	instance   string
	blindAfter time.Duration

	made time.Time
	life atomic.Int64 // of the latest renewal: nanoseconds since made
}

func newReplica(r redis.UniversalClient) *replica {
	return &replica{redis: r, instance: sallyport.NewID(), blindAfter: blindAfter, made: time.Now()}
}

func aliveKey(instance string) string { return "sp:replica:" + instance }

func (r *replica) join(ctx context.Context) error {
	err := r.redis.Set(ctx, aliveKey(r.instance), "1", aliveFor).Err()
	if err == nil {
		r.life.Store(int64(time.Since(r.made)))
	}
	return wrap("announce replica", err)
}

// blind reports that Redis has been away for so long that a stream from here is worth nothing: it would
// give signs of life for ever to a page that waits for news.
func (r *replica) blind() bool {
	return time.Since(r.made)-time.Duration(r.life.Load()) > r.blindAfter
}

// stay renews the sign of life. While Redis does not answer there is nothing to say to anybody.
func (r *replica) stay(ctx context.Context) {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = r.join(ctx)
		}
	}
}

// leave tells the others at once that they may take over.
func (r *replica) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = r.redis.Del(ctx, aliveKey(r.instance)).Err()
	_ = r.redis.Publish(ctx, channel, "gone "+r.instance).Err()
}

// alive reports whether the process behind an instance lives. On an error it is taken to live.
func (r *replica) alive(ctx context.Context, instance string) bool {
	if instance == r.instance {
		return true
	}
	n, err := r.redis.Exists(ctx, aliveKey(instance)).Result()
	return err != nil || n > 0
}

// listen wakes streams, polls and drivers of this replica until ctx ends.
func (s *Service) listen(ctx context.Context) error {
	sub := s.cfg.Redis.Subscribe(ctx, channel)
	defer func() { _ = sub.Close() }()
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(4096))
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-messages:
			if !ok {
				return errors.New("subscription to redis has ended")
			}
			s.heard(m)
		}
	}
}

func (s *Service) heard(m any) {
	switch m := m.(type) {
	case *redis.Subscription:
		// (Back) on the channel: whatever was said meanwhile is lost.
		s.watch.wakeAll()
	case *redis.Message:
		f := strings.Fields(m.Payload)
		switch {
		case len(f) == 4 && f[0] == "view":
			version, err := parseVersion(f[3])
			if err != nil {
				return
			}
			s.drivers.outdate(sallyport.LoginID(f[2]), version)
			s.watch.wake(sallyport.LoginID(f[2]))
		case len(f) == 2 && f[0] == "gone":
			s.takeOverFrom(f[1])
		}
	}
}

// mindDrivers looks every second whether the replicas that drive the logins of our streams live.
func (s *Service) mindDrivers(ctx context.Context) {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, instance := range s.watch.driversOfOthers(s.replica.instance) {
			if !s.replica.alive(ctx, instance) {
				s.takeOverFrom(instance)
			}
		}
	}
}

// takeOverFrom lets every stream whose driver has died look again, and with that take over.
func (s *Service) takeOverFrom(instance string) {
	s.watch.wakeDrivenBy(instance)
}
