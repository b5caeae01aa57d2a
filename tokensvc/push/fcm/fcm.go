// Package fcm sends notifications through Google's push service (FCM, HTTP v1) with a service account.
// It takes Google's errors apart; when to try again is its caller's decision.
package fcm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"github.com/sallyport/sallyport/internal/httpstatus"
	"github.com/sallyport/sallyport/tokensvc/push"
)

// attempt bounds one try: the library repeats a 503 for seven seconds by itself, and its caller
// would not be told meanwhile.
const attempt = 3 * time.Second

// googleHost is where the library sends when it is not told otherwise; here for Warm.
const googleHost = "https://fcm.googleapis.com"

// Config is how to reach Google.
type Config struct {
	// ServiceAccount is the JSON file of the service account.
	ServiceAccount []byte
	// Endpoint is the base address of FCM; "" is Google's.
	Endpoint string
	// TokenURL takes the place of the one in the service account; "" leaves that.
	TokenURL string
	// Roots verify both hosts; nil: the system's.
	Roots *x509.CertPool
	// Now is the clock.
	Now func() time.Time
}

// Sender sends through Google. It implements push.Sender.
type Sender struct {
	client    *messaging.Client
	tokens    *tokens
	transport *http.Transport
	host      string
	now       func() time.Time
}

// New reads the service account and returns a sender. It asks Google nothing yet.
func New(ctx context.Context, cfg Config) (*Sender, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64, MaxConnsPerHost: 256,
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: attempt,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: time.Second},
	}
	project, tokens, err := newTokens(cfg, &http.Client{Transport: transport, Timeout: attempt})
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: push.Observer{Base: &oauth2.Transport{Source: tokens, Base: transport}}}
	opts := []option.ClientOption{option.WithHTTPClient(client)}
	host := googleHost
	if cfg.Endpoint != "" {
		host = cfg.Endpoint
		opts = append(opts, option.WithEndpoint(cfg.Endpoint+"/v1"))
	}
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: project}, opts...)
	if err != nil {
		return nil, fmt.Errorf("configure FCM: %w", err)
	}
	m, err := app.Messaging(ctx)
	if err != nil {
		return nil, fmt.Errorf("configure FCM: %w", err)
	}
	return &Sender{client: m, tokens: tokens, transport: transport, host: host, now: cfg.Now}, nil
}

// Warm fetches the access token and opens the connection, so that the first push waits for neither.
// Google answers the request with an error of its own, which is all that is wanted.
func (s *Sender) Warm(ctx context.Context) error {
	if _, err := s.tokens.Token(); err != nil {
		return fmt.Errorf("get FCM access token: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.host+"/", nil)
	if err != nil {
		return fmt.Errorf("warm FCM connection: %w", err)
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("warm FCM connection: %w", err)
	}
	return resp.Body.Close()
}

// Close ends idle connections.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send implements push.Sender. A refused access token is tried once more with a new one.
func (s *Sender) Send(ctx context.Context, m push.Message) push.Result {
	used := s.tokens.current()
	r := s.try(ctx, m)
	if r.Outcome == push.Credential && s.tokens.drop(used) {
		r = s.try(ctx, m)
	}
	return r
}

func (s *Sender) try(ctx context.Context, m push.Message) push.Result {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	// First and by itself: the library would repeat a refused token request until the time is over.
	if _, err := s.tokens.Token(); err != nil {
		return classify(err, 0, 0)
	}
	ctx, seen := push.Observe(ctx)
	_, err := s.client.Send(ctx, s.message(m))
	if err == nil {
		return push.Result{Outcome: push.Sent}
	}
	status, header := seen.Last()
	return classify(err, status, httpstatus.RetryAfter(header, s.now()))
}

func (s *Sender) message(m push.Message) *messaging.Message {
	life := max(m.Expires.Sub(s.now()), time.Second).Truncate(time.Second)
	seconds := strconv.Itoa(int(life / time.Second))
	return &messaging.Message{
		Token:        m.Token,
		Data:         map[string]string{push.DataField: string(m.Challenge)},
		Notification: &messaging.Notification{Title: push.Title, Body: push.Body},
		Android: &messaging.AndroidConfig{
			Priority: "high", TTL: &life, CollapseKey: m.CollapseID,
			Notification: &messaging.AndroidNotification{Tag: m.CollapseID},
		},
		APNS: &messaging.APNSConfig{
			Headers: map[string]string{
				"apns-priority": "10", "apns-expiration": strconv.FormatInt(m.Expires.Unix(), 10), "apns-collapse-id": m.CollapseID,
			},
			Payload: &messaging.APNSPayload{Aps: &messaging.Aps{Sound: "default"}},
		},
		Webpush: &messaging.WebpushConfig{Headers: map[string]string{"TTL": seconds, "Urgency": "high"}},
	}
}

// classify takes Google's error apart ("FCM error codes"). status is 0 when none came.
func classify(err error, status int, retryAfter time.Duration) push.Result {
	r := push.Result{RetryAfter: retryAfter, Detail: fmt.Sprintf("FCM %d %s", status, code(err))}
	var token *oauth2.RetrieveError
	switch {
	case errors.As(err, &token):
		return tokenResult(token)
	case messaging.IsUnregistered(err), status == http.StatusNotFound:
		r.Outcome = push.Unregistered
	case messaging.IsSenderIDMismatch(err):
		// The address belongs to another project's app: as good as none.
		r.Outcome = push.Unregistered
	case messaging.IsThirdPartyAuthError(err):
		r.Outcome, r.Advice = push.Credential, "upload a valid APNs key or certificate for the app in the Firebase console"
	case status == http.StatusTooManyRequests:
		r.Outcome = push.Throttled
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		r.Outcome, r.Advice = push.Credential, "check that the service account exists, may send (role Firebase Cloud Messaging API Admin) and that the FCM API is enabled in its project"
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		r.Outcome, r.Advice = push.Rejected, "look the error up in Google's table of FCM error codes"
	case status == 0:
		r.Outcome, r.Detail = push.Unavailable, "FCM cannot be reached: "+reachError(err)
	default:
		r.Outcome = push.Unavailable
	}
	return r
}

// tokenResult is for the token endpoint's refusal (RFC 6749 section 5.2).
func tokenResult(e *oauth2.RetrieveError) push.Result {
	status := 0
	if e.Response != nil {
		status = e.Response.StatusCode
	}
	r := push.Result{Outcome: push.Unavailable, Detail: fmt.Sprintf("Google token endpoint %d %s", status, e.ErrorCode)}
	if status >= http.StatusBadRequest && status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
		r.Outcome = push.Credential
		r.Advice = "make a new key for the service account and install it, and check this host's clock"
	}
	return r
}

func code(err error) string {
	switch {
	case messaging.IsUnregistered(err):
		return "UNREGISTERED"
	case messaging.IsSenderIDMismatch(err):
		return "SENDER_ID_MISMATCH"
	case messaging.IsThirdPartyAuthError(err):
		return "THIRD_PARTY_AUTH_ERROR"
	case messaging.IsQuotaExceeded(err):
		return "QUOTA_EXCEEDED"
	case messaging.IsInvalidArgument(err):
		return "INVALID_ARGUMENT"
	case messaging.IsUnavailable(err):
		return "UNAVAILABLE"
	case messaging.IsInternal(err):
		return "INTERNAL"
	default:
		return "without a code"
	}
}

func reachError(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
