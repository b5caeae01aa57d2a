package legacy_test

import (
	"bytes"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/legacy"
	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// asks sends a request and returns a channel with its answer.
func asks(g *gateway, r []byte) chan *wire.Packet {
	ch := make(chan *wire.Packet, 1)
	g.send(r)
	go func() {
		p, err := g.await(r)
		if err != nil {
			g.t.Error(err)
			p = wire.New(0, nil)
		}
		ch <- p
	}()
	return ch
}

func TestOneIntentIsOnePushOnAllAppliances(t *testing.T) {
	w := newWorld(t)
	a, b := w.appliance(), w.appliance()
	first := request(t, "alice", password, nil)
	g := a.gateway(t)
	answers := []chan *wire.Packet{asks(g, first)}
	w.push(1)
	for range 3 {
		g.send(first) // repeated: the first one's answer is its answer
	}
	for _, other := range []*appliance{a, b, b} { // a new packet, and the second server of the pool
		answers = append(answers, asks(other.gateway(t), request(t, "alice", password, nil)))
	}
	eventually(t, "all have joined", func() bool { return a.door.Stats().Joined+b.door.Stats().Joined >= 3 })
	w.answer(1, sallyport.DecisionApprove, "")
	for _, ch := range answers {
		want(t, <-ch, wire.CodeAccessAccept, "")
	}
	if w.hub.pushes() != 1 || w.binds.Load() != 1 {
		t.Errorf("%d pushes, %d binds", w.hub.pushes(), w.binds.Load())
	}
	if !a.log.has("gateway asks again before it was answered") {
		t.Error("nothing says that the gateway's timeout is too short")
	}
	g.send(first)
	again := g.answer(first)
	want(t, again, wire.CodeAccessAccept, "")
}

func TestJoiningWhileTheDirectoryIsAskedCountsThePasswordOnce(t *testing.T) {
	w := newWorld(t)
	w.slow = make(chan struct{})
	a, b := w.appliance(), w.appliance()
	one := asks(a.gateway(t), request(t, "alice", "wrong", nil))
	eventually(t, "the directory is asked", func() bool { return w.binds.Load() == 1 })
	two, three := asks(a.gateway(t), request(t, "alice", "wrong", nil)), asks(b.gateway(t), request(t, "alice", "wrong", nil))
	eventually(t, "both have joined", func() bool { return a.door.Stats().Joined == 1 && b.door.Stats().Joined == 1 })
	close(w.slow)
	for _, ch := range []chan *wire.Packet{one, two, three} {
		want(t, <-ch, wire.CodeAccessReject, "Login failed.")
	}
	if w.binds.Load() != 1 {
		t.Errorf("%d binds", w.binds.Load())
	}
}

func TestAnotherIntentIsAnotherLogin(t *testing.T) {
	w := newWorld(t)
	g := w.appliance().gateway(t)
	for n, r := range [][]byte{
		request(t, "alice", password, nil),
		request(t, "alice", password, nil, func(p *wire.Packet) { check(t, rfc2865.CallingStationID_SetString(p, "198.51.100.9")) }),
		request(t, "bob", password, nil),
		request(t, "alice", "any:other", nil),
	} {
		g.send(r)
		w.push(n + 1)
		w.answer(n+1, sallyport.DecisionDeny, "")
		want(t, g.answer(r), wire.CodeAccessReject, "refused on the phone")
	}
}

func TestNotMeStopsRetriesFromAskingAgain(t *testing.T) {
	w := newWorld(t)
	a, b := w.appliance(), w.appliance()
	ch := asks(a.gateway(t), request(t, "alice", password, nil))
	w.answer(1, sallyport.DecisionNotMe, "")
	want(t, <-ch, wire.CodeAccessReject, "refused on the phone")
	for _, at := range []time.Duration{0, 30 * time.Second, 110 * time.Second} {
		w.skew.Store(int64(at))
		for _, x := range []*appliance{a, b} {
			want(t, x.gateway(t).ask("alice", password, nil), wire.CodeAccessReject, "refused on the phone")
		}
	}
	if w.hub.pushes() != 1 || w.binds.Load() != 1 {
		t.Errorf("%d pushes, %d binds", w.hub.pushes(), w.binds.Load())
	}
	w.skew.Store(int64(3 * time.Minute)) // another intent by now, but no push for half an hour: a code is asked for
	want(t, a.gateway(t).ask("alice", password, nil), wire.CodeAccessChallenge, "Your phone is not asked for a while. Type the code that the app shows.")
	if w.hub.pushes() != 1 {
		t.Errorf("%d pushes", w.hub.pushes())
	}
	w.skew.Store(int64(31 * time.Minute))
	ch = asks(a.gateway(t), request(t, "alice", password, nil))
	w.answer(2, sallyport.DecisionDeny, "")
	want(t, <-ch, wire.CodeAccessReject, "")
}

// An answer that got lost is given again to who asks at once; later, the user is asked again.
func TestAGrantIsGivenAgainForSecondsAndToTheSamePlaceOnly(t *testing.T) {
	nowhere := func(p *wire.Packet) { p.Del(rfc2865.CallingStationID_Type) }
	w := newWorld(t)
	a, b := w.appliance(), w.appliance()
	ch := asks(a.gateway(t), request(t, "alice", password, nil))
	w.answer(1, sallyport.DecisionApprove, "")
	want(t, <-ch, wire.CodeAccessAccept, "")
	want(t, b.gateway(t).ask("alice", password, nil), wire.CodeAccessAccept, "")
	w.skew.Store(int64(6 * time.Second))
	ch = asks(b.gateway(t), request(t, "alice", password, nil))
	w.answer(2, sallyport.DecisionDeny, "")
	want(t, <-ch, wire.CodeAccessReject, "")
	ch = asks(a.gateway(t), request(t, "alice", password, nil, nowhere))
	w.answer(3, sallyport.DecisionApprove, "")
	want(t, <-ch, wire.CodeAccessAccept, "")
	ch = asks(b.gateway(t), request(t, "alice", password, nil, nowhere))
	w.answer(4, sallyport.DecisionDeny, "")
	want(t, <-ch, wire.CodeAccessReject, "")
}

func TestAnyApplianceGoesOnWhenTheOneThatAskedIsGone(t *testing.T) {
	for name, matching := range map[string]bool{"challenge": true, "held push": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.people.set(func(p *people) { p.matching = matching })
			a, b := w.appliance(func(_ *legacy.Options, o *radius.Options) { o.Deadline = time.Millisecond }), w.appliance()
			if !matching {
				g := a.gateway(t)
				g.send(request(t, "alice", password, nil))
				w.push(1)
				eventually(t, "the push is held", func() bool { return a.log.has("push asked for") })
				a.end()
				if g.receive(hush) != nil {
					t.Error("the appliance that ended has answered for the user")
				}
				ch := asks(b.gateway(t), request(t, "alice", password, nil))
				w.answer(1, sallyport.DecisionApprove, "")
				want(t, <-ch, wire.CodeAccessAccept, "")
				return
			}
			p := a.gateway(t).ask("alice", password, nil)
			want(t, p, wire.CodeAccessChallenge, "")
			a.end()
			w.answer(1, sallyport.DecisionApprove, regexp.MustCompile(`[0-9]{2}`).FindString(rfc2865.ReplyMessage_GetString(p)))
			want(t, b.gateway(t).ask("alice", "", rfc2865.State_Get(p)), wire.CodeAccessAccept, "")
		})
	}
}

func TestStatesThatWereUsedEditedForeignOrOldAreRefused(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.temporary = "12345678" })
	other := w.vpn
	other.ID, other.Nickname = "vpn2", "Other VPN"
	a := w.appliance()
	b := w.appliance(func(_ *legacy.Options, o *radius.Options) { o.Integrations = []sallyport.Integration{other} })
	g := a.gateway(t)
	challenge := func() []byte {
		p := g.ask("alice", password, nil)
		want(t, p, wire.CodeAccessChallenge, "")
		return rfc2865.State_Get(p)
	}
	again := "cannot be continued"
	state := challenge()
	for i := range state {
		edited := bytes.Clone(state)
		edited[i] ^= 1
		want(t, g.ask("alice", "12345678", edited), wire.CodeAccessReject, again)
	}
	want(t, g.ask("alice", "12345678", state[:len(state)-1]), wire.CodeAccessReject, again)
	want(t, g.ask("alice", "12345678", []byte{7}), wire.CodeAccessReject, again)
	want(t, g.ask("bob", "12345678", state), wire.CodeAccessReject, again)
	want(t, b.gateway(t).ask("alice", "12345678", state), wire.CodeAccessReject, again)
	if a.log.has("passcode refused") {
		t.Error("a code was looked at")
	}
	want(t, g.ask("alice", "00000000", state), wire.CodeAccessChallenge, "not right")
	want(t, g.ask("alice", "12345678", state), wire.CodeAccessReject, again)
	if !a.log.has("the State was used before, with another answer") {
		t.Errorf("log:\n%s", a.log)
	}
	state = challenge()
	w.skew.Store(int64(login.Life + 2*time.Minute))
	want(t, g.ask("alice", "12345678", state), wire.CodeAccessReject, "took too long")
}

func TestTheSameAnswerThroughTwoServersIsOneStep(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.temporary = "12345678" })
	a, b := w.appliance(), w.appliance()
	p := a.gateway(t).ask("alice", password, nil)
	state := rfc2865.State_Get(p)
	code := w.code()
	var answers []chan *wire.Packet
	for n := range 10 {
		answers = append(answers, asks([]*appliance{a, b}[n%2].gateway(t), request(t, "alice", code, state)))
	}
	for _, ch := range answers {
		want(t, <-ch, wire.CodeAccessAccept, "")
	}
}

func TestWhoBeginsAgainAfterAnAnswerBeginsAnotherLogin(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.matching = true })
	g := w.appliance().gateway(t)
	p := g.ask("alice", password, nil)
	w.answer(1, sallyport.DecisionApprove, "09")
	want(t, g.ask("alice", "", rfc2865.State_Get(p)), wire.CodeAccessReject, "Another number")
	want(t, g.ask("alice", password, nil), wire.CodeAccessChallenge, "")
	if w.hub.pushes() != 2 {
		t.Errorf("%d pushes", w.hub.pushes())
	}
}

func TestTenThousandHeldPushesAndANewLoginIsAnsweredAtOnce(t *testing.T) {
	const held = 10_000
	w := newWorld(t)
	w.vpn.PasscodeSeparator = ","
	noon := time.Now()
	w.frozen = &noon // however long this machine takes, nobody's time is up
	a := w.appliance(func(l *legacy.Options, _ *radius.Options) { l.MostWaiting, l.Hold = held+1, 20*time.Minute })
	g := a.gateway(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range held {
		g.send(request(t, "user"+strconv.Itoa(n), password, nil))
		if n%100 == 99 { // the directory is asked for each; a burst of all would overrun the socket
			eventually(t, "these are held", func() bool { return w.hub.pushes() > n-50 })
		}
	}
	eventually(t, "all are held", func() bool { return w.hub.pushes() == held })
	for range 4 { // stacks shrink by half each time
		runtime.GC()
	}
	runtime.ReadMemStats(&after)
	t.Logf("%d octets of heap and stacks for each held login", (int64(after.HeapAlloc+after.StackInuse)-int64(before.HeapAlloc+before.StackInuse))/held)
	begun := time.Now()
	fresh := a.gateway(t)
	want(t, fresh.ask("alice", password+","+w.code(), nil), wire.CodeAccessAccept, "")
	t.Logf("a login by code took %v beside %d held ones", time.Since(begun), held)
	fresh.send(request(t, "one-more", password, nil))
	w.push(held + 1)
	// Above the limit: an honest answer, at once, without the directory.
	binds := w.binds.Load()
	want(t, fresh.ask("too-many", password, nil), wire.CodeAccessReject, "Too many people are logging in")
	if w.binds.Load() != binds || a.door.Stats().Busy != 1 || !a.log.has("too many logins at a time") {
		t.Errorf("%d binds, %+v", w.binds.Load()-binds, a.door.Stats())
	}
	for n := range held + 1 {
		w.answer(n+1, sallyport.DecisionApprove, "")
	}
	eventually(t, "all are answered", func() bool { return a.Stats().Accepted == held+2 })
	eventually(t, "nothing is left", func() bool { return a.door.Stats().Waiting == 0 })
}

func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t)
	a := w.appliance(func(l *legacy.Options, _ *radius.Options) { l.Hold = 10 * time.Millisecond })
	want(t, a.gateway(t).ask("alice", password, nil), wire.CodeAccessReject, "Nobody answered on the phone in time.")
	if w.hub.ends() != 1 || !a.log.has("raise the gateway's RADIUS timeout") {
		t.Errorf("%d cancelled\n%s", w.hub.ends(), a.log)
	}
}
