package login

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
)

func (n *node) poll(t testing.TB, id, bearer, after string) (view, int) {
	t.Helper()
	var v view
	status := n.call(t, "GET", "/v1/logins/"+id+"/events?after="+after, bearer, nil, &v)
	return v, status
}

func (n *node) say(t testing.TB, id, bearer string, version uint32, sealed string) (view, edge.Body, int) {
	t.Helper()
	var got struct {
		view
		edge.Body
	}
	status := n.call(t, "POST", "/v1/logins/"+id+"/messages", bearer, message{version, octets(sealed)}, &got)
	return got.view, got.Body, status
}

func TestLongPollingSeesTheChangeOnAnyReplica(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	approve := make(chan struct{})
	a.script(pushLogin(approve))
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	if v, status := nodes[1].poll(t, id, got.Session, "0"); status != 200 || v.Version != 1 {
		t.Errorf("at once: %d %+v", status, v)
	}
	if _, status := nodes[1].poll(t, id, got.Session, "1"); status != 204 {
		t.Errorf("nothing new: status %d", status)
	}
	nodes[1].pollTimeout = 20 * time.Second
	var wg sync.WaitGroup
	wg.Go(func() {
		if v, status := nodes[1].poll(t, id, got.Session, "1"); status != 200 || v.Phase != phaseDone {
			t.Errorf("changed: %d %+v", status, v)
		}
	})
	eventually(t, "polls", func() bool { return len(nodes[1].watch.of(sallyport.LoginID(id))) == 1 })
	close(approve)
	wg.Wait()
}

func TestTheStreamShowsASignOfLife(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	a.script(pushLogin(nil))
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	s := nodes[0].open(t, id, got.Session)
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Access-Control-Allow-Origin": "*"} {
		if s.resp.Header.Get(name) != want {
			t.Errorf("%s: %q", name, s.resp.Header.Get(name))
		}
	}
	s.view(t)
	for range 3 {
		select {
		case e := <-s.events:
			if e.name != "comment" {
				t.Fatalf("event %+v", e)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the stream is silent")
		}
	}
	if beatEvery > 9*time.Second {
		t.Errorf("a sign of life every %v; the protocol promises 10 s", beatEvery)
	}
}

func TestStreamsOfAReplicaWithoutRedisEnd(t *testing.T) {
	a, rdb, nodes := newWorld(t, 1)
	a.script(pushLogin(nil))
	nodes[0].replica.blindAfter = 2 * time.Second
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	s := nodes[0].open(t, id, got.Session)
	s.view(t)
	may := func(what ...any) {
		if err := rdb.Do(context.Background(), append([]any{"ACL", "SETUSER", "default"}, what...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { may("+@all") })
	may("-@read", "-@write")
	if e := s.next(t); e != (sseEvent{}) {
		t.Errorf("event %+v", e)
	}
	if _, status := nodes[0].poll(t, id, got.Session, "1"); status != http.StatusServiceUnavailable {
		t.Errorf("asked anew: status %d", status)
	}
	may("+@all")
	eventually(t, "sight", func() bool { return !nodes[0].replica.blind() })
	if v := nodes[0].open(t, id, got.Session).view(t); v.Version != 1 {
		t.Errorf("afterwards: %+v", v)
	}
}

func TestAClosedStreamIsForgotten(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	a.script(pushLogin(nil))
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	s := nodes[0].open(t, id, got.Session)
	s.view(t)
	_ = s.resp.Body.Close()
	eventually(t, "forgotten", func() bool { return len(nodes[0].watch.of(sallyport.LoginID(id))) == 0 })
}

func TestTheOldestOfTooManyStreamsGivesWay(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	a.script(pushLogin(nil))
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	first := nodes[0].open(t, id, got.Session)
	first.view(t)
	for range maxPerLogin {
		nodes[0].open(t, id, got.Session).view(t)
	}
	if e := first.next(t); e.name != "" {
		t.Errorf("event %+v", e)
	}
	if n := len(nodes[0].watch.of(sallyport.LoginID(id))); n != maxPerLogin {
		t.Errorf("%d streams", n)
	}
}

func TestABearerOpensOneLogin(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	a.script(pushLogin(nil))
	n := nodes[0]
	one, two := n.begin(t), n.begin(t)
	first, _ := n.send(t, one, "alice")
	n.send(t, two, "bob")
	for name, bearer := range map[string]string{
		"another login's": first.Session, "none": "", "edited": first.Session[:len(first.Session)-1] + "_",
		"of another enterprise": "other." + strings.Repeat("A", 43), "long": string(tenant) + "." + strings.Repeat("A", 5000),
	} {
		if _, status := n.poll(t, two, bearer, "0"); status != 403 && status != 404 {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

func TestMessages(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		switch {
		case s.GetCredentials() != nil:
			return waiting(1, phone), nil
		case s.GetWait() != nil:
			<-ctx.Done()
			return nil, ctx.Err()
		case string(s.GetMessage()) == "use_code" && string(s.GetState()) == "state 1":
			return aView(2, tunnelpb.Phase_PHASE_INPUT, 0), nil
		case string(s.GetMessage()) == "code" && string(s.GetState()) == "state 2":
			return aView(3, tunnelpb.Phase_PHASE_DONE, 0), nil
		}
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "Not expected.", nil)
	})
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	stream := nodes[0].open(t, id, got.Session)
	stream.view(t)
	eventually(t, "driven", func() bool { return a.count(isWait) == 1 })
	v, _, status := nodes[1].say(t, id, got.Session, 1, "use_code")
	if status != 200 || v.Version != 2 || v.Phase != phaseInput {
		t.Fatalf("%d %+v", status, v)
	}
	if v := stream.view(t); v.Version != 2 {
		t.Errorf("stream shows %+v", v)
	}
	eventually(t, "no longer driven", func() bool {
		nodes[0].drivers.mu.Lock()
		defer nodes[0].drivers.mu.Unlock()
		return len(nodes[0].drivers.logins) == 0
	})
	// The answer was lost: the page says the very same again.
	if v, _, status := nodes[0].say(t, id, got.Session, 1, "use_code"); status != 200 || v.Version != 2 {
		t.Errorf("repeated: %d %+v", status, v)
	}
	if _, b, status := nodes[0].say(t, id, got.Session, 1, "something else"); status != 409 || b.Code != sallyport.CodeConflict {
		t.Errorf("stale: %d %+v", status, b)
	}
	if _, b, status := nodes[0].say(t, id, got.Session, 2, "use_code"); status != 400 || b.Code != sallyport.CodeInvalid {
		t.Errorf("refused by the appliance: %d %+v", status, b)
	}
	if v, _, status := nodes[0].say(t, id, got.Session, 2, "code"); status != 200 || v.Phase != phaseDone {
		t.Errorf("%d %+v", status, v)
	}
	if v := stream.view(t); v.Phase != phaseDone {
		t.Errorf("stream shows %+v", v)
	}
	if _, _, status := nodes[0].say(t, id, got.Session, 3, "code"); status != 409 {
		t.Errorf("after the end: status %d", status)
	}
	if n := a.count(isMessage); n != 3 {
		t.Errorf("%d messages were passed on", n)
	}
}

func TestAMessageIsPassedOnOnceHoweverOftenItComes(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	release := make(chan struct{})
	a.script(func(_ context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		if s.GetCredentials() != nil {
			return aView(1, tunnelpb.Phase_PHASE_INPUT, 0), nil
		}
		<-release
		return aView(2, tunnelpb.Phase_PHASE_INPUT, 0), nil
	})
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if v, b, status := nodes[i%2].say(t, id, got.Session, 1, "code"); status != 200 || v.Version != 2 {
				t.Errorf("%d %+v %+v", status, v, b)
			}
		})
	}
	eventually(t, "passed on", func() bool { return a.count(isMessage) == 1 })
	if _, _, status := nodes[0].say(t, id, got.Session, 1, "another code"); status != 409 {
		t.Errorf("another message meanwhile: status %d", status)
	}
	close(release)
	wg.Wait()
	if n := a.count(isMessage); n != 1 {
		t.Errorf("passed on %d times", n)
	}
}

// A waiting login that another replica drives, one that exists in Redis only.
func drivenBy(t *testing.T, rdb redis.UniversalClient, k key, instance string) {
	t.Helper()
	if err := rdb.Do(t.Context(), "SET", k.wait(), instance, "XX", "KEEPTTL").Err(); err != nil {
		t.Fatal(err)
	}
}

func TestAWaitingLoginIsTakenOverWhenItsReplicaShutsDown(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	approve := make(chan struct{})
	a.script(pushLogin(approve))
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	stream := nodes[1].open(t, id, got.Session)
	stream.view(t)
	eventually(t, "driven", func() bool { return a.count(isWait) == 1 })
	nodes[0].stop()
	eventually(t, "taken over", func() bool { return a.count(isWait) == 2 })
	close(approve)
	if v := stream.view(t); v.Phase != phaseDone {
		t.Errorf("%+v", v)
	}
}

func TestAWaitingLoginIsTakenOverWhenItsReplicaDies(t *testing.T) {
	a, rdb, nodes := newWorld(t, 1)
	n := nodes[0]
	approve := make(chan struct{})
	var held atomic.Bool
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		if s.GetWait() != nil && held.CompareAndSwap(false, true) {
			// The one replica of this test plays the other one's death: its first Wait is lost.
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return pushLogin(approve)(ctx, s)
	})
	id := n.begin(t)
	k := key{tenant, sallyport.LoginID(id)}
	got, _ := n.send(t, id, "alice")
	eventually(t, "driven", func() bool { return a.count(isWait) == 1 })
	// From now on another replica drives it.
	if err := rdb.Set(t.Context(), aliveKey("other"), "1", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	drivenBy(t, rdb, k, "other")
	n.drivers.outdate(k.login, 2)
	stream := n.open(t, id, got.Session)
	stream.view(t)
	if n := a.count(isWait); n != 1 {
		t.Fatalf("two replicas drive the login (%d waits)", n)
	}
	// It dies without a word.
	if err := rdb.Del(t.Context(), aliveKey("other")).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "taken over", func() bool { return a.count(isWait) == 2 })
	if by := rdb.Get(t.Context(), k.wait()).Val(); by != n.replica.instance {
		t.Errorf("driven by %q", by)
	}
	if left := rdb.PTTL(t.Context(), k.wait()).Val(); left <= 0 || left > phone+waitGrace {
		t.Errorf("the wait ends in %v", left)
	}
	close(approve)
	if v := stream.view(t); v.Phase != phaseDone {
		t.Errorf("%+v", v)
	}
}

func TestOneOfManyTakesOver(t *testing.T) {
	a, rdb, nodes := newWorld(t, 3)
	a.script(pushLogin(nil))
	id := nodes[0].begin(t)
	k := key{tenant, sallyport.LoginID(id)}
	got, _ := nodes[0].send(t, id, "alice")
	eventually(t, "driven", func() bool { return a.count(isWait) == 1 })
	drivenBy(t, rdb, k, "dead")
	nodes[0].drivers.outdate(k.login, 2)
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { n.open(t, id, got.Session).view(t) })
	}
	wg.Wait()
	eventually(t, "taken over", func() bool { return a.count(isWait) >= 2 })
	driving := 0
	for _, n := range nodes {
		n.drivers.mu.Lock()
		driving += len(n.drivers.logins)
		n.drivers.mu.Unlock()
	}
	if driving != 1 || a.count(isWait) != 2 {
		t.Errorf("%d replicas drive the login, %d waits", driving, a.count(isWait))
	}
}

func TestWaitingOutlivesAnApplianceThatIsGone(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	var waits atomic.Int32
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		switch {
		case s.GetCredentials() != nil:
			return waiting(1, phone), nil
		case waits.Add(1) < 4:
			return nil, sallyport.Errorf(sallyport.CodeUnavailable, "Gone.", nil)
		}
		return aView(2, tunnelpb.Phase_PHASE_DONE, 0), nil
	})
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	stream := nodes[0].open(t, id, got.Session)
	for {
		if v := stream.view(t); v.Phase == phaseDone {
			return
		}
	}
}

func TestAWaitWithoutAnAnswerEndsTheLogin(t *testing.T) {
	a, rdb, nodes := newWorld(t, 2)
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		if s.GetCredentials() != nil {
			return waiting(1, phone), nil
		}
		return nil, sallyport.Errorf(sallyport.CodeUnavailable, "Gone.", nil)
	})
	id := nodes[0].begin(t)
	k := key{tenant, sallyport.LoginID(id)}
	got, _ := nodes[0].send(t, id, "alice")
	stream := nodes[1].open(t, id, got.Session)
	stream.view(t)
	// Its time is over (nobody waits for it here): the one that looks next ends the login.
	if err := rdb.Del(t.Context(), k.wait()).Err(); err != nil {
		t.Fatal(err)
	}
	nodes[1].watch.wake(k.login)
	e := stream.next(t)
	var b edge.Body
	if err := json.Unmarshal([]byte(e.data), &b); e.name != "error" || err != nil || b.Code != sallyport.CodeUnavailable || !b.Ended || b.SupportCode == "" {
		t.Fatalf("%+v (%v)", e, err)
	}
	if e := stream.next(t); e.name != "" {
		t.Errorf("after the end: %+v", e)
	}
	if _, status := nodes[0].poll(t, id, got.Session, "1"); status != http.StatusServiceUnavailable {
		t.Errorf("poll: status %d", status)
	}
	eventually(t, "driver has ended", func() bool {
		nodes[0].drivers.mu.Lock()
		defer nodes[0].drivers.mu.Unlock()
		return len(nodes[0].drivers.logins) == 0
	})
}

func TestAShortWaitEndsByItself(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		if s.GetCredentials() != nil {
			return waiting(1, 0), nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	stream := nodes[0].open(t, id, got.Session)
	stream.view(t)
	if e := stream.next(t); e.name != "error" || !strings.Contains(e.data, "unavailable") {
		t.Errorf("%+v", e)
	}
}

func TestARefusalByTheApplianceEndsTheWaiting(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		if s.GetCredentials() != nil {
			return waiting(1, phone), nil
		}
		return nil, &sallyport.Error{Code: sallyport.CodeExpired, Message: "The login took too long.", SupportCode: "ABCD-1234"}
	})
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	for {
		var b edge.Body
		if status := nodes[0].call(t, "GET", "/v1/logins/"+id+"/events?after=1", got.Session, nil, &b); status == 410 {
			if b.SupportCode != "ABCD-1234" || !b.Ended {
				t.Errorf("%+v", b)
			}
			return
		} else if status != 204 {
			t.Fatalf("status %d", status)
		}
	}
}

func TestAShutdownSendsThePagesElsewhere(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	approve := make(chan struct{})
	a.script(pushLogin(approve))
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice")
	stream := nodes[0].open(t, id, got.Session)
	stream.view(t)
	nodes[0].stop()
	if e := stream.next(t); e.name != "" {
		t.Errorf("%+v", e)
	}
	again := nodes[1].open(t, id, got.Session)
	if v := again.view(t); v.Version != 1 {
		t.Errorf("%+v", v)
	}
	eventually(t, "taken over", func() bool { return a.count(isWait) == 2 })
	close(approve)
	if v := again.view(t); v.Phase != phaseDone {
		t.Errorf("%+v", v)
	}
}
