package deviceapi

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// generation bounds how many names a limiter remembers: twice as many at most.
const generation = 20_000

// limiters is a rate for each name, in bounded memory. Names not heard of for two generations are
// forgotten; since a generation is far larger than what one attacker's allowance lets in, forgetting
// gives little away.
type limiters struct {
	rate Rate

	mu       sync.Mutex
	now, old map[string]*rate.Limiter
}

func newLimiters(r Rate) *limiters {
	return &limiters{rate: r, now: map[string]*rate.Limiter{}}
}

// allow takes one from name's allowance and reports whether there was one.
func (l *limiters) allow(name string, at time.Time) bool { return l.of(name).AllowN(at, 1) }

// peek reports whether there is one, and takes none.
func (l *limiters) peek(name string, at time.Time) bool { return l.of(name).TokensAt(at) >= 1 }

func (l *limiters) of(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.now[name]; r != nil {
		return r
	}
	r := l.old[name]
	if r == nil {
		r = newRate(l.rate)
	}
	if len(l.now) >= generation {
		l.old, l.now = l.now, map[string]*rate.Limiter{}
	}
	l.now[name] = r
	return r
}

// waiting counts requests that are held open.
type waiting struct {
	each, all int

	mu    sync.Mutex
	total int
	by    map[string]int
}

func newWaiting(each, all int) *waiting {
	return &waiting{each: each, all: all, by: map[string]int{}}
}

func (w *waiting) enter(name string) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total >= w.all || w.by[name] >= w.each {
		return nil, limited()
	}
	w.total++
	w.by[name]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.total--
		if w.by[name]--; w.by[name] == 0 {
			delete(w.by, name)
		}
	}, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
