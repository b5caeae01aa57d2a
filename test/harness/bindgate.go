package harness

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// HoldPoint is where a BindGate holds a bind up.
type HoldPoint int

const (
	// HoldBind keeps the bind from the controller.
	HoldBind HoldPoint = iota
	// HoldAnswer lets the controller see and count the bind, and keeps back what it says.
	HoldAnswer
)

// BindGate stands between appliances and the domain controller, with the controller's own certificate,
// so that it sees inside of LDAPS which passwords are checked. It counts the binds (RFC 4511 section 4.2)
// of every DN, and holds those of a DN up when it is told to.
type BindGate struct {
	ln   net.Listener
	dial func() (net.Conn, error)

	mu     sync.Mutex
	holds  map[string]hold // by DN, in lower case
	counts map[string]int
	held   map[string]int
	conns  map[net.Conn]struct{}
	over   bool
	wg     sync.WaitGroup
}

type hold struct {
	dn     string
	at     HoldPoint
	lifted chan struct{}
}

// StartBindGate starts a gate in front of the controller.
func (s *Samba) StartBindGate(tb testing.TB) *BindGate {
	tb.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "tls", "cert.pem"), filepath.Join(s.dir, "tls", "key.pem"))
	if err != nil {
		tb.Fatalf("load the controller's certificate: %v", err)
	}
	up := &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	g := &BindGate{
		dial:  func() (net.Conn, error) { return tls.Dial("tcp", s.Addr(), up) },
		holds: map[string]hold{}, counts: map[string]int{}, held: map[string]int{}, conns: map[net.Conn]struct{}{},
	}
	if g.ln, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}); err != nil {
		tb.Fatalf("listen for bind gate: %v", err)
	}
	g.wg.Go(g.accept)
	tb.Cleanup(g.close)
	return g
}

// Addr returns host:port to dial instead of the controller.
func (g *BindGate) Addr() string { return g.ln.Addr().String() }

// Hold holds every bind of dn up from now on, until the function returned is called.
func (g *BindGate) Hold(dn string, at HoldPoint) (lift func()) {
	dn = strings.ToLower(dn)
	h := hold{dn, at, make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds[dn] = h
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.holds, dn)
		close(h.lifted)
	})
}

// Binds returns how many binds of dn have come.
func (g *BindGate) Binds(dn string) int { return g.read(g.counts, dn) }

// Held returns how many binds of dn, or answers to them, are held up now while the sender waits.
func (g *BindGate) Held(dn string) int { return g.read(g.held, dn) }

func (g *BindGate) read(m map[string]int, dn string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return m[strings.ToLower(dn)]
}

func (g *BindGate) accept() {
	for {
		c, err := g.ln.Accept()
		if err != nil {
			return
		}
		g.wg.Go(func() { g.serve(c) })
	}
}

func (g *BindGate) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	up, err := g.dial()
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	if !g.track(c, up) {
		return
	}
	defer g.forget(c, up)
	w := &wire{gate: g, client: c, server: up, asked: make(chan []byte, maxAhead), gone: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(w.listen)
	all.Go(w.ask)
	all.Go(w.answer)
	all.Wait()
}

// track remembers connections so that close reaches them; false: the gate is closed.
func (g *BindGate) track(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		g.conns[c] = struct{}{}
	}
	return !g.over
}

func (g *BindGate) forget(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		delete(g.conns, c)
	}
}

func (g *BindGate) close() {
	_ = g.ln.Close()
	g.mu.Lock()
	g.over = true
	for c := range g.conns {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.wg.Wait()
}

// arrived counts a bind and returns how it is to be held up; nil: not at all.
func (g *BindGate) arrived(dn string) *hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts[dn]++
	h, found := g.holds[dn]
	if !found {
		return nil
	}
	return &h
}

// wait holds up until the hold is lifted or whoever waits is gone: false.
func (g *BindGate) wait(h *hold, gone <-chan struct{}) bool {
	g.note(h.dn, 1)
	defer g.note(h.dn, -1)
	select {
	case <-h.lifted:
		return true
	case <-gone:
		return false
	}
}

func (g *BindGate) note(dn string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[dn] += n
}

// maxAhead is how many messages of a client are read while one is held up, to notice that it has gone.
const maxAhead = 16

// wire is one connection of an appliance, with the one to the controller that goes with it.
type wire struct {
	gate           *BindGate
	client, server net.Conn
	asked          chan []byte
	gone           chan struct{} // closed when the client is

	answering atomic.Pointer[hold] // for the answer that comes next
}

// listen takes messages from the client until it is gone.
func (w *wire) listen() {
	defer close(w.gone)
	defer close(w.asked)
	for {
		var raw bytes.Buffer
		if _, err := ber.ReadPacket(io.TeeReader(w.client, &raw)); err != nil {
			return
		}
		select {
		case w.asked <- raw.Bytes():
		default:
			return // more than any client of ours asks at a time
		}
	}
}

// ask passes the messages on, binds after they were looked at.
func (w *wire) ask() {
	defer func() { _ = w.server.Close() }()
	for raw := range w.asked {
		if dn, ok := bindIn(raw); ok {
			switch h := w.gate.arrived(dn); {
			case h == nil:
			case h.at == HoldAnswer:
				w.answering.Store(h)
			case !w.gate.wait(h, w.gone):
				return // whoever sent it is gone, and it with him
			}
		}
		if _, err := w.server.Write(raw); err != nil {
			return
		}
	}
}

// bindIn returns whose password a message asks to check.
func bindIn(raw []byte) (dn string, ok bool) {
	p, err := ber.DecodePacketErr(raw)
	if err != nil || len(p.Children) < 2 || p.Children[1].Tag != ldap.ApplicationBindRequest || len(p.Children[1].Children) < 2 {
		return "", false
	}
	return strings.ToLower(p.Children[1].Children[1].Data.String()), true
}

// answer passes on what the controller says.
func (w *wire) answer() {
	defer func() { _ = w.client.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := w.server.Read(buf)
		if err != nil {
			return
		}
		if h := w.answering.Swap(nil); h != nil && !w.gate.wait(h, w.gone) {
			return
		}
		if _, err := w.client.Write(buf[:n]); err != nil {
			return
		}
	}
}
