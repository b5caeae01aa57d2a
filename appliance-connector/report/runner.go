package report

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	lookEvery = 30 * time.Second
	leaseFor  = composeTime + time.Minute
)

// Runner puts reports that are due into the outbox. Several appliances may each have one: a report is sent once.
type Runner struct {
	Store *store.Store
	// Holder is the appliance's id.
	Holder string
	Now    func() time.Time
	Log    *slog.Logger
}

// Run looks for reports that are due until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := r.RunDue(ctx); err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "reports that are due not looked at", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RunDue puts the reports that are due now into the outbox. One that was due several times while no appliance
// ran is sent once.
func (r *Runner) RunDue(ctx context.Context) error {
	list, err := r.Store.ReportSchedules(ctx)
	for _, s := range list {
		if s.Paused || r.Now().Before(s.Due) {
			continue
		}
		if serr := r.runOne(ctx, s); serr != nil {
			err = errors.Join(err, serr)
		}
	}
	return err
}

func (r *Runner) runOne(ctx context.Context, s sallyport.ReportSchedule) error {
	now := r.Now()
	name := "report " + string(s.ID)[:min(len(s.ID), 56)]
	if mine, err := r.Store.Lease(ctx, name, r.Holder, now, now.Add(leaseFor)); err != nil || !mine {
		return err
	}
	defer func() {
		if _, err := r.Store.Lease(context.WithoutCancel(ctx), name, r.Holder, now, now); err != nil {
			r.Log.WarnContext(ctx, "lease of a report not given back", "report", s.ID, "err", err)
		}
	}()
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		zone = time.UTC // Compose says so
	}
	m, rows, err := Compose(ctx, r.Store, s, s.Due, now)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	result, next := sallyport.ReportResult{Time: now, Rows: rows}, s.Next(now, zone)
	if err == nil {
		var done bool
		if done, err = r.Store.FinishReport(ctx, s.ID, s.Due, next, result, &m); err == nil {
			if done {
				r.Log.InfoContext(ctx, "report goes out", "report", s.ID, "rows", rows, "message", m.ID)
			}
			return nil
		}
	}
	if code := sallyport.ErrorCode(err); code == sallyport.CodeUnavailable || code == sallyport.CodeUncertain {
		return err // it is still due
	}
	r.Log.WarnContext(ctx, "report not sent", "report", s.ID, "err", err)
	result.Trouble = sallyport.ErrorMessage(err)
	_, err = r.Store.FinishReport(ctx, s.ID, s.Due, next, result, nil)
	return err
}
