package radius

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// observed keeps what an Observer is told.
type observed struct {
	mu       sync.Mutex
	requests []sallyport.RADIUSActivity
}

func (o *observed) RADIUS(_ time.Time, tell func() sallyport.RADIUSActivity) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, tell())
}

// at returns the nth that was told, once it was.
func (o *observed) at(t *testing.T, n int) (r sallyport.RADIUSActivity) {
	t.Helper()
	eventually(t, "the observer is told", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.requests) <= n {
			return false
		}
		r = o.requests[n]
		return true
	})
	return r
}

func TestAnObserverIsToldWhatBecameOfARequest(t *testing.T) {
	v, _ := knows("right")
	o := &observed{}
	s, _ := serve(t, Options{Verifier: v, Observer: o})
	c := dial(t, s, "127.0.0.1")
	good := withMAC(t, access(t, "alice", "right", secret))
	exchange(t, c, good, soon)
	exchange(t, c, good, soon) // repeated: told once
	exchange(t, c, withMAC(t, access(t, "alice", "other", secret)), soon)
	chap := access(t, "alice", "right", secret)
	chap.Del(rfc2865.UserPassword_Type)
	chap.Attributes = append(chap.Attributes, &radius.AVP{Type: rfc2865.CHAPPassword_Type, Attribute: make([]byte, 17)})
	exchange(t, c, withMAC(t, chap), soon)
	exchange(t, c, withMAC(t, access(t, "alice", "right", "another secret")), hush)
	exchange(t, dial(t, s, "127.0.0.3"), good, hush)
	for n, want := range []struct {
		outcome     sallyport.RADIUSOutcome
		reason      string
		integration sallyport.IntegrationID
	}{
		{sallyport.RADIUSAccepted, "", "vpn"},
		{sallyport.RADIUSRejected, "wrong passcode", "vpn"},
		{sallyport.RADIUSRejected, "wrong protocol: CHAP", "vpn"},
		{sallyport.RADIUSDropped, "wrong shared secret", "vpn"},
		{sallyport.RADIUSDropped, "unknown source address", ""},
	} {
		r := o.at(t, n)
		if r.Outcome != want.outcome || !strings.Contains(r.Reason, want.reason) || (r.Reason == "") != (r.Cure == "") || r.Source == "" || r.Time.IsZero() ||
			r.Integration != want.integration || (r.UserName == "alice") != (want.outcome != sallyport.RADIUSDropped) {
			t.Errorf("request %d: %+v", n, r)
		}
	}
}
