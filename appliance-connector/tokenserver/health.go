package tokenserver

import (
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport"
)

// How long a silent server is passed over: at first, and at most.
const (
	passedFirst = 15 * time.Second
	passedMost  = 5 * time.Minute
)

// server is one that is asked, and how it is doing.
type server struct {
	sallyport.TokenServer

	mu       sync.Mutex
	answered time.Time
	fails    int // in a row
	failed   time.Time
	until    time.Time // it is passed over
	trying   bool      // a login tries it
	trouble  string
}

// Health is how a server does, as this appliance sees it.
type Health struct {
	Server sallyport.TokenServerID
	// Answered is when it answered last; zero: not since the appliance started.
	Answered time.Time
	// Trouble says why it did not answer the last time, at Failed, in words for an administrator; empty: it did.
	Trouble string
	Failed  time.Time
	// Until is when it is tried again.
	Until time.Time
}

// Health returns how the servers do that this appliance asks, in their order.
func (c *Client) Health() (out []Health) {
	for _, s := range c.set.Load().list {
		s.mu.Lock()
		out = append(out, Health{s.ID, s.answered, s.trouble, s.failed, s.until})
		s.mu.Unlock()
	}
	return out
}

// marked returns the server that a state names, or nil.
func (v *servers) marked(mark [stateMarkSize]byte) *server {
	at := slices.IndexFunc(v.list, func(s *server) bool { return stateMark(s.ID) == mark })
	if at < 0 {
		return nil
	}
	return v.list[at]
}

// turn is whether a server is asked in its turn.
type turn int

const (
	pass  turn = iota // it is passed over
	full              // it answers
	trial             // it did not answer, and is due to be tried again, by this login and by no other
)

func (s *server) take(now time.Time) turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fails == 0:
		return full
	case s.trying || now.Before(s.until):
		return pass
	}
	s.trying = true
	return trial
}

// leave ends a try that nothing came of.
func (s *server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trying = false
}

// fell notes that a server did not answer, and reports whether that is new.
func (s *server) fell(now time.Time, err error) (first bool, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.fails == 0
	s.trying, s.failed, s.trouble = false, now, Words(err)
	// Many who wait at the same time are one failure.
	if first || !now.Before(s.until) {
		s.fails++
		s.until = now.Add(min(passedMost, passedFirst<<min(s.fails-1, 8)))
	}
	return first, s.until
}

// rose notes that a server answered, and reports whether that is new.
func (s *server) rose(now time.Time) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again = s.fails > 0
	s.answered, s.fails, s.trying, s.trouble, s.until, s.failed = now, 0, false, "", time.Time{}, time.Time{}
	return again
}

// stateMarkSize is how many octets of a state say which server it is of.
const stateMarkSize = 8

// MaxState is the longest state of an Answer, in octets.
const MaxState = 1 + stateMarkSize + maxAttribute

const stateVersion = 1

func stateMark(id sallyport.TokenServerID) (m [stateMarkSize]byte) {
	sum := sha256.Sum256([]byte(id))
	copy(m[:], sum[:])
	return m
}

// sealState puts a server's State together with which server it is of. It is no secret; whoever carries it seals it.
func sealState(id sallyport.TokenServerID, state []byte) []byte {
	mark := stateMark(id)
	return append(append([]byte{stateVersion}, mark[:]...), state...)
}

func openState(b []byte) (mark [stateMarkSize]byte, state []byte, err error) {
	if len(b) < 1+stateMarkSize || len(b) > MaxState || b[0] != stateVersion {
		return mark, nil, errors.New("state is none of a token server")
	}
	copy(mark[:], b[1:])
	return mark, b[1+stateMarkSize:], nil
}

// Words says what is wrong with a server, for an administrator.
func Words(err error) string {
	var odd *oddAnswer
	var dns *net.DNSError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &odd):
		return odd.words
	case errors.Is(err, errSilent), errors.Is(err, os.ErrDeadlineExceeded):
		return "It does not answer. Look whether it is running, whether it has this appliance as a client with the same shared secret, and whether the network lets UDP through."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nothing listens at this port of the host. Look whether the server is running, and at the port."
	case errors.As(err, &dns):
		return "The host name is not found in DNS."
	}
	return "It cannot be reached: " + err.Error()
}

// counters is what a Client counts while it runs.
type counters struct{ accepted, rejected, challenged, failed atomic.Uint64 }

func (c *counters) of(o Outcome) *atomic.Uint64 {
	switch o {
	case Accepted:
		return &c.accepted
	case Challenged:
		return &c.challenged
	}
	return &c.rejected
}

// Stats is what a Client has counted since it started.
type Stats struct {
	Accepted, Rejected, Challenged uint64 // answers of servers
	Failed                         uint64 // questions that no server answered
}

// Stats returns the counters as they stand.
func (c *Client) Stats() Stats {
	return Stats{c.count.accepted.Load(), c.count.rejected.Load(), c.count.challenged.Load(), c.count.failed.Load()}
}
