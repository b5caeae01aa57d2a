package smssim

import "time"

// What is what goes wrong; each side says it in its own words.
type What string

const (
	BadNumber  What = "bad number"
	Credential What = "credential"
	Throttled  What = "throttled"
	Down       What = "down"     // it says that it is
	Rejected   What = "rejected" // the message, or a setting
	// Silent reads the message and never answers, Gone hangs up instead. Lying is no answer of this kind of gateway.
	Silent What = "silent"
	Gone   What = "gone"
	Lying  What = "lying"
	// Slow takes the message, after Delay.
	Slow What = "slow"
	// Broken is an error of which nobody knows whether the message was taken.
	Broken What = "broken"
	// Chatty asks in between whether the other side is there (SMPP).
	Chatty What = "chatty"
)

// Fault is something to go wrong. The first that fits is applied.
type Fault struct {
	Side Side
	What What
	// Count is how often it applies; 0 is until the end.
	Count      int
	RetryAfter int // seconds
	Delay      time.Duration
}

// AddFault lets something go wrong from now on.
func (s *Sim) AddFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// ClearFaults ends all that goes wrong.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// ask notes that a side was asked, and returns what is to go wrong.
func (s *Sim) ask(side Side) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[side]++
	for i, f := range s.faults {
		if f.Side != side {
			continue
		}
		if f.Count == 1 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		} else if f.Count > 1 {
			s.faults[i].Count--
		}
		return f
	}
	return Fault{}
}

// wait holds a side up; false when the simulator ends.
func (s *Sim) wait(d time.Duration) bool {
	select {
	case <-s.life.Done():
		return false
	case <-time.After(d):
		return true
	}
}
