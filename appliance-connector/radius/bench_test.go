package radius

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// instant accepts at once.
type instant struct{}

func (instant) Verify(context.Context, Query) Verdict { return Verdict{Accept: true} }
func (instant) VerifyNow(*Query) (Verdict, bool)      { return Verdict{Accept: true}, true }

// BenchmarkHandle is one request from datagram to answer, without the socket and without the token.
func BenchmarkHandle(b *testing.B) {
	s, err := Listen(Options{Address: "127.0.0.1:0", Verifier: instant{}, Integrations: []sallyport.Integration{gatewayAt("127.0.0.1/32")}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	w := &worker{Server: s, work: context.Background(), out: make([]byte, 0, 2*maxPacket)}
	source := netip.MustParseAddrPort("127.0.0.1:4711")
	packet := encode(b, access(b, "alice", "0123456789abcdef0123456789abcdef0123456789abcdef", secret))
	c := s.clients.Load().find(source.Addr())
	if s.opts.Now().IsZero() || c == nil {
		b.Fatal("not configured")
	}
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		n++
		binary.BigEndian.PutUint64(packet[8:], n) // a fresh authenticator; the password comes out garbled, but as long
		r, err := parse(packet)
		if err != nil {
			b.Fatal(err)
		}
		now := time.Now()
		key := s.cache.key(source, &r)
		_, _, at, _ := s.cache.begin(key, now, nil)
		k, _ := s.authenticate(c, &r, now)
		c.memory.heard.at(now)
		q, _ := k.query(c, &r, source)
		x := inquiry{client: c, keys: k, q: q, at: at, now: now}
		v, _ := s.instant.VerifyNow(q)
		if w.finish(&x, &r, v, c.attributes.Everybody()) == nil {
			b.Fatal("no answer")
		}
	}
}
