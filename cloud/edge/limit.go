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
// moment is all that is kept of a name. It never holds more than max names: those whose bucket is
// full again are forgotten first, and under a flood of names any, which lets a flooder off but
// harms nobody else.
type Limiter struct {
	Now func() time.Time

	interval, window time.Duration
	max              int

	mu   sync.Mutex
	full map[string]time.Time // when the bucket is full again
}

// NewLimiter makes a Limiter; a rate of zero or less limits nothing.
func NewLimiter(rate Rate, maxNames int, now func() time.Time) *Limiter {
	l := &Limiter{Now: now, max: maxNames, full: make(map[string]time.Time)}
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
	full, known := l.full[name]
	if full.Before(now) {
		full = now
	}
	full = full.Add(l.interval)
	if full.Sub(now) > l.window {
		return false
	}
	if !known && len(l.full) >= l.max {
		l.forget(now)
	}
	l.full[name] = full
	return true
}

// forget makes room: it looks at a bounded number of names, drops those that are full again, and
// at least one.
func (l *Limiter) forget(now time.Time) {
	const look = 64
	n, dropped, last := 0, false, ""
	for name, full := range l.full {
		last = name
		if !full.After(now) {
			delete(l.full, name)
			dropped = true
		}
		if n++; n >= look {
			break
		}
	}
	if !dropped {
		delete(l.full, last)
	}
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
