package tunnel_test

import (
	"bytes"
	"testing"
	"time"
)

func TestTwoAppliancesKeepTwoStreamsToTwoReplicasAndAnswer(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	one, two := w.appliance("one", []string{a.addr, b.addr}), w.appliance("two", []string{a.addr, b.addr})
	connected(t, one, a, b)
	connected(t, two, a, b)
	present(t, a, 4)
	present(t, b, 4)
	for range 40 {
		for _, r := range []*replica{a, b} {
			resp, err := r.hub.Do(within(t, 10*time.Second), tenant, credentials())
			if err != nil || resp.GetLoginView().GetVersion() != 1 {
				t.Fatalf("%s: %v, %v", r.name, resp, err)
			}
		}
	}
	if one.handler.handled.Load() == 0 || two.handler.handled.Load() == 0 {
		t.Fatalf("work is not spread: %d and %d", one.handler.handled.Load(), two.handler.handled.Load())
	}
	if sum := one.handler.handled.Load() + two.handler.handled.Load(); sum != 80 {
		t.Fatalf("80 requests were handled %d times", sum)
	}
}

func TestRequestIsHandedOverToTheReplicaThatHoldsTheStream(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	one := w.appliance("one", []string{b.addr})
	connected(t, one, b)
	present(t, a, 2)
	for range 20 {
		resp, err := a.hub.Do(within(t, 10*time.Second), tenant, credentials())
		if err != nil || resp.GetLoginView() == nil {
			t.Fatalf("%v, %v", resp, err)
		}
	}
	payload := bytes.Repeat([]byte{7}, 1024)
	resp, err := a.hub.Do(within(t, 10*time.Second), tenant, ping(payload))
	if err != nil || !bytes.Equal(resp.GetPong().GetPayload(), payload) {
		t.Fatalf("ping: %v, %v", resp, err)
	}
	if n := one.handler.binds.Load(); n != 20 {
		t.Fatalf("20 requests started %d binds", n)
	}
}
