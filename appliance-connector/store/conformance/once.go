package conformance

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// atOnce runs do 1,000 times from 50 goroutines on two stores of one database, and returns how
// often it said true.
func atOnce(t *testing.T, address string, do func(context.Context, *store.Store) (bool, error)) int64 {
	t.Helper()
	stores := []*store.Store{Open(t, address), Open(t, address)}
	ctx, cancel := background()
	defer cancel()
	var wg sync.WaitGroup
	var yes atomic.Int64
	for g := range 50 {
		wg.Go(func() {
			for range 20 {
				ok, err := do(ctx, stores[g%2])
				if err != nil {
					t.Errorf("at once: %v", err)
					return
				}
				if ok {
					yes.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return yes.Load()
}

func claimAtOnce(t *testing.T, e Engine) {
	n := atOnce(t, e.Fresh(t), func(ctx context.Context, s *store.Store) (bool, error) {
		return s.Claim(ctx, []byte("\x00key\xff"), start.Add(time.Minute), start)
	})
	if n != 1 {
		t.Fatalf("%d of 1,000 were told to be the first", n)
	}
}

func claimSwept(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	claim := func(key string, expires time.Time) bool {
		t.Helper()
		first, err := s.Claim(ctx, []byte(key), expires, start)
		must(t, err)
		return first
	}
	const many = 1200 // more than two batches
	for n := range many {
		if !claim(fmt.Sprint("short-", n), start.Add(time.Minute)) {
			t.Fatalf("key %d was claimed before", n)
		}
	}
	claim("long", start.Add(time.Hour))
	claim("past", start.Add(-time.Hour)) // a claim too late is one all the same
	for _, key := range []string{"short-0", "long", "past"} {
		if claim(key, start.Add(time.Minute)) {
			t.Errorf("%s was claimed twice", key)
		}
	}
	if n, err := s.Sweep(ctx, start.Add(time.Minute)); err != nil || n != 0 {
		t.Fatalf("a sweep at the end of the claims, by a clock that may be wrong, removed %d, %v", n, err)
	}
	if n, err := s.Sweep(ctx, start.Add(10*time.Minute)); err != nil || n != many+1 {
		t.Fatalf("the sweep removed %d, %v; want %d", n, err, many+1)
	}
	if claim("long", start.Add(time.Hour)) || !claim("short-0", start.Add(time.Hour)) {
		t.Error("the sweep took the wrong ones")
	}
	all := func(keys ...string) bool {
		t.Helper()
		var list [][]byte
		for _, key := range keys {
			list = append(list, []byte(key))
		}
		first, err := s.ClaimAll(ctx, list, start.Add(time.Hour), start)
		must(t, err)
		return first
	}
	if !all("login 1", "seal 1") || all("login 1", "seal 2") || all("login 2", "seal 1") || all("login 3", "seal 2") || all("login 2", "seal 3") {
		t.Error("keys that are used together are first only when none of them was used, and are used whatever came of it")
	}
	for _, n := range []int{0, 9} {
		_, err := s.ClaimAll(ctx, make([][]byte, n), start, start)
		wantCode(t, err, sallyport.CodeInvalid)
	}
	for _, size := range []int{0, 257} {
		_, err := s.Claim(ctx, make([]byte, size), start, start)
		wantCode(t, err, sallyport.CodeInvalid)
	}
}

func stepAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s := Open(t, address)
	d := NewDevice("phone", alice)
	must(t, s.PutDevice(t.Context(), d))
	n := atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) {
		return s.UseStep(ctx, d.ID, 58_000_000, sallyport.NewID())
	})
	if n != 1 {
		t.Fatalf("%d of 1,000 were told to be the first", n)
	}
}

func stepForward(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	d, other := NewDevice("phone", alice), NewDevice("other", alice)
	must(t, s.PutDevice(ctx, d))
	must(t, s.PutDevice(ctx, other))
	use := func(id sallyport.DeviceID, step int64, want bool) {
		t.Helper()
		if first, err := s.UseStep(ctx, id, step, ""); err != nil || first != want {
			t.Errorf("step %d: %v, %v; want %v", step, first, err, want)
		}
	}
	use(d.ID, 0, true)
	use(d.ID, 7, true)
	use(d.ID, 6, false)
	use(d.ID, 7, false)
	use(other.ID, 7, true)
	d.Name = "renamed"
	must(t, s.PutDevice(ctx, d))
	use(d.ID, 7, false)
	use(d.ID, 8, true)
	owned := func(owner string, want bool) {
		t.Helper()
		if first, err := s.UseStep(ctx, d.ID, 20, owner); err != nil || first != want {
			t.Errorf("owner %q: %v, %v; want %v", owner, first, err, want)
		}
	}
	owned("request-1", true)
	owned("request-1", true) // repeated
	owned("request-2", false)
	owned("", false)
	_, err := s.UseStep(ctx, "nobody", 9, "")
	wantCode(t, err, sallyport.CodeNotFound)
	_, err = s.UseStep(ctx, d.ID, -1, "")
	wantCode(t, err, sallyport.CodeInvalid)
}

func failuresAtOnce(t *testing.T, e Engine) {
	var mu sync.Mutex
	seen := make(map[int]int)
	address := e.Fresh(t)
	atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) {
		n, err := s.Failure(ctx, alice, "passcode", start, time.Minute)
		mu.Lock()
		defer mu.Unlock()
		seen[n]++
		return false, err
	})
	for n := 1; n <= 1000; n++ {
		if seen[n] != 1 {
			t.Fatalf("the count %d was told %d times", n, seen[n])
		}
	}
	if n, err := Open(t, address).Failures(t.Context(), alice, "passcode", start, time.Minute); err != nil || n != 1000 {
		t.Fatalf("failures: %d, %v", n, err)
	}
}

func failuresWindow(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	const window = 15 * time.Minute
	fail := func(account sallyport.AccountName, kind string, at time.Duration, want int) {
		t.Helper()
		if n, err := s.Failure(ctx, account, kind, start.Add(at), window); err != nil || n != want {
			t.Errorf("failure after %v: %d, %v; want %d", at, n, err, want)
		}
	}
	count := func(at time.Duration, want int) {
		t.Helper()
		if n, err := s.Failures(ctx, alice, "code", start.Add(at), window); err != nil || n != want {
			t.Errorf("failures after %v: %d, %v; want %d", at, n, err, want)
		}
	}
	count(0, 0)
	fail(alice, "code", 0, 1)
	fail(alice, "code", window-1*time.Second, 2)
	fail(alice, "other", 0, 1)
	fail(bob, "code", 0, 1)
	must(t, s.TakeBackFailure(ctx, alice, "code"))
	count(window-time.Second, 1)
	must(t, s.TakeBackFailure(ctx, alice, "code"))
	must(t, s.TakeBackFailure(ctx, alice, "code")) // there is none
	must(t, s.TakeBackFailure(ctx, alice, "never"))
	count(window-time.Second, 0)
	fail(alice, "code", 1*time.Second, 1)
	fail(alice, "code", window-1*time.Second, 2)
	fail(alice, "code", -time.Minute, 3) // an appliance whose clock is a minute behind
	count(window-time.Second, 3)
	count(window, 0)
	fail(alice, "code", window, 1) // a new window
	fail(alice, "code", window+time.Second, 2)
	must(t, s.ResetFailures(ctx, alice, "code"))
	count(window+time.Second, 0)
	fail(alice, "code", 365*24*time.Hour, 1) // a clock that is wrong by a year
	fail(alice, "code", 2*window, 1)
	if n, err := s.Sweep(ctx, start.Add(window+time.Hour)); err != nil || n != 3 {
		t.Errorf("the sweep removed %d, %v", n, err)
	}
	_, err := s.Failure(ctx, alice, "code", start, 0)
	wantCode(t, err, sallyport.CodeInvalid)
	_, err = s.Failures(ctx, "", "code", start, window)
	wantCode(t, err, sallyport.CodeInvalid)
}

func enrolmentOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	want := store.Enrolment{ID: "e1", Account: alice, Secret: sallyport.Key("enrolment-secret-of-32-octets-..."),
		Created: start, Expires: start.Add(time.Hour)}
	must(t, s.PutEnrolment(ctx, want))
	wantCode(t, s.PutEnrolment(ctx, want), sallyport.CodeConflict)
	got, err := s.Enrolment(ctx, "e1")
	must(t, err)
	if got.ID != want.ID || got.Account != want.Account || string(got.Secret) != string(want.Secret) ||
		!got.Created.Equal(want.Created) || !got.Expires.Equal(want.Expires) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	n := atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) { return s.DeleteEnrolment(ctx, "e1") })
	if n != 1 {
		t.Fatalf("%d callers took it", n)
	}
	_, err = s.Enrolment(ctx, "e1")
	wantCode(t, err, sallyport.CodeNotFound)
	must(t, s.PutEnrolment(ctx, want))
	if n, err := s.Sweep(ctx, start.Add(20*time.Hour)); err != nil || n != 0 {
		t.Errorf("swept %d, %v: people should still be told that it expired", n, err)
	}
	if n, err := s.Sweep(ctx, start.Add(26*time.Hour)); err != nil || n != 1 {
		t.Errorf("swept %d, %v", n, err)
	}
	want.Expires = want.Created
	wantCode(t, s.PutEnrolment(ctx, want), sallyport.CodeInvalid)
	want.Expires, want.Secret = start.Add(time.Hour), sallyport.Key("short")
	wantCode(t, s.PutEnrolment(ctx, want), sallyport.CodeInvalid)
}

func inviteOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	for n, id := range []store.InviteID{"late", "a", "b"} {
		must(t, s.PutInvite(ctx, store.Invite{ID: id, Secret: sallyport.Secret("join-code-" + id),
			Created: start.Add(time.Duration(n) * time.Second), Expires: start.Add(time.Duration(n+1) * time.Hour)}))
	}
	wantCode(t, s.PutInvite(ctx, store.Invite{ID: "a", Secret: "x", Created: start, Expires: start}), sallyport.CodeInvalid)
	wantCode(t, s.PutInvite(ctx, store.Invite{ID: "a", Secret: "x", Created: start, Expires: start.Add(time.Hour)}), sallyport.CodeConflict)
	later := start.Add(time.Hour)
	list, err := s.Invites(ctx, later)
	if err != nil || len(list) != 2 || list[0].ID != "a" || list[1].ID != "b" || list[1].Secret != "join-code-b" {
		t.Fatalf("open invitations: %+v, %v", list, err)
	}
	_, err = s.TakeInvite(ctx, "late", later)
	wantCode(t, err, sallyport.CodeExpired)
	n := atOnce(t, address, func(ctx context.Context, s *store.Store) (bool, error) {
		i, err := s.TakeInvite(ctx, "a", later)
		if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
			return false, nil
		}
		return i.Secret == "join-code-a", err
	})
	if n != 1 {
		t.Fatalf("%d callers took it", n)
	}
	for _, want := range []bool{true, false} {
		if existed, err := s.DeleteInvite(ctx, "b"); err != nil || existed != want {
			t.Errorf("delete: %v, %v; want %v", existed, err, want)
		}
	}
}
