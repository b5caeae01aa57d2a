package tokenserver_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
	"github.com/sallyport/sallyport/test/harness"
)

const (
	secret = "shared-with-the-token-server"
	alice  = sallyport.AccountName(`hospital\alice`)
)

// lines is a log that tests read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type world struct {
	*tokenserver.Client
	clock *clock
	log   *lines
}

func newWorld() *world {
	w := &world{clock: &clock{now: time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)}, log: &lines{}}
	w.Client = tokenserver.New(tokenserver.Options{Name: "appliance-1", Now: w.clock.Now, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	return w
}

// of are settings with servers.
func of(list ...sallyport.TokenServer) sallyport.TokenServers {
	return sallyport.TokenServers{Name: "RSA SecurID", Everyone: true, UserName: sallyport.TokenUserShort, Timeout: 2 * time.Second, Tries: 3, Servers: list}
}

// impatient has silence cost little.
func impatient(v sallyport.TokenServers) sallyport.TokenServers {
	v.Timeout, v.Tries = 150*time.Millisecond, 2
	return v
}

// free is the settings' entry of a FreeRADIUS.
func free(id string, r *harness.FreeRADIUS) sallyport.TokenServer {
	return sallyport.TokenServer{ID: sallyport.TokenServerID(id), Host: "127.0.0.1", Port: r.Port, Secret: sallyport.Secret(r.Secret)}
}

func asks(account sallyport.AccountName, passcode sallyport.Secret, state []byte) tokenserver.Query {
	return tokenserver.Query{Account: account, UserName: account.User(), Passcode: passcode, State: state}
}

func (w *world) must(t *testing.T, q tokenserver.Query, want tokenserver.Outcome) tokenserver.Answer {
	t.Helper()
	a, err := w.Check(t.Context(), q)
	if err != nil || a.Outcome != want {
		t.Fatalf("%+v, %v; want %s", a, err, want)
	}
	return a
}

func TestFreeRADIUSAcceptsRefusesAndAsksForMore(t *testing.T) {
	t.Parallel()
	one, two := harness.StartFreeRADIUS(t, true), harness.StartFreeRADIUS(t, true)
	w, other := newWorld(), newWorld()
	v := of(free("one", one), free("two", two))
	w.Set(v, "")
	w.must(t, asks(alice, harness.TokenCode, nil), tokenserver.Accepted)
	w.must(t, asks(alice, "00000000", nil), tokenserver.Rejected)

	v.Servers[0], v.Servers[1] = v.Servers[1], v.Servers[0]
	other.Set(v, "") // another appliance, which asks the other server first
	a := w.must(t, asks(`hospital\nina`, harness.TokenCode, nil), tokenserver.Challenged)
	if a.Message != harness.NextQuestion || len(a.State) == 0 || len(a.State) > tokenserver.MaxState || a.Server != "one" {
		t.Fatalf("%+v", a)
	}
	mark := two.LogSize()
	b := other.must(t, asks(`hospital\nina`, harness.NextCode, a.State), tokenserver.Accepted)
	if b.Server != "one" || strings.Contains(two.LogSince(mark), "nina") {
		t.Errorf("the challenge of one server was answered to %s: %s", b.Server, two.LogSince(mark))
	}
	if two.Kill(); two.Running() {
		t.Fatal("it runs still")
	}
	a = w.must(t, asks(`hospital\nina`, harness.TokenCode, nil), tokenserver.Challenged)
	other.must(t, asks(`hospital\nina`, "99999999", a.State), tokenserver.Rejected)
	if log := w.log.String() + other.log.String(); strings.Contains(log, "3141") || strings.Contains(log, "nina") {
		t.Errorf("a code or a name stands in the log: %s", log)
	}
	if s := w.Stats(); s != (tokenserver.Stats{Accepted: 1, Rejected: 1, Challenged: 2}) {
		t.Errorf("%+v", s)
	}
}

func TestTheNextServerIsAskedWhenOneIsKilled(t *testing.T) {
	t.Parallel()
	one, two := harness.StartFreeRADIUS(t, true), harness.StartFreeRADIUS(t, true)
	w := newWorld()
	w.Set(of(free("one", one), free("two", two)), "")
	if a := w.must(t, asks(alice, harness.TokenCode, nil), tokenserver.Accepted); a.Server != "one" {
		t.Fatalf("%+v", a)
	}
	one.Kill()
	if a := w.must(t, asks(alice, harness.TokenCode, nil), tokenserver.Accepted); a.Server != "two" {
		t.Fatalf("%+v", a)
	}
	h := w.Health()
	if len(h) != 2 || !strings.Contains(h[0].Trouble, "Nothing listens") || !h[0].Until.After(w.clock.Now()) || h[1].Trouble != "" || !h[1].Answered.Equal(w.clock.Now()) {
		t.Errorf("%+v", h)
	}
	one.Start()
	if a := w.must(t, asks(alice, harness.TokenCode, nil), tokenserver.Accepted); a.Server != "two" {
		t.Errorf("one that failed is asked at once again: %+v", a)
	}
	w.clock.forward(time.Minute)
	if a := w.must(t, asks(alice, harness.TokenCode, nil), tokenserver.Accepted); a.Server != "one" {
		t.Errorf("one that is back is not asked: %+v", a)
	}
	one.Kill()
	two.Kill()
	_, err := w.Check(t.Context(), asks(alice, harness.TokenCode, nil))
	if sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("with nobody there: %v", err)
	}
	two.Start() // all are passed over, so all are tried
	if a := w.must(t, asks(alice, harness.TokenCode, nil), tokenserver.Accepted); a.Server != "two" {
		t.Errorf("%+v", a)
	}
	if got := strings.Count(w.log.String(), "does not answer"); got != 3 {
		t.Errorf("%d lines of servers that do not answer:\n%s", got, w.log)
	}
	if w.Stats().Failed != 1 {
		t.Errorf("%+v", w.Stats())
	}
}

func TestUnsignedAnswersAreTakenWhereThatIsSaid(t *testing.T) {
	t.Parallel()
	unsigned := scripted(t, func(r *radius.Packet, _ []byte) []byte { return encoded(t, answer(r, radius.CodeAccessAccept), false) })
	w := newWorld()
	v := impatient(of(unsigned))
	w.Set(v, "")
	if _, err := w.Check(t.Context(), asks(alice, "123456", nil)); sallyport.ErrorCode(err) != sallyport.CodeUnavailable || !strings.Contains(err.Error(), "without Message-Authenticator") {
		t.Errorf("unsigned: %v", err)
	}
	v.Servers[0].Unsigned = true
	w.Set(v, "")
	w.must(t, asks(alice, "123456", nil), tokenserver.Accepted)
}

// scripted is a token server that does as the test says: it returns what it sends, nil for nothing.
func scripted(t *testing.T, do func(r *radius.Packet, datagram []byte) []byte) sallyport.TokenServer {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, radius.MaxPacketLength)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			r, err := radius.Parse(append([]byte(nil), buf[:n]...), []byte(secret))
			if err != nil {
				t.Errorf("what was sent is not RADIUS: %v", err)
				continue
			}
			if out := do(r, append([]byte(nil), buf[:n]...)); out != nil {
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return sallyport.TokenServer{ID: "scripted", Host: "127.0.0.1", Port: conn.LocalAddr().(*net.UDPAddr).Port, Secret: secret}
}

func answer(r *radius.Packet, code radius.Code, more ...radius.Attribute) *radius.Packet {
	p := r.Response(code)
	for _, m := range more {
		p.Add(rfc2865.ReplyMessage_Type, m)
	}
	return p
}

// encoded writes an answer with the library, signed or not.
func encoded(t *testing.T, p *radius.Packet, signed bool) []byte {
	if signed {
		p.Add(rfc2869.MessageAuthenticator_Type, sum(t, p))
	}
	b, err := p.Encode()
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestWhatIsSentIsWhatAServerExpects(t *testing.T) {
	t.Parallel()
	got := make(chan *radius.Packet, 10)
	raw := make(chan []byte, 10)
	s := scripted(t, func(r *radius.Packet, datagram []byte) []byte {
		got <- r
		raw <- datagram
		p := answer(r, radius.CodeAccessChallenge, radius.Attribute("one\r\n"), radius.Attribute("two\u202e"))
		p.Add(rfc2865.State_Type, bytes.Repeat([]byte{7}, 253))
		return encoded(t, p, true)
	})
	w := newWorld()
	v := of(s)
	v.UserName = sallyport.TokenUserAccount
	w.Set(v, "")
	long := sallyport.Secret(strings.Repeat("ü", 64)) // 128 octets
	a := w.must(t, asks(alice, long, nil), tokenserver.Challenged)
	r := <-got
	if rfc2865.UserName_GetString(r) != string(alice) || rfc2865.UserPassword_GetString(r) != string(long) || string(rfc2865.NASIdentifier_Get(r)) != "appliance-1" || r.Get(rfc2865.State_Type) != nil {
		t.Errorf("%+v", r)
	}
	if !signedRight(<-raw, secret) {
		t.Error("the request's Message-Authenticator is not right, or not first")
	}
	if a.Message != "one two" || len(a.State) != tokenserver.MaxState {
		t.Errorf("%q, state of %d octets", a.Message, len(a.State))
	}
	w.must(t, asks(alice, "123456", a.State), tokenserver.Challenged)
	if r := <-got; !bytes.Equal(r.Get(rfc2865.State_Type), bytes.Repeat([]byte{7}, 253)) {
		t.Errorf("State %x", r.Get(rfc2865.State_Type))
	}
	for name, q := range map[string]tokenserver.Query{
		"no passcode": asks(alice, "", nil), "a long one": asks(alice, long+"x", nil), "a NUL": asks(alice, "1\x00", nil), "no name": {Passcode: "123456"},
	} {
		if a, err := w.Check(t.Context(), q); err != nil || a.Outcome != tokenserver.Rejected || len(got) != 0 {
			t.Errorf("%s: %+v, %v; %d packets", name, a, err, len(got))
		}
	}
	for name, state := range map[string][]byte{"empty": {}, "short": {1, 2, 3}, "of another version": append([]byte{9}, a.State[1:]...), "long": append(a.State, 0)} {
		if _, err := w.Check(t.Context(), asks(alice, "123456", state)); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("a state that is %s: %v", name, err)
		}
	}
	v.Servers[0].ID = "its successor"
	w.Set(v, "")
	if _, err := w.Check(t.Context(), asks(alice, "123456", a.State)); sallyport.ErrorCode(err) != sallyport.CodeExpired {
		t.Errorf("a state of a server that is gone: %v", err)
	}
}

func TestOnlyTheAnswerItselfIsTaken(t *testing.T) {
	t.Parallel()
	accept := func(r *radius.Packet) *radius.Packet { return answer(r, radius.CodeAccessAccept) }
	flip := func(at int) func(r *radius.Packet) []byte {
		return func(r *radius.Packet) []byte { b := encoded(t, accept(r), true); b[at] ^= 1; return b }
	}
	for name, c := range map[string]struct {
		send  func(r *radius.Packet) []byte
		words string
	}{
		"nothing":                    {func(*radius.Packet) []byte { return nil }, "does not answer"},
		"noise":                      {func(*radius.Packet) []byte { return []byte("hello") }, "not RADIUS"},
		"another identifier":         {flip(1), "another request"},
		"another verdict":            {flip(0), "shared secret"},
		"another authenticator":      {flip(7), "shared secret"},
		"another signature":          {flip(30), "shared secret"},
		"a length beyond the packet": {func(r *radius.Packet) []byte { b := encoded(t, accept(r), true); return b[:len(b)-1] }, "not RADIUS"},
		"a signature of another": {func(r *radius.Packet) []byte {
			p := accept(r)
			p.Add(rfc2869.MessageAuthenticator_Type, make(radius.Attribute, 16))
			return encoded(t, p, false)
		}, "shared secret"},
		"two signatures": {func(r *radius.Packet) []byte {
			p := accept(r)
			p.Add(rfc2869.MessageAuthenticator_Type, sum(t, p))
			p.Add(rfc2869.MessageAuthenticator_Type, make(radius.Attribute, 16))
			return encoded(t, p, false)
		}, "shared secret"},
		"accounting": {func(r *radius.Packet) []byte { return encoded(t, answer(r, radius.CodeAccountingResponse), true) }, "something else"},
		"an answer under another secret": {func(r *radius.Packet) []byte {
			p := accept(r)
			p.Secret = []byte("another secret")
			return encoded(t, p, true)
		}, "shared secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			v := impatient(of(scripted(t, func(r *radius.Packet, _ []byte) []byte { return c.send(r) })))
			w.Set(v, "")
			a, err := w.Check(t.Context(), asks(alice, "123456", nil))
			if sallyport.ErrorCode(err) != sallyport.CodeUnavailable || a.Outcome != "" {
				t.Fatalf("%+v, %v", a, err)
			}
			if h := w.Health(); !strings.Contains(h[0].Trouble, c.words) {
				t.Errorf("%+v, want %q", h, c.words)
			}
			if _, err := w.Try(t.Context(), v, v.Servers[0], asks(alice, "123456", nil)); !strings.Contains(tokenserver.Words(err), c.words) {
				t.Errorf("try: %v", err)
			}
		})
	}
}

// A wrong datagram from the right address, such as a late answer, does not end the wait for the right one.
func TestTheRightAnswerIsWaitedFor(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	s := scripted(t, func(r *radius.Packet, _ []byte) []byte {
		if n.Add(1) == 1 {
			return []byte("noise")
		}
		return encoded(t, answer(r, radius.CodeAccessReject, radius.Attribute("no")), true)
	})
	w := newWorld()
	v := impatient(of(s))
	v.Tries = 5
	w.Set(v, "")
	if a := w.must(t, asks(alice, "123456", nil), tokenserver.Rejected); a.Message != "no" || n.Load() < 2 {
		t.Errorf("%+v after %d packets", a, n.Load())
	}
}

func TestARetransmissionIsTheSamePacket(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen [][]byte
	s := scripted(t, func(r *radius.Packet, datagram []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if seen = append(seen, datagram); len(seen) < 3 {
			return nil
		}
		return encoded(t, answer(r, radius.CodeAccessAccept), true)
	})
	w := newWorld()
	v := impatient(of(s))
	v.Tries = 5
	w.Set(v, "")
	w.must(t, asks(alice, "123456", nil), tokenserver.Accepted)
	mu.Lock()
	defer mu.Unlock()
	if len(seen) < 3 || !bytes.Equal(seen[0], seen[1]) || !bytes.Equal(seen[1], seen[2]) {
		t.Errorf("%d packets, not the same", len(seen))
	}
}

func TestASiteAsksItsOwnServers(t *testing.T) {
	t.Parallel()
	which := func(id string, sites ...sallyport.SiteID) sallyport.TokenServer {
		s := scripted(t, func(r *radius.Packet, _ []byte) []byte { return encoded(t, answer(r, radius.CodeAccessAccept), true) })
		s.ID, s.Sites = sallyport.TokenServerID(id), sites
		return s
	}
	v := of(which("all"), which("north", "n"), which("both", "s", "n"))
	for site, want := range map[sallyport.SiteID]string{"": "all", "n": "north", "s": "both", "east": "all"} {
		w := newWorld()
		w.Set(v, site)
		if a := w.must(t, asks(alice, "123456", nil), tokenserver.Accepted); string(a.Server) != want {
			t.Errorf("site %q asks %s, want %s", site, a.Server, want)
		}
	}
}

func TestASilentServerIsPassedOverForLongerAndLonger(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := 0
	silent := scripted(t, func(*radius.Packet, []byte) []byte { mu.Lock(); asked++; mu.Unlock(); return nil })
	good := scripted(t, func(r *radius.Packet, _ []byte) []byte { return encoded(t, answer(r, radius.CodeAccessAccept), true) })
	good.ID = "good"
	w := newWorld()
	w.Set(impatient(of(silent, good)), "")
	check := func(want int) {
		t.Helper()
		w.must(t, asks(alice, "123456", nil), tokenserver.Accepted)
		mu.Lock()
		defer mu.Unlock()
		if asked != want {
			t.Errorf("the silent server was sent %d packets, want %d", asked, want)
		}
	}
	check(2)
	check(2)
	for i, wait := range []time.Duration{15, 30, 60, 120, 240, 300, 300} {
		w.clock.forward(wait*time.Second - time.Second)
		check(2 + i)
		w.clock.forward(time.Second)
		check(3 + i) // one packet, not two: it is a trial
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	silent := scripted(t, func(*radius.Packet, []byte) []byte { cancel(); return nil })
	w := newWorld()
	v := of(silent)
	v.Timeout = time.Minute
	w.Set(v, "")
	if _, err := w.Check(ctx, asks(alice, "123456", nil)); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Error(err)
	}
	if h := w.Health(); h[0].Trouble != "" {
		t.Errorf("who went away says that the server failed: %+v", h)
	}
}

func TestNothingIsAskedWithoutServers(t *testing.T) {
	t.Parallel()
	if _, err := newWorld().Check(t.Context(), asks(alice, "123456", nil)); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Error(err)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	s := scripted(t, func(r *radius.Packet, _ []byte) []byte {
		return encoded(t, answer(r, radius.CodeAccessAccept, radius.Attribute(rfc2865.UserPassword_GetString(r))), true)
	})
	w := newWorld()
	w.Set(of(s), "")
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			code := fmt.Sprintf("%06d", i)
			if a, err := w.Check(t.Context(), asks(alice, sallyport.Secret(code), nil)); err != nil || a.Message != code {
				t.Errorf("%s: %+v, %v", code, a, err)
			}
		})
	}
	wg.Wait()
}
