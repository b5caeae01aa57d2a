package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"layeh.com/radius"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/test/pushsim"
)

const (
	wantedHeld   = 10_000
	spare        = 8   // places that an appliance has beside those held: for new logins
	beingBegun   = 128 // held logins that are sent before the push of the first of them is made
	freshAtOnce  = 4
	identifiers  = 256 // of a socket
	wardPassword = "Correct.Horse.1"
)

// measureHeld has one appliance hold pushes, each as an Access-Request that is answered when its user answers, with a
// real token service at the other end of gRPC; and logs in others by password and code meanwhile. FreeRADIUS then
// has the same to do.
func measureHeld(ctx context.Context, b *bench) ([]row, error) {
	held, batch := pick(b, wantedHeld, 500), pick(b, 100, 20)
	got, err := b.hold(ctx, held, batch)
	if err != nil {
		return nil, err
	}
	peer, err := b.holdFreeRADIUS(ctx, held, batch)
	if err != nil {
		return nil, err
	}
	idle, busy := got.idle, got.busy
	return []row{
		{what: fmt.Sprintf("Held pushes: %s on one appliance, resident memory each", count(held)), ours: got.each.String(),
			target: "10,000 held", met: held >= wantedHeld},
		{what: "A new login beside them, by password and code", ours: busy.String(), peer: peer,
			ratio:  fmt.Sprintf("%.2f (p50 to idle)", float64(busy.p50)/float64(idle.p50)),
			target: "as quickly as on an idle one: " + idle.String() + "; no slower than its slowest batch, p50 " + millis(idle.slowest), met: busy.p50 <= idle.slowest},
		{what: "One login more than the limit: refused with its reason in", ours: millis(got.refused), target: "< 100 ms", met: got.refused < 100*time.Millisecond},
		{what: "All of them answered on the phone, as fast as phones and token service go", info: true,
			ours: fmt.Sprintf("%s, from the phone's answer to the gateway's p50 %s, p99 %s", perSecond(got.rate), millis(quantile(got.ends, 0.5)), millis(quantile(got.ends, 0.99)))},
	}, nil
}

// pace is how quickly new logins were answered.
type pace struct {
	rate              float64
	p50, p99, slowest time.Duration // slowest: the p50 of the slowest batch
}

func (p pace) String() string {
	return fmt.Sprintf("%s, p50 %s, p99 %s", perSecond(p.rate), millis(p.p50), millis(p.p99))
}

// holding is what a run gave.
type holding struct {
	each       memory
	idle, busy pace
	refused    time.Duration
	ends       []time.Duration
	rate       float64
}

const freshBatches = 5

// hold is a whole run with held logins, and batches of new ones before and beside them.
func (b *bench) hold(ctx context.Context, held, batch int) (out holding, err error) {
	w, err := b.newWorld(ctx)
	if err != nil {
		return out, err
	}
	defer w.close()
	h, err := w.startWard(ctx, held, 2*freshBatches*batch+2*spare)
	if err != nil {
		return out, err
	}
	defer h.close()
	if _, err := h.fresh(ctx, spare); err != nil { // connections are made, caches are filled
		return out, err
	}
	if out.idle, err = h.batches(ctx, batch); err != nil {
		return out, err
	}
	before, err := h.appliance.collected(ctx)
	if err != nil {
		return out, err
	}
	begun := time.Now()
	if err := h.holdAll(ctx, h.people[:held]); err != nil {
		return out, err
	}
	b.say("%s logins are held after %.0f s", count(held), time.Since(begun).Seconds())
	if out.busy, err = h.batches(ctx, batch); err != nil {
		return out, err
	}
	if out.each, err = h.appliance.grown(ctx, before, held); err != nil {
		return out, err
	}
	b.say("new logins: idle %s, busy %s", out.idle, out.busy)
	if out.refused, err = h.overfill(ctx); err != nil {
		return out, err
	}
	if n := h.answered.Load(); n > 0 {
		return out, fmt.Errorf("%d held logins were answered before their users did", n)
	}
	out.ends, out.rate, err = h.approveAll(ctx)
	return out, err
}

// ward is an appliance whose users log in by RADIUS alone, and the gateway's end of it.
type ward struct {
	*founded
	sim       *pushsim.Sim
	people    []*person
	appliance *child
	radius    string
	clock     time.Time // the appliance's, which stands still
	made      atomic.Int64
	next      int // the person who logs in by code next, and once
	sockets   []net.Conn
	asked     []*asking
	answered  atomic.Int64
}

// asking is a request that is held.
type asking struct {
	who  *person
	wire []byte
	code radius.Code
	at   time.Time // when its answer came
	done chan struct{}
}

// startWard starts everything, with people to be held and others who log in by code.
func (w *world) startWard(ctx context.Context, held, others int) (h *ward, err error) {
	h = &ward{clock: time.Now(), next: held + spare}
	if h.sim, err = pushsim.Start(pushsim.Config{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	tokens, err := w.startTokens(ctx, h.sim)
	if err != nil {
		return nil, err
	}
	_, at, err := w.startCloud(ctx, "cloud", false, tokens.Service)
	if err != nil {
		return nil, err
	}
	h.founded, err = w.found(ctx, "http://"+at.Addr, origin, func(i *sallyport.Integration) {
		i.Experience, i.PasscodeSeparator = sallyport.ExperienceLegacy, ","
	})
	if err != nil {
		return nil, err
	}
	if h.people, err = h.enrol(ctx, held+spare+others, h.sim); err != nil {
		return nil, fmt.Errorf("enrol phones: %w", err)
	}
	w.say("%s phones enrolled", count(len(h.people)))
	if err := h.askPlainly(ctx); err != nil {
		return nil, err
	}
	h.appliance, at, err = w.start(ctx, "appliance", "legacy", legacySettings{h.dir, h.clock, held + spare}, func(line string) {
		if strings.HasPrefix(line, "push ") {
			h.made.Add(1)
		}
	})
	h.radius = at.RADIUS
	return h, err
}

func (h *ward) close() {
	for _, c := range h.sockets {
		_ = c.Close() // its reader ends
	}
	h.sim.Close()
}

// fresh logs people in by password and code, a few at a time.
func (h *ward) fresh(ctx context.Context, n int) ([]time.Duration, error) {
	times := make([]time.Duration, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(freshAtOnce)
	for i := range times {
		p := h.people[h.next]
		h.next++
		g.Go(func() error {
			code, err := deviceproto.TokenCode(p.keys.Seed, h.clock)
			if err != nil {
				return err
			}
			begun := time.Now()
			err = askRADIUS(ctx, h.radius, p.name, wardPassword+","+code)
			times[i] = time.Since(begun)
			return err
		})
	}
	return times, g.Wait()
}

func (h *ward) batches(ctx context.Context, size int) (p pace, err error) {
	var all []time.Duration
	begun := time.Now()
	for range freshBatches {
		times, err := h.fresh(ctx, size)
		if err != nil {
			return p, fmt.Errorf("log in by code: %w", err)
		}
		all = append(all, times...)
		p.slowest = max(p.slowest, quantile(times, 0.5))
	}
	p.rate = float64(len(all)) / time.Since(begun).Seconds()
	p.p50, p.p99 = quantile(all, 0.5), quantile(all, 0.99)
	return p, nil
}

// holdAll begins logins and returns when the push of each is made. What is sent is bounded by what the appliance has taken.
func (h *ward) holdAll(ctx context.Context, people []*person) error {
	before, taken := len(h.asked), h.made.Load()
	for i, p := range people {
		err := until(ctx, startTime, "the appliance takes more", func() (bool, error) { return h.made.Load()-taken > int64(i-beingBegun), nil })
		if err == nil {
			err = h.send(ctx, before+i, p)
		}
		if err != nil {
			return err
		}
	}
	return until(ctx, startTime, "all pushes are made", func() (bool, error) { return h.made.Load()-taken == int64(len(people)), nil })
}

// send sends the request of a login that is held, the nth.
func (h *ward) send(ctx context.Context, n int, p *person) error {
	socket, identifier := n/identifiers, byte(n%identifiers)
	wire, err := accessRequest(p.name, wardPassword, func(p *radius.Packet) { p.Identifier = identifier })
	if err != nil {
		return err
	}
	h.asked = append(h.asked, &asking{who: p, wire: wire, done: make(chan struct{})})
	if socket == len(h.sockets) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "udp", h.radius)
		if err != nil {
			return fmt.Errorf("reach RADIUS server: %w", err)
		}
		h.sockets = append(h.sockets, c)
	}
	if _, err := h.sockets[socket].Write(wire); err != nil {
		return fmt.Errorf("ask RADIUS server: %w", err)
	}
	return nil
}

// listen takes the answers of a socket until it is closed.
func (h *ward) listen(socket int) {
	in := make([]byte, radius.MaxPacketLength)
	for {
		n, err := h.sockets[socket].Read(in)
		if err != nil {
			return
		}
		i := socket*identifiers + int(in[1])
		if n < 20 || i >= len(h.asked) || h.asked[i].code != 0 || !radius.IsAuthenticResponse(in[:n], h.asked[i].wire, []byte(radiusSecret)) {
			continue
		}
		a := h.asked[i]
		a.code, a.at = radius.Code(in[0]), time.Now()
		close(a.done)
		h.answered.Add(1)
	}
}

// overfill holds logins up to the limit and returns how long the refusal of another one takes.
func (h *ward) overfill(ctx context.Context) (time.Duration, error) {
	held := len(h.asked)
	if err := h.holdAll(ctx, h.people[held:held+spare]); err != nil {
		return 0, err
	}
	for socket := range h.sockets { // nothing is sent any more
		go h.listen(socket)
	}
	begun := time.Now()
	err := askRADIUS(ctx, h.radius, h.people[h.next].name, wardPassword)
	took := time.Since(begun)
	if !errors.Is(err, errRefused) {
		return 0, fmt.Errorf("one login more than the limit: %w", err)
	}
	// The line is in the log before the answer is out.
	if !strings.Contains(h.appliance.tail(), "too many logins at a time") {
		return 0, errors.New("the refusal has no line in the log")
	}
	return took, nil
}

// approveAll answers on all phones, and returns how long after each the gateway had its answer.
func (h *ward) approveAll(ctx context.Context) ([]time.Duration, float64, error) {
	var (
		mu    sync.Mutex
		times []time.Duration
	)
	begun := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, a := range h.asked {
		g.Go(func() error {
			err := a.who.approve(ctx, "")
			for try := 1; sallyport.ErrorCode(err) == sallyport.CodeUnavailable && try < 5; try++ { // as a phone does
				pause(ctx, time.Duration(try)*time.Second)
				err = a.who.approve(ctx, "")
			}
			if err != nil {
				return fmt.Errorf("approve: %w", err)
			}
			answered := time.Now()
			select {
			case <-a.done:
			case <-time.After(startTime):
				return fmt.Errorf("%s approved, and the gateway is not answered", a.who.name)
			}
			if a.code != radius.CodeAccessAccept {
				return fmt.Errorf("%s approved, and the gateway hears %v", a.who.name, a.code)
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, max(0, a.at.Sub(answered)))
			return nil
		})
	}
	err := g.Wait()
	return times, float64(len(times)) / time.Since(begun).Seconds(), err
}
