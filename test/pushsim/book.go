package pushsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"
)

// What the simulator remembers at most.
const (
	maxPushes  = 20_000
	maxPhones  = 100_000
	maxBacklog = 16
)

// Push is a notification that a side accepted.
type Push struct {
	Provider   Provider          `json:"provider"`
	Token      string            `json:"token"`
	At         time.Time         `json:"at"`
	Title      string            `json:"title"`
	Body       string            `json:"body"`
	Data       map[string]string `json:"data"`
	CollapseID string            `json:"collapseId"`
	Expires    time.Time         `json:"expires"`
	Priority   string            `json:"priority"`
	// Raw is the whole notification as it was received.
	Raw json.RawMessage `json:"raw"`
}

type phone struct {
	provider     Provider
	unregistered time.Time
	listeners    map[chan Push]struct{}
	backlog      []Push
}

// book is who is registered and what was sent.
type book struct {
	now func() time.Time

	mu      sync.Mutex
	phones  map[string]*phone
	pushes  []Push
	arrived chan struct{} // closed and made anew with each push
}

func newBook(now func() time.Time) *book {
	return &book{now: now, phones: map[string]*phone{}, arrived: make(chan struct{})}
}

// Register gives a phone an address (a push token); "" when the simulator is full.
func (s *Sim) Register(p Provider) string {
	var b [32]byte
	rand.Read(b[:])
	token := hex.EncodeToString(b[:])
	if p == FCM {
		token = "sim:" + base64.RawURLEncoding.EncodeToString(b[:])
	}
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	if len(s.book.phones) >= maxPhones {
		return ""
	}
	s.book.phones[token] = &phone{provider: p, listeners: map[chan Push]struct{}{}}
	return token
}

// Unregister makes an address one that was deleted from its phone.
func (s *Sim) Unregister(token string) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	if ph := s.book.phones[token]; ph != nil {
		ph.unregistered = s.now()
	}
}

// Pushes returns what was accepted so far, oldest first.
func (s *Sim) Pushes() []Push {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	return append([]Push(nil), s.book.pushes...)
}

// PushesFor returns what was accepted for one challenge.
func (s *Sim) PushesFor(challenge string) []Push {
	var out []Push
	for _, p := range s.Pushes() {
		if p.Data["c"] == challenge {
			out = append(out, p)
		}
	}
	return out
}

// Forget empties the list of pushes.
func (s *Sim) Forget() {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	s.book.pushes = nil
}

// Arrived returns a channel that closes when the next push is accepted.
func (s *Sim) Arrived() <-chan struct{} {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	return s.book.arrived
}

// look says whether an address is known and since when it is unregistered (zero: it is not).
func (b *book) look(p Provider, token string) (known bool, unregistered time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ph := b.phones[token]
	if ph == nil || ph.provider != p {
		return false, time.Time{}
	}
	return true, ph.unregistered
}

func (b *book) accept(p Push) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pushes) >= maxPushes {
		b.pushes = append([]Push(nil), b.pushes[maxPushes/2:]...)
	}
	b.pushes = append(b.pushes, p)
	close(b.arrived)
	b.arrived = make(chan struct{})
	ph := b.phones[p.Token]
	if ph == nil {
		return
	}
	if len(ph.listeners) == 0 {
		ph.keep(p)
	}
	for l := range ph.listeners {
		select {
		case l <- p:
		default: // a listener that does not read loses messages, as a phone would
		}
	}
}

// keep holds a push for a phone that is not listening; a newer one takes an older one's place.
func (ph *phone) keep(p Push) {
	for i, old := range ph.backlog {
		if old.CollapseID != "" && old.CollapseID == p.CollapseID {
			ph.backlog[i] = p
			return
		}
	}
	if len(ph.backlog) < maxBacklog {
		ph.backlog = append(ph.backlog, p)
	}
}

// Listen hands over what is sent to an address, as the provider's SDK does on the phone; ok is false
// for an address that is not registered. What came while nobody listened comes first, unless expired.
func (s *Sim) Listen(token string) (messages <-chan Push, stop func(), ok bool) {
	b := s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	ph := b.phones[token]
	if ph == nil || !ph.unregistered.IsZero() {
		return nil, nil, false
	}
	c := make(chan Push, 2*maxBacklog)
	for _, p := range ph.backlog {
		if p.Expires.After(b.now()) {
			c <- p
		}
	}
	ph.backlog = nil
	ph.listeners[c] = struct{}{}
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(ph.listeners, c)
	}, true
}
