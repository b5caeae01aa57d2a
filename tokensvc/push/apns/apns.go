// Package apns sends notifications through Apple's push service (HTTP/2 provider API), with a signing
// key (.p8) or a certificate. It keeps connections warm, notices dead ones within seconds, and takes
// Apple's reasons apart; when to try again is its caller's decision.
package apns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/payload"
	"github.com/sideshow/apns2/token"

	"github.com/sallyport/sallyport/internal/httpstatus"
	"github.com/sallyport/sallyport/tokensvc/push"
)

// Production and Development are Apple's hosts.
const (
	Production  = apns2.HostProduction
	Development = apns2.HostDevelopment
)

// attempt bounds one try. A connection that has died silently costs readIdle + ping, then the second
// try finds a new one.
const (
	attempt  = 4 * time.Second
	readIdle = 2 * time.Second
	ping     = 1 * time.Second
)

// renewal is the least time between two provider tokens; Apple refuses more than one in 20 minutes
// when they come from one connection, so a wrong key must not make one for each push.
const renewal = time.Minute

// Config is how to reach Apple. Either Key or Certificate is set.
type Config struct {
	// Host is "https://api.push.apple.com" or another; "" is Production.
	Host string
	// Topic is the app's bundle id.
	Topic string
	// Key signs provider tokens.
	Key *SigningKey
	// Certificate authenticates the connection instead.
	Certificate *tls.Certificate
	// Roots verify the host; nil: the system's.
	Roots *x509.CertPool
	// Now is the clock.
	Now func() time.Time
}

// SigningKey is a key from Apple's developer account.
type SigningKey struct {
	P8     []byte // PEM
	KeyID  string
	TeamID string
}

// Sender sends through Apple. It implements push.Sender.
type Sender struct {
	client    *apns2.Client
	transport *http.Transport
	topic     string
	now       func() time.Time

	mu      sync.Mutex
	renewed time.Time
}

// New checks the credential, by signing with it, and returns a sender.
func New(cfg Config) (*Sender, error) {
	if cfg.Topic == "" {
		return nil, errors.New("configure APNs: the topic (bundle id of the app) is missing")
	}
	if (cfg.Key == nil) == (cfg.Certificate == nil) {
		return nil, errors.New("configure APNs: give a signing key or a certificate, not both")
	}
	host := cfg.Host
	if host == "" {
		host = Production
	}
	s := &Sender{topic: cfg.Topic, now: cfg.Now, transport: transport(cfg)}
	s.client = &apns2.Client{Host: host, HTTPClient: &http.Client{Transport: push.Observer{Base: s.transport}}}
	if cfg.Certificate != nil {
		s.client.Certificate = *cfg.Certificate
		return s, nil
	}
	key, err := token.AuthKeyFromBytes(cfg.Key.P8)
	if err != nil {
		return nil, fmt.Errorf("read APNs signing key: %w", err)
	}
	s.client.Token = &token.Token{AuthKey: key, KeyID: cfg.Key.KeyID, TeamID: cfg.Key.TeamID}
	// The library hides signing errors later on, so the first token is made here.
	if _, err := s.client.Token.Generate(); err != nil {
		return nil, fmt.Errorf("sign with APNs key: %w", err)
	}
	return s, nil
}

func transport(cfg Config) *http.Transport {
	tlsConfig := &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}
	if cfg.Certificate != nil {
		tlsConfig.Certificates = []tls.Certificate{*cfg.Certificate}
	}
	var only http.Protocols
	only.SetHTTP2(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, Protocols: &only, TLSHandshakeTimeout: attempt,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: readIdle, PingTimeout: ping, WriteByteTimeout: readIdle + ping,
			StrictMaxConcurrentRequests: true, // a burst waits for streams instead of opening dozens of connections
		},
	}
}

// Warm opens the connection, so that the first push does not wait for it. Apple answers the request
// with an error of its own, which is all that is wanted.
func (s *Sender) Warm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.client.Host+"/", nil)
	if err != nil {
		return fmt.Errorf("warm APNs connection: %w", err)
	}
	resp, err := s.client.HTTPClient.Do(req)
	if err != nil {
		return fmt.Errorf("warm APNs connection: %w", err)
	}
	return resp.Body.Close()
}

// Close ends idle connections.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send implements push.Sender. A broken connection is tried once more on a new one, a refused
// provider token once more with a new one.
func (s *Sender) Send(ctx context.Context, m push.Message) push.Result {
	r, err := s.try(ctx, m)
	switch {
	case err != nil && ctx.Err() == nil:
		r, err = s.try(ctx, m)
	case err == nil && r.staleToken() && s.renew():
		r, err = s.try(ctx, m)
	}
	if err != nil {
		return push.Result{Outcome: push.Unavailable, Detail: "APNs cannot be reached: " + reachError(err)}
	}
	return r.result()
}

// answer is Apple's answer with what the library leaves out.
type answer struct {
	*apns2.Response
	retryAfter time.Duration
}

func (s *Sender) try(ctx context.Context, m push.Message) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	ctx, seen := push.Observe(ctx)
	resp, err := s.client.PushWithContext(ctx, &apns2.Notification{
		DeviceToken: m.Token, Topic: s.topic, CollapseID: m.CollapseID,
		Expiration: m.Expires, Priority: apns2.PriorityHigh, PushType: apns2.PushTypeAlert,
		Payload: payload.NewPayload().AlertTitle(push.Title).AlertBody(push.Body).Sound("default").Custom(push.DataField, string(m.Challenge)),
	})
	status, header := seen.Last()
	if err != nil {
		if status < http.StatusInternalServerError {
			return answer{}, err
		}
		// Something in front of Apple answered, without a reason that could be read.
		resp = &apns2.Response{StatusCode: status}
	}
	return answer{Response: resp, retryAfter: httpstatus.RetryAfter(header, s.now())}, nil
}

// renew makes a new provider token; false when the last one is too young for that to help.
func (s *Sender) renew() bool {
	t := s.client.Token
	if t == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.renewed) < renewal {
		// Another push has just done it: this one was sent with the old token, or the key is wrong.
		return true
	}
	t.Lock()
	defer t.Unlock()
	if _, err := t.Generate(); err != nil {
		return false
	}
	s.renewed = s.now()
	return true
}

// reachError names what broke without repeating the address, in which the device token stands.
func reachError(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
