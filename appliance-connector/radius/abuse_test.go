package radius

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// counting accepts at once and counts.
type counting struct{ asked *atomic.Int64 }

func (counting) Verify(context.Context, Query) Verdict { return Verdict{} }
func (c counting) VerifyNow(*Query) (Verdict, bool) {
	c.asked.Add(1)
	return Verdict{Accept: true}, true
}

// handler is a server without sockets under it: packets come from any source that a test names.
func handler(t *testing.T, o Options) *worker {
	t.Helper()
	o.Address = "127.0.0.1:0"
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &worker{Server: s, work: t.Context(), out: make([]byte, 0, 2*maxPacket)}
}

func TestAHundredThousandSourcePortsAreEachAnsweredOnceAndRemembered(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	w := handler(t, Options{Verifier: counting{&asked}, Integrations: []sallyport.Integration{gatewayAt("192.0.2.0/24")}})
	request := withMAC(t, access(t, "alice", "right", secret))
	const ports = 100_000
	source := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i/50_000)}), uint16(1024+i%50_000))
	}
	var first []byte
	for i := range ports {
		answer := w.handle(request, source(i))
		if answer == nil {
			t.Fatalf("port %d is not answered", i)
		}
		if i == 0 {
			first = bytes.Clone(answer)
			checkAnswer(t, first, request, secret)
		}
	}
	for _, i := range []int{0, ports / 2, ports - 1} {
		if again := w.handle(request, source(i)); !bytes.Equal(again, first) {
			t.Errorf("the repetition from port %d has another answer", i)
		}
	}
	if s := w.Stats(); asked.Load() != ports || s.Repeated != 3 {
		t.Errorf("verified %d times, %+v", asked.Load(), s)
	}
}

func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	now := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	w := handler(t, Options{Verifier: counting{&asked}, Now: func() time.Time { return now }, Integrations: []sallyport.Integration{gatewayAt("192.0.2.0/24")}})
	source := netip.MustParseAddrPort("192.0.2.1:4711")
	old := withMAC(t, access(t, "alice", "right", secret))
	w.handle(old, source)
	begin := now
	for i, jump := range []time.Duration{-time.Hour, 24 * time.Hour, -365 * 24 * time.Hour, 20 * 365 * 24 * time.Hour, 0} {
		now = begin.Add(jump)
		request := withMAC(t, access(t, "alice", "right", secret))
		verified := asked.Load()
		answer := bytes.Clone(w.handle(request, source))
		checkAnswer(t, answer, request, secret)
		if again := w.handle(request, source); !bytes.Equal(again, answer) || asked.Load() != verified+1 {
			t.Errorf("jump %v: the repetition is verified again", jump)
		}
		// Who is refused has a line again, however far the clock was set back.
		if n, ok := w.drops.allow(dropKey{"flood", source.Addr()}, now); !ok || n != 0 {
			t.Errorf("jump %d, %v: no line (%d)", i, jump, n)
		}
	}
}

// What is answered is well formed and signed, and what is not is counted, with every kind of attribute in every length.
func TestAttributesOfEveryLength(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	w := handler(t, Options{Verifier: counting{&asked}, Integrations: []sallyport.Integration{gatewayAt("192.0.2.0/24")}})
	source := netip.MustParseAddrPort("192.0.2.1:4711")
	answered := map[radius.Type]int{}
	for _, kind := range []radius.Type{1, 2, 3, 4, 6, 18, 24, 25, 26, 30, 31, 32, 33, 60, 79, 80, 95, 200, 255} {
		for n := range 254 {
			p := access(t, "alice", "right", secret)
			p.Del(kind)
			b := append(encode(t, p), byte(kind), byte(2+n))
			b = append(b, bytes.Repeat([]byte{byte(n)}, n)...)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			before := w.Stats()
			answer := w.handle(b, source)
			after := w.Stats()
			if answer != nil {
				checkAnswer(t, answer, b, secret)
				answered[kind]++
			} else if after.Malformed+after.Unauthentic == before.Malformed+before.Unauthentic {
				t.Errorf("attribute %d of %d octets: neither answered nor counted", kind, n)
			}
		}
	}
	// A password has 16 to 128 octets in steps of 16; Message-Authenticator has 16, and has to be right.
	for kind, want := range map[radius.Type]int{rfc2865.UserPassword_Type: 8, 80: 0, rfc2865.State_Type: 254, rfc2865.ProxyState_Type: 254, rfc2865.CallingStationID_Type: 254, 200: 254} {
		if answered[kind] != want {
			t.Errorf("attribute %d: %d lengths are answered, want %d", kind, answered[kind], want)
		}
	}
}

// CVE-2024-3596: who is between gateway and server adds Proxy-States to a request, gets them back at a place of the answer
// that makes two answers collide under MD5, and turns Reject into Accept. Message-Authenticator in the request shows the addition;
// at the head of the answer it takes the place away.
func TestBlastRADIUS(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	now := time.Now()
	seen := gatewayAt("192.0.2.3/32")
	seen.ID, seen.MessageAuthenticator = "seen", sallyport.MessageAuthenticatorOnceSeen
	always := gatewayAt("192.0.2.2/32")
	always.ID, always.MessageAuthenticator = "always", sallyport.MessageAuthenticatorAlways
	w := handler(t, Options{Verifier: counting{&asked}, Now: func() time.Time { return now }, Integrations: []sallyport.Integration{gatewayAt("192.0.2.1/32"), always, seen}})
	// The attack's Proxy-States: as long as an attribute can be, with what collides in them.
	collide := func(b []byte) []byte {
		for n := range 3 {
			b = append(append(b, byte(rfc2865.ProxyState_Type), 255), bytes.Repeat([]byte{byte(0xa0 + n)}, 253)...)
		}
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	// zeros appends a signature of zeros.
	zeros := func(b []byte) []byte {
		b = append(append(b, 80, macAttrSize), make([]byte, macSize)...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	plain := func() []byte { return encode(t, access(t, "alice", "wrong", secret)) }
	signed := func() []byte { return withMAC(t, access(t, "alice", "wrong", secret)) }
	strip := func(b []byte) []byte {
		b = append(bytes.Clone(b[:headerSize]), b[headerSize+macAttrSize:]...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	at := func(last string) netip.AddrPort { return netip.MustParseAddrPort("192.0.2." + last + ":4711") }
	for name, c := range map[string]struct {
		packet []byte
		source netip.AddrPort
	}{
		"added to what is signed":                    {collide(signed()), at("1")},
		"added, where the signature is demanded":     {collide(plain()), at("2")},
		"added and the signature taken out":          {collide(strip(signed())), at("2")},
		"the signature taken out":                    {strip(signed()), at("2")},
		"a signature of zeros":                       {collide(zeros(plain())), at("2")},
		"two signatures, of which the first is good": {zeros(signed()), at("1")},
	} {
		if w.handle(c.packet, c.source) != nil {
			t.Errorf("%s: answered", name)
		}
	}
	// As soon as a gateway has signed once, it is to sign for ever.
	if w.handle(plain(), at("3")) == nil || w.handle(signed(), at("3")) == nil || w.handle(collide(plain()), at("3")) != nil {
		t.Error("once seen: a request without the signature is answered after one with it, or none before")
	}
	// A gateway that never signs: what it gets back cannot be made to collide, for the first attribute is the server's own and secret.
	request := collide(plain())
	answer := bytes.Clone(w.handle(request, at("1")))
	if p := checkAnswer(t, answer, request, secret); len(p.Attributes) < 4 || p.Attributes[0].Type != 80 {
		t.Errorf("%+v", p.Attributes)
	}
}
