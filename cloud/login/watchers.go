package login

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// watcher is a stream or a poll of this replica that wants to know about one login.
type watcher interface {
	// wake says that there may be something new. It does not block.
	wake()
	// beat lets the watcher show a sign of life. It does not block.
	beat()
	// end closes the watcher. It does not block for long.
	end()
}

// maxPerLogin is how many pages may watch one login on one replica; the oldest gives way.
const maxPerLogin = 4

// watchers knows the streams and polls of this replica by login. One list serves them all: there is
// no timer, no subscription and no idle goroutine for a single login.
type watchers struct {
	max   int
	every time.Duration // a turn for each stream

	mu     sync.Mutex
	total  int
	next   int
	closed bool
	logins map[sallyport.LoginID]*watched
	slots  [beatSlots]map[sallyport.LoginID]*watched
}

type watched struct {
	slot   int
	driver string // instance, "" when the login is not waiting
	list   []watcher
}

// Every stream has one of beatSlots turns within beatEvery: below the 10 s that the protocol
// promises, and never all at once.
const (
	beatEvery = 8 * time.Second
	beatSlots = 32
)

func newWatchers(limit int) *watchers {
	w := &watchers{max: limit, every: beatEvery, logins: make(map[sallyport.LoginID]*watched)}
	for i := range w.slots {
		w.slots[i] = make(map[sallyport.LoginID]*watched)
	}
	return w
}

// add reports false when the replica is full or shutting down.
func (w *watchers) add(login sallyport.LoginID, x watcher) bool {
	w.mu.Lock()
	if w.closed || w.total >= w.max {
		w.mu.Unlock()
		return false
	}
	e := w.logins[login]
	if e == nil {
		w.next = (w.next + 1) % beatSlots
		e = &watched{slot: w.next}
		w.logins[login], w.slots[e.slot][login] = e, e
	}
	e.list = append(e.list, x)
	w.total++
	var oldest watcher
	if len(e.list) > maxPerLogin {
		oldest = e.list[0]
	}
	w.mu.Unlock()
	if oldest != nil {
		oldest.end()
	}
	return true
}

func (w *watchers) remove(login sallyport.LoginID, x watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.logins[login]
	if e == nil {
		return
	}
	for i, y := range e.list {
		if y == x {
			e.list = append(e.list[:i:i], e.list[i+1:]...)
			w.total--
			break
		}
	}
	if len(e.list) == 0 {
		delete(w.logins, login)
		delete(w.slots[e.slot], login)
	}
}

// drivenBy notes who drives a login that is watched here.
func (w *watchers) drivenBy(login sallyport.LoginID, instance string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.logins[login]; e != nil {
		e.driver = instance
	}
}

func (w *watchers) wake(login sallyport.LoginID) {
	for _, x := range w.of(login) {
		x.wake()
	}
}

func (w *watchers) of(login sallyport.LoginID) []watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.logins[login]; e != nil {
		return append([]watcher(nil), e.list...)
	}
	return nil
}

func (w *watchers) pick(want func(*watched) bool) []watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []watcher
	for _, e := range w.logins {
		if want(e) {
			out = append(out, e.list...)
		}
	}
	return out
}

func (w *watchers) wakeAll() {
	for _, x := range w.pick(func(*watched) bool { return true }) {
		x.wake()
	}
}

func (w *watchers) wakeDrivenBy(instance string) {
	for _, x := range w.pick(func(e *watched) bool { return e.driver == instance }) {
		x.wake()
	}
}

// driversOfOthers lists the instances that drive logins watched here.
func (w *watchers) driversOfOthers(self string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[string]bool)
	var out []string
	for _, e := range w.logins {
		if e.driver != "" && e.driver != self && !seen[e.driver] {
			seen[e.driver] = true
			out = append(out, e.driver)
		}
	}
	return out
}

// beat gives every stream its turn until ctx ends.
func (w *watchers) beat(ctx context.Context) {
	tick := time.NewTicker(w.every / beatSlots)
	defer tick.Stop()
	for slot := 0; ; slot = (slot + 1) % beatSlots {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, x := range w.slot(slot) {
			x.beat()
		}
	}
}

func (w *watchers) slot(i int) []watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]watcher, 0, len(w.slots[i]))
	for _, e := range w.slots[i] {
		out = append(out, e.list...)
	}
	return out
}

func (w *watchers) closeAll() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for _, x := range w.pick(func(*watched) bool { return true }) {
		x.end()
	}
}
