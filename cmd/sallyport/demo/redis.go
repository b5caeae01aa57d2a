package demo

import (
	"context"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often the in-process Redis lets time pass.
const tick = 100 * time.Millisecond

// runRedis lets time pass in the in-process Redis, which it does not by itself: without this, what is
// to be used once within a minute would live for ever.
func runRedis(ctx context.Context, m *miniredis.Miniredis) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			m.Close()
			return ctx.Err()
		case now := <-t.C:
			m.FastForward(now.Sub(last))
			last = now
		}
	}
}
