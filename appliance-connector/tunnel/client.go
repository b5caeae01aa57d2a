// Package tunnel is the appliance's end of the tunnel: it dials out to the cloud, keeps two streams
// open to two different replicas, gives the cloud's requests to a Handler, and carries the
// appliance's own calls (claims, certificate renewal, joins) to the cloud.
//
// It opens no listener, decides nothing about logins, and keeps no state beyond its streams.
package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// MaxFrame bounds a frame in both directions, in octets.
const MaxFrame = 64 << 10

// slots is how many streams are kept.
const slots = 2

// Handler works on requests of the cloud.
type Handler interface {
	// Handle works on one LoginStep or JoinRequest; many run at once. ctx ends at the request's
	// deadline, when the cloud cancels it, and when its stream breaks. A nil response is answered
	// with CodeInternal or, when ctx has ended, with CodeExpired or CodeUncertain.
	//
	// progress must be called before the directory is asked (or anything else is done that must not
	// be done twice). It returns when the cloud has confirmed that the request goes to no other
	// appliance; when that could not be had, ctx is done on return, and the directory must not be asked.
	Handle(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response
}

// Config says how to reach the cloud. Addresses, TLS, Handler and Version are required.
type Config struct {
	// Addresses are the cloud's, as host:port; a name may stand for many replicas.
	Addresses []string
	// TLS is asked before every connection, so that a renewed certificate is used. Without a
	// ServerName, the dialled host's name is checked.
	TLS func() (*tls.Config, error)
	// Proxy is an HTTP CONNECT proxy (http or https), with user and password if it wants them; nil for none.
	Proxy   *url.URL
	Handler Handler
	Version string
	// Statement gives the key statement for browsers; nil, or nil from it, for none yet.
	Statement func() *tunnelpb.KeyStatement
	// Joining reports that the enterprise's keys are missing; nil means they are there.
	Joining func() bool
	Log     *slog.Logger
	// Dial opens TCP connections; nil for the net package's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// MaxRequests is how many requests are worked on at once (16,384); more are answered "unavailable".
	MaxRequests int
	Timing      Timing
}

// Timing holds the clocks of the client; zero values mean the defaults.
type Timing struct {
	// Connect bounds dialling, TLS and the greeting together (10 s).
	Connect time.Duration
	// BackoffMin and BackoffMax bound the pause between attempts (250 ms, 30 s); it is jittered.
	BackoffMin, BackoffMax time.Duration
	// Recheck is how often a second replica is looked for while there is only one (1 min).
	Recheck time.Duration
	// Statement is how often the key statement is sent again (1 min).
	Statement time.Duration
	// Leave is how long requests may take to finish when a stream is given up (30 s).
	Leave time.Duration
	// DrainSpread spreads the moves of many appliances when a replica drains (1 s).
	DrainSpread time.Duration
}

func orElse[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

func (c *Config) complete() error {
	if len(c.Addresses) == 0 || c.TLS == nil || c.Handler == nil {
		return errors.New("tunnel client needs Addresses, TLS and Handler")
	}
	for _, a := range c.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("cloud address %q: %w", a, err)
		}
	}
	if p := c.Proxy; p != nil && (p.Scheme != "http" && p.Scheme != "https" || p.Hostname() == "") {
		return errors.New("the proxy must be an http:// or https:// address")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	if c.Statement == nil {
		c.Statement = func() *tunnelpb.KeyStatement { return nil }
	}
	if c.Joining == nil {
		c.Joining = func() bool { return false }
	}
	orElse(&c.MaxRequests, 16384)
	t := &c.Timing
	orElse(&t.Connect, 10*time.Second)
	orElse(&t.BackoffMin, 250*time.Millisecond)
	orElse(&t.BackoffMax, 30*time.Second)
	orElse(&t.Recheck, time.Minute)
	orElse(&t.Statement, time.Minute)
	orElse(&t.Leave, 30*time.Second)
	orElse(&t.DrainSpread, time.Second)
	return nil
}

// Client keeps the streams. Run does the work; the other methods may be called at any time.
type Client struct {
	cfg      Config
	log      *slog.Logger
	instance string
	busy     atomic.Int32 // requests under way
	lastCall atomic.Uint64

	mu        sync.Mutex
	current   [slots]*stream
	changed   chan struct{} // closed and replaced whenever current changes
	reconnect chan struct{} // closed and replaced to have both streams replaced
	lastErr   error

	retiring sync.WaitGroup
}

// New makes a client.
func New(cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("make tunnel client: %w", err)
	}
	return &Client{
		cfg: cfg, log: cfg.Log, instance: sallyport.NewID(),
		changed: make(chan struct{}), reconnect: make(chan struct{}),
	}, nil
}

// Run keeps the streams until ctx ends. Then it tells the cloud, finishes what is in flight, for at
// most Timing.Leave, and returns nil.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for slot := range slots {
		wg.Go(func() { c.keep(ctx, slot) })
	}
	wg.Wait()
	c.retiring.Wait()
	return nil
}

// Reconnect replaces both streams, without losing a request: after the enterprise's keys came, or
// when another certificate is to be shown.
func (c *Client) Reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.reconnect)
	c.reconnect = make(chan struct{})
}

// Connected reports whether any stream is open.
func (c *Client) Connected() bool { return len(c.live()) > 0 }

// StreamStatus describes an open stream.
type StreamStatus struct {
	Replica  string
	Version  string
	Since    time.Time
	Draining bool
}

// Status describes the tunnel. LastError is why the latest attempt failed; nil after a success.
type Status struct {
	Streams   []StreamStatus
	LastError error
}

// Status is for health checks and status commands.
func (c *Client) Status() Status {
	var st Status
	for _, s := range c.live() {
		st.Streams = append(st.Streams, StreamStatus{
			Replica: s.welcome.GetReplica(), Version: s.welcome.GetVersion(), Since: s.since, Draining: s.isDraining(),
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st.LastError = c.lastErr
	return st
}

func (c *Client) live() []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*stream, 0, slots)
	for _, s := range c.current {
		if s != nil && !s.over() {
			out = append(out, s)
		}
	}
	return out
}

// attach makes s the stream of a slot.
func (c *Client) attach(slot int, s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current[slot] = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// other is the open stream of the other slot, or nil.
func (c *Client) other(slot int) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.current[1-slot]; s != nil && !s.over() {
		return s
	}
	return nil
}

func (c *Client) reconnectSignal() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reconnect
}

func (c *Client) note(err error) {
	c.mu.Lock()
	before := c.lastErr
	c.lastErr = err
	c.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		c.log.Warn("tunnel not reached", "error", err)
	}
}
