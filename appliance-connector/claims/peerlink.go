package claims

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
	"golang.org/x/time/rate"
)

var idEncoding = base64.RawURLEncoding.Strict()

// Handler answers peers. It is implemented by Claimer.
type Handler interface {
	AnswerPeer(ctx context.Context, from sallyport.ApplianceID, a Ask) Answer
	HearWon(w Won)
}

// Peer is another appliance of the enterprise: its id, and the UDP address of its link.
type Peer struct {
	Appliance sallyport.ApplianceID
	Address   string // host:port
}

// LinkOptions are what a PeerLink works with. Zero values have the defaults named.
type LinkOptions struct {
	Appliance sallyport.ApplianceID
	Key       sallyport.Key // the enterprise's, at least 16 octets, the same on every appliance
	Address   string        // to listen on, UDP
	Peers     []Peer
	Log       *slog.Logger     // nil: discarded
	Now       func() time.Time // nil: time.Now
	// Beat is how often an appliance tells its peers that it is there; 1 s. Who misses three beats
	// counts as out of reach.
	Beat time.Duration
}

// PeerLink talks to the other appliances over UDP. Peers can be set anew at any time.
type PeerLink struct {
	opts   LinkOptions
	key    sallyport.Key
	conn   *net.UDPConn
	peers  atomic.Pointer[[]*peer]
	asking waitingAsks
	recent recentAsks
	told   chan Won
	renew  chan struct{} // the list of peers has changed
	busy   chan struct{} // a place for each ask being answered
	noisy  *rate.Limiter // for lines about datagrams that anybody could have sent
}

type peer struct {
	Peer
	addr  atomic.Pointer[netip.AddrPort] // nil: its name is not resolved
	heard atomic.Bool                    // a genuine message came since the last beat
	quiet atomic.Int32                   // beats in a row without one
}

// dark reports whether the peer counts as out of reach. Beats are counted instead of seconds: when
// this appliance has too much to do to listen, its own beats are late as well.
func (p *peer) dark() bool { return p.quiet.Load() >= quietBeats }

const (
	askAgain   = 60 * time.Millisecond // a datagram may be lost
	tellDelay  = 2 * time.Millisecond  // how long a claim that was won waits for others
	tellQueue  = 8192
	maxAnswers = 1024 // asks being answered at a time
	quietBeats = 3
	resolveAll = 30 * time.Second
)

// ListenPeers opens the link's socket; Serve runs it.
func ListenPeers(opts LinkOptions) (*PeerLink, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Beat = orDefault(opts.Beat, time.Second)
	if len(opts.Key) < 16 || !sallyport.ValidID(string(opts.Appliance)) {
		return nil, errors.New("open link to peers: key or appliance id missing")
	}
	addr, err := net.ResolveUDPAddr("udp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("open link to peers: %w", err)
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("open link to peers: %w", err)
	}
	l := &PeerLink{
		opts: opts, conn: conn,
		key:   sealed.Derive(opts.Key, nil, peerInfo, sealed.KeySize),
		told:  make(chan Won, tellQueue),
		renew: make(chan struct{}, 1),
		busy:  make(chan struct{}, maxAnswers),
		noisy: rate.NewLimiter(1, 10),
	}
	_ = conn.SetReadBuffer(4 << 20) // a smaller one costs repetitions, no more
	l.SetPeers(opts.Peers)
	return l, nil
}

// Addr is the address that the link listens on.
func (l *PeerLink) Addr() netip.AddrPort { return l.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// SetPeers says who the peers are now. This appliance itself is left out, so that every appliance can
// have the same list.
func (l *PeerLink) SetPeers(list []Peer) {
	peers := make([]*peer, 0, len(list))
	for _, p := range list {
		if p.Appliance == l.opts.Appliance {
			continue
		}
		one := &peer{Peer: p}
		if a, err := netip.ParseAddrPort(p.Address); err == nil {
			one.addr.Store(&a)
		}
		peers = append(peers, one)
	}
	l.peers.Store(&peers)
	select {
	case l.renew <- struct{}{}:
	default: // it will be looked at already
	}
}

// Len is how many peers there are.
func (l *PeerLink) Len() int { return len(*l.peers.Load()) }

// Close gives the socket back, when Serve is never called.
func (l *PeerLink) Close() error { return l.conn.Close() }

// Serve answers peers and tells them, until ctx ends. It closes the socket.
func (l *PeerLink) Serve(ctx context.Context, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	var wg sync.WaitGroup
	wg.Go(func() { l.tell(ctx) })
	wg.Go(func() { l.resolve(ctx) })
	wg.Go(func() { l.beat(ctx) })
	err := l.read(ctx, h, &wg)
	cancel()
	stop()
	_ = l.conn.Close()
	wg.Wait()
	return err
}

func (l *PeerLink) read(ctx context.Context, h Handler, wg *sync.WaitGroup) error {
	buf := make([]byte, maxDatagram+1)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve peers: %w", err)
		default:
			continue // an earlier datagram of ours was not delivered
		}
		m, err := openPeerMessage(l.key, buf[:n], l.opts.Now())
		if err == nil && m.To != l.opts.Appliance {
			err = fmt.Errorf("meant for appliance %q", m.To)
		}
		if err != nil {
			l.complain(err, from)
			continue
		}
		l.take(ctx, h, m, from, wg)
	}
}

func (l *PeerLink) complain(err error, from netip.AddrPort) {
	if l.noisy.Allow() {
		l.opts.Log.Warn("message of a peer dropped", "cause", err.Error(), "source", from.String(),
			"cure", "check the list of peers, the clocks, and that all appliances are of one enterprise")
	}
}

func (l *PeerLink) take(ctx context.Context, h Handler, m peerMessage, from netip.AddrPort, wg *sync.WaitGroup) {
	for _, p := range *l.peers.Load() {
		if p.Appliance == m.From {
			p.heard.Store(true)
			p.quiet.Store(0)
		}
	}
	switch m.Kind {
	case kindAnswer:
		l.asking.deliver(m)
	case kindWon:
		for _, w := range m.Won {
			h.HearWon(Won{Key: w.Key, Owner: w.Owner, Expires: l.opts.Now().Add(min(time.Duration(w.Left)*time.Millisecond, MaxTTL))})
		}
	case kindAsk:
		answer, first := l.recent.begin(m.ID)
		if !first {
			l.send(answer, from) // nil while the first is being answered
			return
		}
		select {
		case l.busy <- struct{}{}:
		default:
			l.recent.forget(m.ID)
			return
		}
		wg.Go(func() {
			defer func() { <-l.busy }()
			a := h.AnswerPeer(ctx, m.From, m.Ask.ask())
			box, err := peerMessage{
				Kind: kindAnswer, ID: m.ID, Sent: l.opts.Now().UnixMilli(), From: l.opts.Appliance, To: m.From,
				Answer: &wireAnswer{Given: a.Given, Final: a.Final, Holder: a.Holder, Lost: a.Lost},
			}.seal(l.key)
			if err == nil {
				l.recent.finish(m.ID, box)
				l.send(box, from)
			}
		})
	}
}

func (l *PeerLink) send(datagram []byte, to netip.AddrPort) {
	if len(datagram) == 0 {
		return
	}
	if _, err := l.conn.WriteToUDPAddrPort(datagram, to); err != nil {
		l.opts.Log.Debug("send to peer", "to", to.String(), "err", err)
	}
}

// Tell queues a claim that was won. When the queue is full it is left out: the peers then learn of it
// when they ask.
func (l *PeerLink) Tell(w Won) {
	if l.Len() == 0 {
		return
	}
	select {
	case l.told <- w:
	default:
	}
}

func (l *PeerLink) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-l.told:
			l.broadcast(l.collect(ctx, w))
		}
	}
}

func (l *PeerLink) collect(ctx context.Context, first Won) []wireWon {
	var list []wireWon
	add := func(w Won) {
		list = append(list, wireWon{Key: w.Key, Owner: w.Owner, Left: w.Expires.Sub(l.opts.Now()).Milliseconds()})
	}
	add(first)
	timer := time.NewTimer(tellDelay)
	defer timer.Stop()
	for len(list) < wonPerMessage {
		select {
		case w := <-l.told:
			add(w)
		case <-timer.C:
			return list
		case <-ctx.Done():
			return list
		}
	}
	return list
}

func (l *PeerLink) broadcast(list []wireWon) {
	for _, p := range *l.peers.Load() {
		l.sendTo(p, peerMessage{Kind: kindWon, Won: list})
	}
}

// beat lets the peers know that this appliance is there.
func (l *PeerLink) beat(ctx context.Context) {
	every := time.NewTicker(l.opts.Beat)
	defer every.Stop()
	for {
		for _, p := range *l.peers.Load() {
			if !p.heard.Swap(false) {
				p.quiet.Add(1)
			}
			l.sendTo(p, peerMessage{Kind: kindHere})
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *PeerLink) sendTo(p *peer, m peerMessage) {
	to := p.addr.Load()
	if to == nil {
		return
	}
	m.Sent, m.From, m.To = l.opts.Now().UnixMilli(), l.opts.Appliance, p.Appliance
	rand.Read(m.ID[:])
	box, err := m.seal(l.key)
	if err != nil {
		l.opts.Log.Error("send to peer", "err", err)
		return
	}
	l.send(box, *to)
}

// resolve looks the peers' names up, again from time to time, so that nobody who logs in waits for DNS.
func (l *PeerLink) resolve(ctx context.Context) {
	every := time.NewTicker(resolveAll)
	defer every.Stop()
	for {
		for _, p := range *l.peers.Load() {
			if a, err := net.ResolveUDPAddr("udp", p.Address); err == nil {
				addr := netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
				p.addr.Store(&addr)
			} else {
				l.opts.Log.Warn("address of a peer not found", "peer", string(p.Appliance), "err", err)
			}
		}
		select {
		case <-every.C:
		case <-l.renew:
		case <-ctx.Done():
			return
		}
	}
}
