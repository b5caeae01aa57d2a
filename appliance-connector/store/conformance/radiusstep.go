package conformance

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func named(b byte) []byte { return bytes.Repeat([]byte{b}, 16) }

func radiusStepAtOnce(t *testing.T, e Engine) {
	n := atOnce(t, e.Fresh(t), func(ctx context.Context, s *store.Store) (bool, error) {
		taken, _, _, err := s.TakeRADIUSStep(ctx, named(1), named(2), start.Add(time.Minute), start)
		return taken, err
	})
	if n != 1 {
		t.Fatalf("%d of 1,000 took the step", n)
	}
}

func radiusStepResult(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	take := func(owner byte, now time.Time, want bool, holder, result []byte) {
		t.Helper()
		taken, h, r, err := s.TakeRADIUSStep(ctx, named(1), named(owner), now.Add(time.Minute), now)
		must(t, err)
		if taken != want || !bytes.Equal(h, holder) || !bytes.Equal(r, result) {
			t.Errorf("taken %v by %x with %q; want %v by %x with %q", taken, h, r, want, holder, result)
		}
	}
	take(2, start, true, nil, nil)
	take(2, start, false, named(2), nil)
	take(3, start, false, named(2), nil)
	must(t, s.SetRADIUSStep(ctx, named(1), named(3), []byte("another's"), start.Add(time.Hour)))
	must(t, s.SetRADIUSStep(ctx, named(1), named(2), []byte("done"), start.Add(10*time.Minute)))
	take(3, start.Add(9*time.Minute), false, named(2), []byte("done"))
	if h, r, err := s.RADIUSStep(ctx, named(1)); err != nil || !bytes.Equal(h, named(2)) || string(r) != "done" {
		t.Errorf("%x, %q, %v", h, r, err)
	}
	take(3, start.Add(10*time.Minute), true, nil, nil) // expired: it is another step, without a result
	take(2, start.Add(10*time.Minute), false, named(3), nil)
	must(t, s.FreeRADIUSStep(ctx, named(1)))
	must(t, s.FreeRADIUSStep(ctx, named(1)))
	must(t, s.SetRADIUSStep(ctx, named(1), named(3), []byte("too late"), start.Add(time.Hour)))
	if h, r, err := s.RADIUSStep(ctx, named(1)); err != nil || h != nil || r != nil {
		t.Errorf("%x, %q, %v", h, r, err)
	}
	take(2, start, true, nil, nil)
	if n, err := s.Sweep(ctx, start.Add(10*time.Minute)); err != nil || n != 1 {
		t.Errorf("the sweep removed %d, %v", n, err)
	}
	_, _, _, err := s.TakeRADIUSStep(ctx, named(1)[:15], named(2), start, start)
	wantCode(t, err, sallyport.CodeInvalid)
	wantCode(t, s.SetRADIUSStep(ctx, named(1), named(2), nil, start), sallyport.CodeInvalid)
}
