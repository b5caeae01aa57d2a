package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// fresh: a connection used so recently is not asked whether it lives.
	fresh = time.Second
	// maxIdle is below the 15 minutes after which Active Directory hangs up.
	maxIdle = 5 * time.Minute
	maxAge  = time.Hour
	// pingTimeout bounds the question whether a connection lives.
	pingTimeout = time.Second
)

// conn is one LDAP connection with deadlines.
type conn struct {
	*ldap.Conn
	raw     net.Conn
	made    time.Time
	used    time.Time
	timeout time.Duration
}

// within runs f, which exchanges one request and answer, with a deadline on the socket:
// the connection's timeout, or ctx's if that ends sooner. A connection that missed its
// deadline is closed.
func (c *conn) within(ctx context.Context, timeout time.Duration, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_ = c.raw.SetDeadline(time.Now().Add(timeout))
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		// ctx ended and its deadline may strike from now on.
		c.abandon()
		if err == nil {
			return nil // the answer came in time all the same
		}
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if broken(err) {
		c.abandon()
		return err
	}
	_ = c.raw.SetDeadline(time.Time{})
	return err
}

func (c *conn) abandon() {
	_ = c.raw.Close()
	_ = c.Conn.Close()
}

// broken reports whether err says that the connection is of no use any more, rather
// than being the server's answer.
func broken(err error) bool {
	if err == nil {
		return false
	}
	var e *ldap.Error
	return !errors.As(err, &e) || e.ResultCode >= ldap.ErrorNetwork
}

// pool keeps the connections to one server for one purpose.
type pool struct {
	dial  func(context.Context) (*conn, error)
	now   func() time.Time
	slots chan struct{}

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

var (
	errClosed = errors.New("directory is closed")
	// errBusy: every connection is in use. It says nothing about the server.
	errBusy = errors.New("wait for a free connection")
)

func newPool(size int, now func() time.Time, dial func(context.Context) (*conn, error)) *pool {
	return &pool{dial: dial, now: now, slots: make(chan struct{}, size)}
}

// with runs f with a connection that just proved to live. When f returns, the
// connection is kept unless it is closing.
func (p *pool) with(ctx context.Context, f func(*conn) error) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
	defer func() { <-p.slots }()
	c, err := p.take(ctx)
	if err != nil {
		return err
	}
	err = f(c)
	p.keep(c)
	return err
}

// take returns a kept connection that lives, or a new one.
func (p *pool) take(ctx context.Context) (*conn, error) {
	for {
		c, err := p.pop()
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p.dial(ctx)
		}
		if !p.usable(c) {
			c.abandon()
			continue
		}
		if err := p.ping(ctx, c); err != nil {
			// The others are most likely as dead, and asking each takes its time.
			c.abandon()
			p.flush()
			continue
		}
		return c, nil
	}
}

func (p *pool) pop() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	c := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return c, nil
}

// usable reports whether a kept connection is worth a question.
func (p *pool) usable(c *conn) bool {
	now := p.now()
	return !c.IsClosing() && now.Sub(c.used) <= maxIdle && now.Sub(c.made) <= maxAge
}

// ping asks whether a connection lives, unless it just did.
func (p *pool) ping(ctx context.Context, c *conn) error {
	if p.now().Sub(c.used) < fresh {
		return nil
	}
	return c.within(ctx, min(pingTimeout, c.timeout), func() error {
		_, err := c.Search(rootDSE("supportedLDAPVersion"))
		return err
	})
}

func (p *pool) keep(c *conn) {
	if c.IsClosing() {
		c.abandon()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.abandon()
		return
	}
	c.used = p.now()
	p.idle = append(p.idle, c)
}

// flush closes the connections nobody uses.
func (p *pool) flush() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.abandon()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.flush()
}
