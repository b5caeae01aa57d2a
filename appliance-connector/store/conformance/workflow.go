package conformance

import (
	"reflect"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func workflow(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)).As(chief), t.Context()
	w, err := s.LoginWorkflow(ctx)
	must(t, err)
	w.Allowed = []sallyport.Combination{sallyport.PasswordAndPasskey, sallyport.PINAndOTP, sallyport.OTPAlone, sallyport.PasswordAndApp}
	w.NumberMatching = false
	saved, err := s.SetLoginWorkflow(ctx, w)
	must(t, err)
	if got, err := s.LoginWorkflow(ctx); err != nil || !reflect.DeepEqual(got, saved) || saved.Version != 2 || !reflect.DeepEqual(got.Allowed, w.Allowed) || got.NumberMatching {
		t.Fatalf("got %+v, %v; saved %+v", got, err, saved)
	}
	wantOvertaken(t, second(s.SetLoginWorkflow(ctx, w)))
	w.Version = 0
	wantOvertaken(t, second(s.SetLoginWorkflow(ctx, w)))
	if r := lastRecord(t, s, "login workflow.change"); !decode[sallyport.LoginWorkflow](t, r.Before).NumberMatching || decode[sallyport.LoginWorkflow](t, r.After).NumberMatching {
		t.Errorf("recorded %s, %s", r.Before, r.After)
	}
	for name, spoil := range map[string]func(*sallyport.LoginWorkflow){
		"nothing allowed":   func(w *sallyport.LoginWorkflow) { w.Allowed = nil },
		"unknown":           func(w *sallyport.LoginWorkflow) { w.Allowed = []sallyport.Combination{"password"} },
		"twice":             func(w *sallyport.LoginWorkflow) { w.Allowed = append(w.Allowed, w.Allowed[0]) },
		"less than an hour": func(w *sallyport.LoginWorkflow) { w.Remember.For = time.Hour - 1 },
		"121 days":          func(w *sallyport.LoginWorkflow) { w.Remember.For = 121 * 24 * time.Hour },
		"no time":           func(w *sallyport.LoginWorkflow) { w.Remember.For = 0 },
	} {
		wrong := saved
		wrong.Allowed = append([]sallyport.Combination(nil), saved.Allowed...)
		spoil(&wrong)
		if _, err := s.SetLoginWorkflow(ctx, wrong); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, edge := range []time.Duration{sallyport.RememberLeast, sallyport.RememberMost} {
		saved.Remember.For = edge
		saved, err = s.SetLoginWorkflow(ctx, saved)
		must(t, err)
	}
}

// Turning remembered devices off is for good: allowing them again begins anew, whatever a caller says,
// and a clock that was set back does not go behind it.
func rememberSince(t *testing.T, e Engine) {
	now := start
	s, err := store.Open(t.Context(), e.Fresh(t), Master(), store.WithNow(func() time.Time { return now }))
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	w, err := s.LoginWorkflow(t.Context())
	must(t, err)
	set := func(at time.Duration, allowed bool, want time.Time) {
		t.Helper()
		now = start.Add(at)
		w.Remember.Allowed = allowed
		w.Remember.Since = start.Add(-1000 * time.Hour)
		w, err = s.SetLoginWorkflow(t.Context(), w)
		must(t, err)
		kept, err := s.LoginWorkflow(t.Context())
		if err != nil || !w.Remember.Since.Equal(want) || !kept.Remember.Since.Equal(want) {
			t.Errorf("after %v: since %v and kept %v, %v; want %v", at, w.Remember.Since, kept.Remember.Since, err, want)
		}
	}
	set(0, false, time.Time{})
	set(time.Hour, true, start.Add(time.Hour))
	set(2*time.Hour, true, start.Add(time.Hour)) // other settings were saved
	set(3*time.Hour, false, start.Add(time.Hour))
	set(4*time.Hour, true, start.Add(4*time.Hour))
	set(5*time.Hour, false, start.Add(4*time.Hour))
	set(time.Hour, true, start.Add(4*time.Hour))
}
