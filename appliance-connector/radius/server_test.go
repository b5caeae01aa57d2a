package radius

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

// knows lets in whoever types this password.
func knows(password string) (verifierFunc, *atomic.Int64) {
	asked := new(atomic.Int64)
	return func(_ context.Context, q Query) Verdict {
		asked.Add(1)
		if string(q.Passcode) == password {
			return Verdict{Accept: true}
		}
		return Verdict{Reason: "wrong passcode", Cure: "type another"}
	}, asked
}

func TestRightPasswordIsAcceptedAndWrongOneRejected(t *testing.T) {
	for _, n := range []int{1, 15, 16, 17, 48, 127, 128} {
		right := strings.Repeat("p", n)
		v, _ := knows(right)
		s, _ := serve(t, Options{Verifier: v})
		c := dial(t, s, "127.0.0.1")
		for password, want := range map[string]radius.Code{
			right: radius.CodeAccessAccept, right[1:] + "q": radius.CodeAccessReject,
		} {
			request := withMAC(t, access(t, "alice", password, secret))
			answer := checkAnswer(t, exchange(t, c, request, soon), request, secret)
			if answer.Code != want {
				t.Errorf("password of %d octets: %v, want %v", n, answer.Code, want)
			}
		}
	}
}

func TestVerifierLearnsWhoAsksAndFromWhere(t *testing.T) {
	got := make(chan Query, 1)
	s, _ := serve(t, Options{Verifier: verifierFunc(func(_ context.Context, q Query) Verdict {
		got <- q
		return Verdict{Accept: true, Message: "welcome"}
	})})
	c := dial(t, s, "127.0.0.1")
	request := encode(t, access(t, `HOSPITAL\alice`, "pässwörd", secret, func(p *radius.Packet) {
		p.Add(rfc2865.NASIdentifier_Type, []byte("big-ip-1"))
		p.Add(rfc2865.CallingStationID_Type, []byte("203.0.113.7"))
	}))
	answer := checkAnswer(t, exchange(t, c, request, soon), request, secret)
	if m := rfc2865.ReplyMessage_GetString(answer); m != "welcome" {
		t.Errorf("Reply-Message %q", m)
	}
	q := <-got
	if q.UserName != `HOSPITAL\alice` || q.Passcode != "pässwörd" || q.NASIdentifier != "big-ip-1" ||
		q.CallingStation != "203.0.113.7" || q.Integration.ID != "vpn" ||
		q.Source != c.LocalAddr().(*net.UDPAddr).AddrPort() || !bytes.Equal(q.Request[1:], request[4:20]) {
		t.Errorf("query %+v", q)
	}
}

func TestRepetitionHasTheSameAnswerAndIsNotVerifiedAgain(t *testing.T) {
	v, asked := knows("right")
	s, _ := serve(t, Options{Verifier: v})
	c := dial(t, s, "127.0.0.1")
	for _, password := range []string{"right", "wrong"} {
		before := asked.Load()
		request := withMAC(t, access(t, "alice", password, secret))
		first := exchange(t, c, request, soon)
		checkAnswer(t, first, request, secret)
		for range 3 {
			if again := exchange(t, c, request, soon); !bytes.Equal(again, first) {
				t.Fatalf("answers differ:\n%x\n%x", first, again)
			}
		}
		if n := asked.Load() - before; n != 1 {
			t.Errorf("verified %d times", n)
		}
	}
	if n := s.Stats().Repeated; n != 6 {
		t.Errorf("%d repetitions counted", n)
	}
}

func TestRepetitionWhileBeingVerifiedJoinsTheFirst(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	s, _ := serve(t, Options{Verifier: verifierFunc(func(context.Context, Query) Verdict {
		asked.Add(1)
		<-release
		return Verdict{Accept: true}
	})})
	c := dial(t, s, "127.0.0.1")
	request := withMAC(t, access(t, "alice", "x", secret))
	for range 4 {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three repetitions", func() bool { return s.Stats().Repeated == 3 })
	close(release)
	checkAnswer(t, receive(t, c, soon), request, secret)
	if b := receive(t, c, hush); b != nil {
		t.Error("answered more than once")
	}
	if asked.Load() != 1 {
		t.Errorf("verified %d times", asked.Load())
	}
}

func TestAnswerIsForgottenAfterTheWindow(t *testing.T) {
	v, asked := knows("right")
	var clock atomic.Int64
	start := time.Now()
	s, _ := serve(t, Options{Verifier: v, Now: func() time.Time { return start.Add(time.Duration(clock.Load())) }})
	c := dial(t, s, "127.0.0.1")
	request := withMAC(t, access(t, "alice", "right", secret))
	for i, at := range []time.Duration{0, 29 * time.Second, 31 * time.Second} {
		clock.Store(int64(at))
		checkAnswer(t, exchange(t, c, request, soon), request, secret)
		if want := []int64{1, 1, 2}[i]; asked.Load() != want {
			t.Errorf("after %v: verified %d times, want %d", at, asked.Load(), want)
		}
	}
}

func TestSameAuthenticatorWithAnotherPasswordIsAnotherRequest(t *testing.T) {
	v, _ := knows("right")
	s, _ := serve(t, Options{Verifier: v})
	c := dial(t, s, "127.0.0.1")
	good := access(t, "alice", "right", secret)
	a := encode(t, good)
	if err := rfc2865.UserPassword_SetString(good, "wrong"); err != nil {
		t.Fatal(err)
	}
	b := encode(t, good)
	if p := checkAnswer(t, exchange(t, c, a, soon), a, secret); p.Code != radius.CodeAccessAccept {
		t.Fatal(p.Code)
	}
	if p := checkAnswer(t, exchange(t, c, b, soon), b, secret); p.Code != radius.CodeAccessReject {
		t.Fatal("wrong password had the right one's answer")
	}
}

func TestProxyStatesComeBackInOrderAfterMessageAuthenticator(t *testing.T) {
	v, _ := knows("right")
	s, _ := serve(t, Options{Verifier: v})
	c := dial(t, s, "127.0.0.1")
	request := withMAC(t, access(t, "alice", "wrong", secret, func(p *radius.Packet) {
		for _, state := range []string{"one", "two", "", "three"} {
			p.Add(rfc2865.ProxyState_Type, []byte(state))
		}
	}))
	answer := checkAnswer(t, exchange(t, c, request, soon), request, secret)
	states, err := rfc2865.ProxyState_Gets(answer)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(bytes.Join(states, []byte("|"))); got != "one|two||three" {
		t.Errorf("Proxy-States %q", got)
	}
}

func TestHugeProxyStatesStillHaveAnAnswer(t *testing.T) {
	v, _ := knows("right")
	s, _ := serve(t, Options{Verifier: v})
	c := dial(t, s, "127.0.0.1")
	request := withMAC(t, access(t, "a", "wrong", secret, func(p *radius.Packet) {
		for range 15 {
			p.Add(rfc2865.ProxyState_Type, bytes.Repeat([]byte{7}, 253))
		}
		p.Add(rfc2865.ProxyState_Type, bytes.Repeat([]byte{7}, 190))
	}))
	answer := checkAnswer(t, exchange(t, c, request, soon), request, secret)
	if states, _ := rfc2865.ProxyState_Gets(answer); len(states) != 16 {
		t.Errorf("%d Proxy-States", len(states))
	}
}

func TestWhatCannotComeFromTheGatewayIsDropped(t *testing.T) {
	v, asked := knows("right")
	strict := gatewayAt("127.0.0.2/32")
	strict.MessageAuthenticator, strict.ID = sallyport.MessageAuthenticatorAlways, "strict"
	s, log := serve(t, Options{Verifier: v, Integrations: []sallyport.Integration{gatewayAt("127.0.0.1/32"), strict}})
	plain := func(edit ...func(*radius.Packet)) []byte {
		return encode(t, access(t, "alice", "right", secret, edit...))
	}
	edited := withMAC(t, access(t, "alice", "right", secret))
	edited[len(edited)-1] ^= 1
	status := radius.New(radius.CodeStatusServer, []byte(secret))
	for name, c := range map[string]struct {
		from   string
		packet []byte
		want   string
	}{
		"unknown source":              {"127.0.0.3", plain(), "unknown source address"},
		"wrong secret":                {"127.0.0.1", withMAC(t, access(t, "alice", "right", "another secret")), "wrong shared secret: Message-Authenticator"},
		"edited on the way":           {"127.0.0.1", edited, "wrong shared secret: Message-Authenticator"},
		"none where it is demanded":   {"127.0.0.2", plain(), "Message-Authenticator missing"},
		"EAP without":                 {"127.0.0.1", plain(func(p *radius.Packet) { p.Add(rfc2869.EAPMessage_Type, []byte{2, 0, 0, 4}) }), "EAP without Message-Authenticator"},
		"Status-Server without":       {"127.0.0.1", encode(t, status), "Status-Server without"},
		"accounting":                  {"127.0.0.1", encode(t, radius.New(radius.CodeAccountingRequest, []byte(secret))), "accounting at the port of logins"},
		"Message-Authenticator short": {"127.0.0.1", plain(func(p *radius.Packet) { p.Add(80, make([]byte, 15)) }), "has not 16 octets"},
	} {
		t.Run(name, func(t *testing.T) {
			if b := exchange(t, dial(t, s, c.from), c.packet, hush); b != nil {
				t.Errorf("answered %x", b)
			}
			eventually(t, c.want, func() bool { return log.count(c.want) > 0 })
			if log.count(c.want) == 0 || !strings.Contains(log.String(), "cure=") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
	if asked.Load() != 0 {
		t.Errorf("verified %d times", asked.Load())
	}
}

func TestRefusalIsOneLineWithCauseAndCure(t *testing.T) {
	v, _ := knows("right")
	s, log := serve(t, Options{Verifier: v})
	c := dial(t, s, "127.0.0.1")
	without := func(kind radius.Type, add ...*radius.AVP) *radius.Packet {
		p := access(t, "alice", "right", secret)
		p.Del(kind)
		p.Attributes = append(p.Attributes, add...)
		return p
	}
	microsoft := func(kind byte) *radius.AVP {
		return &radius.AVP{Type: rfc2865.VendorSpecific_Type, Attribute: []byte{0, 0, 1, 55, kind, 3, 0}}
	}
	for _, r := range []struct {
		name   string
		packet *radius.Packet
		want   string
	}{
		{"CHAP", without(2, &radius.AVP{Type: rfc2865.CHAPPassword_Type, Attribute: make([]byte, 17)}), `cause="wrong protocol: CHAP"`},
		{"MS-CHAP", without(2, microsoft(1)), `cause="wrong protocol: MS-CHAP"`},
		{"MS-CHAPv2", without(2, microsoft(25)), `cause="wrong protocol: MS-CHAPv2"`},
		{"EAP", without(2, &radius.AVP{Type: rfc2869.EAPMessage_Type, Attribute: []byte{2, 0, 0, 4}}), `cause="wrong protocol: EAP"`},
		{"no password", without(2), `cause="no password"`},
		{"no name", without(1), `cause="no user name"`},
		{"passcode", access(t, "alice", "other", secret), `cause="wrong passcode" cure="type another"`},
	} {
		t.Run(r.name, func(t *testing.T) {
			before, linesBefore := log.count(r.want), log.count("\n")
			request := withMAC(t, r.packet)
			answer := checkAnswer(t, exchange(t, c, request, soon), request, secret)
			if answer.Code != radius.CodeAccessReject || rfc2865.ReplyMessage_GetString(answer) != rejected {
				t.Errorf("answer %v %q", answer.Code, rfc2865.ReplyMessage_GetString(answer))
			}
			if log.count(r.want) != before+1 || log.count("\n") != linesBefore+1 {
				t.Errorf("log:\n%s", log)
			}
		})
	}
	t.Run("wrong secret without Message-Authenticator", func(t *testing.T) {
		request := encode(t, access(t, "alice", "right", "another secret"))
		checkAnswer(t, exchange(t, c, request, soon), request, secret)
		if log.count(`cause="wrong shared secret: the password cannot be decoded"`) != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
	if strings.Contains(log.String(), "right") || strings.Contains(log.String(), secret) {
		t.Errorf("a password or secret is in the log:\n%s", log)
	}
}

func TestStatusServerIsAnswered(t *testing.T) {
	v, _ := knows("right")
	s, _ := serve(t, Options{Verifier: v})
	request := withMAC(t, radius.New(radius.CodeStatusServer, []byte(secret)))
	answer := checkAnswer(t, exchange(t, dial(t, s, "127.0.0.1"), request, soon), request, secret)
	if answer.Code != radius.CodeAccessAccept || s.Stats().Status != 1 {
		t.Errorf("%v, %+v", answer.Code, s.Stats())
	}
}

func TestNewConfigurationIsUsedWithoutRestart(t *testing.T) {
	v, _ := knows("right")
	s, _ := serve(t, Options{Verifier: v})
	c := dial(t, s, "127.0.0.1")
	next := gatewayAt("127.0.0.0/8")
	next.Secret = "the next secret"
	if err := s.SetIntegrations([]sallyport.Integration{next}); err != nil {
		t.Fatal(err)
	}
	request := withMAC(t, access(t, "alice", "right", "the next secret"))
	checkAnswer(t, exchange(t, c, request, soon), request, "the next secret")
	bad := gatewayAt("127.0.0.1/32")
	bad.Secret = ""
	if err := s.SetIntegrations([]sallyport.Integration{bad}); err == nil {
		t.Fatal("an integration without a secret is accepted")
	}
	request = withMAC(t, access(t, "alice", "right", "the next secret"))
	checkAnswer(t, exchange(t, c, request, soon), request, "the next secret")
}

func TestMalformedPacketsOfEveryLengthAreSurvived(t *testing.T) {
	v, asked := knows("right")
	strict := gatewayAt("127.0.0.1/32")
	strict.MessageAuthenticator = sallyport.MessageAuthenticatorAlways // or the bare header, cut at 20, would be answered
	s, _ := serve(t, Options{Verifier: v, Integrations: []sallyport.Integration{strict}})
	c := dial(t, s, "127.0.0.1")
	whole := withMAC(t, access(t, "alice", "right", secret))
	sent := uint64(0)
	send := func(b []byte) {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	for n := range whole {
		send(whole[:n])
		cutShort := append([]byte(nil), whole[:n]...)
		if n >= 4 {
			binary.BigEndian.PutUint16(cutShort[2:], uint16(n))
			send(cutShort)
		}
	}
	for _, n := range []int{maxPacket, maxPacket + 1, 9000} {
		send(bytes.Repeat([]byte{1}, n))
	}
	eventually(t, "everything read", func() bool { return s.Stats().Received == sent })
	if asked.Load() != 0 || s.Stats().Accepted+s.Stats().Rejected != 0 {
		t.Errorf("%+v", s.Stats())
	}
	request := withMAC(t, access(t, "alice", "right", secret))
	checkAnswer(t, exchange(t, c, request, soon), request, secret)
}

func TestOctetsAfterThePacketAreIgnored(t *testing.T) {
	v, _ := knows("right")
	s, _ := serve(t, Options{Verifier: v})
	request := withMAC(t, access(t, "alice", "right", secret))
	padded := append(append([]byte(nil), request...), make([]byte, 40)...)
	checkAnswer(t, exchange(t, dial(t, s, "127.0.0.1"), padded, soon), request, secret)
}

func TestFullServerDropsAndTheRepetitionIsVerified(t *testing.T) {
	release := make(chan struct{})
	s, log := serve(t, Options{Waiting: 2, Verifier: verifierFunc(func(ctx context.Context, q Query) Verdict {
		<-release
		return Verdict{Accept: true}
	})})
	c := dial(t, s, "127.0.0.1")
	var requests [][]byte
	for range 3 {
		r := withMAC(t, access(t, "alice", "x", secret))
		requests = append(requests, r)
		if _, err := c.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one dropped", func() bool { return s.Stats().Overload == 1 })
	if log.count("too many requests") != 1 {
		t.Errorf("log:\n%s", log)
	}
	close(release)
	for range 2 {
		if receive(t, c, soon) == nil {
			t.Fatal("no answer")
		}
	}
	for _, r := range requests {
		checkAnswer(t, exchange(t, c, r, soon), r, secret)
	}
	if n := s.Stats().Accepted; n != 3 {
		t.Errorf("%d accepted", n)
	}
}

func TestVerifierIsToldWhenTimeIsUpAndTheGatewayHasAnAnswer(t *testing.T) {
	s, log := serve(t, Options{Deadline: 20 * time.Millisecond, Verifier: verifierFunc(func(ctx context.Context, q Query) Verdict {
		<-ctx.Done()
		return Verdict{Reason: "cloud out of reach", Cure: "check it"}
	})})
	request := withMAC(t, access(t, "alice", "x", secret))
	answer := checkAnswer(t, exchange(t, dial(t, s, "127.0.0.1"), request, soon), request, secret)
	if answer.Code != radius.CodeAccessReject || log.count("gave up") != 1 || s.Stats().Late != 1 {
		t.Errorf("%v\n%s", answer.Code, log)
	}
}

func TestShutdownAnswersWhatIsBeingVerified(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s, err := Listen(Options{Address: "127.0.0.1:0", Integrations: []sallyport.Integration{gatewayAt("127.0.0.1/32")},
		Verifier: verifierFunc(func(ctx context.Context, q Query) Verdict {
			close(started)
			<-release
			return Verdict{Accept: ctx.Err() == nil}
		})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c := dial(t, s, "127.0.0.1")
	request := withMAC(t, access(t, "alice", "x", secret))
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	<-started
	cancel()
	close(release)
	if p := checkAnswer(t, receive(t, c, soon), request, secret); p.Code != radius.CodeAccessAccept {
		t.Error(p.Code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The flood is as fast as the server takes packets off its socket, never faster: what the kernel throws away when the
// machine is too busy to read is thrown away from everybody, and says nothing of the server.
func TestFloodFromAnUnknownSourceStarvesNobody(t *testing.T) {
	v, _ := knows("right")
	s, log := serve(t, Options{Verifier: v})
	ctx, cancel := context.WithCancel(context.Background())
	flood := dial(t, s, "127.0.0.9")
	var wg sync.WaitGroup
	wg.Go(func() {
		junk := encode(t, access(t, "mallory", "x", "y"))
		for sent := uint64(0); ctx.Err() == nil; {
			if sent-uint64(s.Stats().UnknownSource) >= 64 {
				runtime.Gosched()
				continue
			}
			if _, err := flood.Write(junk); err == nil {
				sent++
			}
		}
	})
	defer wg.Wait()
	defer cancel()
	eventually(t, "the flood", func() bool { return s.Stats().UnknownSource > 1000 })
	c := dial(t, s, "127.0.0.1")
	for range 20 {
		request := withMAC(t, access(t, "alice", "right", secret))
		var answer []byte
		for range 3 { // as a gateway repeats itself
			if answer = exchange(t, c, request, soon); answer != nil {
				break
			}
		}
		checkAnswer(t, answer, request, secret)
	}
	if n := log.count("unknown source address"); n < 1 || n > 10 {
		t.Errorf("%d lines about the flood", n)
	}
}

func TestLongestPrefixWins(t *testing.T) {
	named := func(id sallyport.IntegrationID, prefixes ...string) sallyport.Integration {
		in := sallyport.Integration{ID: id, Secret: "s"}
		for _, p := range prefixes {
			in.Clients = append(in.Clients, netip.MustParsePrefix(p))
		}
		return in
	}
	table, err := newClients([]sallyport.Integration{
		named("all", "0.0.0.0/0"), named("site", "10.0.0.0/8", "2001:db8::/32"),
		named("rack", "10.1.2.0/24"), named("one", "10.1.2.3/32", "2001:db8::7/128"), named("mapped", "::ffff:192.0.2.0/120"),
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]sallyport.IntegrationID{
		"10.1.2.3": "one", "10.1.2.4": "rack", "10.9.9.9": "site", "192.168.1.1": "all", "::ffff:10.1.2.3": "one",
		"2001:db8::7": "one", "2001:db8::8": "site", "2001:db9::1": "", "192.0.2.77": "mapped",
	} {
		got := sallyport.IntegrationID("")
		if c := table.find(netip.MustParseAddr(source)); c != nil {
			got = c.ID
		}
		if got != want {
			t.Errorf("%s belongs to %q, want %q", source, got, want)
		}
	}
	if _, err := newClients([]sallyport.Integration{named("a", "10.0.0.0/8"), named("b", "10.1.1.1/8")}, nil, nil); err == nil {
		t.Error("one network in two integrations is accepted")
	}
}
