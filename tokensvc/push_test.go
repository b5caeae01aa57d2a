package tokensvc_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/push"
)

func TestAnAddressThatIsGoneIsForgotten(t *testing.T) {
	for _, provider := range []deviceproto.Provider{deviceproto.ProviderAPNs, deviceproto.ProviderFCM} {
		t.Run(string(provider), func(t *testing.T) {
			w := newWorld(t)
			r := w.start(nil)
			p := r.enrol("hospital", provider)
			a := r.appliance("hospital")
			w.sim.Unregister(p.push.Token)
			if d := watching(t, a, challenge(t, a, p, 30*time.Second)).delivery(tokensvcpb.Delivery_NO_ADDRESS); d.Reason != "unregistered" {
				t.Errorf("delivery = %+v", d)
			}
			before := w.sim.Requests(pushsim.Provider(provider))
			if d := watching(t, a, challenge(t, a, p, 30*time.Second)).delivery(tokensvcpb.Delivery_NO_ADDRESS); d.Reason != "none" {
				t.Errorf("delivery = %+v", d)
			}
			if n := w.sim.Requests(pushsim.Provider(provider)) - before; n != 0 {
				t.Errorf("the provider was asked %d times about a forgotten address", n)
			}
			// The app comes back with a new address.
			if err := p.SetPush(t.Context(), deviceproto.Push{Provider: provider, Token: w.sim.Register(pushsim.Provider(provider))}); err != nil {
				t.Fatal(err)
			}
			watching(t, a, challenge(t, a, p, 30*time.Second)).delivery(tokensvcpb.Delivery_SENT)
			w.outboxIsEmpty()
		})
	}
}

func TestTroubleThatPassesIsTriedAgainAndTold(t *testing.T) {
	for name, fault := range map[string]pushsim.Fault{
		"throttled": {Provider: pushsim.APNs, Status: 429, Reason: "TooManyRequests", RetryAfter: 1, Count: 1},
		"provider":  {Provider: pushsim.APNs, Status: 503, Reason: "ServiceUnavailable", Count: 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(nil)
			p := r.enrol("hospital", deviceproto.ProviderAPNs)
			a := r.appliance("hospital")
			w.sim.AddFault(fault)
			began := time.Now()
			id := challenge(t, a, p, 30*time.Second)
			events := watching(t, a, id)
			events.until("queued again", func(e *tokensvcpb.ChallengeEvent) bool {
				return e.GetDelivery().GetState() == tokensvcpb.Delivery_QUEUED && e.GetDelivery().GetReason() == name
			})
			events.delivery(tokensvcpb.Delivery_SENT)
			if fault.RetryAfter > 0 && time.Since(began) < time.Second {
				t.Error("Retry-After was not honoured")
			}
			if n := len(w.sim.PushesFor(string(id))); n != 1 {
				t.Errorf("%d pushes", n)
			}
		})
	}
}

func TestTroubleThatLastsIsToldBeforeTheChallengeEnds(t *testing.T) {
	for name, fault := range map[string]pushsim.Fault{
		"throttled":  {Provider: pushsim.APNs, Status: 429, Reason: "TooManyRequests"},
		"provider":   {Provider: pushsim.APNs, Status: 503, Reason: "ServiceUnavailable"},
		"credential": {Provider: pushsim.APNs, Status: 403, Reason: "InvalidProviderToken"},
		"rejected":   {Provider: pushsim.APNs, Status: 400, Reason: "BadTopic"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(nil)
			p := r.enrol("hospital", deviceproto.ProviderAPNs)
			a := r.appliance("hospital")
			w.sim.AddFault(fault)
			id := challenge(t, a, p, 6*time.Second)
			if d := watching(t, a, id).delivery(tokensvcpb.Delivery_FAILED); d.Reason != name {
				t.Errorf("delivery = %+v", d)
			}
			// The user still can open the app and answer.
			if err := p.approve(t, id); err != nil {
				t.Errorf("answer after a failed push: %v", err)
			}
			if !strings.Contains(w.logs.String(), "advice=") {
				t.Error("the operator is not told what to do")
			}
			if strings.Contains(w.logs.String(), p.push.Token) {
				t.Error("the log holds the push address")
			}
			w.outboxIsEmpty()
		})
	}
}

// stuckSender stands for a replica that dies while it sends: it never gets an answer.
type stuckSender struct{ began chan struct{} }

func (s stuckSender) Send(ctx context.Context, _ push.Message) push.Result {
	s.began <- struct{}{}
	<-ctx.Done()
	return push.Result{Outcome: push.Unavailable}
}

func TestAPushSurvivesTheDeathOfItsReplica(t *testing.T) {
	w := newWorld(t)
	stuck := stuckSender{began: make(chan struct{}, 1)}
	hook := &cutRedis{}
	dying := w.start(func(c *tokensvc.Config) {
		c.Redis = w.newRedis(hook)
		c.Senders = map[deviceproto.Provider]push.Sender{deviceproto.ProviderAPNs: stuck}
	})
	p := dying.enrol("hospital", deviceproto.ProviderAPNs)
	id := challenge(t, dying.appliance("hospital"), p, 30*time.Second)
	<-stuck.began
	// Dead at once: nothing of it reaches Redis any more, its lease included.
	killed := time.Now()
	hook.cut.Store(true)
	other := w.start(nil)
	watching(t, other.appliance("hospital"), id).delivery(tokensvcpb.Delivery_SENT)
	t.Logf("taken over after %s", time.Since(killed))
	if n := len(w.sim.PushesFor(string(id))); n != 1 {
		t.Errorf("%d pushes", n)
	}
	w.outboxIsEmpty()
}

func TestAReplicaThatShutsDownHandsItsPushesOver(t *testing.T) {
	w := newWorld(t)
	going, staying := w.start(nil), w.start(nil)
	p := going.enrol("hospital", deviceproto.ProviderAPNs)
	w.sim.AddFault(pushsim.Fault{Provider: pushsim.APNs, Status: 503, Reason: "ServiceUnavailable"})
	id := challenge(t, going.appliance("hospital"), p, 30*time.Second)
	events := watching(t, staying.appliance("hospital"), id)
	events.until("queued again", func(e *tokensvcpb.ChallengeEvent) bool { return e.GetDelivery().GetReason() == "provider" })
	going.stop()
	w.sim.ClearFaults()
	events.delivery(tokensvcpb.Delivery_SENT)
}

// countingSender holds every push until it is let go.
type countingSender struct {
	now, most atomic.Int64
	release   chan struct{}
}

func (c *countingSender) Send(ctx context.Context, _ push.Message) push.Result {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	select {
	case <-c.release:
	case <-ctx.Done():
	}
	return push.Result{Outcome: push.Sent}
}

func TestSendersAreBoundedAndNothingIsLost(t *testing.T) {
	w := newWorld(t)
	sender := &countingSender{release: make(chan struct{})}
	r := w.start(func(c *tokensvc.Config) {
		c.Senders = map[deviceproto.Provider]push.Sender{deviceproto.ProviderAPNs: sender}
		c.PushWorkers, c.PushQueue = 2, 2
	})
	a := r.appliance("hospital")
	var events []watch
	for range 8 {
		events = append(events, watching(t, a, challenge(t, a, r.enrol("hospital", deviceproto.ProviderAPNs), 60*time.Second)))
	}
	eventually(t, "senders are busy", func() bool { return sender.now.Load() == 2 })
	close(sender.release)
	for _, e := range events {
		e.delivery(tokensvcpb.Delivery_SENT)
	}
	if most := sender.most.Load(); most > 2 {
		t.Errorf("%d at a time", most)
	}
	w.outboxIsEmpty()
}
