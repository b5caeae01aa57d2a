package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// tier is one limit on guessing: at most most tries within window. Windows grow, so that who goes on waits
// longer and longer.
type tier struct {
	kind   string
	most   int
	window time.Duration
}

// Of one name from one network; of one network whatever the name; of one name from wherever. The last is
// wide, since anybody could use it to keep somebody out; it ends by itself after an hour.
var (
	nameHereTiers = []tier{{"console-1", 5, time.Minute}, {"console-2", 10, 15 * time.Minute}, {"console-3", 25, 24 * time.Hour}}
	hereTiers     = []tier{{"console-4", 30, time.Minute}, {"console-5", 100, time.Hour}}
	nameTiers     = []tier{{"console-6", 100, time.Hour}}
	// codeTiers are for the second factor, of one administrator from wherever: the password was right already.
	codeTiers = []tier{{"console-7", 5, 5 * time.Minute}, {"console-8", 20, 24 * time.Hour}}
)

// counter is who is counted, and by which tiers.
type counter struct {
	who   sallyport.AccountName
	tiers []tier
}

// counted makes the name under which the store counts; the hash keeps what was typed out of the database.
func counted(parts ...string) sallyport.AccountName {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return sallyport.AccountName("console " + hex.EncodeToString(sum[:16]))
}

func signInCounters(name, address string) []counter {
	name, here := strings.ToLower(strings.TrimSpace(name)), network(address)
	return []counter{
		{counted("name here", name, here), nameHereTiers},
		{counted("here", here), hereTiers},
		{counted("name", name), nameTiers},
	}
}

func codeCounters(id sallyport.AdministratorID) []counter {
	return []counter{{counted("code", string(id)), codeTiers}}
}

// network is what one customer of a network provider holds: an IPv4 address, or 64 bits of an IPv6 address.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); err == nil && a.Is6() {
		return p.String()
	}
	return a.String()
}

// attempt counts a try before it is looked at, on all appliances: of many at once none is free. Its error is
// CodeLimited when there were too many.
func (s *Service) attempt(ctx context.Context, counters []counter) error {
	now := s.now()
	for _, c := range counters {
		for _, t := range c.tiers {
			n, err := s.db.Failure(ctx, c.who, t.kind, now, t.window)
			if err != nil {
				return err
			}
			if n > t.most {
				return tooMany(t)
			}
		}
	}
	return nil
}

// guessed is CodeLimited when there were too many tries before; it counts none.
func (s *Service) guessed(ctx context.Context, counters []counter) error {
	now := s.now()
	for _, c := range counters {
		for _, t := range c.tiers {
			n, err := s.db.Failures(ctx, c.who, t.kind, now, t.window)
			if err != nil {
				return err
			}
			if n > t.most {
				return tooMany(t)
			}
		}
	}
	return nil
}

func tooMany(t tier) error {
	return sallyport.Errorf(sallyport.CodeLimited, "Too many tries. Please wait "+inWords(t.window)+" and try again.", nil)
}

// succeeded takes the tries of a name back; those of an address stay, since others may be behind it.
func (s *Service) succeeded(ctx context.Context, counters []counter) {
	for _, c := range counters {
		for _, t := range c.tiers {
			if strings.HasPrefix(t.kind, "console-4") || strings.HasPrefix(t.kind, "console-5") {
				continue
			}
			if err := s.db.ResetFailures(ctx, c.who, t.kind); err != nil {
				s.log.WarnContext(ctx, "sign-in tries not reset", "err", err)
			}
		}
	}
}

func inWords(d time.Duration) string {
	switch {
	case d <= time.Minute:
		return "a minute"
	case d < time.Hour:
		return "some minutes"
	case d == time.Hour:
		return "an hour"
	}
	return "a day"
}
