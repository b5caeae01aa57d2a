package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// server is one domain controller: two pools of connections, because a bind changes
// whom a connection speaks for, and whether it answers.
type server struct {
	host     string
	searches *pool // bound as the service account
	binds    *pool // bound as whoever logged in last
	health   *gate
}

// Ports of LDAPS, and of LDAP on which StartTLS comes first.
const (
	ldapsPort = "636"
	ldapPort  = "389"
)

func (r *realm) newServer(u *url.URL, tlsConfig *tls.Config) *server {
	s := &server{host: address(u), health: newGate(r.now, serverBackoff)}
	dial := func(ctx context.Context) (*conn, error) {
		ctx, cancel := context.WithTimeout(ctx, r.dialTimeout())
		defer cancel()
		return dial(ctx, u, tlsConfig, r.opts.Timeout, r.now())
	}
	s.binds = newPool(r.opts.MaxConns, r.now, dial)
	s.searches = newPool(r.opts.MaxConns, r.now, func(ctx context.Context) (*conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		if err := r.bindService(ctx, c); err != nil {
			c.abandon()
			return nil, err
		}
		return c, nil
	})
	return s
}

// dialTimeout leaves time to try a second server within the timeout of one exchange.
func (r *realm) dialTimeout() time.Duration { return r.opts.Timeout / 2 }

// address returns host:port of a server.
func address(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "ldap":
		port = ldapPort
	default:
		port = ldapsPort
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dial connects to a server and secures the connection, before anything else is said: TLS from the
// first octet (ldaps), or StartTLS (ldap).
func dial(ctx context.Context, u *url.URL, config *tls.Config, timeout time.Duration, now time.Time) (*conn, error) {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", address(u))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address(u), err)
	}
	c := &conn{raw: raw, made: now, used: now, timeout: timeout}
	if u.Scheme == "ldap" {
		err = c.startTLS(ctx, config)
	} else {
		secured := tls.Client(raw, config)
		if err = secured.HandshakeContext(ctx); err == nil {
			c.Conn = ldap.NewConn(secured, true)
			c.SetTimeout(timeout) // bounds Close
			c.Start()
		}
	}
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("secure connection to %s: %w", address(u), err)
	}
	return c, nil
}

// startTLS asks for TLS on a plain connection (RFC 4511 section 4.14) and sets it up.
func (c *conn) startTLS(ctx context.Context, config *tls.Config) error {
	c.Conn = ldap.NewConn(c.raw, false)
	c.SetTimeout(c.timeout)
	c.Start()
	left := c.timeout
	if end, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(end))
	}
	return c.within(ctx, left, func() error { return c.StartTLS(config) })
}

// errService says that the directory does not take the service account.
var errService = errors.New("the directory refuses the service account")

// bindService makes c speak for the service account. One connection at a time does: a
// password that has changed in the directory is tried once, not once a connection.
func (r *realm) bindService(ctx context.Context, c *conn) error {
	select {
	case r.serviceTurn <- struct{}{}:
		defer func() { <-r.serviceTurn }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
	if !r.service.open(r.opts.Timeout) {
		return r.service.last()
	}
	err := c.within(ctx, c.timeout, func() error { return c.Bind(r.cfg.BindName, string(r.cfg.BindPassword)) })
	if state, ok := stateOf(err); ok && err != nil {
		err = fmt.Errorf("%w: %s", errService, state)
		r.service.fail(err)
		r.log.ErrorContext(ctx, "directory refuses the service account: set its name and password, or unlock it",
			"account", r.cfg.BindName, "state", string(state))
		return err
	}
	if err != nil {
		return fmt.Errorf("bind as service account: %w", err)
	}
	r.service.ok()
	return nil
}

// resting reports whether it is known that asking is of no use for now: every server failed lately, or
// the service account was refused.
func (r *realm) resting() bool {
	if r.service.resting() {
		return true
	}
	for _, s := range r.servers {
		if !s.health.resting() {
			return false
		}
	}
	return true
}

// candidates returns the servers in the order to try them: those that answer as
// configured, then the others, because a login is worth a try.
func (r *realm) candidates() []*server {
	var good, rest []*server
	for _, s := range r.servers {
		if s.health.open(r.dialTimeout()) {
			good = append(good, s)
		} else {
			rest = append(rest, s)
		}
	}
	if len(r.servers) == 1 {
		rest = append(rest, r.servers[0]) // a connection may be old where the server is well
	}
	return slices.Concat(good, rest)
}

// on runs f on one server after the other until one answers. f says with final that it
// must not be run again, whatever its error.
func (r *realm) on(ctx context.Context, f func(*server) (final bool, err error)) error {
	var errs []error
	for _, s := range r.candidates() {
		final, err := f(s)
		if !failed(err) || errors.Is(err, errService) {
			r.note(ctx, s, nil)
			return err
		}
		errs = append(errs, err)
		if blames(ctx, err) {
			r.note(ctx, s, err)
		}
		if final || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// blames reports whether an error speaks against the server: not when the caller went
// away, nor when we have no connection left.
func blames(ctx context.Context, err error) bool {
	return !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, errBusy) && !errors.Is(err, errClosed)
}

// note keeps a server's record of health.
func (r *realm) note(ctx context.Context, s *server, err error) {
	if err == nil {
		if s.health.ok() {
			r.log.InfoContext(ctx, "directory server answers again", "server", s.host)
		}
		return
	}
	// Its other connections are most likely as dead.
	s.searches.flush()
	s.binds.flush()
	if s.health.fail(err) {
		r.log.WarnContext(ctx, "directory server does not answer", "server", s.host, "error", err)
	}
}

// failed reports whether another server may do better.
func failed(err error) bool {
	return broken(err) || ldap.IsErrorAnyOf(err, ldap.LDAPResultOperationsError, ldap.LDAPResultBusy,
		ldap.LDAPResultUnavailable, ldap.LDAPResultOther)
}

// search runs a search as the service account on the first server that answers.
func (r *realm) search(ctx context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	var res *ldap.SearchResult
	err := r.on(ctx, func(s *server) (bool, error) {
		var err error
		res, err = r.searchAt(ctx, s, req)
		return false, err
	})
	if err != nil {
		return res, fmt.Errorf("search directory: %w", err)
	}
	return res, nil
}

// searchAt runs a search on one server.
func (r *realm) searchAt(ctx context.Context, s *server, req *ldap.SearchRequest) (res *ldap.SearchResult, err error) {
	err = s.searches.with(ctx, func(c *conn) error {
		return c.within(ctx, c.timeout, func() error {
			var err error
			res, err = c.Search(req)
			return err
		})
	})
	return res, err
}

// bind checks a password with exactly one bind. sent reports whether it may have been
// sent when err is not nil; onBind is called just before.
func (r *realm) bind(ctx context.Context, dn, password string, onBind func()) (sent bool, err error) {
	err = r.on(ctx, func(s *server) (bool, error) {
		err := s.binds.with(ctx, func(c *conn) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			sent = true
			onBind()
			return c.within(ctx, c.timeout, func() error { return c.Bind(dn, password) })
		})
		return sent, err
	})
	return sent, err
}
