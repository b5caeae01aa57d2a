package claims

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

var enterpriseKey = sallyport.Key("the key of the enterprise, 32 oct")

// member is an appliance with a link to its peers.
type member struct {
	*Claimer
	link *PeerLink
	log  *lockedBuffer
	stop func()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const beat = 700 * time.Millisecond // three are longer than a claim waits

// enterprise starts one appliance for each cloud (nil: cut off); they know each other.
func enterprise(t testing.TB, clouds ...Cloud) []*member {
	t.Helper()
	var all []*member
	var peers []Peer
	for i, c := range clouds {
		id := sallyport.ApplianceID(fmt.Sprintf("appliance-%d", i))
		m := &member{log: &lockedBuffer{}}
		log := slog.New(slog.NewTextHandler(m.log, nil))
		link, err := ListenPeers(LinkOptions{Appliance: id, Key: enterpriseKey, Address: "127.0.0.1:0", Log: log, Beat: beat})
		if err != nil {
			t.Fatal(err)
		}
		m.link = link
		m.Claimer = New(Options{Appliance: id, Cloud: c, Peers: link, Log: log, CloudTimeout: 300 * time.Millisecond})
		peers = append(peers, Peer{Appliance: id, Address: link.Addr().String()})
		all = append(all, m)
	}
	for _, m := range all {
		m.link.SetPeers(peers)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.link.Serve(ctx, m.Claimer) }()
		m.stop = sync.OnceFunc(func() {
			m.Close()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(m.stop)
	}
	return all
}

func (m *member) claim(t testing.TB, key int, who string) bool {
	t.Helper()
	ok, err := m.ClaimAs(context.Background(), keyNo(key), owner(who), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestCutOffAppliancesAgreeOverTheNetwork(t *testing.T) {
	cut := newCloud()
	cut.cut.Store(true)
	all := enterprise(t, cut, cut)
	for i := range 20 {
		if n := race(t, 100, keyNo(i), all[0].Claimer, all[1].Claimer); n != 1 {
			t.Errorf("key %d: %d are first", i, n)
		}
	}
	if all[0].claim(t, 100, "x") != true || all[1].claim(t, 100, "y") != false || all[1].claim(t, 100, "x") != true {
		t.Error("one after the other")
	}
	if s := all[0].log.String() + all[1].log.String(); strings.Contains(s, "decided alone") {
		t.Errorf("log:\n%s", s)
	}
}

func TestThousandsOfKeysOnTwoCutOffAppliancesNeverHaveTwoWinners(t *testing.T) {
	cut := newCloud()
	cut.cut.Store(true)
	all := enterprise(t, cut, cut)
	const keys = 2000 // more at once than a slow machine answers in time
	var first, busy [keys]atomic.Int32
	var wg sync.WaitGroup
	for i := range keys {
		for n, m := range all {
			wg.Go(func() {
				switch ok, err := m.ClaimAs(context.Background(), keyNo(i), owner(fmt.Sprint(n, i)), time.Minute); {
				case ok:
					first[i].Add(1)
				case errors.Is(err, ErrBusy):
					busy[i].Add(1)
				case err != nil:
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for i := range keys {
		if n := first[i].Load(); n > 1 || n == 0 && busy[i].Load() == 0 {
			t.Fatalf("key %d has %d winners; %d were decided alone", i, n,
				strings.Count(all[0].log.String()+all[1].log.String(), "decided alone"))
		}
	}
}

func TestPeerWithTheCloudClaimsForTheOneWithout(t *testing.T) {
	up, cut := newCloud(), newCloud()
	cut.cut.Store(true)
	all := enterprise(t, up, cut, up)
	if !all[1].claim(t, 1, "x") {
		t.Fatal("first is refused")
	}
	if n := up.held(); n != 1 {
		t.Errorf("%d claims in the cloud", n)
	}
	if all[2].claim(t, 1, "y") || all[0].claim(t, 1, "y") {
		t.Error("second is accepted where the cloud is")
	}
	if !all[2].claim(t, 2, "x") || all[1].claim(t, 2, "y") {
		t.Error("second is accepted where the cloud is not")
	}
}

func TestWinnerTellsPeersThatAreCutOffLater(t *testing.T) {
	up, second := newCloud(), newCloud()
	all := enterprise(t, up, second)
	if !all[0].claim(t, 1, "x") {
		t.Fatal("first is refused")
	}
	folded := fold(keyNo(1))
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if all[1].mem.size() == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the peer was not told")
		}
	}
	second.cut.Store(true)
	all[0].stop() // nobody is left to be asked
	if all[1].claim(t, 1, "y") {
		t.Errorf("%x is accepted twice", folded)
	}
}

func TestAllPeersOutOfReachIsDecidedAloneAndLogged(t *testing.T) {
	cut := newCloud()
	cut.cut.Store(true)
	all := enterprise(t, cut, cut)
	peer := (*all[0].link.peers.Load())[0]
	for end := time.Now().Add(10 * time.Second); !peer.heard.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the peer does not beat")
		}
	}
	all[1].stop()
	refused := 0
	for end := time.Now().Add(10 * time.Second); ; refused++ {
		first, err := all[0].Claim(context.Background(), keyNo(refused), time.Minute)
		if first {
			break
		}
		if !errors.Is(err, ErrBusy) || time.Now().After(end) {
			t.Fatalf("claim %d: %v", refused, err)
		}
	}
	if refused == 0 {
		t.Error("decided alone although the peer was there a moment ago")
	}
	if all[0].claim(t, refused, "y") {
		t.Error("accepted twice")
	}
	if n := strings.Count(all[0].log.String(), "all peers out of reach"); n != 1 {
		t.Errorf("log:\n%s", all[0].log)
	}
}

func TestRecordedDatagramsAreOfNoUse(t *testing.T) {
	now := time.Now()
	all := enterprise(t, nil, nil)
	target := all[0].link
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ask := func(edit func(*peerMessage), key sallyport.Key) []byte {
		m := peerMessage{Kind: kindAsk, ID: id{1}, Sent: now.UnixMilli(), From: "appliance-1", To: "appliance-0",
			Ask: &wireAsk{Key: fold(keyNo(1)), Owner: fold(owner("x")), TTL: 60_000}}
		edit(&m)
		box, err := m.seal(key)
		if err != nil {
			t.Fatal(err)
		}
		return box
	}
	nothing := func(*peerMessage) {}
	good := ask(nothing, target.key)
	edited := bytes.Clone(good)
	edited[20] ^= 1
	for name, b := range map[string][]byte{
		"old":                ask(func(m *peerMessage) { m.Sent -= (peerFreshness + time.Second).Milliseconds() }, target.key),
		"future":             ask(func(m *peerMessage) { m.Sent += (peerFreshness + time.Minute).Milliseconds() }, target.key),
		"for somebody else":  ask(func(m *peerMessage) { m.To = "appliance-1" }, target.key),
		"another enterprise": ask(nothing, sealed.Derive([]byte("another"), nil, peerInfo, 32)),
		"edited":             edited,
		"cut":                good[:len(good)-1],
		"empty":              {},
	} {
		if a := roundTrip(t, c, b, 50*time.Millisecond); a != nil {
			t.Errorf("%s: answered", name)
		}
	}
	if n := all[0].mem.size(); n != 0 {
		t.Fatalf("%d claims made by datagrams that must not count", n)
	}
	first := roundTrip(t, c, good, 5*time.Second)
	if first == nil || !bytes.Equal(roundTrip(t, c, good, 5*time.Second), first) {
		t.Error("a repeated ask is answered anew, or not")
	}
	if all[0].claim(t, 1, "y") {
		t.Error("what was given to a peer is won here")
	}
}

func roundTrip(t *testing.T, c *net.UDPConn, b []byte, patience time.Duration) []byte {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 2000)
	n, err := c.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

func TestOwnListingAmongPeersIsLeftOut(t *testing.T) {
	l, err := ListenPeers(LinkOptions{Appliance: "a", Key: enterpriseKey, Address: "127.0.0.1:0",
		Peers: []Peer{{"a", "127.0.0.1:1"}, {"b", "127.0.0.1:2"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if l.Len() != 1 {
		t.Errorf("%d peers", l.Len())
	}
}

func TestFullMessagesFitADatagram(t *testing.T) {
	long := sallyport.ApplianceID(strings.Repeat("a", 64))
	all := id{255, 255, 255}
	ask := Ask{Key: all, Owner: all, TTL: MaxTTL}
	for range 2 * maxYielded {
		ask.Yielded = append(ask.Yielded, Yielded{Owner: all, Appliance: long})
	}
	won := make([]wireWon, wonPerMessage)
	for i := range won {
		won[i] = wireWon{Key: all, Owner: all, Left: MaxTTL.Milliseconds()}
	}
	key := sealed.Derive(enterpriseKey, nil, peerInfo, 32)
	for _, m := range []peerMessage{{Kind: kindAsk, Ask: ask.wire()}, {Kind: kindWon, Won: won}} {
		m.ID, m.From, m.To, m.Sent = all, long, long, time.Now().UnixMilli()
		box, err := m.seal(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openPeerMessage(key, box, time.Now()); err != nil {
			t.Error(err)
		}
	}
}

func FuzzPeerMessage(f *testing.F) {
	key := sealed.Derive(enterpriseKey, nil, peerInfo, 32)
	now := time.Unix(1_800_000_000, 0)
	for _, s := range []string{
		`{}`, `[]`, `{"kind":"ask"}`, `{"kind":"answer","id":"AAAAAAAAAAAAAAAAAAAAAA","sent":1800000000000,"from":"a","to":"b"}`,
		`{"kind":"ask","id":"AQAAAAAAAAAAAAAAAAAAAA","sent":1800000000000,"from":"a","to":"b","ask":{"key":"AQAAAAAAAAAAAAAAAAAAAA","owner":"AQAAAAAAAAAAAAAAAAAAAA","ttl":60000,"yielded":[{"owner":"AQAAAAAAAAAAAAAAAAAAAA","appliance":"c"}]}}`,
		`{"kind":"won","id":"AQAAAAAAAAAAAAAAAAAAAA","sent":1800000000000,"from":"a","to":"b","won":[{"k":"AQAAAAAAAAAAAAAAAAAAAA","o":"AQAAAAAAAAAAAAAAAAAAAA","t":-9223372036854775808}]}`,
	} {
		f.Add([]byte(s))
	}
	// What is inside a genuine box may still be wrong: the fuzzer writes it, the key is ours.
	f.Fuzz(func(t *testing.T, plain []byte) {
		c := New(Options{Appliance: "b", Capacity: 64})
		m, err := openPeerMessage(key, sealed.Seal(key, plain, []byte(peerInfo)), now)
		if err != nil {
			if !errors.Is(err, errPeerForm) && !errors.Is(err, errPeerStale) {
				t.Fatal(err)
			}
			return
		}
		switch m.Kind {
		case kindAsk:
			c.AnswerPeer(context.Background(), m.From, m.Ask.ask())
		case kindWon:
			for _, w := range m.Won {
				c.HearWon(Won{Key: w.Key, Owner: w.Owner, Expires: c.opts.Now().Add(min(time.Duration(w.Left)*time.Millisecond, MaxTTL))})
			}
		}
		if c.mem.size() > 64 {
			t.Fatal("memory is not bounded")
		}
	})
}
