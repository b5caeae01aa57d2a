// Package radius is the appliance's RADIUS server (RFC 2865) for the gateways of the enterprise. It
// knows who may ask, checks that what they ask is genuine, remembers what it answered, and leaves the
// decision to a Verifier. It takes PAP only: with CHAP or EAP nothing but a stored password could be
// checked.
//
// How a packet goes through:
//
//	datagram ─▶ source known? ─▶ well formed? ─▶ genuine? ─▶ seen before? ─▶ password ─▶ Verifier ─▶ answer
//	               │ no             │ no            │ no           │ yes         │ not PAP     │ refused
//	               ▼                ▼               ▼              ▼             ▼             ▼
//	             dropped         dropped         dropped     the same answer   Reject   Reject or Challenge
//
// A packet that is repeated within ReplyWindow has the same answer, octet for octet, and is not
// verified again; repeated while the first is being verified, it has the first one's answer.
//
// Each refusal is one log line with its cause and its cure. What the gateway hears is the same for
// all of them. Passwords, tokens and secrets are never logged.
//
// An Access-Accept carries the attributes that the integration gives the user's groups. The groups are
// asked for when there are such attributes, and for no other integration.
//
// Clients are addresses, networks, and host names, which are resolved again every minute. While a
// gateway's secret is being changed, both are taken, and each request is answered under its own.
//
// Accounting (RFC 2866) is answered when it is recorded, and recorded once however often it comes.
//
// Over TLS (RFC 6614) a gateway is known by its certificate, whatever its address, and the shared secret is the word
// "radsec"; all else is as over UDP. A connection holds few requests at a time, and an integration few connections,
// so that none of them starves another, nor those over UDP.
//
// Every answer carries Message-Authenticator (RFC 3579 section 3.2) and carries it first, against
// CVE-2024-3596.
package radius

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/sallyport/sallyport"
)

// Verifier decides about an Access-Request.
type Verifier interface {
	// Verify may take until ctx ends.
	Verify(ctx context.Context, q Query) Verdict
}

// InstantVerifier is a Verifier that can decide some queries at once, without waiting for anything.
// Those are answered by the goroutine that read them, at several times the rate.
type InstantVerifier interface {
	Verifier
	// VerifyNow reports false when it cannot decide at once; Verify is then asked.
	VerifyNow(q *Query) (Verdict, bool)
}

// PatientVerifier is a Verifier that may take longer than Deadline for some queries: those that wait for a
// person. They hold memory and a place among those waiting, and nothing else.
type PatientVerifier interface {
	Verifier
	Patience(q *Query) time.Duration
}

// Observer is told what became of every request but repetitions and health checks. It is called by those
// who answer, and must not wait for anything. tell makes the whole story; it costs more than to know that
// there is one. Of packets that are dropped it is told as often as the log has a line.
type Observer interface {
	RADIUS(at time.Time, tell func() sallyport.RADIUSActivity)
}

// Query is an Access-Request with PAP.
type Query struct {
	Integration *sallyport.Integration // not to be changed
	UserName    string
	Passcode    sallyport.Secret
	Source      netip.AddrPort
	// Request identifies the packet: it is the same for a repetition, and on every appliance.
	Request        RequestID
	NASIdentifier  string
	CallingStation string // where the user is, as the gateway sees it
	CalledStation  string // which of the gateway's addresses was called
	// State is what the Verdict with a Challenge had that this answers; nil: it begins a login.
	State []byte
}

// RequestID is a request's identifier and authenticator.
type RequestID [17]byte

// Verdict is what a Verifier decides.
type Verdict struct {
	Accept bool
	// Challenge, when it is not empty, asks the user for more: it is the State (at most 253 octets) that the
	// next request brings back. Message is the question.
	Challenge []byte
	// Drop: there is no answer, so that the gateway asks another appliance, which goes on with the login.
	Drop bool
	// Message is shown to the user by some gateways (Reply-Message). It must not depend on whether
	// the user exists.
	Message string
	// Reason and Cure are for the log, when refused: what was wrong, and what to do about it.
	Reason string
	Cure   string
	// Account is whose login it was, as far as the Verifier found out. Where attributes depend on groups it
	// must be there.
	Account sallyport.AccountName
}

// Groups knows whose member an account is.
type Groups interface {
	// Groups returns the DNs of the account's groups: nested ones too of synchronised users, direct ones
	// of others.
	Groups(ctx context.Context, account sallyport.AccountName) ([]string, error)
}

// Options are what a Server works with. Zero values have the defaults named.
type Options struct {
	Address      string // ":1812"
	Integrations []sallyport.Integration
	Verifier     Verifier
	// Groups is asked where attributes depend on groups, and nowhere else.
	Groups Groups
	// Recorder keeps what is heard; nil: nobody does.
	Recorder  HeardRecorder
	Appliance sallyport.ApplianceID // for the recorder
	Observer  Observer              // nil: nobody is told
	Resolver  Resolver              // of host names; nil: net.DefaultResolver
	Log       *slog.Logger          // nil: discarded
	Now       func() time.Time      // nil: time.Now

	// TLS is how RADIUS over TLS is served beside UDP; nil: it is not.
	TLS *TLSOptions
	// Accounting is how accounting is served; nil: it is not.
	Accounting *AccountingOptions

	Readers     int           // goroutines that read; as many as there are processors, at most 8
	Waiting     int           // requests being verified at a time; 16,384
	Deadline    time.Duration // for one of them; 4 s
	ReplyWindow time.Duration // how long a request is remembered for repetitions; 30 s. More than any Verifier's patience
	Replies     int           // answers kept at most; 262,144
}

func (o Options) withDefaults() Options {
	if o.Address == "" {
		o.Address = ":1812"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	o.Readers = orDefault(o.Readers, min(8, runtime.GOMAXPROCS(0)))
	o.Waiting = orDefault(o.Waiting, 16<<10)
	o.Deadline = orDefault(o.Deadline, 4*time.Second)
	o.ReplyWindow = orDefault(o.ReplyWindow, 30*time.Second)
	o.Replies = orDefault(o.Replies, 256<<10)
	return o
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}
