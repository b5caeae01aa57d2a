package edge

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCallerIsWhoeverTheLastTrustedProxySaw(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "2001:db8::1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.9:1", "198.51.100.1", "203.0.113.9"}, // not a proxy: it could say anything
		{"10.1.1.1:1", "198.51.100.1", "198.51.100.1"},
		{"10.1.1.1:1", "1.1.1.1, 198.51.100.1", "198.51.100.1"},
		{"10.1.1.1:1", "198.51.100.1, 10.2.2.2", "198.51.100.1"},
		{"10.1.1.1:1", "", "10.1.1.1"},
		{"10.1.1.1:1", "nonsense", "10.1.1.1"},
		{"10.1.1.1:1", "nonsense, 10.3.3.3", "10.3.3.3"},
		{"[2001:db8::1]:1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"[::ffff:10.1.1.1]:1", "198.51.100.1", "198.51.100.1"},
		{"10.1.1.1:1", strings.Repeat("10.0.0.1,", 50) + "10.0.0.2", "10.0.0.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := proxies.Caller(r).String(); got != c.want {
			t.Errorf("%s behind %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
	if _, err := ParseProxies([]string{"proxy.example"}); err == nil {
		t.Error("a name was taken for an address")
	}
}

func TestLimiterLetsTheBurstThroughAndThenTheRate(t *testing.T) {
	now := time.Unix(0, 0)
	l := NewLimiter(Rate{PerSecond: 2, Burst: 3}, 10, func() time.Time { return now })
	allowed := func() (n int) {
		for range 10 {
			if l.Allow("a") {
				n++
			}
		}
		return n
	}
	if n := allowed(); n != 3 {
		t.Errorf("burst of %d", n)
	}
	now = now.Add(time.Second)
	if n := allowed(); n != 2 {
		t.Errorf("%d after a second", n)
	}
	now = now.Add(time.Hour)
	if n := allowed(); n != 3 {
		t.Errorf("%d after an hour", n)
	}
	if !l.Allow("b") {
		t.Error("another name is limited with the first")
	}
}

func TestLimiterRemembersABoundedNumberOfNames(t *testing.T) {
	now := time.Unix(0, 0)
	l := NewLimiter(Rate{PerSecond: 0.001, Burst: 1}, 100, func() time.Time { return now })
	for i := range 10_000 {
		if !l.Allow(fmt.Sprint(i)) {
			t.Fatalf("name %d is limited at once", i)
		}
	}
	if n := len(l.young) + len(l.old); n > 100 {
		t.Errorf("%d names", n)
	}
}

func TestLimiterKeepsWhoAsksOnInMindUnderAFloodOfNames(t *testing.T) {
	now := time.Unix(0, 0)
	l := NewLimiter(Rate{PerSecond: 0.001, Burst: 2}, 100, func() time.Time { return now })
	allowed := 0
	for i := range 10_000 {
		if !l.Allow(fmt.Sprint(i)) {
			t.Fatalf("name %d is limited at once", i)
		}
		if i%40 == 0 && l.Allow("flooder") {
			allowed++
		}
	}
	if allowed != 2 {
		t.Errorf("%d of the flooder's were allowed, want 2", allowed)
	}
}

func TestGate(t *testing.T) {
	g := &Gate{Max: 2}
	for i, c := range []struct {
		name string
		want bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}} {
		if g.Enter(c.name) != c.want {
			t.Errorf("%d: the gate does not count by name", i)
		}
	}
	g.Leave("a")
	if !g.Enter("a") {
		t.Error("the gate does not open again")
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if g.Enter("c") {
				g.Leave("c")
			}
		})
	}
	wg.Wait()
	g.Leave("a")
	g.Leave("a")
	g.Leave("b")
	if len(g.in) != 0 {
		t.Errorf("names are kept: %v", g.in)
	}
}

func FuzzTrace(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("00-00000000000000000000000000000000-00f067aa0ba902b7-01")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		tr := ParseTrace(s)
		if !validTrace(string(tr)) || !validTrace(string(tr.Child())) || tr.Child().ID() != tr.ID() {
			t.Errorf("%q gives %q", s, tr)
		}
		if TraceOf(WithTrace(context.Background(), tr)) != tr {
			t.Error("the trace is not carried")
		}
	})
}

func FuzzForwarded(f *testing.F) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("1.2.3.4, 10.0.0.1")
	f.Add("fe80::1%eth0")
	f.Fuzz(func(t *testing.T, s string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.9:1"
		r.Header.Set("X-Forwarded-For", s)
		if a := proxies.Caller(r); !a.IsValid() || a.Zone() != "" || strings.ContainsAny(a.String(), " \n") {
			t.Errorf("%q gives %q", s, a)
		}
	})
}
