package tunnel_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

type handle = func(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response

// stuck is a handler that says when it was reached, and then waits for its context to end.
func stuck(bind bool) (handle, chan struct{}) {
	reached := make(chan struct{}, 16)
	return func(ctx context.Context, _ *tunnelpb.Request, progress func()) *tunnelpb.Response {
		if bind {
			progress()
		}
		reached <- struct{}{}
		<-ctx.Done()
		return nil
	}, reached
}

type outcome struct {
	resp *tunnelpb.Response
	err  error
	took time.Duration
}

// ask starts a request and returns where its outcome will be.
func ask(t testing.TB, r *replica, req *tunnelpb.Request) chan outcome {
	t.Helper()
	ctx, done := within(t, 15*time.Second), make(chan outcome, 1)
	go func() {
		begun := time.Now()
		resp, err := r.hub.Do(ctx, tenant, req)
		done <- outcome{resp, err, time.Since(begun)}
	}()
	return done
}

func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("did not happen within 20 s: %s", what)
		panic("unreachable")
	}
}

func wantCode(t testing.TB, o outcome, code sallyport.Code) {
	t.Helper()
	if got := sallyport.ErrorCode(o.err); got != code {
		t.Fatalf("code %q (%v, answer %v), want %q", got, o.err, o.resp, code)
	}
}

// TestApplianceLostMidRequest is the table of what becomes of a request whose appliance dies.
func TestApplianceLostMidRequest(t *testing.T) {
	for _, c := range []struct {
		name   string
		remote bool
		bind   bool
		req    *tunnelpb.Request
		want   sallyport.Code // "": the other appliance answers
	}{
		{"local before bind goes on", false, false, credentials(), ""},
		{"local after bind is uncertain", false, true, credentials(), sallyport.CodeUncertain},
		{"local wait goes on even after bind", false, true, wait(), ""},
		{"remote before bind goes on", true, false, credentials(), ""},
		{"remote after bind is uncertain", true, true, credentials(), sallyport.CodeUncertain},
		{"remote wait goes on even after bind", true, true, wait(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			asked := w.replica("a")
			holder := asked
			if c.remote {
				holder = w.replica("b")
			}
			dies := w.appliance("dies", []string{holder.addr})
			do, reached := stuck(c.bind)
			dies.handler.set(do)
			connected(t, dies, holder)
			present(t, asked, 2)
			done := ask(t, asked, c.req)
			await(t, "the request reaches the first appliance", reached)
			other := w.appliance("other", []string{holder.addr})
			connected(t, other, holder)
			present(t, asked, 4)
			dies.kill()
			o := await(t, "the request ends", done)
			wantCode(t, o, c.want)
			wantBinds := int64(1)
			if c.want == sallyport.CodeUncertain {
				wantBinds = 0
			}
			if n := other.handler.binds.Load(); n != wantBinds {
				t.Fatalf("the other appliance started %d binds, want %d", n, wantBinds)
			}
		})
	}
}

func TestProgressIsConfirmedOrTheDirectoryIsNotAsked(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	one := w.appliance("one", []string{a.addr})
	release, after := make(chan struct{}), make(chan error, 1)
	reached := make(chan struct{}, 1)
	one.handler.set(func(ctx context.Context, _ *tunnelpb.Request, progress func()) *tunnelpb.Response {
		reached <- struct{}{}
		<-release
		progress()
		after <- ctx.Err()
		return view(1)
	})
	connected(t, one, a)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := a.hub.Do(ctx, tenant, credentials())
		done <- err
	}()
	await(t, "the request arrives", reached)
	cancel() // the cloud gives up; from now on nothing is confirmed
	if err := await(t, "Do ends", done); sallyport.ErrorCode(err) != sallyport.CodeExpired {
		t.Fatalf("cancelled request ended with %v", err)
	}
	close(release)
	if err := await(t, "progress returns", after); err == nil {
		t.Fatal("the appliance was told to go on with a request that the cloud had given up")
	}
}

func TestReplicaKilledWithAnAcceptedRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		req  *tunnelpb.Request
		want sallyport.Code
	}{
		{"credentials are uncertain", credentials(), sallyport.CodeUncertain},
		{"wait goes to another replica", wait(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			asked, killed := w.replica("asked"), w.replicaProcess("killed")
			one := w.appliance("one", []string{killed.addr})
			do, reached := stuck(false)
			one.handler.set(do)
			present(t, asked, 2)
			done := ask(t, asked, c.req)
			await(t, "the request arrives", reached)
			other := w.replica("other")
			two := w.appliance("two", []string{other.addr})
			connected(t, two, other)
			present(t, asked, 4)
			time.AfterFunc(100*time.Millisecond, killed.kill) // by then the holder has said "accepted"
			o := await(t, "the request ends", done)
			wantCode(t, o, c.want)
			if o.took > 4*time.Second {
				t.Fatalf("noticed only after %v", o.took)
			}
			if n := two.handler.handled.Load(); (n > 0) != (c.want == "") {
				t.Fatalf("the other appliance was asked %d times", n)
			}
		})
	}
}

func TestReplicaThatIsDeadOrPausedIsPassedOver(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"paused", syscall.SIGSTOP}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.timing.Lease = 20 * time.Second // the dead replica's leases outlive it
			asked, sick := w.replica("asked"), w.replicaProcess("sick")
			one := w.appliance("one", []string{sick.addr})
			present(t, asked, 2)
			sick.signal(t, c.signal)
			healthy := w.replica("healthy")
			two := w.appliance("two", []string{healthy.addr})
			connected(t, two, healthy)
			present(t, asked, 4)
			for range 6 { // at random, some go to the sick one first
				o := await(t, "the request ends", ask(t, asked, credentials()))
				wantCode(t, o, "")
				if o.took > 3*time.Second {
					t.Fatalf("passed over only after %v", o.took)
				}
			}
			if c.signal == syscall.SIGSTOP {
				sick.signal(t, syscall.SIGCONT)
				// Whatever the paused replica finds in its channel now was withdrawn. Of these, some go there and come after.
				present(t, asked, 4)
				for range 30 {
					o := await(t, "a request to the woken replica ends", ask(t, asked, ping(nil)))
					wantCode(t, o, "")
				}
			}
			if n := one.handler.handled.Load() + two.handler.handled.Load(); n != 6 {
				t.Fatalf("6 requests were handled %d times", n)
			}
		})
	}
}

func TestReplicaThatOnlyPausesIsAskedAgainWhenItIsTheOnlyOne(t *testing.T) {
	w := newWorld(t)
	w.timing.Lease = 20 * time.Second // a paused replica renews nothing
	asked, busy := w.replica("asked"), w.replicaProcess("busy")
	one := w.appliance("one", []string{busy.addr})
	present(t, asked, 2)
	busy.signal(t, syscall.SIGSTOP)
	done := ask(t, asked, credentials())
	eventually(t, "the offer was withdrawn once", func() bool {
		keys, err := asked.rdb.Keys(context.Background(), "sp:{"+string(tenant)+"}:handover:*").Result()
		return err == nil && len(keys) >= 2
	})
	busy.signal(t, syscall.SIGCONT)
	wantCode(t, await(t, "the request ends", done), "")
	if n := one.handler.handled.Load(); n != 1 {
		t.Fatalf("handled %d times", n)
	}
}

func TestDeadlineReachesTheApplianceAndEndsTheRequest(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	one := w.appliance("one", []string{b.addr})
	ended := make(chan error, 4)
	one.handler.set(func(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response {
		if _, isWait := req.GetLoginStep().GetEvent().(*tunnelpb.LoginStep_Wait); !isWait {
			progress()
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	})
	connected(t, one, b)
	present(t, a, 2)
	for _, r := range []*replica{a, b} {
		for _, c := range []struct {
			req  *tunnelpb.Request
			want sallyport.Code
		}{{wait(), sallyport.CodeExpired}, {credentials(), sallyport.CodeUncertain}} {
			_, err := r.hub.Do(within(t, 300*time.Millisecond), tenant, c.req)
			if got := sallyport.ErrorCode(err); got != c.want {
				t.Fatalf("%s: %v, want code %q", r.name, err, c.want)
			}
			_ = await(t, "the handler is told", ended)
		}
	}
}

func TestNoApplianceConnected(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	o := await(t, "the request ends", ask(t, a, credentials()))
	wantCode(t, o, sallyport.CodeUnavailable)
}
