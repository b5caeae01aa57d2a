package activity

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport"
)

// Run writes until ctx ends, and then what is left, if the store takes it at once.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(abandonedEvery)
	defer tick.Stop()
	for retry := time.Duration(0); ; {
		if retry == 0 {
			select {
			case <-r.wake:
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil || !pause(ctx, max(Gather, retry)) {
			return r.last(ctx)
		}
		if err := r.Flush(ctx); err == nil {
			retry = 0
		} else {
			retry = min(max(2*retry, firstRetry), lastRetry)
		}
	}
}

// last writes what is left when the appliance ends.
func (r *Recorder) last(ctx context.Context) error {
	if err := r.Flush(context.WithoutCancel(ctx)); err != nil {
		n := r.Stats()
		r.opts.Log.ErrorContext(ctx, "records not written at the end",
			"logins", n.Logins.Waiting, "events", n.Events.Waiting, "audit", n.Audit.Waiting, "radius", n.RADIUS.Waiting, "err", err)
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Flush writes what waits now. An error means that the store is away, and that what was not written waits
// still.
func (r *Recorder) Flush(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	for r.waiting() {
		if err := r.round(ctx); err != nil {
			return err
		}
		r.tellLoss()
	}
	return r.endAbandoned(ctx)
}

func (r *Recorder) waiting() bool {
	s := r.Stats()
	return s.Logins.Waiting+s.Events.Waiting+s.Audit.Waiting+s.RADIUS.Waiting > 0
}

// round writes one batch of each kind, in one transaction unless the store refuses something of it.
func (r *Recorder) round(ctx context.Context) error {
	logins, events, audit, radius := r.logins.first(batch), r.events.first(batch), r.audit.first(batch), r.radius.first(batch)
	err := call(ctx, func(ctx context.Context) error {
		return r.opts.Store.RecordActivity(ctx, logins, events, audit, radius)
	})
	if refused(err) {
		return r.kindByKind(ctx)
	}
	if err != nil {
		return err
	}
	r.logins.done(len(logins), 0)
	r.events.done(len(events), 0)
	r.audit.done(len(audit), 0)
	r.radius.done(len(radius), 0)
	return nil
}

// kindByKind writes one batch of each kind, each kind by itself, logins with their events.
func (r *Recorder) kindByKind(ctx context.Context) error {
	logins, events := r.logins.first(batch), r.events.first(batch)
	if len(logins)+len(events) > 0 {
		err := call(ctx, func(ctx context.Context) error { return r.opts.Store.RecordLogins(ctx, logins, events) })
		lostLogins, lostEvents := 0, 0
		if refused(err) {
			lostLogins, err = write(ctx, r, "logins", logins, func(ctx context.Context, l []sallyport.LoginRecord) error {
				return r.opts.Store.RecordLogins(ctx, l, nil)
			})
			if err == nil {
				lostEvents, err = write(ctx, r, "login events", events, func(ctx context.Context, e []sallyport.LoginEvent) error {
					return r.opts.Store.RecordLogins(ctx, nil, e)
				})
			}
		}
		if err != nil {
			return err
		}
		r.logins.done(len(logins), lostLogins)
		r.events.done(len(events), lostEvents)
	}
	if err := flush(ctx, r, &r.audit, "audit records", r.opts.Store.AppendAudit); err != nil {
		return err
	}
	return flush(ctx, r, &r.radius, "RADIUS requests", r.opts.Store.RecordRADIUS)
}

func flush[T any](ctx context.Context, r *Recorder, q *queue[T], what string, record func(context.Context, []T) error) error {
	list := q.first(batch)
	lost, err := write(ctx, r, what, list, record)
	if err == nil {
		q.done(len(list), lost)
	}
	return err
}

// write writes a list. Of what the store refuses for good it finds the one that is to blame by halves:
// that one is lost, for it would hold up the rest for ever.
func write[T any](ctx context.Context, r *Recorder, what string, list []T, record func(context.Context, []T) error) (lost int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	err = call(ctx, func(ctx context.Context) error { return record(ctx, list) })
	switch {
	case !refused(err):
		return 0, err
	case len(list) == 1:
		r.opts.Log.ErrorContext(ctx, "record refused by the store, and lost", "what", what, "err", err)
		r.losing()
		return 1, nil
	}
	half := len(list) / 2
	for _, part := range [][]T{list[:half], list[half:]} {
		n, err := write(ctx, r, what, part, record)
		if err != nil {
			return 0, err
		}
		lost += n
	}
	return lost, nil
}

// call gives one call to the store its deadline. What is under way when the appliance ends is finished.
func call(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	return do(ctx)
}

// refused tells an error that the same call would meet again from a store that is away.
func refused(err error) bool {
	return err != nil && sallyport.ErrorCode(err) != sallyport.CodeUnavailable && !errors.Is(err, context.DeadlineExceeded)
}

// endAbandoned ends logins that nobody went on with, whichever appliance began them.
func (r *Recorder) endAbandoned(ctx context.Context) error {
	now := r.opts.Now()
	if now.Before(r.abandonedEnded.Add(abandonedEvery)) {
		return nil
	}
	err := call(ctx, func(ctx context.Context) error {
		_, err := r.opts.Store.AbandonLogins(ctx, now.Add(-r.opts.Life), now)
		return err
	})
	if refused(err) {
		r.opts.Log.ErrorContext(ctx, "abandoned logins not ended", "err", err)
	} else if err != nil {
		return err
	}
	r.abandonedEnded = now
	return nil
}
