package tunnel

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// distinctTries is how often a replica of another name is dialled for before one is settled for.
	distinctTries = 5
	// steady is how long a stream must live for the pause between attempts to begin small again.
	steady = 10 * time.Second
)

// backoff is a jittered exponential pause.
type backoff struct {
	min, max, next time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// pause returns how long to wait: between half and the whole of a span that doubles.
func (b *backoff) pause() time.Duration {
	b.next = min(max(2*b.next, b.min), b.max)
	return b.next/2 + rand.N(b.next/2+1)
}

// sleep waits for d, or until ctx ends: then it is false.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep holds one slot's stream until ctx ends.
func (c *Client) keep(ctx context.Context, slot int) {
	b := &backoff{min: c.cfg.Timing.BackoffMin, max: c.cfg.Timing.BackoffMax}
	if slot > 0 {
		c.waitForFirst(ctx)
	}
	for ctx.Err() == nil {
		s, err := c.open(ctx, slot)
		if err != nil {
			c.note(err)
			sleep(ctx, b.pause())
			continue
		}
		c.note(nil)
		c.attach(slot, s)
		s = c.hold(ctx, slot, s, b)
		c.attach(slot, nil)
		c.retire(s)
		if time.Since(s.since) > steady {
			b.reset()
		}
		sleep(ctx, b.pause())
	}
}

// waitForFirst lets the first slot go ahead, so that the second knows which replica to avoid.
func (c *Client) waitForFirst(ctx context.Context) {
	c.mu.Lock()
	changed := c.changed
	c.mu.Unlock()
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
	}
}

// hold stays with the slot's stream, and with those that replace it, until one ends. It returns the last.
func (c *Client) hold(ctx context.Context, slot int, s *stream, b *backoff) *stream {
	signal := c.reconnectSignal()
	for {
		recheck := time.NewTimer(c.cfg.Timing.Recheck/2 + rand.N(c.cfg.Timing.Recheck))
		next := s
		select {
		case <-ctx.Done():
			recheck.Stop()
			return s
		case <-s.done:
			recheck.Stop()
			return s
		case <-s.drained:
			if sleep(ctx, rand.N(c.cfg.Timing.DrainSpread)) {
				next = c.replace(ctx, slot, s, b)
			}
		case <-signal:
			signal = c.reconnectSignal()
			next = c.replace(ctx, slot, s, b)
		case <-recheck.C:
			next = c.lookForAnother(ctx, slot, s)
		}
		recheck.Stop()
		if next != s {
			c.attach(slot, next)
			c.retire(s)
			s = next
		}
	}
}

// replace opens a new stream while the old one goes on. It returns the old one when that ended first.
func (c *Client) replace(ctx context.Context, slot int, old *stream, b *backoff) *stream {
	for ctx.Err() == nil && !old.over() {
		s, err := c.open(ctx, slot)
		if err == nil {
			b.reset()
			c.note(nil)
			return s
		}
		c.note(err)
		sleep(ctx, b.pause())
	}
	return old
}

// lookForAnother tries once to come to another replica than the other slot's.
func (c *Client) lookForAnother(ctx context.Context, slot int, s *stream) *stream {
	other := c.other(slot)
	if slot == 0 || other == nil || other.welcome.GetReplica() != s.welcome.GetReplica() {
		return s
	}
	next, _, err := c.connect(ctx, other.remote)
	if err != nil {
		return s
	}
	if next.welcome.GetReplica() == s.welcome.GetReplica() {
		c.retire(next)
		return s
	}
	return next
}

// open connects the slot to another replica than the other slot's, or, when none is found, to any.
func (c *Client) open(ctx context.Context, slot int) (*stream, error) {
	for try := 1; ; try++ {
		var avoid string
		other := c.other(slot)
		if other != nil {
			avoid = other.remote
		}
		s, cornered, err := c.connect(ctx, avoid)
		if err != nil {
			return nil, err
		}
		if other == nil || cornered || other.welcome.GetReplica() != s.welcome.GetReplica() || try == distinctTries {
			return s, nil
		}
		c.retire(s)
		if !sleep(ctx, c.cfg.Timing.BackoffMin/4+rand.N(c.cfg.Timing.BackoffMin/4+1)) {
			return nil, ctx.Err()
		}
	}
}

// retire lets a stream finish what is in flight and closes it, in the background.
func (c *Client) retire(s *stream) {
	c.retiring.Go(func() { s.leave(c.cfg.Timing.Leave) })
}
