package conformance

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newRemembered(id string, account sallyport.AccountName, made time.Duration) sallyport.RememberedDevice {
	return sallyport.RememberedDevice{ID: sallyport.RememberedID(id), Account: account, Browser: "Firefox on Windows", Place: "203.0.113.7", Made: start.Add(made)}
}

func wantRemembered(t *testing.T, s *store.Store, account sallyport.AccountName, want ...sallyport.RememberedDevice) {
	t.Helper()
	got, err := s.RememberedDevices(t.Context(), account)
	if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("remembered devices of %s: %+v, %v; want %+v", account, got, err, want)
	}
}

func rememberedComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)).As(chief), t.Context()
	wantRemembered(t, s, alice)
	first, second := newRemembered("r1", alice, 0), newRemembered("r2", alice, time.Hour)
	if raises(t, s, func(ctx context.Context) error { return s.PutRemembered(ctx, first, "") }) {
		t.Error("a remembered device raised the revision")
	}
	must(t, s.PutRemembered(ctx, second, ""))
	must(t, s.PutRemembered(ctx, newRemembered("r3", bob, 0), ""))
	again := first
	again.Made, again.Browser = start.Add(time.Minute), "Edge"
	must(t, s.PutRemembered(ctx, again, second.ID)) // repeated: nothing happens, to others neither
	wantRemembered(t, s, alice, second, first)
	if r := lastRecord(t, s, "remembered device.add"); r.Object != string(bob) || r.ObjectID != "r3" || !decode[sallyport.RememberedDevice](t, r.After).Made.Equal(start) {
		t.Errorf("recorded %+v", r)
	}
	must(t, s.PutRemembered(ctx, newRemembered("r4", alice, 2*time.Hour), "r1"))
	must(t, s.PutRemembered(ctx, newRemembered("r5", alice, 3*time.Hour), "r3")) // another's stays
	wantRemembered(t, s, alice, newRemembered("r5", alice, 3*time.Hour), newRemembered("r4", alice, 2*time.Hour), second)
	wantRemembered(t, s, bob, newRemembered("r3", bob, 0))
	hostile := newRemembered("r6", bob, time.Hour)
	hostile.Browser, hostile.Place = "a\x00b"+strings.Repeat("x", 5000), "\n"
	must(t, s.PutRemembered(ctx, hostile, ""))
	if list, err := s.RememberedDevices(ctx, bob); err != nil || len(list) != 2 || len(list[0].Browser) > 400 || strings.ContainsAny(list[0].Browser+list[0].Place, "\x00\n") {
		t.Errorf("%+v, %v", list, err)
	}
	for name, d := range map[string]sallyport.RememberedDevice{
		"no id": newRemembered("", alice, 0), "no account": newRemembered("r7", "", 0), "no time": {ID: "r7", Account: alice}, "a long id": newRemembered(strings.Repeat("r", 65), alice, 0),
	} {
		if err := s.PutRemembered(ctx, d, ""); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func rememberedUsed(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	d := newRemembered("r1", alice, 0)
	must(t, s.PutRemembered(ctx, d, ""))
	use := func(account sallyport.AccountName, uses uint32, want sallyport.Code) {
		t.Helper()
		got, err := s.UseRemembered(ctx, "r1", account, uses, "203.0.113.9", start.Add(time.Duration(uses)*time.Minute))
		if sallyport.ErrorCode(err) != want || err == nil && (got.Uses != uses || got.LastPlace != "203.0.113.9") {
			t.Errorf("use %d of %s: %+v, %v; want %q", uses, account, got, err, want)
		}
	}
	use(alice, 1, "")
	use(alice, 1, sallyport.CodeConflict)
	use(alice, 7, "")
	use(alice, 6, sallyport.CodeConflict)
	use(bob, 8, sallyport.CodeNotFound)
	d.Uses, d.LastUsed, d.LastPlace = 7, start.Add(7*time.Minute), "203.0.113.9"
	wantRemembered(t, s, alice, d)
	var good atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := s.UseRemembered(ctx, "r1", alice, 8, "", start); err == nil {
				good.Add(1)
			} else if sallyport.ErrorCode(err) != sallyport.CodeConflict {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Errorf("one use was counted %d times", good.Load())
	}
}

func rememberedForgotten(t *testing.T, e Engine) {
	s, ctx := hospital(t, e).As(chief), t.Context()
	apply(t, s, person("A", "alice"), person("B", "bob"))
	put := func() {
		t.Helper()
		must(t, s.PutRemembered(ctx, newRemembered("r1", alice, 0), ""))
		must(t, s.PutRemembered(ctx, newRemembered("r2", alice, time.Hour), ""))
		must(t, s.PutRemembered(ctx, newRemembered("r3", bob, 0), ""))
	}
	put()
	wantCode(t, s.ForgetRemembered(ctx, bob, "r1", ""), sallyport.CodeNotFound)
	must(t, s.ForgetRemembered(ctx, alice, "r1", "why not"))
	wantCode(t, s.ForgetRemembered(ctx, alice, "r1", ""), sallyport.CodeNotFound)
	wantCode(t, second(s.UseRemembered(ctx, "r1", alice, 1, "", start)), sallyport.CodeNotFound)
	wantRemembered(t, s, alice, newRemembered("r2", alice, time.Hour))
	if r := lastRecord(t, s, "remembered device.forget"); r.Object != string(alice) || r.ObjectID != "r1" || r.Reason != "why not" || r.Actor.ID != chief.ID {
		t.Errorf("recorded %+v", r)
	}
	put()
	must(t, s.RequireSecondFactor(ctx, userOf(t, s, "A").ID, start.Add(-time.Hour))) // whatever the clocks say
	wantRemembered(t, s, alice)
	wantRemembered(t, s, bob, newRemembered("r3", bob, 0))
	put()
	w, err := s.LoginWorkflow(ctx)
	must(t, err)
	w.Remember.Allowed = true
	w, err = s.SetLoginWorkflow(ctx, w)
	must(t, err)
	wantRemembered(t, s, bob, newRemembered("r3", bob, 0))
	w.Remember.Allowed = false
	must(t, second(s.SetLoginWorkflow(ctx, w)))
	wantRemembered(t, s, alice)
	wantRemembered(t, s, bob)
	if r := lastRecord(t, s, "remembered device.forget all"); string(r.Before) != `{"forgotten":3}` {
		t.Errorf("recorded %s", r.Before)
	}
	put()
	apply(t, s, person("A", "anna")) // the tokens are for the old name
	wantRemembered(t, s, alice)
	wantRemembered(t, s, `hospital\anna`)
}

func rememberedBounded(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, s.PutRemembered(ctx, newRemembered("other", bob, 0), ""))
	for i := range 53 {
		must(t, s.PutRemembered(ctx, newRemembered(fmt.Sprintf("r%d", i), alice, time.Duration(i)*time.Minute), ""))
	}
	list, err := s.RememberedDevices(ctx, alice)
	if err != nil || len(list) != 50 || list[0].ID != "r52" || list[49].ID != "r3" {
		t.Errorf("%d devices, %v", len(list), err)
	}
	wantRemembered(t, s, bob, newRemembered("other", bob, 0))
	n, err := s.Sweep(ctx, start.Add(sallyport.RememberMost+10*time.Minute))
	if err != nil || n != 8 { // bob's, and r3 to r9
		t.Errorf("swept %d, %v", n, err)
	}
}
