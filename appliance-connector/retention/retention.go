// Package retention deletes what an appliance no longer has to keep: audit records, logins, RADIUS requests and
// log files, each after its own number of days. One appliance a day does it for the store, each for its own
// log files. It deletes nothing of an audit trail that was tampered with.
package retention

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	// Section of the store with the settings.
	Section = "retention"
	// hour is when it runs, in UTC.
	hour      = 3
	lease     = "retention"
	lookEvery = 10 * time.Minute
	// againAfter is when a run that failed is tried again.
	againAfter = time.Hour
	// runTime bounds a run.
	runTime = 2 * time.Hour
)

// Settings are days.
type Settings struct {
	Audit  int `json:"audit_days"`
	Logins int `json:"login_days"`
	RADIUS int `json:"radius_days"`
	Logs   int `json:"log_days"`
	// Version is that of what was read; it goes back with what is saved.
	Version int64 `json:"-"`
}

// Defaults are what holds until somebody says otherwise.
func Defaults() Settings { return Settings{Audit: 400, Logins: 180, RADIUS: 30, Logs: 30} }

// Sections is the part of the store that holds settings.
type Sections interface {
	Section(ctx context.Context, name string) ([]byte, int64, error)
}

// ReadSettings returns the settings.
func ReadSettings(ctx context.Context, s Sections) (Settings, error) {
	v := Defaults()
	text, version, err := s.Section(ctx, Section)
	if err != nil || version == 0 {
		return v, err
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("read retention settings: %w", err)
	}
	v.Version = version
	return v, nil
}

// Cutoffs are from before when things are deleted.
type Cutoffs struct{ Audit, Logins, RADIUS, Logs time.Time }

// At returns the cutoffs of a run at a time.
func (v Settings) At(now time.Time) Cutoffs {
	before := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	return Cutoffs{before(v.Audit), before(v.Logins), before(v.RADIUS), before(v.Logs)}
}

// Next is when the next run after a time is.
func Next(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	at := time.Date(y, m, d, hour, 0, 0, 0, time.UTC)
	if !at.After(t) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// Files are the appliance's log files.
type Files interface {
	DeleteBefore(t, now time.Time) (int, error)
}

// Runner runs. Files may be nil.
type Runner struct {
	Store *store.Store
	Files Files
	Now   func() time.Time
	Log   *slog.Logger
}

// Run runs when it is due, until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := r.RunDue(ctx); err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "old records not deleted; tried again in an hour", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RunDue deletes log files, and the rest if nobody did today.
func (r *Runner) RunDue(ctx context.Context) error {
	settings, err := ReadSettings(ctx, r.Store)
	if err != nil {
		return err
	}
	now := r.Now()
	at := settings.At(now)
	if r.Files != nil {
		n, err := r.Files.DeleteBefore(at.Logs, now)
		if n > 0 {
			r.Log.InfoContext(ctx, "old log files deleted", "files", n)
		}
		if err != nil {
			r.Log.WarnContext(ctx, "old log files not deleted", "err", err)
		}
	}
	// The lease is under a name of its own for each run, and not given back: who has it, has done it for today.
	holder := sallyport.NewID()
	mine, err := r.Store.Lease(ctx, lease, holder, now, Next(now))
	if err != nil || !mine {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	if err := r.run(ctx, at); err != nil {
		if _, lerr := r.Store.Lease(context.WithoutCancel(ctx), lease, holder, now, now.Add(againAfter)); lerr != nil {
			r.Log.WarnContext(ctx, "lease of retention not shortened", "err", lerr)
		}
		return err
	}
	return nil
}

func (r *Runner) run(ctx context.Context, at Cutoffs) error {
	db := r.Store.As(sallyport.Actor{Kind: sallyport.ActorSystem, Name: "retention"})
	for _, part := range []struct {
		what   string
		before time.Time
		delete func(context.Context, time.Time) (int64, error)
	}{{"logins", at.Logins, db.DeleteLoginsBefore}, {"RADIUS requests", at.RADIUS, db.DeleteRADIUSBefore}} {
		n, err := part.delete(ctx, part.before)
		if n > 0 { // also when it did not get to the end
			r.Log.InfoContext(ctx, "old records deleted", "what", part.what, "rows", n)
			if aerr := db.AppendAudit(ctx, []sallyport.AuditRecord{{Action: "retention.delete", Object: part.what + " from before " + part.before.UTC().Format(time.RFC3339),
				After: fmt.Appendf(nil, `{"rows":%d}`, n)}}); aerr != nil {
				return aerr
			}
		}
		if err != nil {
			return fmt.Errorf("delete %s: %w", part.what, err)
		}
	}
	// Its record is written with the deletion itself.
	n, err := db.DeleteAuditBefore(ctx, at.Audit)
	if n > 0 {
		r.Log.InfoContext(ctx, "old records deleted", "what", "audit records", "rows", n)
	}
	if err != nil {
		return fmt.Errorf("delete audit records: %w", err)
	}
	return nil
}
