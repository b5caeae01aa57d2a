package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// receiveBuffer holds a burst while the readers are busy; the usual 200 KiB lose one of 256 packets.
const receiveBuffer = 4 << 20

// Server answers RADIUS requests on one UDP socket.
type Server struct {
	opts    Options
	instant InstantVerifier // the Verifier, when it is one
	patient PatientVerifier // likewise
	conn    *net.UDPConn
	clients atomic.Pointer[clients]
	config  configuration
	unknown *unknownSources
	cache   *replyCache
	drops   *dropLog
	count   counters
	waiting chan struct{} // a place for each request being verified
	wg      sync.WaitGroup
	tls     net.Listener // or nil
	// accounting is the socket of accounting, or nil; accounts wait to be recorded.
	accounting *net.UDPConn
	accounts   chan account
	links      links
	// resolveNow holds one when host names are to be resolved before their time.
	resolveNow chan struct{}
}

// Listen opens the socket, so that the address is known and taken; Serve answers. Close it when
// Serve is never called.
func Listen(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	s := &Server{
		opts:    opts,
		cache:   newReplyCache(opts.Replies, opts.ReplyWindow),
		drops:   newDropLog(opts.Log, opts.Observer),
		waiting: make(chan struct{}, opts.Waiting),
		unknown: newUnknownSources(),
		config:  configuration{found: make(map[string][]netip.Addr), failing: make(map[string]bool)},

		resolveNow: make(chan struct{}, 1),
		accounts:   make(chan account, accountingWaiting),
	}
	s.instant, _ = opts.Verifier.(InstantVerifier)
	s.patient, _ = opts.Verifier.(PatientVerifier)
	if err := s.SetIntegrations(opts.Integrations); err != nil {
		return nil, err
	}
	addr, err := net.ResolveUDPAddr("udp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for RADIUS on %s: %w", opts.Address, err)
	}
	if s.conn, err = net.ListenUDP("udp", addr); err != nil {
		return nil, fmt.Errorf("listen for RADIUS on %s: %w", opts.Address, err)
	}
	growBuffer(s.conn, receiveBuffer, opts.Log)
	if opts.Accounting != nil {
		if s.accounting, err = listenAccounting(opts.Accounting.Address); err != nil {
			_ = s.Close()
			return nil, err
		}
		growBuffer(s.accounting, receiveBuffer, opts.Log)
	}
	if opts.TLS != nil {
		if s.tls, err = net.Listen("tcp", orText(opts.TLS.Address, ":2083")); err != nil {
			_ = s.Close()
			return nil, fmt.Errorf("listen for RADIUS over TLS on %s: %w", opts.TLS.Address, err)
		}
	}
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// TLSAddr is the address that the server listens on for TLS; it is served with Options.TLS only.
func (s *Server) TLSAddr() netip.AddrPort { return s.tls.Addr().(*net.TCPAddr).AddrPort() }

// AccountingAddr is the address that the server listens on for accounting; it is served with Options.Accounting only.
func (s *Server) AccountingAddr() netip.AddrPort {
	return s.accounting.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Close gives the sockets back.
func (s *Server) Close() error {
	err := s.conn.Close()
	if s.accounting != nil {
		err = errors.Join(err, s.accounting.Close())
	}
	if s.tls != nil {
		err = errors.Join(err, s.tls.Close())
	}
	return err
}

// Serve answers until ctx ends. It then reads no more, waits for the requests being verified (at
// most Deadline; those that wait for a person are told that their time is up), answers them, and closes
// the socket.
func (s *Server) Serve(ctx context.Context) error {
	// Requests being verified outlive ctx: they have their own deadline.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, s.stopReading)
	defer stop()

	var beside sync.WaitGroup
	defer beside.Wait()
	side, end := context.WithCancel(ctx)
	defer end()
	beside.Go(func() { s.keepResolved(side) })
	if s.opts.Recorder != nil {
		beside.Go(func() { s.keepHeard(side) })
	}

	var kept sync.WaitGroup
	accounting, endAccounts := context.WithCancel(context.WithoutCancel(ctx))
	defer endAccounts()
	if s.opts.Accounting != nil {
		kept.Go(func() { s.keepAccounts(accounting) })
	}
	readers := s.opts.Readers
	failed := make(chan error, readers+2)
	for range s.opts.Readers {
		go func() { failed <- s.read(ctx, work, s.conn, logins) }()
	}
	if s.accounting != nil {
		readers++
		go func() { failed <- s.read(ctx, work, s.accounting, accounts) }()
	}
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	if s.tls != nil {
		readers++
		go func() { failed <- s.serveTLS(reading, work) }()
	}
	var err error
	for range readers {
		if e := <-failed; e != nil && err == nil {
			err = e
			s.stopReading() // the others end as well
			stopReading()
		}
	}
	patience := time.AfterFunc(s.opts.Deadline, cancel)
	endAccounts() // nothing is added any more; what is there is recorded
	s.wg.Wait()
	kept.Wait()
	patience.Stop()
	for _, c := range []*net.UDPConn{s.conn, s.accounting} {
		if c == nil {
			continue
		}
		if e := c.Close(); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("serve RADIUS: %w", err)
	}
	return nil
}

// stopReading ends the readers of datagrams.
func (s *Server) stopReading() {
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	if s.accounting != nil {
		_ = s.accounting.SetReadDeadline(time.Unix(1, 0))
	}
}

// read is one reader: it takes packets in and answers those that need no waiting.
func (s *Server) read(ctx, work context.Context, conn *net.UDPConn, p port) error {
	w := &worker{Server: s, work: work, conn: conn, port: p}
	b := newBatch(conn)
	for {
		n, err := b.receive()
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed) || isTimeout(err):
			return nil
		default:
			// An ICMP error of an earlier answer is reported here; it concerns nobody else.
			s.opts.Log.Debug("read RADIUS socket", "err", err)
			continue
		}
		for i := range n {
			datagram, source := b.datagram(i)
			w.out = b.room()
			if answer := w.handle(datagram, source); answer != nil {
				b.answer(i, answer)
			}
		}
		if err := b.send(); err != nil {
			s.opts.Log.Debug("write RADIUS answers", "err", err)
		}
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func (s *Server) send(conn *net.UDPConn, answer []byte, to netip.AddrPort) {
	if _, err := conn.WriteToUDPAddrPort(answer, to); err != nil {
		s.opts.Log.Debug("write RADIUS answer", "to", to.String(), "err", err)
	}
}
