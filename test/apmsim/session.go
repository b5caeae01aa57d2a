package apmsim

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

// maxSessions bounds what a stand-in remembers; beyond it the oldest go.
const maxSessions = 1000

// session is one run through the access policy.
type session struct {
	id      string // 32 hexadecimal digits
	modern  bool
	page    string // which variant of the logon page
	expires time.Time

	mu      sync.Mutex // held while the policy runs: two posts of one session go one after the other
	user    string     // who got in: empty until then
	errText string     // of the last failed logon
	pending *challenge // a RADIUS server asked back
}

// challenge is what a RADIUS server asked back, and for whom.
type challenge struct {
	user   string
	prompt string
	state  []byte
}

type sessions struct {
	mu   sync.Mutex
	now  func() time.Time
	ttl  time.Duration
	byID map[string]*session
}

// start makes a session and gives the browser its cookies.
func (s *sessions) start(w http.ResponseWriter, modern bool, page string, secure bool) *session {
	var b [16]byte
	rand.Read(b[:])
	ses := &session{id: hex.EncodeToString(b[:]), modern: modern, page: page, expires: s.now().Add(s.ttl)}
	if page == "expired" {
		ses.expires = s.now().Add(1500 * time.Millisecond)
	}
	s.mu.Lock()
	if len(s.byID) >= maxSessions {
		s.dropOldest()
	}
	s.byID[ses.id] = ses
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "LastMRH_Session", Value: ses.id[24:], Path: "/", Secure: secure})
	http.SetCookie(w, &http.Cookie{Name: "MRHSession", Value: ses.id, Path: "/", Secure: secure, HttpOnly: true})
	return ses
}

func (s *sessions) dropOldest() {
	var oldest *session
	for _, ses := range s.byID {
		if oldest == nil || ses.expires.Before(oldest.expires) {
			oldest = ses
		}
	}
	delete(s.byID, oldest.id)
}

// of returns the browser's session; nil when it has none, or none that still lives.
func (s *sessions) of(r *http.Request) *session {
	c, err := r.Cookie("MRHSession")
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.byID[c.Value]
	if ses == nil || !s.now().Before(ses.expires) {
		return nil
	}
	return ses
}

func (s *sessions) end(r *http.Request) {
	if c, err := r.Cookie("MRHSession"); err == nil {
		s.mu.Lock()
		delete(s.byID, c.Value)
		s.mu.Unlock()
	}
}

// left is how long the session still lives, in milliseconds, as the TIN cookie has it.
func (s *sessions) left(ses *session) int64 {
	if ses == nil {
		return 0
	}
	return ses.expires.Sub(s.now()).Milliseconds()
}
