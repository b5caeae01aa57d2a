package tunnel_test

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	appliance "github.com/sallyport/sallyport/appliance-connector/tunnel"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/revocation"
)

func TestRevokedApplianceIsCutWithinSecondsAndStaysOut(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	bad, good := w.appliance("bad", []string{a.addr}), w.appliance("good", []string{a.addr})
	connected(t, bad, a)
	connected(t, good, a)
	present(t, a, 4)
	begun := time.Now()
	if err := (revocation.List{Redis: a.rdb}).Revoke(context.Background(), pki.Identity{Tenant: tenant, Appliance: "bad"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the streams of the revoked appliance are cut", func() bool { return a.hub.Stats().Streams == 2 })
	if took := time.Since(begun); took > 5*time.Second {
		t.Fatalf("cut only after %v", took)
	}
	eventually(t, "the appliance is told why", func() bool {
		err := bad.client.Status().LastError
		return err != nil && !bad.client.Connected()
	})
	for range 10 {
		wantCode(t, await(t, "the request ends", ask(t, a, credentials())), "")
	}
	if n := bad.handler.handled.Load(); n != 0 {
		t.Fatalf("the revoked appliance was asked %d times", n)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	other := newWorld(t)
	forged := other.certificate(pki.Identity{Tenant: tenant, Appliance: "one"}, time.Hour)
	one := w.appliance("one", []string{a.addr}, func(c *appliance.Config) {
		c.TLS = func() (*tls.Config, error) {
			return pki.ClientTLS(func() (*tls.Certificate, error) { return &forged, nil }, w.ca.Pool(), ""), nil
		}
	})
	eventually(t, "a certificate of another authority is refused", func() bool { return one.client.Status().LastError != nil })
	if n := a.hub.Stats().Streams; n != 0 {
		t.Fatalf("%d streams of strangers", n)
	}
}

func TestDrainMovesAppliancesWithoutLosingARequest(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.replica("a"), w.replica("b"), w.replica("c")
	addresses := []string{a.addr, b.addr, c.addr}
	one, two := w.appliance("one", addresses), w.appliance("two", addresses)
	for _, h := range []*applianceHost{one, two} {
		h.handler.set(func(ctx context.Context, _ *tunnelpb.Request, progress func()) *tunnelpb.Response {
			progress()
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return nil
			}
			return view(1)
		})
		eventually(t, "two streams each", func() bool { return len(h.client.Status().Streams) == 2 })
	}
	present(t, a, 4)
	stop := make(chan struct{})
	var sent, lost atomic.Int64
	var load sync.WaitGroup
	for _, r := range []*replica{a, b, c} {
		for range 8 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					if _, err := r.hub.Do(ctx, tenant, credentials()); err != nil {
						lost.Add(1)
						t.Logf("lost at %s: %v", r.name, err)
					}
					cancel()
					sent.Add(1)
				}
			})
		}
	}
	eventually(t, "the load runs", func() bool { return sent.Load() > 50 })
	for _, r := range []*replica{a, b} { // one after the other, as a rolling restart does
		if err := r.hub.Drain(within(t, 15*time.Second)); err != nil {
			t.Error(err)
		}
		if n := r.hub.Stats().Streams; n != 0 {
			t.Errorf("%s has %d streams after the drain", r.name, n)
		}
	}
	after := sent.Load()
	eventually(t, "the load goes on", func() bool { return sent.Load() > after+50 })
	close(stop)
	load.Wait()
	if lost.Load() > 0 {
		t.Fatalf("%d of %d requests lost", lost.Load(), sent.Load())
	}
	if n := one.handler.binds.Load() + two.handler.binds.Load(); n != sent.Load() {
		t.Fatalf("%d requests started %d binds", sent.Load(), n)
	}
}

func TestApplianceThatStopsFinishesWhatItHas(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	one := w.appliance("one", []string{a.addr})
	release, reached := make(chan struct{}), make(chan struct{}, 1)
	one.handler.set(func(_ context.Context, _ *tunnelpb.Request, progress func()) *tunnelpb.Response {
		progress()
		reached <- struct{}{}
		<-release
		return view(9)
	})
	connected(t, one, a)
	done := ask(t, a, credentials())
	await(t, "the request arrives", reached)
	stopped := make(chan struct{})
	go func() { one.stop(); close(stopped) }()
	eventually(t, "the appliance takes nothing new", func() bool {
		list, err := a.hub.Appliances(context.Background(), tenant)
		return err == nil && len(list) == 0
	})
	wantCode(t, await(t, "a further request ends", ask(t, a, credentials())), sallyport.CodeUnavailable)
	close(release)
	o := await(t, "the first request ends", done)
	if o.err != nil || o.resp.GetLoginView().GetVersion() != 9 {
		t.Fatalf("%v, %v", o.resp, o.err)
	}
	await(t, "the appliance stops", stopped)
}

func TestSecondReplicaIsFoundWhenItComesLater(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	late := freePort(t)
	lateAddr := "127.0.0.1:" + itoa(late)
	one := w.appliance("one", []string{a.addr, lateAddr})
	eventually(t, "it settles for one replica", func() bool { return len(one.client.Status().Streams) == 2 })
	b := w.replicaAt("b", lateAddr)
	connected(t, one, a, b)
}

func TestRedisKilledAndBack(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	one := w.appliance("one", []string{a.addr})
	connected(t, one, a)
	present(t, b, 2)
	since := one.client.Status().Streams[0].Since
	w.redis.kill()
	for range 5 {
		wantCode(t, await(t, "a local request without Redis ends", ask(t, a, credentials())), "")
	}
	o := await(t, "a request from elsewhere ends", ask(t, b, credentials()))
	wantCode(t, o, sallyport.CodeUnavailable)
	if _, err := one.client.Claim(within(t, 5*time.Second), claimOf(1)); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Fatalf("a claim without Redis: %v", err)
	}
	w.redis.start() // empty: nothing was kept on disk
	present(t, b, 2)
	eventually(t, "requests are handed over again", func() bool {
		o := await(t, "the request ends", ask(t, b, credentials()))
		return o.err == nil
	})
	if got := one.client.Status().Streams[0].Since; !got.Equal(since) {
		t.Fatal("the stream did not outlive Redis")
	}
	first, err := one.client.Claim(within(t, 5*time.Second), claimOf(2))
	if err != nil || !first[0] {
		t.Fatalf("claim after Redis came back: %v, %v", first, err)
	}
}

func TestStreamIsReplacedBeforeItsCertificateEnds(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	var cert atomic.Pointer[tls.Certificate]
	id := pki.Identity{Tenant: tenant, Appliance: "one"}
	short, long := w.certificate(id, 2*time.Minute+2*time.Second), w.certificate(id, time.Hour)
	cert.Store(&short)
	one := w.appliance("one", []string{a.addr}, func(c *appliance.Config) {
		c.TLS = func() (*tls.Config, error) {
			return pki.ClientTLS(func() (*tls.Certificate, error) { return cert.Load(), nil }, w.ca.Pool(), ""), nil
		}
	})
	connected(t, one, a)
	before := time.Now()
	cert.Store(&long)
	eventually(t, "both streams show the new certificate", func() bool {
		st := one.client.Status().Streams
		return len(st) == 2 && st[0].Since.After(before) && st[1].Since.After(before)
	})
	wantCode(t, await(t, "the request ends", ask(t, a, credentials())), "")
}

func TestExpiredCertificateIsCut(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	one := w.appliance("one", []string{a.addr}, func(c *appliance.Config) {
		cert := w.certificate(pki.Identity{Tenant: tenant, Appliance: "one"}, 3*time.Second)
		c.TLS = func() (*tls.Config, error) {
			return pki.ClientTLS(func() (*tls.Certificate, error) { return &cert, nil }, w.ca.Pool(), ""), nil
		}
	})
	connected(t, one, a)
	eventually(t, "the streams are cut", func() bool { return a.hub.Stats().Streams == 0 && !one.client.Connected() })
}
