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

const ldapsPort = "636"

func (d *Directory) newServer(u *url.URL, tlsConfig *tls.Config) *server {
	port := u.Port()
	if port == "" {
		port = ldapsPort
	}
	s := &server{host: net.JoinHostPort(u.Hostname(), port), health: newGate(d.now, serverBackoff)}
	dial := func(ctx context.Context) (*conn, error) { return d.dial(ctx, s.host, tlsConfig) }
	s.binds = newPool(d.cfg.MaxConns, d.now, dial)
	s.searches = newPool(d.cfg.MaxConns, d.now, func(ctx context.Context) (*conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		if err := d.bindService(ctx, c); err != nil {
			c.abandon()
			return nil, err
		}
		return c, nil
	})
	return s
}

// dialTimeout leaves time to try a second server within the timeout of one exchange.
func (d *Directory) dialTimeout() time.Duration { return d.cfg.Timeout / 2 }

func (d *Directory) dial(ctx context.Context, host string, tlsConfig *tls.Config) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.dialTimeout())
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: 15 * time.Second}, Config: tlsConfig}
	raw, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", host, err)
	}
	c := &conn{Conn: ldap.NewConn(raw, true), raw: raw, made: d.now(), used: d.now(), timeout: d.cfg.Timeout}
	c.SetTimeout(d.cfg.Timeout) // bounds Close
	c.Start()
	return c, nil
}

// errService says that the directory does not take the service account.
var errService = errors.New("the directory refuses the service account")

// bindService makes c speak for the service account. One connection at a time does: a
// password that has changed in the directory is tried once, not once a connection.
func (d *Directory) bindService(ctx context.Context, c *conn) error {
	select {
	case d.serviceTurn <- struct{}{}:
		defer func() { <-d.serviceTurn }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
	if !d.service.open(d.cfg.Timeout) {
		return d.service.last()
	}
	err := c.within(ctx, c.timeout, func() error { return c.Bind(d.cfg.BindDN, string(d.cfg.BindPassword)) })
	if state, ok := stateOf(err); ok && err != nil {
		err = fmt.Errorf("%w: %s", errService, state)
		d.service.fail(err)
		d.log.ErrorContext(ctx, "directory refuses the service account: set its name and password, or unlock it",
			"account", d.cfg.BindDN, "state", string(state))
		return err
	}
	if err != nil {
		return fmt.Errorf("bind as service account: %w", err)
	}
	d.service.ok()
	return nil
}

// candidates returns the servers in the order to try them: those that answer as
// configured, then the others, because a login is worth a try.
func (d *Directory) candidates() []*server {
	var good, rest []*server
	for _, s := range d.servers {
		if s.health.open(d.dialTimeout()) {
			good = append(good, s)
		} else {
			rest = append(rest, s)
		}
	}
	if len(d.servers) == 1 {
		rest = append(rest, d.servers[0]) // a connection may be old where the server is well
	}
	return slices.Concat(good, rest)
}

// on runs f on one server after the other until one answers. f says with final that it
// must not be run again, whatever its error.
func (d *Directory) on(ctx context.Context, f func(*server) (final bool, err error)) error {
	var errs []error
	for _, s := range d.candidates() {
		final, err := f(s)
		if !failed(err) || errors.Is(err, errService) {
			d.note(ctx, s, nil)
			return err
		}
		errs = append(errs, err)
		if blames(ctx, err) {
			d.note(ctx, s, err)
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
func (d *Directory) note(ctx context.Context, s *server, err error) {
	if err == nil {
		if s.health.ok() {
			d.log.InfoContext(ctx, "directory server answers again", "server", s.host)
		}
		return
	}
	// Its other connections are most likely as dead.
	s.searches.flush()
	s.binds.flush()
	if s.health.fail(err) {
		d.log.WarnContext(ctx, "directory server does not answer", "server", s.host, "error", err)
	}
}

// failed reports whether another server may do better.
func failed(err error) bool {
	return broken(err) || ldap.IsErrorAnyOf(err, ldap.LDAPResultOperationsError, ldap.LDAPResultBusy,
		ldap.LDAPResultUnavailable, ldap.LDAPResultOther)
}

// search runs a search as the service account on the first server that answers.
func (d *Directory) search(ctx context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	var res *ldap.SearchResult
	err := d.on(ctx, func(s *server) (bool, error) {
		return false, s.searches.with(ctx, func(c *conn) error {
			return c.within(ctx, c.timeout, func() error {
				var err error
				res, err = c.Search(req)
				return err
			})
		})
	})
	if err != nil {
		return res, fmt.Errorf("search directory: %w", err)
	}
	return res, nil
}

// bind checks a password with exactly one bind. sent reports whether it may have been
// sent when err is not nil; onBind is called just before.
func (d *Directory) bind(ctx context.Context, dn, password string, onBind func()) (sent bool, err error) {
	err = d.on(ctx, func(s *server) (bool, error) {
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
