package harness

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy on loopback in front of one address, whose network can be
// made to misbehave while connections run through it.
type Proxy struct {
	target string
	ln     net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	delay  time.Duration
	hole   bool
	refuse bool
	total  int
	lift   chan struct{} // closed when a black hole is lifted
	closed bool
	tap    io.Writer
	wg     sync.WaitGroup
}

// StartProxy starts a proxy that passes on to target (host:port).
func StartProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen for proxy: %v", err)
	}
	p := &Proxy{target: target, ln: ln, conns: map[net.Conn]struct{}{}, lift: make(chan struct{})}
	p.wg.Add(1)
	go p.accept()
	tb.Cleanup(p.close)
	return p
}

// Addr returns host:port to dial instead of the target.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Port returns the port of Addr.
func (p *Proxy) Port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// Delay holds every piece of data back for d, in both directions.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// BlackHole makes the proxy take connections and data and pass nothing on, as a
// firewall that drops packets does. Lifted, the data held back goes on its way.
func (p *Proxy) BlackHole(on bool) {
	p.set(func() {
		if p.hole && !on {
			close(p.lift)
			p.lift = make(chan struct{})
		}
		p.hole = on
	})
}

// Refuse makes the proxy reset new connections; those that run stay.
func (p *Proxy) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// Cut resets every connection that runs; new ones are taken.
func (p *Proxy) Cut() {
	p.set(func() {
		for c := range p.conns {
			reset(c)
		}
	})
}

// Retarget passes new connections on to another address.
func (p *Proxy) Retarget(addr string) { p.set(func() { p.target = addr }) }

// Record writes everything that passes from now on, in both directions, to w as well;
// one Write at a time. nil ends it.
func (p *Proxy) Record(w io.Writer) { p.set(func() { p.tap = w }) }

// Connections returns how many connections were ever taken.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Open returns how many connections, to it and from it, stand now.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *Proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *Proxy) close() {
	_ = p.ln.Close()
	p.set(func() {
		p.closed = true
		close(p.lift)
		for c := range p.conns {
			reset(c)
		}
	})
	p.wg.Wait()
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		if !p.track(c, true) {
			continue
		}
		p.wg.Add(1)
		go p.serve(c)
	}
}

// track remembers a connection so that Cut and close reach it; false: it was ended.
func (p *Proxy) track(c net.Conn, fresh bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fresh {
		p.total++
	}
	if p.closed || (fresh && p.refuse) {
		reset(c)
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) forget(c net.Conn) {
	_ = c.Close()
	p.set(func() { delete(p.conns, c) })
}

func (p *Proxy) serve(c net.Conn) {
	defer p.wg.Done()
	defer p.forget(c)
	if !p.pass() {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	up, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		reset(c)
		return
	}
	if !p.track(up, false) {
		return
	}
	defer p.forget(up)
	back := make(chan struct{})
	go func() {
		defer close(back)
		p.copy(c, up)
	}()
	p.copy(up, c)
	<-back
}

// copy passes data on piece by piece until either end is done, then says so to the other.
func (p *Proxy) copy(dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if !p.pass() {
				return
			}
			p.set(func() {
				if p.tap != nil {
					_, _ = p.tap.Write(buf[:n]) // a test's own memory
				}
			})
			if _, werr := dst.Write(buf[:n]); werr != nil {
				reset(src)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if t, ok := dst.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
			return
		case err != nil:
			reset(dst)
			return
		}
	}
}

// pass waits as long as the network is to hold data back; false: the proxy closes.
func (p *Proxy) pass() bool {
	for {
		p.mu.Lock()
		d, hole, lift, closed := p.delay, p.hole, p.lift, p.closed
		p.mu.Unlock()
		switch {
		case closed:
			return false
		case hole:
			<-lift
		case d > 0:
			t := time.NewTimer(d)
			defer t.Stop()
			<-t.C
			return true
		default:
			return true
		}
	}
}

// reset closes a connection the hard way, so that the other end hears of it at once.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
