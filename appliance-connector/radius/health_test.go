package radius

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// heardRecorder keeps what it is told, unless it fails.
type heardRecorder struct {
	fail    atomic.Bool
	mu      sync.Mutex
	health  map[sallyport.IntegrationID]sallyport.GatewayHealth
	writes  int
	sources []sallyport.UnknownSource
	saw     []sallyport.IntegrationID
}

func (r *heardRecorder) RecordGatewayHeard(_ context.Context, heard []sallyport.GatewayHealth) error {
	if r.fail.Load() {
		return errors.New("no database")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.health == nil {
		r.health = map[sallyport.IntegrationID]sallyport.GatewayHealth{}
	}
	for _, h := range heard {
		r.health[h.Integration] = h
	}
	r.writes++
	return nil
}

func (r *heardRecorder) RecordUnknownSources(_ context.Context, sources []sallyport.UnknownSource) error {
	if r.fail.Load() {
		return errors.New("no database")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources = append(r.sources, sources...)
	return nil
}

func (r *heardRecorder) SawMessageAuthenticator(_ context.Context, id sallyport.IntegrationID, _ time.Time) error {
	if r.fail.Load() {
		return errors.New("no database")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saw = append(r.saw, id)
	return nil
}

func (r *heardRecorder) sawMAC() []sallyport.IntegrationID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.saw)
}

// kept returns what was recorded of the one integration, how often, and the sources.
func (r *heardRecorder) kept() (sallyport.GatewayHealth, int, []sallyport.UnknownSource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health["vpn"], r.writes, slices.Clone(r.sources)
}

func TestWhatGatewaysDidIsRecordedOnceItChanged(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	var clock atomic.Int64
	r := &heardRecorder{}
	s, _ := serve(t, Options{Verifier: acceptAs{}, Recorder: r, Appliance: "one",
		Now: func() time.Time { return at.Add(time.Duration(clock.Load())) }})
	c := dial(t, s, "127.0.0.1")
	want := sallyport.GatewayHealth{Integration: "vpn", Appliance: "one"}
	for n, step := range []struct {
		packet []byte
		answer bool
		change func()
	}{
		{withMAC(t, access(t, "alice", "x", secret)), true, func() { want.Heard, want.Accepted = at, at }},
		{withMAC(t, access(t, "mallory", "x", secret)), true, func() {
			want.Heard = at.Add(time.Minute)
			want.Error, want.Cure, want.ErrorTime = "no", "none", at.Add(time.Minute)
		}},
		{withMAC(t, access(t, "alice", "x", "another")), false, func() {
			want.Error, want.Cure, want.ErrorTime = wrongSecret.cause, wrongSecret.cure, at.Add(2*time.Minute)
		}},
	} {
		clock.Store(int64(n) * int64(time.Minute))
		before := s.Stats().Received
		patience := hush
		if step.answer {
			patience = soon
		}
		if b := exchange(t, c, step.packet, patience); (b != nil) != step.answer {
			t.Fatalf("step %d: answered %v", n, b != nil)
		}
		eventually(t, "the packet", func() bool { return s.Stats().Received > before })
		step.change()
		if n == 1 { // what could not be kept is handed over again
			r.fail.Store(true)
			s.flush(t.Context())
			r.fail.Store(false)
		}
		s.flush(t.Context())
		if got, _, _ := r.kept(); got != want {
			t.Errorf("step %d: %+v, want %+v", n, got, want)
		}
	}
	_, writes, _ := r.kept()
	s.flush(t.Context())
	if _, again, _ := r.kept(); again != writes {
		t.Error("nothing changed, and it was recorded again")
	}
	if err := s.SetIntegrations([]sallyport.Integration{gatewayAt("127.0.0.1/32")}); err != nil {
		t.Fatal(err)
	}
	s.flush(t.Context())
	if got, again, _ := r.kept(); again != writes || got != want {
		t.Error("a new configuration forgets")
	}
}

func TestUnknownSourcesAreCountedWithinBounds(t *testing.T) {
	r := &heardRecorder{}
	s, _ := serve(t, Options{Verifier: acceptAs{}, Recorder: r, Appliance: "one"})
	c := dial(t, s, "127.0.0.9")
	for range 3 {
		if _, err := c.Write(encode(t, access(t, "alice", "x", secret))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three packets", func() bool { return s.Stats().UnknownSource == 3 })
	r.fail.Store(true)
	s.flush(t.Context())
	r.fail.Store(false)
	s.flush(t.Context())
	s.flush(t.Context())
	_, _, sources := r.kept()
	if len(sources) != 1 || sources[0].Count != 3 || sources[0].Source != netip.MustParseAddr("127.0.0.9") || sources[0].Appliance != "one" {
		t.Fatalf("%+v", sources)
	}
	now := time.Now()
	for n := range 10_000 {
		s.unknown.note(netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", n>>8, n&255)), now)
	}
	if list := s.unknown.take("one"); len(list) != maxUnknown || len(s.unknown.heard) != maxUnknown {
		t.Errorf("%d sources are kept, %d changed", len(s.unknown.heard), len(list))
	}
}
