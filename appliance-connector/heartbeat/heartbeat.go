// Package heartbeat has a running appliance tell of itself in the store, so that administrators see all
// appliances of the enterprise wherever they look. It decides nothing, and an appliance works as well while
// it cannot tell.
package heartbeat

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
)

// Every is how often an appliance tells of itself.
const Every = 15 * time.Second

// patience bounds one report, so that a database that is silent delays no later one.
const patience = 5 * time.Second

// Store is where appliances tell of themselves.
type Store interface {
	ReportAppliance(ctx context.Context, a sallyport.Appliance) error
	// Clock is the database's own; known is false when it has none but this host's.
	Clock(ctx context.Context) (now time.Time, known bool, err error)
}

// Options are what a heartbeat works with. All are required.
type Options struct {
	Store Store
	// Self tells of the appliance; the time and the clock are added.
	Self func() sallyport.Appliance
	// Beat is when to tell again, after once at the beginning.
	Beat <-chan time.Time
	Now  func() time.Time
	Log  *slog.Logger
}

// Run tells until ctx ends.
func Run(ctx context.Context, o Options) error {
	lost := false
	for {
		err := o.tell(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !lost:
			o.Log.WarnContext(ctx, "appliance cannot tell of itself; the console may call it silent", "err", err)
		case err == nil && lost:
			o.Log.InfoContext(ctx, "appliance tells of itself again")
		}
		lost = err != nil
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.Beat:
		}
	}
}

// tell writes one report. Its time is the database's where that is known: appliances are compared by it,
// and one whose own clock is wrong must not look silent.
func (o Options) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := o.Self()
	before := o.Now()
	theirs, known, err := o.Store.Clock(ctx)
	if err != nil {
		return err
	}
	a.Heard, a.ClockKnown, a.ClockOffset = o.Now(), known, 0
	if known {
		ours := before.Add(a.Heard.Sub(before) / 2) // half of the way there and back
		a.ClockOffset = ours.Sub(theirs)
		a.Heard = theirs
	}
	return o.Store.ReportAppliance(ctx, a)
}
