package radius

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// TLSOptions are how RADIUS over TLS (RFC 6614) is served. Zero values have the defaults named.
type TLSOptions struct {
	Address string // ":2083"
	// Certificate is the server's own; it may change.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Idle        time.Duration // a connection without a packet is closed after that; 10 minutes
	Handshake   time.Duration // for the handshake, for the rest of a packet that has begun, and for the taking of an answer; 10 s
}

func (o TLSOptions) idle() time.Duration { return orDefault(o.Idle, 10*time.Minute) }
func (o TLSOptions) pace() time.Duration { return orDefault(o.Handshake, 10*time.Second) }

// Bounds of connections. A packet's identifier has 256 values, so no more requests than that can be under way on one.
const (
	linkPlaces  = 256 // requests of one connection
	linksOfOne  = 16  // connections of one integration
	strangers   = 256 // connections before their certificate is known
	strangersAt = 16  // those of one address
)

// link is a connection of a gateway that is known.
type link struct {
	s      *Server
	conn   net.Conn
	places chan struct{} // one for each request under way
	mu     sync.Mutex    // of writing
}

// reply sends an answer; nil: a request is no longer under way. Who does not take answers is cut off.
func (l *link) reply(answer []byte) {
	if answer == nil {
		<-l.places
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.conn.SetWriteDeadline(time.Now().Add(l.s.opts.TLS.pace()))
	if err == nil {
		_, err = l.conn.Write(answer)
	}
	if err != nil {
		_ = l.conn.Close() // an answer that is there by half would make nonsense of those after it
	}
}

// serveTLS takes connections in until ctx ends. It returns when nothing is read any more; what is under way is answered
// by those who wait for s.wg.
func (s *Server) serveTLS(ctx, work context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.tls.Close() })
	defer stop()
	var reading sync.WaitGroup
	defer reading.Wait()
	for {
		conn, err := s.tls.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default: // such as too many open files: it passes, and those who are connected go on
			s.opts.Log.WarnContext(ctx, "RADIUS connection over TLS not accepted", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		source := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
		source = netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
		if !s.links.meet(source.Addr()) {
			s.refuseTLS(tooManyStrangers, nil, source)
			_ = conn.Close()
			continue
		}
		reading.Go(func() { s.receiveTLS(ctx, work, conn, source) })
	}
}

// acceptPause is how long nothing is accepted after that failed.
const acceptPause = 100 * time.Millisecond

func (s *Server) refuseTLS(why complaint, c *client, source netip.AddrPort) {
	s.count.tlsRefused.Add(1)
	s.drops.write(why, c, source, s.opts.Now())
}

// receiveTLS reads what comes over a connection until it ends.
func (s *Server) receiveTLS(ctx, work context.Context, raw net.Conn, source netip.AddrPort) {
	table := s.clients.Load()
	var c *tlsClient
	var bad *complaint
	conn := tls.Server(raw, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: s.opts.TLS.Certificate, ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if c, bad = table.byCertificate(state.PeerCertificates, s.opts.Now()); bad != nil {
				return errors.New(bad.cause)
			}
			return nil
		},
	})
	stop := context.AfterFunc(ctx, func() { _ = raw.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	shake, cancel := context.WithTimeout(ctx, s.opts.TLS.pace())
	err := conn.HandshakeContext(shake)
	cancel()
	s.links.know(source.Addr())
	if err != nil {
		if bad == nil {
			bad = &complaint{fmt.Sprintf("no TLS from there: %v", err), "let the gateway ask with TLS 1.2 or 1.3 and a client certificate, and let it trust this appliance's certificate"}
		}
		if ctx.Err() == nil {
			s.refuseTLS(*bad, nil, source)
		}
		_ = raw.Close()
		return
	}
	if !s.links.open(c.ID) {
		s.refuseTLS(tooManyLinks, &c.client, source)
		_ = conn.Close()
		return
	}
	s.count.tlsAccepted.Add(1)
	l := &link{s: s, conn: conn, places: make(chan struct{}, linkPlaces)}
	if err := s.readTLS(ctx, work, l, c, table, source); err != nil && ctx.Err() == nil {
		s.opts.Log.DebugContext(ctx, "RADIUS connection over TLS ends", "source", source.String(), "integration", string(c.ID), "err", err)
	}
	s.wg.Go(func() { // answers what is under way
		for range linkPlaces {
			l.places <- struct{}{}
		}
		_ = conn.Close()
		s.links.close(c.ID)
	})
}

// readTLS handles one packet after the other. A connection whose gateway is no longer known ends.
func (s *Server) readTLS(ctx, work context.Context, l *link, c *tlsClient, table *clients, source netip.AddrPort) error {
	w := &worker{Server: s, work: work, link: l}
	in := bufio.NewReaderSize(l.conn, maxPacket)
	var room [maxPacket]byte
	out := make([]byte, 0, 2*maxPacket)
	for {
		if err := l.conn.SetReadDeadline(time.Now().Add(s.opts.TLS.idle())); err != nil {
			return err
		}
		if ctx.Err() != nil { // the deadline may have replaced that of the end
			return ctx.Err()
		}
		if _, err := in.Peek(1); err != nil {
			return err
		}
		if err := l.conn.SetReadDeadline(time.Now().Add(s.opts.TLS.pace())); err != nil {
			return err
		}
		packet, err := readPacket(in, &room)
		if err != nil {
			s.count.malformed.Add(1)
			return err
		}
		if now := s.clients.Load(); now != table {
			next, bad := now.byCertificate(l.conn.(*tls.Conn).ConnectionState().PeerCertificates, s.opts.Now())
			if bad != nil || next.ID != c.ID {
				return errors.New("the gateway is no longer known by its certificate")
			}
			table, c = now, next
		}
		select {
		case l.places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		w.count.received.Add(1)
		w.out, w.later = out, false
		if answer := w.from(&c.client, packet, source, s.opts.Now()); answer != nil {
			l.reply(answer)
		}
		if !w.later {
			l.reply(nil)
		}
	}
}

var errTruncated = errors.New("the connection ends in the middle of a packet")

// readPacket reads one packet: over TLS they follow one another, and nothing but their length says where one ends.
// With a length that cannot be, all that follows is lost.
func readPacket(in io.Reader, room *[maxPacket]byte) ([]byte, error) {
	if _, err := io.ReadFull(in, room[:4]); err != nil {
		return nil, fmt.Errorf("%w: %w", errTruncated, err)
	}
	size := int(binary.BigEndian.Uint16(room[2:]))
	if size < headerSize || size > maxPacket {
		return nil, errLength
	}
	if _, err := io.ReadFull(in, room[4:size]); err != nil {
		return nil, fmt.Errorf("%w: %w", errTruncated, err)
	}
	return room[:size], nil
}

// links counts connections.
type links struct {
	mu        sync.Mutex
	strangers int
	at        map[netip.Addr]int // strangers
	of        map[sallyport.IntegrationID]int
}

// meet reports whether one more stranger may show its certificate; know says that it did, or failed to.
func (l *links) meet(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strangers >= strangers || l.at[a] >= strangersAt {
		return false
	}
	if l.at == nil {
		l.at, l.of = map[netip.Addr]int{}, map[sallyport.IntegrationID]int{}
	}
	l.strangers++
	l.at[a]++
	return true
}

func (l *links) know(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strangers--
	if l.at[a]--; l.at[a] == 0 {
		delete(l.at, a)
	}
}

// open reports whether an integration may have one more connection; close says that one ended.
func (l *links) open(id sallyport.IntegrationID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[id] >= linksOfOne {
		return false
	}
	l.of[id]++
	return true
}

func (l *links) close(id sallyport.IntegrationID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[id]--; l.of[id] == 0 {
		delete(l.of, id)
	}
}
