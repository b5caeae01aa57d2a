package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// desk notes what is told. The test answers each question for the time.
type desk struct {
	clock func() (time.Time, bool, error)
	told  chan sallyport.Appliance
}

func (d desk) Clock(context.Context) (time.Time, bool, error) { return d.clock() }

func (d desk) ReportAppliance(_ context.Context, a sallyport.Appliance) error {
	d.told <- a
	return nil
}

func TestAnApplianceTellsOfItselfAtOnceAndAtEveryBeat(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	beat, ended, told := make(chan time.Time), make(chan error, 1), make(chan sallyport.Appliance)
	now, names := noon, []string{"one", "two"}
	d := desk{told: told, clock: func() (time.Time, bool, error) {
		now = now.Add(2 * time.Second) // the way there and back
		return noon.Add(-time.Minute), true, nil
	}}
	go func() {
		ended <- Run(ctx, Options{Store: d, Beat: beat, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
			Self: func() sallyport.Appliance {
				a := sallyport.Appliance{ID: "a", Name: names[0]}
				names = names[1:]
				return a
			}})
	}()
	first := <-told
	if first.Name != "one" || !first.Heard.Equal(noon.Add(-time.Minute)) || !first.ClockKnown || first.ClockOffset != 61*time.Second {
		t.Errorf("told %+v", first)
	}
	beat <- noon
	if second := <-told; second.Name != "two" {
		t.Errorf("told %+v", second)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWithoutAClockOfTheDatabaseItsOwnTimeIsTold(t *testing.T) {
	told := make(chan sallyport.Appliance, 1)
	o := Options{Store: desk{told: told, clock: func() (time.Time, bool, error) { return time.Time{}, false, nil }},
		Self: func() sallyport.Appliance { return sallyport.Appliance{ID: "a", ClockKnown: true} }, Now: func() time.Time { return noon }}
	if err := o.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := <-told; a.ClockKnown || !a.Heard.Equal(noon) {
		t.Errorf("told %+v", a)
	}
}

func TestASilentDatabaseIsSaidOnceAndItsReturnToo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	beat, ended, told, answers := make(chan time.Time), make(chan error, 1), make(chan sallyport.Appliance, 2), make(chan error)
	var out bytes.Buffer
	d := desk{told: told, clock: func() (time.Time, bool, error) { return time.Time{}, false, <-answers }}
	go func() {
		ended <- Run(ctx, Options{Store: d, Beat: beat, Now: func() time.Time { return noon }, Log: slog.New(slog.NewTextHandler(&out, nil)),
			Self: func() sallyport.Appliance { return sallyport.Appliance{ID: "a"} }})
	}()
	silent := errors.New("no database")
	answers <- silent
	for _, err := range []error{silent, nil, nil} {
		beat <- noon
		answers <- err
	}
	<-told
	<-told
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if text := out.String(); strings.Count(text, "cannot tell of itself") != 1 || strings.Count(text, "tells of itself again") != 1 {
		t.Errorf("the log has:\n%s", text)
	}
}
