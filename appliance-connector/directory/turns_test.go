package directory

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestTurnsBoundWhatIsUnderWayAndForgetEverybody(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	var now, most atomic.Int64
	var g sync.WaitGroup
	for range maxWaiting {
		g.Go(func() {
			_, done, err := turns.take(t.Context(), "a", 3)
			if err != nil {
				t.Error(err)
				return
			}
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			now.Add(-1)
			done()
			done() // ends it once
		})
	}
	g.Wait()
	if most.Load() > 3 || len(turns.m) != 0 {
		t.Errorf("%d under way at a time, %d remembered", most.Load(), len(turns.m))
	}
	var ends []func()
	for range maxWaiting {
		_, done, err := turns.take(t.Context(), "a", maxWaiting)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, done)
	}
	if _, _, err := turns.take(t.Context(), "a", maxWaiting); err == nil {
		t.Error("there is no end to the queue")
	}
	if _, done, err := turns.take(t.Context(), "b", 1); err != nil {
		t.Errorf("another account: %v", err)
	} else {
		done()
	}
	ends[0]()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := turns.take(ctx, "a", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller went away: %v", err)
	}
	for _, done := range ends {
		done()
	}
	if len(turns.m) != 0 {
		t.Errorf("%d remembered", len(turns.m))
	}
}
