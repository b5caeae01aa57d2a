// Package apmsim is a stand-in for a BIG-IP with Access Policy Manager, for the demo and the tests: it serves logon
// pages with the structure, the names and the scripts' behaviour that docs/admin/f5-big-ip.md relies on, and its access
// policy really asks a directory (LDAP) and then a RADIUS server, the way a BIG-IP is set up for Sallyport. It is no
// gateway: behind the logon there is only a page with the user's name.
//
// The pages, by the address that starts the session:
//
//	/                        standard customization, 13 and later
//	/modern                  modern customization, drawn late by script
//	/legacy                  the legacy experience: no third field, no script; RADIUS alone decides
//	/?page=div12             the div layout of version 12, form with action
//	/?page=labelleft         labels left of the fields
//	/?page=domain            a domain list, a checkbox and a radio group between the fields
//	/?page=failed            the error of a failed logon
//	/?page=challenge         a RADIUS challenge
//	/?page=passwordchange    a password to be changed
//	/?page=messagebox        a message box
//	/?page=expired           the session ends after 1.5 s, and the page finds out
//	/?page=restart           a client for which a submit restarts the session
//	/?page=nofetch           a browser without fetch
package apmsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
)

// Config says what the stand-in is connected to.
type Config struct {
	Listen string      // "127.0.0.1:0" when empty
	TLS    *tls.Config // nil: plain HTTP, for localhost

	LDAPURL      string // ldaps://host:port
	LDAPRoots    *x509.CertPool
	BaseDN       string
	BindDN       string // the service account that looks users up
	BindPassword sallyport.Secret

	// RADIUSServers is the pool: the next one is asked when one has not answered any of its retries.
	RADIUSServers []string
	RADIUSSecret  sallyport.Secret
	Timeout       time.Duration // of one transmission; 5 s when zero
	Retries       int           // retransmissions after the first; 3 when zero, none when negative
	// MessageAuthenticator puts attribute 80 first in every request, as gateways do since the fix of CVE-2024-3596.
	MessageAuthenticator bool

	// Legacy is how the access policy behind /legacy asks.
	Legacy Legacy

	// Script is pasted before </body> of the standard page.
	Script string
	// ModernScript is what the modern page's "External JavaScript" setting holds.
	ModernScript ExternalScript

	// SessionTimeout is the access policy timeout; 300 s when zero.
	SessionTimeout time.Duration
	// Log hears what happens, under the numbers of the sixteen steps of a cloud login; may be nil.
	Log func(step int, text string)
	Now func() time.Time // time.Now when nil
}

// Legacy is a RADIUS server for whole logins: it has the same addresses, and its answer may wait for a person.
type Legacy struct {
	Secret  sallyport.Secret
	From    string        // the gateway's address, by which the appliance knows the integration
	Timeout time.Duration // of one transmission, which is repeated once; 45 s when zero
}

// ExternalScript is the address and the subresource integrity hash of a script.
type ExternalScript struct {
	Address   string
	Integrity string
}

// Server is a running stand-in.
type Server struct {
	cfg      Config
	listener net.Listener
	sessions sessions
}

// Listen opens the stand-in's port; Serve answers on it.
func Listen(cfg Config) (*Server, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the gateway: %w", err)
	}
	if cfg.TLS != nil {
		l = tls.NewListener(l, cfg.TLS)
	}
	s := New(cfg)
	s.listener = l
	return s, nil
}

// New makes a stand-in without a port: Handler answers for it.
func New(cfg Config) *Server {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	switch {
	case cfg.Retries == 0:
		cfg.Retries = 3
	case cfg.Retries < 0:
		cfg.Retries = 0
	}
	if cfg.Legacy.Timeout == 0 {
		cfg.Legacy.Timeout = 45 * time.Second
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 300 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = func(int, string) {}
	}
	return &Server{cfg: cfg, sessions: sessions{now: cfg.Now, ttl: cfg.SessionTimeout, byID: map[string]*session{}}}
}

// URL returns the address of the standard logon page; browsers are sent to localhost, where plain HTTP counts as secure.
func (s *Server) URL() string {
	scheme := "http"
	if s.cfg.TLS != nil {
		scheme = "https"
	}
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	return scheme + "://localhost:" + port + "/"
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 16}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the gateway: %w", err)
	case <-ctx.Done():
	}
	err := srv.Close()
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
