package tunnel

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

type nobodyRevoked struct{}

func (nobodyRevoked) Revoked(context.Context, pki.Identity) (bool, error) { return false, nil }
func (nobodyRevoked) Watch(ctx context.Context, _ func() []pki.Identity, _ func(pki.Identity)) error {
	<-ctx.Done()
	return ctx.Err()
}

type noRenewer struct{}

func (noRenewer) Renew(context.Context, pki.Identity, []byte) ([][]byte, error) {
	return nil, sallyport.Errorf(sallyport.CodeUnsupported, "No.", nil)
}

func testHub(t testing.TB, change ...func(*Config)) *Hub {
	t.Helper()
	srv := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: srv.Addr(), DisableIdentity: true})
	t.Cleanup(func() { _ = rdb.Close() })
	cfg := Config{Replica: "a", Redis: rdb, Revocations: nobodyRevoked{}, Renewer: noRenewer{}}
	for _, f := range change {
		f(&cfg)
	}
	h, err := NewHub(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// pipeStream is a stream whose frames go nowhere, or wherever a test wants.
func pipeStream(t testing.TB, h *Hub, appliance sallyport.ApplianceID, out sender, features ...string) *stream {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	now := time.Now()
	s := &stream{
		id: pki.Identity{Tenant: "hospital", Appliance: appliance}, since: now, epoch: now, certEnds: now.Add(time.Hour),
		now: time.Now, limits: h.cfg.Limits, heartbeat: h.cfg.Timing.Heartbeat, out: out, conn: near, moved: func() {},
	}
	s.read(&tunnelpb.Hello{Instance: "i", Features: features})
	if err := h.add(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// recorder keeps what is sent.
type recorder struct {
	mu     sync.Mutex
	frames []*tunnelpb.CloudFrame
}

func (r *recorder) Send(f *tunnelpb.CloudFrame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, f)
	return nil
}

// blocked is an appliance that reads nothing.
type blocked struct{ free chan struct{} }

func (b blocked) Send(*tunnelpb.CloudFrame) error {
	<-b.free
	return io.ErrClosedPipe
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzApplianceFrame(f *testing.F) {
	for _, frame := range []*tunnelpb.ApplianceFrame{
		{},
		{Body: &tunnelpb.ApplianceFrame_Hello{Hello: &tunnelpb.Hello{Instance: "x", Features: []string{"progress"}, Keys: &tunnelpb.KeyStatement{}}}},
		{Body: &tunnelpb.ApplianceFrame_Heartbeat{Heartbeat: &tunnelpb.Heartbeat{SentUnixMs: -1}}},
		{Body: &tunnelpb.ApplianceFrame_Progress{Progress: &tunnelpb.Progress{Id: 1, BindStarted: true}}},
		{Body: &tunnelpb.ApplianceFrame_Response{Response: &tunnelpb.Response{Id: 1, Body: &tunnelpb.Response_Failure{Failure: &tunnelpb.Failure{Code: "x y"}}}}},
		{Body: &tunnelpb.ApplianceFrame_Leaving{}},
		{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{Id: 3, Body: &tunnelpb.Call_Claims{Claims: &tunnelpb.ClaimBatch{Claims: []*tunnelpb.Claim{nil}}}}}},
		{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{Body: &tunnelpb.Call_Renew{}}}},
		{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{Body: &tunnelpb.Call_Keys{}}}},
		{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{Body: &tunnelpb.Call_Join{Join: &tunnelpb.JoinRequest{Message: []byte("m")}}}}},
	} {
		f.Add(marshal(f, frame))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	h := testHub(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame := &tunnelpb.ApplianceFrame{}
		if err := proto.Unmarshal(raw, frame); err != nil {
			return
		}
		_ = checkHello(frame.GetHello())
		out := &recorder{}
		s := pipeStream(t, h, "fuzzed", out, featureProgress, featureProgressAck)
		asked, _, err := s.start(t.Context(), &tunnelpb.Request{})
		if err != nil {
			t.Fatal(err)
		}
		h.dispatch(t.Context(), s, frame)
		h.work.Wait()
		s.flushed.Wait()
		if r := frame.GetResponse(); r.GetId() == 1 {
			if asked.answer == nil {
				t.Fatal("the answer was not taken")
			}
			_, _, _ = (&errand{}).settle(ending{kind: tunnelpb.Ending_ENDING_ANSWERED, resp: asked.answer})
		}
		for _, sent := range out.frames {
			if proto.Size(sent) > MaxFrame {
				t.Fatalf("a frame of %d octets was sent", proto.Size(sent))
			}
		}
		h.remove(s)
		s.end()
	})
}

func FuzzHandover(f *testing.F) {
	const from = "b.process"
	for _, m := range []*tunnelpb.Handover{
		{},
		{From: from, Body: &tunnelpb.Handover_Offer{}},
		{From: from, Id: 1, Body: &tunnelpb.Handover_Offer{Offer: &tunnelpb.Offer{TenantId: "hospital", ApplianceId: "one", Token: "sp:{hospital}:handover:x", Request: &tunnelpb.Request{TimeoutMs: 1}}}},
		{From: from, Id: 1, Body: &tunnelpb.Handover_Offer{Offer: &tunnelpb.Offer{TenantId: "hospital", ApplianceId: "one", Request: &tunnelpb.Request{Body: &tunnelpb.Request_Ping{}}}}},
		{From: from, Id: 1, Body: &tunnelpb.Handover_Accepted{}},
		{From: from, Id: 1, Body: &tunnelpb.Handover_Outcome{Outcome: &tunnelpb.Outcome{Ending: 77}}},
		{From: from, Id: 1, Body: &tunnelpb.Handover_Withdrawn{}},
		{From: from, Body: &tunnelpb.Handover_Beat{}},
		{From: "no address at all", Body: &tunnelpb.Handover_Beat{}},
	} {
		f.Add(marshal(f, m))
	}
	h := testHub(f, func(c *Config) { c.Timing.Beat = time.Millisecond })
	f.Fuzz(func(t *testing.T, raw []byte) {
		h.message(t.Context(), raw)
		h.work.Wait()
		if n := h.handovers.open(); n != 0 {
			t.Fatalf("%d handovers left open", n)
		}
	})
}

func FuzzLease(f *testing.F) {
	f.Add(`{"replica":"a","address":"a.x","streams":[{"appliance":"one"}]}`)
	f.Add(`{"streams":[{"appliance":"../x"}]}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, raw string) {
		l, ok := parseLease(raw)
		for _, s := range l.Streams {
			if ok && !sallyport.ValidID(string(s.Appliance)) {
				t.Fatalf("appliance %q got in", s.Appliance)
			}
		}
	})
}

func TestSlowApplianceIsCutRatherThanHeldInMemory(t *testing.T) {
	h := testHub(t, func(c *Config) { c.Limits.Queue = 100 << 10 })
	slow := blocked{make(chan struct{})}
	s := pipeStream(t, h, "slow", slow, featureProgress)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	payload := make([]byte, 10<<10)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			_, _ = h.Do(ctx, "hospital", &tunnelpb.Request{Body: &tunnelpb.Request_Ping{Ping: &tunnelpb.Ping{Payload: payload}}})
		})
	}
	for cutReason(s) == "" {
		if ctx.Err() != nil {
			t.Fatal("the stream was not cut")
		}
		time.Sleep(time.Millisecond)
	}
	if r := cutReason(s); r != reasonFull {
		t.Fatalf("cut because %q", r)
	}
	s.mu.Lock()
	held := s.queued
	s.mu.Unlock()
	if held > 100<<10 {
		t.Fatalf("%d octets are held", held)
	}
	close(slow.free)
	h.remove(s) // as the handler does when its connection is closed
	s.end()
	wg.Wait()
	s.flushed.Wait()
}

func cutReason(s *stream) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutReason
}

func TestWatchCutsWhatIsSilentStuckOrEnded(t *testing.T) {
	h := testHub(t)
	start := time.Now()
	late := start.Add(4 * h.cfg.Timing.Heartbeat)
	for _, c := range []struct {
		name    string
		prepare func(*stream)
		at      time.Time
		want    string
	}{
		{"healthy", func(s *stream) {}, start, ""},
		{"silent", func(s *stream) {}, late, reasonSilent},
		{"stuck", func(s *stream) { s.heard.Store(int64(late.Sub(s.epoch))); s.sending, s.sendingAt = true, start }, late, reasonStuck},
		{"certificate ended", func(s *stream) { s.certEnds = start.Add(-time.Second) }, start, reasonExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pipeStream(t, h, "one", &recorder{})
			defer h.remove(s)
			c.prepare(s)
			s.watch(c.at)
			if got := cutReason(s); got != c.want {
				t.Fatalf("cut because %q, want %q", got, c.want)
			}
			s.flushed.Wait()
		})
	}
}

func TestInFlightAndStreamsAreBounded(t *testing.T) {
	h := testHub(t, func(c *Config) { c.Limits.InFlight, c.Limits.Streams = 2, 1 })
	s := pipeStream(t, h, "one", &recorder{}, featureProgress)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_, _ = h.Do(ctx, "hospital", &tunnelpb.Request{Body: &tunnelpb.Request_Ping{Ping: &tunnelpb.Ping{}}})
		})
	}
	for s.load() < 2 {
		time.Sleep(time.Millisecond)
	}
	if _, err := h.Do(t.Context(), "hospital", &tunnelpb.Request{}); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Fatalf("a third request: %v", err)
	}
	if err := h.add(&stream{id: s.id}); sallyport.ErrorCode(err) != sallyport.CodeLimited {
		t.Fatalf("a second stream: %v", err)
	}
	cancel()
	wg.Wait()
	s.flushed.Wait()
}

// TestLateOfferIsNotWorkedOn plays an offer that arrives after its origin turned elsewhere, and one
// that arrives twice.
func TestLateOfferIsNotWorkedOn(t *testing.T) {
	h := testHub(t)
	out := &recorder{}
	s := pipeStream(t, h, "one", out, featureProgress)
	offer := func(id uint64, token string) *tunnelpb.Handover {
		return &tunnelpb.Handover{From: "b.process", Id: id, Body: &tunnelpb.Handover_Offer{Offer: &tunnelpb.Offer{
			TenantId: "hospital", ApplianceId: "one", Token: token, Request: &tunnelpb.Request{TimeoutMs: 50},
		}}}
	}
	put := func(token, state string) {
		if err := h.cfg.Redis.Set(t.Context(), token, state, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	const base = "sp:{hospital}:handover:"
	put(base+"1", tokenOffered)
	if done, err := h.turnToken(t.Context(), base+"1", tokenWithdrawn); err != nil || !done {
		t.Fatalf("withdraw: %v, %v", done, err)
	}
	put(base+"2", tokenOffered)
	for i, token := range []string{base + "1", base + "2", base + "2", base + "lost-by-redis", "sp:{other}:handover:x", ""} {
		h.message(t.Context(), marshal(t, offer(uint64(i), token)))
		h.work.Wait()
	}
	s.flushed.Wait()
	requests := 0
	for _, f := range out.frames {
		if f.GetRequest() != nil {
			requests++
		}
	}
	if requests != 1 {
		t.Fatalf("the appliance was given %d requests, want one", requests)
	}
	if done, err := h.turnToken(t.Context(), base+"2", tokenWithdrawn); err != nil || done {
		t.Fatalf("a taken handover was withdrawn: %v, %v", done, err)
	}
}
