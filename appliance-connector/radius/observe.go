package radius

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport"
)

// observe tells of a request that is answered.
func (s *Server) observe(q *Query, v Verdict, now time.Time) {
	if s.opts.Observer != nil {
		s.opts.Observer.RADIUS(now, func() sallyport.RADIUSActivity { return activityOf(q, v, now) })
	}
}

func activityOf(q *Query, v Verdict, now time.Time) sallyport.RADIUSActivity {
	a := sallyport.RADIUSActivity{
		Time: now, Integration: q.Integration.ID, Source: q.Source.String(), UserName: q.UserName, Account: v.Account,
		Outcome: sallyport.RADIUSRejected, Reason: v.Reason, Cure: v.Cure, NASIdentifier: q.NASIdentifier, CallingStation: q.CallingStation, CalledStation: q.CalledStation,
	}
	switch {
	case v.Accept:
		a.Outcome = sallyport.RADIUSAccepted
	case len(v.Challenge) > 0:
		a.Outcome = sallyport.RADIUSChallenged
	}
	return a
}

// observe tells of packets that were dropped: the one that has a line in the log, which stands for others.
func (d *dropLog) observe(c complaint, from *client, source netip.AddrPort, now time.Time, suppressed int) {
	if d.observer == nil {
		return
	}
	d.observer.RADIUS(now, func() sallyport.RADIUSActivity {
		a := sallyport.RADIUSActivity{Time: now, Source: source.String(), Outcome: sallyport.RADIUSDropped, Reason: c.cause, Cure: c.cure}
		if from != nil {
			a.Integration = from.ID
		}
		if suppressed > 0 {
			a.Reason = fmt.Sprintf("%s (and %d more before)", c.cause, suppressed)
		}
		return a
	})
}
