package edge

import (
	"sync"
	"time"
)

// Rate is how often something may happen: Burst at once, then PerSecond.
type Rate struct {
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst"`
}

// Limiter is a token bucket for each name, in the form of the generic cell rate algorithm: one
// moment is all that is kept of a name. It holds at most max names, in two generations: when the young
// one is full the old one is forgotten, and with it who has not asked since. Under a flood of names that
// may let off somebody who pauses; whoever asks on stays known, and nobody is harmed by the others.
type Limiter struct {
	Now func() time.Time

	interval, window time.Duration
	generation       int // how many names one holds

	mu         sync.Mutex
	young, old map[string]time.Time // when the bucket is full again
}

// NewLimiter makes a Limiter; a rate of zero or less limits nothing.
func NewLimiter(rate Rate, maxNames int, now func() time.Time) *Limiter {
	l := &Limiter{Now: now, generation: max(1, maxNames/2), young: make(map[string]time.Time)}
	if rate.PerSecond > 0 {
		l.interval = time.Duration(float64(time.Second) / rate.PerSecond)
		l.window = l.interval * time.Duration(max(rate.Burst, 1))
	}
	return l
}

// Allow takes one from the bucket of name, and reports false when it is empty.
func (l *Limiter) Allow(name string) bool {
	if l.interval <= 0 {
		return true
	}
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.known(name)
	if full.Before(now) {
		full = now
	}
	if full.Add(l.interval).Sub(now) > l.window {
		return false
	}
	l.young[name] = full.Add(l.interval)
	return true
}

// known returns what is kept of a name and makes room for it in the young generation.
func (l *Limiter) known(name string) time.Time {
	full, young := l.young[name]
	if young {
		return full
	}
	full, old := l.old[name]
	if len(l.young) >= l.generation {
		// A fresh map: one that names come to and go from for ever grows, however few are in it.
		l.old, l.young = l.young, make(map[string]time.Time)
	}
	if old {
		l.young[name] = full
	}
	return full
}

// Gate bounds how many requests of one name are in hand at the same time.
type Gate struct {
	Max int

	mu sync.Mutex
	in map[string]int
}

// Enter reports whether one more may come in; whoever came in must Leave.
func (g *Gate) Enter(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in[name] >= g.Max {
		return false
	}
	if g.in == nil {
		g.in = make(map[string]int)
	}
	g.in[name]++
	return true
}

// Leave undoes Enter.
func (g *Gate) Leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in[name]--; g.in[name] <= 0 {
		delete(g.in, name)
	}
}
