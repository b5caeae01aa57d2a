package radius

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// FuzzParse holds our parser against the library's: what it takes the library takes, with the same
// values. It refuses more (two passwords, a cut Message-Authenticator), never less.
func FuzzParse(f *testing.F) {
	f.Add(encode(f, access(f, "alice", "password", secret)))
	f.Add(withMAC(f, access(f, "alice", "password", secret, func(p *radius.Packet) {
		p.Add(rfc2865.ProxyState_Type, []byte("one"))
		p.Add(rfc2865.VendorSpecific_Type, []byte{0, 0, 1, 55, 25, 3, 0})
	})))
	f.Add(withMAC(f, access(f, "alice", "123456", secret, func(p *radius.Packet) {
		p.Add(rfc2865.State_Type, []byte("state"))
		p.Add(rfc2865.CalledStationID_Type, []byte("vpn"))
	})))
	f.Add([]byte{1, 2, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 2, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 80, 2})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		r, err := parse(datagram)
		lib, libErr := radius.Parse(datagram, []byte(secret))
		if err != nil {
			if libErr == nil && (err == errShort || err == errLength || err == errAttribute) {
				t.Fatalf("the library takes what we call %v", err)
			}
			return
		}
		if libErr != nil {
			t.Fatalf("the library says %v", libErr)
		}
		if r.code() != lib.Code || !bytes.Equal(r.user, lib.Get(rfc2865.UserName_Type)) ||
			!bytes.Equal(r.password, lib.Get(rfc2865.UserPassword_Type)) {
			t.Fatalf("%v %q %x, the library has %v", r.code(), r.user, r.password, lib)
		}
		if (r.mac != 0) != (lib.Get(80) != nil) {
			t.Fatal("Message-Authenticator overlooked")
		}
		if !bytes.Equal(r.state, lib.Get(rfc2865.State_Type)) || (r.state != nil) != (lib.Get(rfc2865.State_Type) != nil) {
			t.Fatalf("State %x, the library has %x", r.state, lib.Get(rfc2865.State_Type))
		}
		k := newKeys(secret)
		if r.password != nil {
			var room [maxPassword]byte
			want, err := radius.UserPassword(r.password, k.secret, r.authenticator())
			if got := k.reveal(&r, &room); err != nil || !bytes.HasPrefix(got, want) {
				t.Fatalf("password %x, the library has %x, %v", got, want, err)
			}
		}
	})
}

// FuzzServer sends anything through the whole server, as a known gateway that need not sign.
func FuzzServer(f *testing.F) {
	f.Add(encode(f, access(f, "alice", "right", secret)))
	f.Add(withMAC(f, access(f, "alice", "wrong", secret, func(p *radius.Packet) { p.Add(rfc2865.ProxyState_Type, []byte("x")) })))
	f.Add(withMAC(f, radius.New(radius.CodeStatusServer, []byte(secret))))
	s, err := Listen(Options{Address: "127.0.0.1:0", Verifier: instant{}, Replies: 64, Integrations: []sallyport.Integration{gatewayAt("127.0.0.1/32")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	w := &worker{Server: s, work: context.Background(), out: make([]byte, 0, 2*maxPacket)}
	source := netip.MustParseAddrPort("127.0.0.1:4711")
	f.Fuzz(func(t *testing.T, datagram []byte) {
		answer := bytes.Clone(w.handle(datagram, source))
		if answer == nil {
			return
		}
		request := datagram[:int(datagram[2])<<8|int(datagram[3])]
		p := checkAnswer(t, answer, request, secret)
		if len(answer) > maxPacket {
			t.Fatalf("answer of %d octets", len(answer))
		}
		if p.Code == radius.CodeAccessAccept && radius.Code(request[0]) == radius.CodeAccessRequest {
			asked, err := radius.Parse(request, []byte(secret))
			if err != nil || asked.Get(rfc2865.UserName_Type) == nil || asked.Get(rfc2865.UserPassword_Type) == nil {
				t.Fatal("accepted without name or password")
			}
		}
		if again := w.handle(datagram, source); radius.Code(request[0]) == radius.CodeAccessRequest && !bytes.Equal(again, answer) {
			t.Fatal("a repetition has another answer")
		}
	})
}

func TestFullCacheForgetsTheOldestFirst(t *testing.T) {
	c := newReplyCache(16*4, 30*time.Second) // four for each shard
	now := time.Now()
	keys := make([]cacheKey, 5)
	for i := range keys {
		keys[i][19+authSize] = 16 // all in one shard
		keys[i][0] = byte(i)
	}
	for i, k := range keys {
		what, _, at, early := c.begin(k, now, nil)
		if what != seenNever || early != (i == 4) {
			t.Fatalf("entry %d: %v, early %v", i, what, early)
		}
		at.finish([]byte{byte(i), 1})
	}
	for i, k := range keys[1:] {
		if what, answer, _, _ := c.begin(k, now, nil); what != seenDone || answer[0] != byte(i+1) {
			t.Errorf("entry %d: %v", i+1, what)
		}
	}
	what, _, at, _ := c.begin(keys[0], now, nil)
	if what != seenNever {
		t.Errorf("the oldest is still there: %v", what)
	}
	at.drop()
	if what, _, _, _ := c.begin(keys[0], now, nil); what != seenNever {
		t.Error("a dropped entry is still there")
	}
}

func TestLateAnswerToAForgottenEntryDisturbsNobody(t *testing.T) {
	c := newReplyCache(16, 30*time.Second) // one for each shard
	now := time.Now()
	var first, second cacheKey
	second[0] = 1
	_, _, old, _ := c.begin(first, now, nil)
	_, _, at, early := c.begin(second, now, nil)
	if !early {
		t.Fatal("nothing had to go")
	}
	at.finish([]byte("second"))
	old.finish([]byte("first"))
	old.drop()
	if what, answer, _, _ := c.begin(second, now, nil); what != seenDone || string(answer) != "second" {
		t.Errorf("%v %q", what, answer)
	}
}
