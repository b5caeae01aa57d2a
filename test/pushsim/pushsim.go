// Package pushsim stands in for Apple's and Google's push services, for tests and the demo: an APNs
// provider endpoint, an FCM endpoint with Google's token endpoint, a side where phones listen for what
// was sent to them, and a control API to provoke errors and to see what arrived. It checks what Apple
// and Google check and refuses in their words. It is no part of the product's services.
package pushsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/pki"
)

// Config is where to listen; an empty address is a free port on 127.0.0.1.
type Config struct {
	APNsAddr, FCMAddr, ControlAddr string
	// Topic is the bundle id that the APNs side sends for; "" is "org.sallyport.authenticator".
	Topic string
	// Project is the FCM project; "" is "sallyport-sim".
	Project string
	Now     func() time.Time
}

// Sim is a running simulator, with all that a sender needs to reach it.
type Sim struct {
	APNsURL    string // base address of the APNs side
	FCMURL     string // base address of the FCM side, without /v1
	TokenURL   string // Google's token endpoint
	ControlURL string // control API and device side; plain HTTP
	// Roots verify the APNs and FCM sides.
	Roots *x509.CertPool
	// RootsPEM is the same for a service that takes a file.
	RootsPEM []byte
	// Credentials are those that the simulator accepts.
	Credentials

	now      func() time.Time
	book     *book
	faults   *faults
	apnsConn *freezer
	fcmConn  *freezer
	servers  []*http.Server
	done     sync.WaitGroup
	stop     context.CancelFunc
	life     context.Context
}

// Start listens and serves until Close.
func Start(cfg Config) (*Sim, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Topic == "" {
		cfg.Topic = "org.sallyport.authenticator"
	}
	if cfg.Project == "" {
		cfg.Project = "sallyport-sim"
	}
	ca, err := pki.NewCA(cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("make simulator's authority: %w", err)
	}
	cert, err := ca.ServerCertificate(cfg.Now(), 365*24*time.Hour, "127.0.0.1", "localhost")
	if err != nil {
		return nil, fmt.Errorf("make simulator's certificate: %w", err)
	}
	s := &Sim{Roots: ca.Pool(), RootsPEM: ca.CertPEM(), now: cfg.Now, book: newBook(cfg.Now), faults: &faults{}}
	s.life, s.stop = context.WithCancel(context.Background())
	if err := s.listen(cfg, cert); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sim) listen(cfg Config, cert tls.Certificate) error {
	listeners := make([]net.Listener, 3)
	for i, addr := range []string{cfg.APNsAddr, cfg.FCMAddr, cfg.ControlAddr} {
		if addr == "" {
			addr = "127.0.0.1:0"
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			for _, open := range listeners[:i] {
				_ = open.Close()
			}
			return fmt.Errorf("listen for simulated push: %w", err)
		}
		listeners[i] = l
	}
	s.APNsURL = "https://" + listeners[0].Addr().String()
	s.FCMURL = "https://" + listeners[1].Addr().String()
	s.TokenURL = s.FCMURL + "/token"
	s.ControlURL = "http://" + listeners[2].Addr().String()
	credentials, err := newCredentials(cfg, s.TokenURL)
	if err != nil {
		for _, open := range listeners {
			_ = open.Close()
		}
		return err
	}
	s.Credentials = credentials
	s.apnsConn, s.fcmConn = &freezer{Listener: listeners[0]}, &freezer{Listener: listeners[1]}
	s.serve(s.apnsConn, s.apnsHandler(), &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12})
	s.serve(s.fcmConn, s.fcmHandler(), &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	s.serve(listeners[2], s.controlHandler(), nil)
	return nil
}

func (s *Sim) serve(l net.Listener, h http.Handler, t *tls.Config) {
	srv := &http.Server{
		Handler: h, TLSConfig: t, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return s.life },
	}
	s.servers = append(s.servers, srv)
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		var err error
		if t != nil {
			err = srv.ServeTLS(l, "", "")
		} else {
			err = srv.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			panic("pushsim: " + err.Error())
		}
	}()
}

// Close ends the simulator and waits for it.
func (s *Sim) Close() {
	s.stop()
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	s.done.Wait()
}

// Provider names a side of the simulator.
type Provider string

const (
	APNs  Provider = "apns"
	FCM   Provider = "fcm"
	OAuth Provider = "oauth" // the token endpoint; for faults only
)

// Freeze turns the connections open now into black holes: what the simulator writes is lost, so
// that not even a ping is answered. New connections work.
func (s *Sim) Freeze(p Provider) {
	if p == APNs {
		s.apnsConn.freeze()
		return
	}
	s.fcmConn.freeze()
}

// Connections counts the connections that a side has accepted so far.
func (s *Sim) Connections(p Provider) int {
	if p == APNs {
		return s.apnsConn.count()
	}
	return s.fcmConn.count()
}
