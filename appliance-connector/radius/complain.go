package radius

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// complaint is a refusal for the log: what happened, why, and what to do.
type complaint struct {
	cause, cure string
}

var (
	unknownSource = complaint{"unknown source address",
		"add the address to the integration's RADIUS clients, or take this server out of the gateway's configuration"}
	wrongSecret = complaint{"wrong shared secret: Message-Authenticator does not match",
		"enter the same secret at the gateway and in the integration"}
	garbledPassword = complaint{"wrong shared secret: the password cannot be decoded",
		"enter the same secret at the gateway and in the integration"}
	missingMAC = complaint{"Message-Authenticator missing",
		"update the gateway so that it sends Message-Authenticator (CVE-2024-3596), or do not demand it in the integration"}
	missingMACOnceSeen = complaint{"Message-Authenticator missing, though this gateway has sent it before",
		"look for somebody who changes packets on the way; if the gateway went back to an older version, set the integration to never demand it"}
	missingMACForEAP    = complaint{"EAP without Message-Authenticator", "set the gateway's RADIUS server to PAP"}
	missingMACForStatus = complaint{"Status-Server without Message-Authenticator",
		"let the gateway's health check send Message-Authenticator (RFC 5997)"}
	missingName     = complaint{"no user name", "let the gateway send User-Name"}
	missingPassword = complaint{"no password", "set the gateway's RADIUS server to PAP"}
	overloaded      = complaint{"too many requests being verified", "look at what keeps them waiting: cloud, directory, peers"}
	tooLong         = complaint{"attributes and Proxy-States are too long for an answer", "give the integration fewer or shorter attributes"}
	noGroups        = complaint{"attributes depend on groups, and this appliance does not know any", "configure the directory"}
	gaveUp          = complaint{"answered after the gateway gave up", "raise the gateway's RADIUS timeout to 5 s, and look at what was slow: cloud, directory, peers"}
)

func wrongProtocol(name string) complaint {
	return complaint{"wrong protocol: " + name, "set the gateway's RADIUS server to PAP instead of " + name}
}

func malformed(err error) complaint {
	return complaint{"malformed packet: " + err.Error(), "check that a RADIUS client, and a current one, is sending"}
}

// dropLog writes the lines for packets that anybody could have sent, or forged. So that a flood fills
// no disk, each cause has a line now and then for each source, and says how many it stands for.
type dropLog struct {
	log      *slog.Logger
	observer Observer // or nil

	mu      sync.Mutex
	quiet   map[dropKey]*quiet
	overall *rate.Limiter
}

type dropKey struct {
	cause  string
	source netip.Addr
}

type quiet struct {
	until      time.Time
	suppressed int
}

const (
	dropQuiet   = 10 * time.Second // between two lines of one cause and source
	dropSources = 1024             // remembered at a time
	dropBurst   = 100              // lines at once, for all causes and sources
	dropRate    = 10               // lines a second, likewise
)

func newDropLog(log *slog.Logger, o Observer) *dropLog {
	return &dropLog{log: log, observer: o, quiet: make(map[dropKey]*quiet), overall: rate.NewLimiter(dropRate, dropBurst)}
}

func groupsFailed(err error) complaint {
	return complaint{fmt.Sprintf("could not read the user's groups: %v", err), "check the domain controllers and the network to them; the user may log in again"}
}

func (d *dropLog) write(c complaint, c2 *client, source netip.AddrPort, now time.Time, more ...any) {
	suppressed, ok := d.allow(dropKey{c.cause, source.Addr()}, now)
	if !ok {
		return
	}
	args := []any{"cause", c.cause, "cure", c.cure, "source", source.String()}
	if c2 != nil {
		args = append(args, "integration", string(c2.ID), "gateway", c2.Nickname)
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	d.log.Warn("RADIUS request dropped", append(args, more...)...)
	d.observe(c, c2, source, now, suppressed)
}

// allow says whether a line may be written, and how many were left out since the last one.
func (d *dropLog) allow(k dropKey, now time.Time) (suppressed int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.quiet[k]
	if q != nil && now.Before(q.until) && q.until.Sub(now) <= dropQuiet { // longer: the clock was set back
		q.suppressed++
		return 0, false
	}
	if !d.overall.AllowN(now, 1) {
		return 0, false
	}
	if q == nil {
		if len(d.quiet) >= dropSources {
			clear(d.quiet)
		}
		q = &quiet{}
		d.quiet[k] = q
	}
	suppressed, q.suppressed = q.suppressed, 0
	q.until = now.Add(dropQuiet)
	return suppressed, true
}

// dropped notes and logs a packet that is not answered.
func (s *Server) dropped(bad complaint, c *client, source netip.AddrPort, now time.Time) {
	if c == nil {
		s.unknown.note(source.Addr(), now)
	} else {
		c.memory.refused(bad, now)
	}
	s.drops.write(bad, c, source, now)
}

// refused writes the one line of a request that was answered with Access-Reject.
func (s *Server) refused(q *Query, v Verdict) {
	s.opts.Log.Warn("RADIUS request refused",
		"cause", v.Reason, "cure", v.Cure,
		"user", q.UserName, "integration", string(q.Integration.ID), "gateway", q.Integration.Nickname,
		"source", q.Source.String(), "nas", q.NASIdentifier, "from", q.CallingStation,
		"request", fmt.Sprintf("%x", q.Request))
}
