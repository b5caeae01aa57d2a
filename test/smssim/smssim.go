// Package smssim stands in for gateways of text messages, for tests and the demo: an HTTP interface like Twilio's, a
// message centre that speaks SMPP 3.4 with and without TLS, and a webhook. It checks what they check, refuses in
// their words, and keeps what it took. It shares no code with the senders, and is no part of the product's services.
package smssim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/pki"
)

// Side is one of the gateways.
type Side string

const (
	Twilio  Side = "twilio"
	SMPP    Side = "smpp"
	Webhook Side = "webhook"
)

// What the simulator lets in.
const (
	Account  = "AC0123456789abcdef0123456789abcdef"
	Key      = "SK0123456789abcdef0123456789abcdef" // an API key of the account
	Token    = "sim-token-of-the-account"
	SystemID = "hospital"
	Password = "sim-pass"
	Secret   = "sim-secret-of-the-webhook"
)

// most bounds how many messages are kept.
const most = 10_000

// Config is where to listen; an empty address is a free port on 127.0.0.1.
type Config struct {
	TwilioAddr, SMPPAddr, SMPPSAddr, WebhookAddr string
	Now                                          func() time.Time
	// Arrived, unless nil, is told of each message that a side took.
	Arrived func(Message)
}

// Sim is a running simulator with all that a sender needs to reach it.
type Sim struct {
	TwilioURL, WebhookURL string
	SMPPURL, SMPPSURL     string // without and with TLS
	// Authority is the certificate, in PEM, that signed those of all sides.
	Authority string

	now     func() time.Time
	arrived func(Message)
	life    context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
	closers []func() error

	mu       sync.Mutex
	messages []Message
	faults   []Fault
	asked    map[Side]int
	numbered int
}

// Message is one that a side took.
type Message struct {
	Side           Side
	ID             string // of the webhook only
	To, From, Text string
	// Life is how long it was said to be of use.
	Life time.Duration
	// Raw is the request as it came, credentials included.
	Raw string
}

// Start listens and serves until Close.
func Start(cfg Config) (*Sim, error) {
	s := &Sim{now: cfg.Now, arrived: cfg.Arrived, asked: map[Side]int{}}
	if s.now == nil {
		s.now = time.Now
	}
	ca, err := pki.NewCA(s.now())
	if err != nil {
		return nil, fmt.Errorf("make simulator's authority: %w", err)
	}
	cert, err := ca.ServerCertificate(s.now(), 365*24*time.Hour, "127.0.0.1", "localhost")
	if err != nil {
		return nil, fmt.Errorf("make simulator's certificate: %w", err)
	}
	s.Authority = string(ca.CertPEM())
	s.life, s.stop = context.WithCancel(context.Background())
	if err := s.listen(cfg, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sim) listen(cfg Config, secured *tls.Config) error {
	for _, side := range []struct {
		address string
		scheme  string
		url     *string
		serve   func(net.Listener)
	}{
		{cfg.TwilioAddr, "https", &s.TwilioURL, func(l net.Listener) { s.serveHTTP(l, secured, s.twilio) }},
		{cfg.WebhookAddr, "https", &s.WebhookURL, func(l net.Listener) { s.serveHTTP(l, secured, s.webhook) }},
		{cfg.SMPPAddr, "smpp", &s.SMPPURL, s.serveSMPP},
		{cfg.SMPPSAddr, "smpps", &s.SMPPSURL, func(l net.Listener) { s.serveSMPP(tls.NewListener(l, secured)) }},
	} {
		if side.address == "" {
			side.address = "127.0.0.1:0"
		}
		l, err := net.Listen("tcp", side.address)
		if err != nil {
			return fmt.Errorf("listen for simulated text messages: %w", err)
		}
		*side.url = side.scheme + "://" + l.Addr().String()
		side.serve(l)
	}
	s.WebhookURL += "/sms"
	return nil
}

func (s *Sim) serveHTTP(l net.Listener, secured *tls.Config, handle http.HandlerFunc) {
	srv := &http.Server{Handler: handle, TLSConfig: secured.Clone(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return s.life }}
	s.closers = append(s.closers, srv.Close)
	s.done.Go(func() {
		if err := srv.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			panic("smssim: " + err.Error())
		}
	})
}

// Close ends the simulator and waits for it.
func (s *Sim) Close() {
	s.stop()
	for _, end := range s.closers {
		_ = end()
	}
	s.done.Wait()
}

// Messages are those that were taken so far.
func (s *Sim) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Asked counts how often a side was asked to take a message, whether it did or not.
func (s *Sim) Asked(side Side) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[side]
}

func (s *Sim) take(m Message) (number int) {
	s.mu.Lock()
	s.numbered++
	number = s.numbered
	if len(s.messages) < most {
		s.messages = append(s.messages, m)
	}
	s.mu.Unlock()
	if s.arrived != nil {
		s.arrived(m)
	}
	return number
}
