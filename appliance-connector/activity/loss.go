package activity

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

// loss is a time in which records found no place.
type loss struct {
	since time.Time // zero: nothing is being lost
	told  Stats     // the counts up to which the trail tells
}

// losing notes that something was lost just now; the first time it says so.
func (r *Recorder) losing() {
	r.mu.Lock()
	first := r.loss.since.IsZero()
	if first {
		r.loss.since = r.opts.Now()
	}
	r.mu.Unlock()
	if first {
		r.opts.Log.Error("records are being lost: the store is away, or too slow", "cure", "look at the store; the audit trail will say how many were lost")
	}
}

// tellLoss writes into the trail what was lost, once the store takes records again.
func (r *Recorder) tellLoss() {
	r.mu.Lock()
	l := r.loss
	if l.since.IsZero() {
		r.mu.Unlock()
		return
	}
	s := r.Stats()
	r.loss = loss{told: s}
	r.mu.Unlock()
	lost := map[string]uint64{
		"logins": s.Logins.Lost - l.told.Logins.Lost, "events": s.Events.Lost - l.told.Events.Lost,
		"audit": s.Audit.Lost - l.told.Audit.Lost, "radius": s.RADIUS.Lost - l.told.RADIUS.Lost,
	}
	if lost["logins"]+lost["events"]+lost["audit"]+lost["radius"] == 0 {
		return // told already: it was counted just before
	}
	after, err := json.Marshal(struct {
		Since time.Time         `json:"since"`
		Lost  map[string]uint64 `json:"lost"`
	}{l.since.UTC(), lost})
	if err != nil {
		after = nil // strings and numbers: cannot fail
	}
	r.opts.Log.Warn("records were lost", "since", l.since, "logins", lost["logins"], "events", lost["events"], "audit", lost["audit"], "radius", lost["radius"])
	r.Audit(sallyport.AuditRecord{
		Time: r.opts.Now(), Actor: sallyport.Actor{Kind: sallyport.ActorSystem}, Action: "activity.lost", Object: "records of logins", After: after,
		Reason: fmt.Sprintf("Since %s the store took no records or was too slow, and there was no place for more: %d audit records, %d logins, %d events and %d RADIUS requests were not kept.",
			l.since.UTC().Format(time.RFC3339), lost["audit"], lost["logins"], lost["events"], lost["radius"]),
	})
}
