package directory

import (
	"math/rand/v2"
	"sync"
	"time"
)

// limits are the first and the longest wait of a back-off.
type limits struct{ first, longest time.Duration }

var (
	// serverBackoff: a server that failed is left alone for so long, unless no other is left.
	serverBackoff = limits{500 * time.Millisecond, 30 * time.Second}
	// serviceBackoff: a refused service account is not tried more often than this, or
	// we would lock it.
	serviceBackoff = limits{30 * time.Second, 10 * time.Minute}
)

// gate remembers failures, and for how long to stay away after them.
type gate struct {
	now    func() time.Time
	limits limits

	mu    sync.Mutex
	fails int
	until time.Time
	err   error
}

func newGate(now func() time.Time, l limits) *gate { return &gate{now: now, limits: l} }

// fail notes a failure and reports whether it is the first one in a row.
func (g *gate) fail(err error) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := g.limits.longest
	if g.fails < 16 { // far enough to have reached the longest
		wait = min(wait, g.limits.first<<g.fails)
	}
	g.fails++
	g.err = err
	// Up to a fifth more, so that appliances do not come back in step.
	g.until = g.now().Add(wait + rand.N(wait/5+1))
	return g.fails == 1
}

// ok forgets the failures and reports whether there were any.
func (g *gate) ok() (again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	again = g.fails > 0
	g.fails, g.until, g.err = 0, time.Time{}, nil
	return again
}

// open reports whether it is time to try. After a failure only one caller is let
// through, and the next one when that one should have failed again.
func (g *gate) open(trial time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fails == 0 {
		return true
	}
	now := g.now()
	if now.Before(g.until) {
		return false
	}
	g.until = now.Add(trial)
	return true
}

// resting reports whether it failed and it is not time to try again.
func (g *gate) resting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fails > 0 && g.now().Before(g.until)
}

// well reports whether it did not fail last.
func (g *gate) well() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fails == 0
}

// last returns the error of the last failure, nil when there is none.
func (g *gate) last() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
