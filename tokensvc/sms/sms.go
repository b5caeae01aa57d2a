// Package sms is what the token service asks of those who send text messages to phones. Its sub-packages do it
// by the HTTP interface that Twilio made usual, by SMPP 3.4, and by a signed request of our own (a webhook).
// A message is handed over once: what a sender cannot say for sure it calls uncertain, and nobody tries again.
package sms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// Message is one text message.
type Message struct {
	// ID is the same whenever the same message is meant.
	ID   string
	To   sallyport.PhoneNumber
	Text string
	// Life is how long the message is of use; the network may drop it then.
	Life time.Duration
}

// Outcome is how an attempt to send ended.
type Outcome int

const (
	// Unavailable: the gateway cannot be reached or says to come again. It took nothing.
	Unavailable Outcome = iota
	// Sent: the gateway took it.
	Sent
	// BadNumber: no text message can be sent to this number.
	BadNumber
	// Credential: the gateway does not accept who we are.
	Credential
	// Throttled: too many; see RetryAfter. It took nothing.
	Throttled
	// Rejected: the gateway finds fault with the message or the settings.
	Rejected
	// Forbidden: the token service does not talk to this address.
	Forbidden
	// Uncertain: the gateway may have taken it.
	Uncertain
	// NoGateway: neither the enterprise nor the operator has one.
	NoGateway
)

var outcomes = [...]string{"unavailable", "sent", "bad number", "credential", "throttled", "rejected", "forbidden", "uncertain", "no gateway"}

func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomes) {
		return "unknown"
	}
	return outcomes[o]
}

// Final reports whether the same message must not be tried again, or need not.
func (o Outcome) Final() bool { return o == Sent || o == Uncertain }

// Result is an outcome with what an administrator needs to know of it.
type Result struct {
	Outcome Outcome
	// RetryAfter is how long the gateway asked us to wait; 0 when it did not.
	RetryAfter time.Duration
	// Detail is the gateway's reason, at most 200 octets. It holds neither number, text nor credential.
	Detail string
}

// Sender sends through one gateway. Send returns when the gateway has answered, at the latest when ctx ends, and
// may be called by many at once.
type Sender interface {
	Send(ctx context.Context, m Message) Result
}

// Dial makes a connection, or refuses to (Guard).
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Kind is a kind of gateway.
type Kind string

const (
	Twilio  Kind = "twilio"
	SMPP    Kind = "smpp"
	Webhook Kind = "webhook"
)

// Gateway is how to reach a gateway, and who we are there. It comes with each message and is forgotten after it.
type Gateway struct {
	Kind Kind
	// URL is the base address of a Twilio-compatible interface ("https://api.twilio.com"), the address of a
	// webhook, or smpp://host:port and smpps://host:port, the latter with TLS.
	URL string
	// User is the account (Twilio: the account's SID, or SID:key SID), or the system id of SMPP.
	User   string
	Secret sallyport.Secret
	// From is the sender: a number, a short code, a name, or the SID of a messaging service.
	From string
	// SystemType is of SMPP; usually empty.
	SystemType string
	// Authority holds certificates in PEM that may sign the gateway's own; empty: the system's.
	Authority string
}

// Bounds of a gateway's description, in octets.
const (
	MaxURL       = 1024
	MaxField     = 128
	MaxSecret    = 256
	MaxAuthority = 32 << 10
	maxDetail    = 200
)

// Check says in words what is wrong with the description of a gateway; nil: nothing.
func (g Gateway) Check() error {
	if len(g.URL) > MaxURL || len(g.User) > MaxField || len(g.Secret) > MaxSecret || len(g.From) > MaxField || len(g.SystemType) > MaxField || len(g.Authority) > MaxAuthority {
		return errors.New("the gateway's description is too long")
	}
	u, err := url.Parse(g.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("the gateway's address is not one")
	}
	switch g.Kind {
	case Twilio, Webhook:
		if u.Scheme != "https" {
			return errors.New("the gateway's address must begin with https://")
		}
	case SMPP:
		if u.Scheme != "smpp" && u.Scheme != "smpps" || u.Port() == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return errors.New("the gateway's address must be smpp://host:port or smpps://host:port")
		}
	default:
		return fmt.Errorf("gateways of the kind %q are not known", clean(string(g.Kind)))
	}
	if g.Authority != "" {
		if _, err := g.Roots(); err != nil {
			return err
		}
	}
	return nil
}

// Roots verify the gateway; nil: the system's.
func (g Gateway) Roots() (*x509.CertPool, error) {
	if g.Authority == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(g.Authority)) {
		return nil, errors.New("the authority of the gateway's certificate holds no certificate")
	}
	return pool, nil
}

// Detail makes a Result's Detail out of what a gateway said: one line, cut, without the message's number and text.
func Detail(m Message, said ...string) string {
	text := strings.Join(said, " ")
	for _, s := range []string{string(m.To), strings.TrimPrefix(string(m.To), "+"), m.Text} {
		if s != "" {
			text = strings.ReplaceAll(text, s, "…")
		}
	}
	return clean(text)
}

func clean(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(c rune) bool { return c <= ' ' || c == 0x7f }), " ")
	if len(s) <= maxDetail {
		return s
	}
	cut := maxDetail
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// Unreached is the result when no connection came about, and so nothing was sent.
func Unreached(m Message, err error) Result {
	if errors.Is(err, ErrForbidden) {
		return Result{Outcome: Forbidden, Detail: "the token service does not talk to this address"}
	}
	return Result{Outcome: Unavailable, Detail: Detail(m, "cannot be reached:", reason(err))}
}

// Silent is the result when the message was on its way and no answer came.
func Silent(m Message, err error) Result {
	return Result{Outcome: Uncertain, Detail: Detail(m, "no answer:", reason(err))}
}

// reason is the innermost cause, which says what happened and not to whom.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "not in time"
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
