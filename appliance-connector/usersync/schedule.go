package usersync

import (
	"context"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	// lookEvery is how often it is looked for domains that are due.
	lookEvery = 15 * time.Second
	// againAfter is when a synchronisation that failed is tried again, if not earlier.
	againAfter = 5 * time.Minute
	// LookBack is how many synchronisations are looked at to know the last one, previews not counted.
	LookBack = 50
)

// Scheduled is the actor of synchronisations that nobody asked for.
var scheduled = sallyport.Actor{Kind: sallyport.ActorSystem, Name: "schedule"}

// Run synchronises domains when they are due, and what Start and Confirm began, until ctx ends. It
// returns when all of it has ended.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	s.tasks = ctx
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.tasks = nil
		s.mu.Unlock()
		s.wg.Wait()
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s.RunDue(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RunDue begins the synchronisations that are due now; Run works on them.
func (s *Service) RunDue(ctx context.Context) {
	domains, err := s.Store.Domains(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.Log.WarnContext(ctx, "due synchronisations not looked for", "err", err)
		}
		return
	}
	for _, d := range domains {
		runs, err := s.Store.Synchronisations(ctx, d.ID, LookBack)
		if err != nil {
			continue // removed meanwhile, or the next look finds it
		}
		at, due := Next(d, Seen(runs, s.Now()))
		if !due || s.Now().Before(at) {
			continue
		}
		if _, err := s.start(ctx, order{domain: d.ID, kind: sallyport.SynchroniseChanges, actor: scheduled}); err != nil &&
			sallyport.ErrorCode(err) != sallyport.CodeConflict && ctx.Err() == nil { // conflict: another appliance was first
			s.Log.WarnContext(ctx, "due synchronisation not begun", "domain", d.Name, "err", err)
		}
	}
}

// Next returns when a domain is synchronised next, given its last synchronisations, the newest first; ok
// is false when that is on demand only. A domain that never was is due since ever: the zero time.
func Next(d sallyport.Domain, runs []sallyport.Synchronisation) (at time.Time, ok bool) {
	if d.Every <= 0 {
		return time.Time{}, false
	}
	last, there := Last(runs)
	switch {
	case !there:
		return time.Time{}, true
	case last.State == sallyport.SynchronisationFailed || last.State == sallyport.SynchronisationInterrupted:
		return last.Ended.Add(min(d.Every, againAfter)), true
	}
	return last.Started.Add(d.Every), true
}

// Seen returns synchronisations as they have to be taken now: those of appliances that are gone were interrupted.
func Seen(runs []sallyport.Synchronisation, now time.Time) []sallyport.Synchronisation {
	out := make([]sallyport.Synchronisation, len(runs))
	for i, y := range runs {
		out[i] = y.Seen(now)
	}
	return out
}

// Last returns the newest one that is no preview.
func Last(runs []sallyport.Synchronisation) (sallyport.Synchronisation, bool) {
	for _, r := range runs {
		if r.Kind != sallyport.SynchronisePreview {
			return r, true
		}
	}
	return sallyport.Synchronisation{}, false
}
