package radiusload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
)

// Load says what to send, and how. Zero values have the defaults named.
type Load struct {
	Address string
	Secret  sallyport.Secret
	Logins  []Login // each is sent once

	Sockets     int     // 4
	Outstanding int     // requests without an answer on each socket, at most 256; 64
	Rate        float64 // requests a second; 0: as many as are answered
	// Patience is how long a request waits before it is sent again, as a gateway would; 1 s. It is
	// sent three times.
	Patience time.Duration
}

// Result is what was measured.
type Result struct {
	Requests   int     `json:"requests"`
	Accepted   int     `json:"accepted"`
	Rejected   int     `json:"rejected"`
	Wrong      int     `json:"wrong"` // answers whose signature does not hold
	Lost       int     `json:"lost"`  // no answer after three times
	WithoutMAC int     `json:"without_message_authenticator"`
	Repeated   int64   `json:"repeated"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"per_second"` // answers
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
}

const attempts = 3

// Prepared is a Load whose packets are made.
type Prepared struct {
	Load
	packets *packets
	micros  []float32 // time to answer of each request; 0: none
}

// Prepare makes the packets.
func Prepare(l Load) (*Prepared, error) {
	if l.Sockets == 0 {
		l.Sockets = 4
	}
	if l.Outstanding == 0 {
		l.Outstanding = 64
	}
	if l.Patience == 0 {
		l.Patience = time.Second
	}
	if l.Outstanding > 256 || len(l.Logins) == 0 {
		return nil, fmt.Errorf("prepare load: %d outstanding, %d logins", l.Outstanding, len(l.Logins))
	}
	p, err := build(l.Logins, l.Secret)
	if err != nil {
		return nil, fmt.Errorf("prepare load: %w", err)
	}
	l.Logins = nil
	return &Prepared{Load: l, packets: p, micros: make([]float32, p.len())}, nil
}

// Run sends everything once and returns when all is answered or lost.
func (p *Prepared) Run(ctx context.Context) (Result, error) {
	var lanes []*lane
	share := (p.packets.len() + p.Sockets - 1) / p.Sockets
	for from := 0; from < p.packets.len(); from += share {
		c, err := net.Dial("udp", p.Address)
		if err != nil {
			return Result{}, fmt.Errorf("reach RADIUS server: %w", err)
		}
		defer func() { _ = c.Close() }()
		_ = c.(*net.UDPConn).SetReadBuffer(4 << 20)
		l := &lane{Prepared: p, conn: c.(*net.UDPConn), next: from, end: min(from+share, p.packets.len())}
		if p.Rate > 0 {
			l.every = time.Duration(float64(time.Second) * float64(p.Sockets) / p.Rate)
		}
		lanes = append(lanes, l)
	}
	begin := time.Now()
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, l := range lanes {
		wg.Go(func() { errs[i] = l.run(ctx) })
	}
	wg.Wait()
	took := time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		return Result{}, fmt.Errorf("run load: %w", err)
	}
	return p.result(lanes, took), nil
}

func (p *Prepared) result(lanes []*lane, took time.Duration) Result {
	t := p.packets.check()
	r := Result{
		Requests: p.packets.len(), Accepted: t.accepted, Rejected: t.rejected, Wrong: t.wrong,
		WithoutMAC: t.withoutMAC, Seconds: took.Seconds(),
	}
	answered := t.accepted + t.rejected + t.wrong
	r.Lost = r.Requests - answered
	r.PerSecond = float64(answered) / took.Seconds()
	for _, l := range lanes {
		r.Repeated += l.repeated.Load()
	}
	times := slices.Clone(p.micros)
	times = slices.DeleteFunc(times, func(m float32) bool { return m == 0 })
	slices.Sort(times)
	if n := len(times); n > 0 {
		r.P50, r.P99 = float64(times[n/2]), float64(times[n*99/100])
	}
	return r
}

// lane is one socket with its share of the packets, next to end.
type lane struct {
	*Prepared
	conn     *net.UDPConn
	next     int
	end      int
	every    time.Duration // between two requests; 0: as fast as answers come
	due      time.Time
	set      time.Time // until when the read deadline is good enough
	slots    [256]slot // by identifier
	open     int
	repeated atomic.Int64
}

type slot struct {
	packet int
	sent   time.Time
	tries  int // 0: free
}

// run is one goroutine for sending and receiving. Identifiers go round, as in the packets.
func (l *lane) run(ctx context.Context) error {
	in := make([]byte, maxPacket)
	l.due = time.Now()
	for l.next < l.end || l.open > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		wait, err := l.fill()
		if err != nil {
			return err
		}
		if err := l.listenFor(wait); err != nil {
			return err
		}
		if err := l.receive(in); err != nil {
			return err
		}
	}
	return nil
}

// listenFor sets the deadline of the next reads. At full load that is not worth doing for each.
func (l *lane) listenFor(wait time.Duration) error {
	now := time.Now()
	if l.every == 0 && now.Before(l.set) {
		return nil
	}
	l.set = now.Add(wait / 2)
	return l.conn.SetReadDeadline(now.Add(wait))
}

// fill sends what may be sent now, and says how long to listen at most.
func (l *lane) fill() (time.Duration, error) {
	for l.next < l.end && l.open < l.Outstanding {
		now := time.Now()
		if l.every > 0 && now.Before(l.due) {
			return l.due.Sub(now), nil
		}
		s := &l.slots[l.packets.at(l.next)[1]]
		if s.tries > 0 {
			break // its identifier is still taken
		}
		if err := l.send(l.next); err != nil {
			return 0, err
		}
		*s = slot{packet: l.next, sent: now, tries: 1}
		l.open++
		l.next++
		l.due = l.due.Add(l.every)
	}
	return l.Patience / 8, nil
}

func (l *lane) send(packet int) error {
	_, err := l.conn.Write(l.packets.at(packet))
	return err
}

// receive takes answers in until there is room to send, or time is up.
func (l *lane) receive(in []byte) error {
	for {
		n, err := l.conn.Read(in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.set = time.Time{}
			return l.repeat()
		case err != nil:
			return err
		case n < headerSize:
			continue
		}
		s := &l.slots[in[1]]
		if s.tries == 0 {
			continue // the answer to a repetition
		}
		l.packets.keep(s.packet, in[:n])
		l.micros[s.packet] = float32(time.Since(s.sent).Nanoseconds()) / 1000
		s.tries = 0
		l.open--
		if l.every == 0 && l.next < l.end && l.slots[l.packets.at(l.next)[1]].tries == 0 || l.open == 0 {
			return nil
		}
	}
}

// repeat sends again what has waited too long.
func (l *lane) repeat() error {
	for i := range l.slots {
		s := &l.slots[i]
		if s.tries == 0 || time.Since(s.sent) < time.Duration(s.tries)*l.Patience {
			continue
		}
		if s.tries++; s.tries > attempts {
			s.tries = 0
			l.open--
			continue
		}
		l.repeated.Add(1)
		if err := l.send(s.packet); err != nil {
			return err
		}
	}
	return nil
}
