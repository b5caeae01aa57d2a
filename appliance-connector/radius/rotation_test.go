package radius

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
)

func TestBothSecretsAreTakenUntilTheOldOneEndsAndEachRequestIsAnsweredUnderItsOwn(t *testing.T) {
	const old = "the-secret-of-before-22"
	start := time.Now()
	var clock atomic.Int64
	in := gatewayAt("127.0.0.1/32")
	in.PreviousSecret, in.PreviousUntil = old, start.Add(time.Hour)
	s, log := serve(t, Options{Verifier: acceptAs{}, Integrations: []sallyport.Integration{in},
		Now: func() time.Time { return start.Add(time.Duration(clock.Load())) }})
	c := dial(t, s, "127.0.0.1")
	for _, used := range []string{secret, old} {
		for _, request := range [][]byte{withMAC(t, access(t, "alice", "passcode", used)), encode(t, access(t, "alice", "passcode-of-more-than-16", used)),
			withMAC(t, radius.New(radius.CodeStatusServer, []byte(used)))} {
			if p := checkAnswer(t, exchange(t, c, request, soon), request, used); p.Code != radius.CodeAccessAccept {
				t.Errorf("secret %q: %v", used, p.Code)
			}
		}
	}
	health, _ := s.memories()["vpn"].health("vpn", "one")
	if health.OldSecret.Unix() != start.Unix() {
		t.Errorf("the old secret was used last at %v", health.OldSecret)
	}
	if b := exchange(t, c, withMAC(t, access(t, "alice", "x", "neither of them")), hush); b != nil {
		t.Error("a third secret is taken")
	}
	clock.Store(int64(time.Hour))
	if b := exchange(t, c, withMAC(t, access(t, "alice", "passcode", old)), hush); b != nil {
		t.Error("the old secret is taken after its end")
	}
	request := encode(t, access(t, "alice", "passcode-of-more-than-16", old))
	if b := exchange(t, c, request, soon); b == nil || b[0] != byte(radius.CodeAccessReject) || radius.IsAuthenticResponse(b, request, []byte(old)) {
		t.Errorf("the old secret without Message-Authenticator: %x", b)
	}
	request = withMAC(t, access(t, "alice", "passcode", secret))
	checkAnswer(t, exchange(t, c, request, soon), request, secret)
	if log.count("wrong shared secret: the password cannot be decoded") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

func TestMessageAuthenticatorIsDemandedOnceItWasSeen(t *testing.T) {
	in := gatewayAt("127.0.0.1/32")
	in.MessageAuthenticator = sallyport.MessageAuthenticatorOnceSeen
	other := gatewayAt("127.0.0.2/32")
	other.ID, other.MessageAuthenticator = "other", sallyport.MessageAuthenticatorOnceSeen
	r := &heardRecorder{}
	s, log := serve(t, Options{Verifier: acceptAs{}, Integrations: []sallyport.Integration{in, other}, Recorder: r, Appliance: "one"})
	c := dial(t, s, "127.0.0.1")
	plain := func() []byte { return exchange(t, c, encode(t, access(t, "alice", "x", secret)), soon) }
	silent := func(why string) {
		t.Helper()
		if b := exchange(t, c, encode(t, access(t, "alice", "x", secret)), hush); b != nil {
			t.Errorf("%s: answered without Message-Authenticator", why)
		}
	}
	if plain() == nil {
		t.Fatal("demanded before it was seen")
	}
	if b := exchange(t, c, withMAC(t, access(t, "alice", "x", "another secret")), hush); b != nil || plain() == nil {
		t.Fatal("a forged one counts as seen")
	}
	request := withMAC(t, access(t, "alice", "x", secret))
	checkAnswer(t, exchange(t, c, request, soon), request, secret)
	silent("seen")
	if log.count("though this gateway has sent it before") != 1 {
		t.Errorf("log:\n%s", log)
	}
	if exchange(t, dial(t, s, "127.0.0.2"), encode(t, access(t, "alice", "x", secret)), soon) == nil {
		t.Error("demanded of another gateway")
	}

	r.fail.Store(true)
	s.flush(t.Context())
	r.fail.Store(false)
	s.flush(t.Context())
	s.flush(t.Context())
	if got := r.sawMAC(); len(got) != 1 || got[0] != "vpn" {
		t.Errorf("the recorder was told of %v", got)
	}

	// A configuration read again before the store knew changes nothing; an edit that the store does not
	// know it with forgets; what the store knows counts.
	set := func(version int64, policy sallyport.MessageAuthenticator, seen time.Time) {
		in.Version, in.MessageAuthenticator, in.MessageAuthenticatorSeen = version, policy, seen
		if err := s.SetIntegrations([]sallyport.Integration{in, other}); err != nil {
			t.Fatal(err)
		}
	}
	set(0, sallyport.MessageAuthenticatorOnceSeen, time.Time{})
	silent("read again")
	set(1, sallyport.MessageAuthenticatorNever, time.Time{})
	if plain() == nil {
		t.Error("still demanded by the policy never")
	}
	set(2, sallyport.MessageAuthenticatorOnceSeen, time.Time{})
	if plain() == nil {
		t.Error("an edit does not forget")
	}
	set(2, sallyport.MessageAuthenticatorOnceSeen, time.Now()) // seen by another appliance
	silent("seen elsewhere")
}
