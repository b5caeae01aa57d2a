// Package tokenserver asks the enterprise's external token servers (reference: "Connecting to an External Token
// Server") whether what a user typed is what the token shows. It is a RADIUS client (RFC 2865) with PAP: it sends
// Message-Authenticator and demands it of the answers (RFC 3579 section 3.2, CVE-2024-3596), and passes on what a
// server asks by Access-Challenge.
//
// Servers are asked in their order; one that is silent is asked again with the same packet, and then the next one.
// A server that did not answer is passed over for a while, which grows as long as it stays silent; after that one
// login tries it. When all are passed over, all are tried. What a server says is final: a passcode that one has
// refused is shown to no other. A challenge is answered to the server that it came from, whichever appliance goes on
// with the login: which one that is travels in the state.
//
// The package decides nothing about a login, and logs neither names nor passcodes.
package tokenserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
)

// mostAtOnce is how many questions may be under way.
const mostAtOnce = 1024

// Query is what a user typed.
type Query struct {
	Account  sallyport.AccountName
	UserName string // as typed
	Passcode sallyport.Secret
	// State is what the Answer had that this one answers; nil: it begins.
	State []byte
}

// Outcome is what a server made of a passcode.
type Outcome string

const (
	Accepted   Outcome = "accepted"
	Rejected   Outcome = "rejected"
	Challenged Outcome = "challenge" // it asks for more
)

// Answer is what a server said.
type Answer struct {
	Outcome Outcome
	// Message is for the user: text of one line, at most 255 characters.
	Message string
	// State, with Challenged, goes back with what the user types: at most MaxState octets.
	State []byte
	// Server is the one that answered.
	Server sallyport.TokenServerID
}

// Options are what a Client works with.
type Options struct {
	// Name is that of this appliance, for the servers' logs (NAS-Identifier).
	Name string
	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer's
	Now  func() time.Time                                                     // nil: time.Now; of health only
	Log  *slog.Logger                                                         // nil: discarded
}

// Client asks token servers. It is safe for concurrent use.
type Client struct {
	opts  Options
	set   atomic.Pointer[servers]
	mu    sync.Mutex // of Set
	busy  chan struct{}
	count counters
}

// servers are those that this appliance asks, and how.
type servers struct {
	sallyport.TokenServers
	list []*server
}

// New makes a Client that has no servers yet.
func New(o Options) *Client {
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{opts: o, busy: make(chan struct{}, mostAtOnce)}
	c.set.Store(&servers{})
	return c
}

// Set takes servers into use: those of the site that the appliance belongs to, or the enterprise's. What is known
// of a server's health stays as long as its address and its secret do.
func (c *Client) Set(v sallyport.TokenServers, site sallyport.SiteID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.set.Load().list
	next := &servers{TokenServers: v}
	for _, s := range v.For(site) {
		kept := &server{TokenServer: s}
		for _, b := range before {
			if b.ID == s.ID && b.Host == s.Host && b.Port == s.Port && b.Secret == s.Secret && b.Unsigned == s.Unsigned {
				kept = b
			}
		}
		next.list = append(next.list, kept)
	}
	c.set.Store(next)
}

// Check asks the servers. An error means that nobody said anything: CodeUnavailable, or CodeExpired when a
// challenge came from a server that is no longer one.
func (c *Client) Check(ctx context.Context, q Query) (Answer, error) {
	set := c.set.Load()
	r, err := newRequest(set.UserName, c.opts.Name, q)
	if err != nil {
		return Answer{Outcome: Rejected}, nil // nothing that a token can show
	}
	select {
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	default:
		return Answer{}, unavailable(errors.New("too many questions to token servers are under way"))
	}
	if q.State == nil {
		return c.inTurn(ctx, set, r)
	}
	mark, inner, err := openState(q.State)
	if err != nil {
		return Answer{}, sallyport.Errorf(sallyport.CodeInvalid, "This sign-in cannot be continued. Please start again.", err)
	}
	s := set.marked(mark)
	if s == nil {
		return Answer{}, sallyport.Errorf(sallyport.CodeExpired, "This sign-in took too long. Please start again.", errors.New("the token server that asked is no longer one of this appliance"))
	}
	r.state = inner
	a, err := c.asked(ctx, set, s, set.Tries, r)
	if err != nil {
		err = unavailable(fmt.Errorf("%s: %w", s.Host, err))
	}
	return a, err
}

// inTurn asks those that answer in their order, and the others only when none of these did: so that no login fails
// without anybody having been asked.
func (c *Client) inTurn(ctx context.Context, set *servers, r request) (Answer, error) {
	var failed error
	var passed []*server
	ask := func(s *server, tries int) (Answer, bool) {
		a, err := c.asked(ctx, set, s, tries, r)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Host, err))
		}
		return a, err == nil
	}
	for _, s := range set.list {
		turn := s.take(c.opts.Now())
		if turn == pass {
			passed = append(passed, s)
			continue
		}
		tries := set.Tries
		if turn == trial {
			tries = 1 // whoever tries it is not to wait for long
		}
		if a, ok := ask(s, tries); ok || ctx.Err() != nil {
			return a, c.said(ok, failed)
		}
	}
	for _, s := range passed {
		if a, ok := ask(s, 1); ok || ctx.Err() != nil {
			return a, c.said(ok, failed)
		}
	}
	if failed == nil {
		failed = errors.New("none is set up")
	}
	return Answer{}, c.said(false, failed)
}

// said is the error of a question: none, when somebody answered it.
func (c *Client) said(answered bool, failed error) error {
	if answered {
		return nil
	}
	c.count.failed.Add(1)
	return unavailable(failed)
}

func unavailable(cause error) error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again in a minute.", fmt.Errorf("ask token servers: %w", cause))
}

// asked asks one server, and remembers how it did.
func (c *Client) asked(ctx context.Context, set *servers, s *server, most int, r request) (Answer, error) {
	a, tries, err := c.exchange(ctx, set.Timeout, most, s.TokenServer, r)
	now := c.opts.Now()
	if err != nil {
		// Who did not wait long enough cannot tell.
		if ctx.Err() == nil || tries > 1 {
			if first, until := s.fell(now, err); first {
				c.opts.Log.WarnContext(ctx, "token server does not answer; it is passed over for a while", "server", s.Host, "port", s.Port,
					"cause", Words(err), "until", until, "cure", "look at the server, at its entry for this appliance, and at the network to it")
			}
		} else {
			s.leave()
		}
		return Answer{}, err
	}
	if s.rose(now) {
		c.opts.Log.InfoContext(ctx, "token server answers again", "server", s.Host, "port", s.Port)
	}
	c.count.of(a.Outcome).Add(1)
	return a, nil
}

// Try asks one server, whether it is in use or not, and remembers nothing of it.
func (c *Client) Try(ctx context.Context, v sallyport.TokenServers, s sallyport.TokenServer, q Query) (Answer, error) {
	r, err := newRequest(v.UserName, c.opts.Name, q)
	if err != nil {
		return Answer{}, sallyport.Errorf(sallyport.CodeInvalid, "Type a user name and a code, of at most 128 characters.", err)
	}
	if q.State != nil {
		mark, inner, err := openState(q.State)
		if err != nil || mark != stateMark(s.ID) {
			return Answer{}, sallyport.Errorf(sallyport.CodeInvalid, "The question was another server's.", err)
		}
		r.state = inner
	}
	a, _, err := c.exchange(ctx, v.Timeout, v.Tries, s, r)
	return a, err
}

// exchange sends a packet to a server until it answers, and says how often.
func (c *Client) exchange(ctx context.Context, timeout time.Duration, most int, s sallyport.TokenServer, r request) (a Answer, tries int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(most+1)*timeout) // one for the name in DNS
	defer cancel()
	conn, err := c.opts.Dial(ctx, "udp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		return a, 0, fmt.Errorf("find server: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	x, err := r.seal(s.Secret)
	if err != nil {
		return a, 0, err
	}
	var odd error
	for tries = 1; tries <= most; tries++ {
		if _, err := conn.Write(x.packet); err != nil {
			return a, tries, fmt.Errorf("send: %w", err)
		}
		a, err = x.await(ctx, conn, time.Now().Add(timeout), s.Unsigned)
		switch {
		case err == nil:
			a.Server = s.ID
			if a.Outcome == Challenged {
				a.State = sealState(s.ID, a.State)
			}
			return a, tries, nil
		case ctx.Err() != nil:
			return a, tries, ctx.Err()
		case errors.Is(err, errSilent):
		case errors.As(err, new(*oddAnswer)):
			odd = err
		default:
			return a, tries, err
		}
	}
	return Answer{}, most, cmp.Or(odd, errSilent)
}

// await reads until an answer fits, or the time is over.
func (x *exchanged) await(ctx context.Context, conn net.Conn, until time.Time, unsigned bool) (Answer, error) {
	buf := make([]byte, maxPacket)
	var odd error
	for {
		if err := conn.SetReadDeadline(until); err != nil {
			return Answer{}, err
		}
		if ctx.Err() != nil { // the deadline may have replaced that of the end
			return Answer{}, ctx.Err()
		}
		n, err := conn.Read(buf)
		var timeout net.Error
		switch {
		case err == nil:
			a, err := x.open(buf[:n], unsigned)
			if err == nil {
				return a, nil
			}
			odd = err // somebody else's, perhaps; the right one may follow
		case errors.As(err, &timeout) && timeout.Timeout():
			return Answer{}, cmp.Or(odd, errSilent)
		default:
			return Answer{}, fmt.Errorf("receive: %w", err)
		}
	}
}
