package activity

import (
	"slices"
	"sync"
	"sync/atomic"
)

// queue holds what waits for the store, up to a bound.
type queue[T any] struct {
	most int

	mu      sync.Mutex
	waiting []T

	written, lost, leftOut atomic.Uint64
}

// put takes one more, or counts it when there is no place.
func (q *queue[T]) put(v T) bool {
	q.mu.Lock()
	full := len(q.waiting) >= q.most
	if !full {
		q.waiting = append(q.waiting, v)
	}
	q.mu.Unlock()
	if full {
		q.lost.Add(1)
	}
	return !full
}

// first returns the oldest, at most n. They keep their places until done.
func (q *queue[T]) first(n int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]T(nil), q.waiting[:min(n, len(q.waiting))]...)
}

// done gives up the places of the n oldest, of which lost could not be written.
func (q *queue[T]) done(n, lost int) {
	q.mu.Lock()
	q.waiting = slices.Delete(q.waiting, 0, n)
	if len(q.waiting) == 0 {
		q.waiting = nil // what a peak took is given back
	}
	q.mu.Unlock()
	q.written.Add(uint64(n - lost))
	q.lost.Add(uint64(lost))
}

// Count is what became of one kind of records since the start.
type Count struct {
	Written uint64
	Lost    uint64 // there was no place, or the store did not take it
	LeftOut uint64 // of what comes by the thousands: counted only
	Waiting int
}

func (q *queue[T]) count() Count {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Count{Written: q.written.Load(), Lost: q.lost.Load(), LeftOut: q.leftOut.Load(), Waiting: len(q.waiting)}
}

// Stats is what became of all records.
type Stats struct {
	Logins, Events, Audit, RADIUS Count
}

// Stats returns the counts as they stand.
func (r *Recorder) Stats() Stats {
	return Stats{Logins: r.logins.count(), Events: r.events.count(), Audit: r.audit.count(), RADIUS: r.radius.count()}
}
