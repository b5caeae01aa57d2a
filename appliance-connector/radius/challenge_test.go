package radius

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// patient challenges whoever brings no State, and waits for a person otherwise.
type patient struct {
	answered chan struct{}
	queries  chan Query
}

func (p *patient) Patience(*Query) time.Duration { return time.Minute }

func (p *patient) Verify(ctx context.Context, q Query) Verdict {
	p.queries <- q
	if q.State == nil {
		return Verdict{Challenge: bytes.Repeat([]byte{7}, 253), Message: "type a code"}
	}
	select {
	case <-p.answered:
		return Verdict{Accept: true}
	case <-ctx.Done():
		return Verdict{Drop: true}
	}
}

func newPatient() *patient {
	return &patient{answered: make(chan struct{}), queries: make(chan Query, 8)}
}

func withState(state []byte) func(*radius.Packet) {
	return func(p *radius.Packet) { p.Add(rfc2865.State_Type, state) }
}

func TestAChallengeCarriesStateAndItsAnswerBringsItBack(t *testing.T) {
	v, o := newPatient(), &observed{}
	s, _ := serve(t, Options{Verifier: v, Observer: o})
	c := dial(t, s, "127.0.0.1")
	request := withMAC(t, access(t, "alice", "password", secret, func(p *radius.Packet) {
		p.Add(rfc2865.CalledStationID_Type, []byte("vpn.hospital.example"))
		p.Add(rfc2865.ProxyState_Type, []byte("one"))
	}))
	first := exchange(t, c, request, soon)
	p := checkAnswer(t, first, request, secret)
	state := rfc2865.State_Get(p)
	if p.Code != radius.CodeAccessChallenge || rfc2865.ReplyMessage_GetString(p) != "type a code" || len(state) != 253 || rfc2865.ProxyState_GetString(p) != "one" {
		t.Fatalf("%v %v", p.Code, p.Attributes)
	}
	if q := <-v.queries; q.State != nil || q.CalledStation != "vpn.hospital.example" {
		t.Errorf("query %+v", q)
	}
	if again := exchange(t, c, request, soon); !bytes.Equal(again, first) {
		t.Error("repeated, the challenge is another one")
	}
	close(v.answered)
	request = withMAC(t, access(t, "alice", "123456", secret, withState(state)))
	if p := checkAnswer(t, exchange(t, c, request, soon), request, secret); p.Code != radius.CodeAccessAccept {
		t.Error(p.Code)
	}
	if q := <-v.queries; !bytes.Equal(q.State, state) {
		t.Errorf("State came back as %x", q.State)
	}
	if n := s.Stats(); n.Challenged != 1 || n.Accepted != 1 || n.Repeated != 1 {
		t.Errorf("%+v", n)
	}
	if a := o.at(t, 0); a.Outcome != sallyport.RADIUSChallenged || a.CalledStation != "vpn.hospital.example" {
		t.Errorf("%+v", a)
	}
}

func TestAChallengeThatDoesNotFitIsARefusal(t *testing.T) {
	s, log := serve(t, Options{Verifier: newPatient()})
	request := withMAC(t, access(t, "a", "password", secret, func(p *radius.Packet) {
		for range 15 {
			p.Add(rfc2865.ProxyState_Type, bytes.Repeat([]byte{7}, 253))
		}
	}))
	p := checkAnswer(t, exchange(t, dial(t, s, "127.0.0.1"), request, soon), request, secret)
	if p.Code != radius.CodeAccessReject || log.count("too long for an answer") != 1 {
		t.Errorf("%v\n%s", p.Code, log)
	}
}

func TestAWaitForAPersonOutlastsTheDeadlineAndARepetitionJoinsIt(t *testing.T) {
	v := newPatient()
	s, log := serve(t, Options{Verifier: v, Deadline: time.Millisecond, ReplyWindow: time.Minute})
	c := dial(t, s, "127.0.0.1")
	request := withMAC(t, access(t, "alice", "", secret, withState([]byte("s"))))
	for range 3 {
		if exchange(t, c, request, hush) != nil {
			t.Fatal("answered before the person")
		}
	}
	close(v.answered)
	if p := checkAnswer(t, receive(t, c, soon), request, secret); p.Code != radius.CodeAccessAccept || len(v.queries) != 1 || log.count("gave up") != 0 {
		t.Errorf("%v, %d queries\n%s", p.Code, len(v.queries), log)
	}
}

func TestAServerThatEndsLeavesThoseWhoWaitToAnotherOne(t *testing.T) {
	v := newPatient()
	s, err := Listen(Options{Address: "127.0.0.1:0", Verifier: v, Deadline: time.Millisecond, Integrations: []sallyport.Integration{gatewayAt("127.0.0.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c := dial(t, s, "127.0.0.1")
	if _, err := c.Write(withMAC(t, access(t, "alice", "", secret, withState([]byte("s"))))); err != nil {
		t.Fatal(err)
	}
	<-v.queries
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if b := receive(t, c, hush); b != nil {
		t.Errorf("answered %x", b)
	}
	if n := s.Stats(); n.HandedOn != 1 || n.Rejected+n.Late != 0 {
		t.Errorf("%+v", n)
	}
}

func TestNamesAndPasswordsInTheGatewaysEncoding(t *testing.T) {
	for _, c := range []struct {
		encoding sallyport.PasswordEncoding
		name     string
		password string
		want     string // "": it cannot be read
	}{
		{"", "Zoë", "pässwörd", "pässwörd"},
		{sallyport.PasswordUTF8, "Zoë", strings.Repeat("€", 42) + "!!", strings.Repeat("€", 42) + "!!"}, // 128 octets
		{sallyport.PasswordWindows1252, "Zo\xeb", "p\xe4ssw\xf6rd\x80", "pässwörd€"},
		{sallyport.PasswordWindows1252, "Zo\xeb", strings.Repeat("\xe9", 128), strings.Repeat("é", 128)},
		{sallyport.PasswordUTF8, "Zoë", "p\xe4ssw\xf6rd", ""},
		{sallyport.PasswordWindows1252, "Zo\xeb", "\x81\x8d", ""}, // no letters in this encoding
	} {
		got := make(chan Query, 1)
		in := gatewayAt("127.0.0.1/32")
		in.PasswordEncoding = c.encoding
		s, log := serve(t, Options{Integrations: []sallyport.Integration{in}, Verifier: verifierFunc(func(_ context.Context, q Query) Verdict {
			got <- q
			return Verdict{Accept: true}
		})})
		request := withMAC(t, access(t, c.name, c.password, secret))
		p := checkAnswer(t, exchange(t, dial(t, s, "127.0.0.1"), request, soon), request, secret)
		if c.want == "" {
			if p.Code != radius.CodeAccessReject || log.count("cannot be decoded") != 1 {
				t.Errorf("%q: %v\n%s", c.password, p.Code, log)
			}
			continue
		}
		if q := <-got; string(q.Passcode) != c.want || q.UserName != "Zoë" {
			t.Errorf("%q came as %q of %q", c.password, string(q.Passcode), q.UserName)
		}
	}
}
