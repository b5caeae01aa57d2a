package tunnel_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	appliance "github.com/sallyport/sallyport/appliance-connector/tunnel"
	"github.com/sallyport/sallyport/internal/pki"
)

func itoa(n int) string { return strconv.Itoa(n) }

func claimOf(n byte) []*tunnelpb.Claim {
	return []*tunnelpb.Claim{{Key: bytes.Repeat([]byte{n}, 32), TtlMs: 60000}}
}

func TestOneOfManyClaimsIsFirst(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	one, two := w.appliance("one", []string{a.addr, b.addr}), w.appliance("two", []string{a.addr, b.addr})
	connected(t, one, a, b)
	connected(t, two, a, b)
	var wins atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		h := []*applianceHost{one, two}[i%2]
		wg.Go(func() {
			first, err := h.client.Claim(within(t, 20*time.Second), claimOf(1))
			if err != nil {
				t.Error(err)
			} else if first[0] {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Fatalf("%d claims were told that they are first", wins.Load())
	}
}

func TestClaims(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	one := w.appliance("one", []string{a.addr})
	connected(t, one, a)
	key, owner, other := bytes.Repeat([]byte{9}, 16), bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
	claim := func(owner []byte) *tunnelpb.Claim { return &tunnelpb.Claim{Key: key, TtlMs: 1000, Owner: owner} }
	for _, c := range []struct {
		name  string
		batch []*tunnelpb.Claim
		want  []bool
	}{
		{"the owner repeats itself", []*tunnelpb.Claim{claim(owner), claim(other), claim(owner)}, []bool{true, false, true}},
		{"also later", []*tunnelpb.Claim{claim(other), claim(owner)}, []bool{false, true}},
		{"without an owner", []*tunnelpb.Claim{claim(nil)}, []bool{false}},
	} {
		got, err := one.client.Claim(within(t, 5*time.Second), c.batch)
		if err != nil || len(got) != len(c.want) {
			t.Fatalf("%s: %v, %v", c.name, got, err)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	}
	eventually(t, "the time to live ends", func() bool {
		got, err := one.client.Claim(within(t, 5*time.Second), []*tunnelpb.Claim{claim(other)})
		return err == nil && got[0]
	})
	many := make([]*tunnelpb.Claim, 1100)
	for i := range many {
		many[i] = &tunnelpb.Claim{Key: append(bytes.Repeat([]byte{3}, 20), byte(i), byte(i>>8)), TtlMs: 60000}
	}
	got, err := one.client.Claim(within(t, 10*time.Second), many)
	if err != nil || len(got) != len(many) {
		t.Fatalf("a long list: %d, %v", len(got), err)
	}
	for _, bad := range []*tunnelpb.Claim{
		{Key: key[:15], TtlMs: 1000}, {Key: bytes.Repeat(key, 3), TtlMs: 1000}, {Key: key}, {Key: key, TtlMs: 601_000},
		{Key: key, TtlMs: 1000, Owner: bytes.Repeat(key, 2)},
	} {
		if _, err := one.client.Claim(within(t, 5*time.Second), []*tunnelpb.Claim{bad}); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("claim %v: %v", bad, err)
		}
	}
}

func TestRenew(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	one := w.appliance("one", []string{a.addr})
	connected(t, one, a)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := one.client.Renew(within(t, 5*time.Second), csr)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	id, err := pki.IdentityOf(leaf)
	if err != nil || id != (pki.Identity{Tenant: tenant, Appliance: "one"}) {
		t.Fatalf("new certificate for %v, %v", id, err)
	}
	if _, err := one.client.Renew(within(t, 5*time.Second), nil); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Fatalf("empty request: %v", err)
	}
}

func TestJoinIsAnsweredByAnApplianceThatCan(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	cannot, can := w.appliance("cannot", []string{a.addr}), w.appliance("can", []string{b.addr})
	cannot.handler.set(func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response {
		return &tunnelpb.Response{Body: &tunnelpb.Response_Failure{Failure: &tunnelpb.Failure{Code: "not_found", Message: "no such code"}}}
	})
	can.handler.set(func(_ context.Context, req *tunnelpb.Request, _ func()) *tunnelpb.Response {
		m := req.GetJoin().GetApplianceId() + ":" + string(req.GetJoin().GetMessage())
		return &tunnelpb.Response{Body: &tunnelpb.Response_Join{Join: &tunnelpb.JoinResponse{Message: []byte(m)}}}
	})
	var joining atomic.Bool
	joining.Store(true)
	fresh := w.appliance("fresh", []string{a.addr}, func(c *appliance.Config) { c.Joining = joining.Load })
	connected(t, cannot, a)
	connected(t, can, b)
	connected(t, fresh, a)
	present(t, a, 6)
	resp, err := fresh.client.Join(within(t, 10*time.Second), &tunnelpb.JoinRequest{ApplianceId: "somebody-else", Message: []byte("hi")})
	if err != nil || string(resp.GetMessage()) != "fresh:hi" {
		t.Fatalf("%v, %v", resp, err)
	}
	can.stop()
	present(t, a, 4)
	if _, err := fresh.client.Join(within(t, 10*time.Second), &tunnelpb.JoinRequest{Message: []byte("hi")}); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Fatalf("nobody can: %v", err)
	}
	for range 10 {
		_, _ = a.hub.Do(within(t, 5*time.Second), tenant, credentials())
	}
	if n := fresh.handler.handled.Load(); n != 0 {
		t.Fatalf("the joining appliance was given %d requests", n)
	}
	joining.Store(false)
	fresh.client.Reconnect()
	eventually(t, "once it has the keys it takes part", func() bool {
		_, _ = a.hub.Do(within(t, 5*time.Second), tenant, credentials())
		return fresh.handler.handled.Load() > 0
	})
}

func TestKeyStatementIsKnownAtEveryReplicaAndEnds(t *testing.T) {
	w := newWorld(t)
	w.timing.Statement = 2 * time.Second
	a, b := w.replica("a"), w.replica("b")
	var statement atomic.Pointer[tunnelpb.KeyStatement]
	statement.Store(&tunnelpb.KeyStatement{Statement: []byte("one"), Signature: []byte("s")})
	one := w.appliance("one", []string{a.addr}, func(c *appliance.Config) {
		c.Statement = statement.Load
		c.Timing.Statement = 300 * time.Millisecond
	})
	for _, want := range []string{"one", "two"} {
		statement.Store(&tunnelpb.KeyStatement{Statement: []byte(want), Signature: []byte("s")})
		for _, r := range []*replica{a, b} {
			eventually(t, r.name+" knows statement "+want, func() bool {
				k, err := r.hub.Statement(context.Background(), tenant)
				return err == nil && string(k.GetStatement()) == want
			})
		}
	}
	one.stop()
	for _, r := range []*replica{a, b} {
		eventually(t, r.name+" forgets the statement", func() bool {
			_, err := r.hub.Statement(context.Background(), tenant)
			return sallyport.ErrorCode(err) == sallyport.CodeUnavailable
		})
	}
}
