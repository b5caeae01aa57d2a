package pushsim

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxFaults bounds what the control API can pile up.
const maxFaults = 256

// Fault is an error to provoke. The first that fits a request is applied.
type Fault struct {
	Provider Provider `json:"provider"`
	// Token limits it to one address; "" is any.
	Token string `json:"token,omitempty"`
	// Status and Reason are answered: Apple's reason ("TooManyRequests"), Google's error code
	// ("QUOTA_EXCEEDED"), or an OAuth error ("invalid_grant"). Status 0 lets the request through (Delay).
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	// RetryAfter is sent along, in seconds.
	RetryAfter int `json:"retryAfter,omitempty"`
	// DelayMS holds the request first.
	DelayMS int `json:"delayMs,omitempty"`
	// BlackHole never answers.
	BlackHole bool `json:"blackHole,omitempty"`
	// Count is how often it applies; 0 is until it is cleared.
	Count int `json:"count,omitempty"`
}

type faults struct {
	mu   sync.Mutex
	list []Fault
	hits map[Provider]int
}

// AddFault provokes an error from now on.
func (s *Sim) AddFault(f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if len(s.faults.list) < maxFaults {
		s.faults.list = append(s.faults.list, f)
	}
}

// ClearFaults ends all provoked errors.
func (s *Sim) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = nil
}

// Requests counts what a side was asked, refused or not.
func (s *Sim) Requests(p Provider) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.hits[p]
}

func (f *faults) take(p Provider, token string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hits == nil {
		f.hits = map[Provider]int{}
	}
	f.hits[p]++
	for i, fault := range f.list {
		if fault.Provider != p || fault.Token != "" && fault.Token != token {
			continue
		}
		if fault.Count == 1 {
			f.list = append(f.list[:i:i], f.list[i+1:]...)
		} else if fault.Count > 1 {
			f.list[i].Count--
		}
		return fault, true
	}
	return Fault{}, false
}

// fault applies a provoked error and reports whether the request is done with.
func (s *Sim) fault(w http.ResponseWriter, r *http.Request, p Provider, token string, refuse func(http.ResponseWriter, int, string)) bool {
	f, found := s.faults.take(p, token)
	if !found {
		return false
	}
	if f.BlackHole {
		<-r.Context().Done()
		return true
	}
	if f.DelayMS > 0 {
		select {
		case <-r.Context().Done():
			return true
		case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
		}
	}
	if f.Status == 0 {
		return false
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	refuse(w, f.Status, f.Reason)
	return true
}
