package harness

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Balancer spreads TCP connections over servers, one after the other, and passes over
// those that do not take a connection: what a load balancer in front of replicas does.
type Balancer struct {
	ln net.Listener

	mu     sync.Mutex
	next   int
	all    []string
	conns  map[net.Conn]struct{}
	closed bool
	tap    io.Writer
	wg     sync.WaitGroup
}

// StartBalancer starts a balancer in front of servers (host:port).
func StartBalancer(tb testing.TB, servers ...string) *Balancer {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen for balancer: %v", err)
	}
	b := &Balancer{ln: ln, all: servers, conns: map[net.Conn]struct{}{}}
	b.wg.Add(1)
	go b.accept()
	tb.Cleanup(b.close)
	return b
}

// Addr returns host:port to dial.
func (b *Balancer) Addr() string { return b.ln.Addr().String() }

// Port returns the port of Addr.
func (b *Balancer) Port() int { return b.ln.Addr().(*net.TCPAddr).Port }

// Servers replaces the servers for new connections; none: all are refused.
func (b *Balancer) Servers(servers ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = servers
}

// Cut resets every connection that runs.
func (b *Balancer) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		reset(c)
	}
}

// Record writes everything that passes from now on, in both directions, to w as well;
// one Write at a time. nil ends it.
func (b *Balancer) Record(w io.Writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tap = w
}

func (b *Balancer) close() {
	_ = b.ln.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.conns {
		reset(c)
	}
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *Balancer) accept() {
	defer b.wg.Done()
	for {
		c, err := b.ln.Accept()
		if err != nil {
			return
		}
		if !b.track(c) {
			continue
		}
		b.wg.Add(1)
		go b.serve(c)
	}
}

func (b *Balancer) track(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		reset(c)
		return false
	}
	b.conns[c] = struct{}{}
	return true
}

func (b *Balancer) forget(c net.Conn) {
	_ = c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

func (b *Balancer) serve(c net.Conn) {
	defer b.wg.Done()
	defer b.forget(c)
	up := b.dial()
	if up == nil {
		reset(c)
		return
	}
	if !b.track(up) {
		return
	}
	defer b.forget(up)
	back := make(chan struct{})
	go func() {
		defer close(back)
		b.copy(c, up)
	}()
	b.copy(up, c)
	<-back
}

// dial connects to the first server, from the next one in turn on, that takes it.
func (b *Balancer) dial() net.Conn {
	b.mu.Lock()
	b.next++
	first, all := b.next, append([]string(nil), b.all...)
	b.mu.Unlock()
	for i := range all {
		c, err := net.DialTimeout("tcp", all[(first+i)%len(all)], time.Second)
		if err == nil {
			return c
		}
	}
	return nil
}

func (b *Balancer) copy(dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			b.mu.Lock()
			if b.tap != nil {
				_, _ = b.tap.Write(buf[:n]) // a test's own memory
			}
			b.mu.Unlock()
			if _, werr := dst.Write(buf[:n]); werr != nil {
				reset(src)
				return
			}
		}
		if err == nil {
			continue
		}
		if t, ok := dst.(*net.TCPConn); ok && err == io.EOF {
			_ = t.CloseWrite()
			return
		}
		reset(dst)
		return
	}
}
