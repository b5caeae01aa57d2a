package directory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/test/harness"
)

func through(p *harness.Proxy) string { return "ldaps://" + p.Addr() }

func TestALogInFollowsTheDirectoryThroughAnOutage(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	d := f.open(t, nil)
	verify(t, d, "alice", harness.UserPassword)
	dc.Kill()
	_, err := d.Verify(t.Context(), "alice", harness.UserPassword, func() { t.Error("a bind was announced") })
	if sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("with the directory down: %v", err)
	}
	if d.Health(t.Context()) == nil {
		t.Error("healthy with the directory down")
	}
	if _, err := d.Identify(t.Context(), "alice@hospital.test"); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("identify with the directory down: %v", err)
	}
	if got, err := d.Identify(t.Context(), "alice"); err != nil || got != `hospital\alice` {
		t.Errorf("identify a plain name with the directory down: %q, %v", got, err)
	}
	dc.Start()
	if res := verify(t, d, "alice", harness.UserPassword); res.State != sallyport.AccountOK {
		t.Errorf("back again: %q", res.State)
	}
}

func TestTheNextServerIsAskedAndTheFirstAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	first := harness.StartProxy(t, dc.Addr())
	second := harness.StartProxy(t, dc.Addr())
	d := f.open(t, func(c *config) { c.Servers = []string{through(first), through(second)}; c.Leave = -1 })
	verify(t, d, "alice", harness.UserPassword)
	if second.Connections() != 0 {
		t.Errorf("the second server was asked %d times without need", second.Connections())
	}
	first.Refuse(true)
	first.Cut()
	for range 5 {
		verify(t, d, "alice", harness.UserPassword)
	}
	if second.Connections() == 0 {
		t.Error("the second server was not asked")
	}
	tried := first.Connections()
	first.Refuse(false)
	deadline := time.Now().Add(time.Minute)
	for first.Connections() == tried && time.Now().Before(deadline) {
		verify(t, d, "alice", harness.UserPassword)
	}
	if first.Connections() == tried {
		t.Error("the first server was not asked again")
	}
}

func TestADeadlineHoldsInABlackHole(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	p := harness.StartProxy(t, dc.Addr())
	d := f.open(t, func(c *config) { c.Servers = []string{through(p)}; c.Timeout = 2 * time.Second })
	ask := func(ctx context.Context, what string, limit time.Duration) {
		t.Helper()
		start := time.Now()
		_, err := d.Verify(ctx, "alice", harness.UserPassword, func() { t.Error("a bind was announced") })
		if sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(start); took > limit {
			t.Errorf("%s: took %v", what, took)
		}
	}
	p.BlackHole(true)
	ask(t.Context(), "no connection yet", 8*time.Second)
	p.BlackHole(false)
	p.Cut()
	awaitHealth(t, d)
	verify(t, d, "alice", harness.UserPassword)
	p.BlackHole(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ask(ctx, "the caller's deadline on kept connections", 2*time.Second)
	ask(t.Context(), "kept connections", 8*time.Second)
	p.BlackHole(false)
	p.Cut()
	awaitHealth(t, d)
	verify(t, d, "alice", harness.UserPassword)
}

func awaitHealth(t *testing.T, d *directory.Directory) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for d.Health(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatal("the directory does not become healthy")
		}
	}
}

func TestABindIsNeverRepeated(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	for _, x := range []struct {
		name   string
		strike func(*harness.Proxy)
	}{
		{"when the connection is cut", (*harness.Proxy).Cut},
		{"when the answer does not come", func(p *harness.Proxy) { p.BlackHole(true) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, other := harness.StartProxy(t, dc.Addr()), harness.StartProxy(t, dc.Addr())
			d := f.open(t, func(c *config) {
				c.Servers = []string{through(p), through(other)}
				c.Timeout = 2 * time.Second
				c.Leave = -1
			})
			verify(t, d, "bob", harness.UserPassword)
			before := f.bad("bob")
			binds := 0
			_, err := d.Verify(t.Context(), "bob", "wrong", func() { binds++; x.strike(p) })
			if sallyport.ErrorCode(err) != sallyport.CodeUncertain || binds != 1 {
				t.Errorf("%d binds announced, %v", binds, err)
			}
			if n := other.Connections(); n != 0 {
				t.Errorf("another server was asked %d times", n)
			}
			p.BlackHole(false)
			if n := f.bad("bob"); n > before+1 {
				t.Errorf("count went from %d to %d", before, n)
			}
			// The next log-in goes elsewhere: there was somewhere to repeat it.
			p.Refuse(true)
			p.Cut()
			if res := verify(t, d, "bob", harness.UserPassword); res.State != sallyport.AccountOK || other.Connections() == 0 {
				t.Errorf("the next log-in: %q, %d connections", res.State, other.Connections())
			}
		})
	}
}

func TestConnectionsAreKeptAndBounded(t *testing.T) {
	t.Parallel()
	dc, f := samba(t, harness.LockoutThreshold(0))
	p := harness.StartProxy(t, dc.Addr())
	d := f.open(t, func(c *config) {
		c.Servers = []string{through(p)}
		c.MaxConns = 4
		c.Timeout = time.Minute
		c.Leave = -1
	})
	for range 20 {
		verify(t, d, "alice", harness.UserPassword)
	}
	if n := p.Connections(); n != 2 {
		t.Errorf("%d connections for log-ins one after the other, want 2: one to search, one to bind", n)
	}
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 200 {
		g.Go(func() error {
			password, want := sallyport.Secret(harness.UserPassword), sallyport.AccountOK
			if i%4 == 0 {
				password, want = "wrong", sallyport.AccountWrongPassword
			}
			user := []string{"alice", "bob"}[i%2]
			res, err := d.Verify(ctx, user, password, nil)
			if err == nil && (res.State != want || res.Account.Name.User() != user) {
				err = fmt.Errorf("%s: %q %q, want %q", user, res.State, res.Account.Name, want)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if n := p.Connections(); n > 8 {
		t.Errorf("%d connections for 200 log-ins at once, want at most 8", n)
	}
}

func TestALostServiceAccountIsNotTriedUntilItIsLocked(t *testing.T) {
	t.Parallel()
	_, f := samba(t)
	d := f.open(t, func(c *config) { c.BindPassword = "changed meanwhile" })
	var g sync.WaitGroup
	for range 50 {
		g.Go(func() {
			if _, err := d.Verify(t.Context(), "alice", harness.UserPassword, nil); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
				t.Errorf("error %v", err)
			}
		})
	}
	g.Wait()
	if n := f.bad("svc"); n != 1 {
		t.Errorf("%d wrong passwords of the service account, want 1", n)
	}
}

func TestTheCallerMayGoAway(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	p := harness.StartProxy(t, dc.Addr())
	d := f.open(t, func(c *config) { c.Servers = []string{through(p)} })
	verify(t, d, "alice", harness.UserPassword)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := d.Verify(ctx, "alice", harness.UserPassword, cancel)
	if code := sallyport.ErrorCode(err); code != sallyport.CodeUncertain || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled as the bind began: %v", err)
	}
	if res := verify(t, d, "alice", harness.UserPassword); res.State != sallyport.AccountOK {
		t.Errorf("the next log-in: %q", res.State)
	}
}
