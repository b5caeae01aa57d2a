package outbox

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// The back-off between two tries: full jitter below a ceiling that doubles.
const (
	firstWait = 400 * time.Millisecond
	maxWait   = 4 * time.Second
	// stale is how long a push may lie before it is checked that it is still wanted; one that goes out
	// at once is not.
	stale = 100 * time.Millisecond
)

// job is a push on its way.
type job struct {
	store.PushJob
	tries   int
	since   time.Time // when it was last looked at in Redis
	expires time.Time // of the challenge
	giveUp  time.Time // when the user has to be told that it will not arrive
	last    push.Result
}

// newJob leaves the last sixth of the challenge's life for the user to open the app unasked.
func newJob(p store.PushJob, now time.Time) *job {
	expires := now.Add(p.Remaining)
	return &job{PushJob: p, since: now, expires: expires, giveUp: expires.Add(-p.TTL / 6)}
}

// wait is how long to wait before the next try, and whether there is one.
func (j *job) wait(now time.Time) (time.Duration, bool) {
	ceiling := min(firstWait<<min(j.tries-1, 8), maxWait)
	d := ceiling/2 + rand.N(ceiling/2)
	d = max(d, j.last.RetryAfter)
	return d, now.Add(d).Before(j.giveUp)
}

// attempt sends once and sees to what follows from it.
func (o *Outbox) attempt(stop, ctx context.Context, j *job) {
	now := o.cfg.Now()
	if now.Sub(j.since) > stale && !o.stillWanted(ctx, j) {
		return
	}
	j.since = now
	if !now.Before(j.expires) {
		o.finish(ctx, j, store.Delivery{State: store.DeliveryFailed, Reason: "late"})
		return
	}
	j.tries++
	bounded, cancel := context.WithTimeout(ctx, j.expires.Sub(now))
	j.last = o.cfg.Senders[j.Push.Provider].Send(bounded, push.Message{
		Token: j.Push.Token, Challenge: j.Challenge, Expires: j.expires, CollapseID: push.CollapseID(j.Device),
	})
	cancel()
	o.cfg.Observe.PushAttempt(j.Push.Provider, j.last.Outcome, o.cfg.Now().Sub(now))
	switch j.last.Outcome {
	case push.Sent:
		o.cfg.Log.Debug("push sent", "step", 7, "provider", j.Push.Provider, "challenge", j.Challenge, "tenant", j.Tenant)
		o.finish(ctx, j, store.Delivery{State: store.DeliverySent})
	case push.Unregistered:
		o.forget(ctx, j)
	case push.Credential, push.Rejected:
		o.cfg.Log.Error("push refused by the provider", "provider", j.Push.Provider, "challenge", j.Challenge, "tenant", j.Tenant,
			"outcome", j.last.Outcome.String(), "detail", j.last.Detail, "advice", j.last.Advice)
		o.finish(ctx, j, store.Delivery{State: store.DeliveryFailed, Reason: j.last.Outcome.String()})
	default:
		o.again(stop, ctx, j)
	}
}

// stillWanted reports whether a push that waited is still ours and its challenge still pending.
func (o *Outbox) stillWanted(ctx context.Context, j *job) bool {
	holds, err := o.cfg.Store.HoldsPush(ctx, j.PushRef, o.cfg.Owner)
	if err != nil {
		// Redis is away: the push is sent rather than lost; should another replica have it too, the
		// collapse id makes one of them on the phone.
		return true
	}
	if holds {
		return true
	}
	o.letGo(j.PushRef)
	return false
}

// forget drops an address that the provider does not know any more.
func (o *Outbox) forget(ctx context.Context, j *job) {
	o.cfg.Log.Info("push address forgotten", "provider", j.Push.Provider, "tenant", j.Tenant, "device", j.Device, "detail", j.last.Detail)
	if err := o.cfg.Store.ForgetAddress(ctx, j.Tenant, j.Device, j.Push); err != nil {
		o.cfg.Log.Warn("push address not forgotten", "device", j.Device, "error", err)
	}
	o.finish(ctx, j, store.Delivery{State: store.DeliveryNoAddress, Reason: push.Unregistered.String()})
}

// again plans the next try, or gives up when it would come too late.
func (o *Outbox) again(stop, ctx context.Context, j *job) {
	if stop.Err() != nil {
		// Shutting down: another replica goes on.
		o.giveBack(ctx, j)
		return
	}
	wait, inTime := j.wait(o.cfg.Now())
	log := o.cfg.Log.With("provider", j.Push.Provider, "challenge", j.Challenge, "tenant", j.Tenant, "tries", j.tries, "detail", j.last.Detail)
	if !inTime {
		log.Error("push failed", "advice", "check that this host reaches the provider, and the provider's status page")
		o.finish(ctx, j, store.Delivery{State: store.DeliveryFailed, Reason: j.last.Outcome.String()})
		return
	}
	if j.tries == 1 {
		log.Warn("push is tried again", "wait", wait)
		if err := o.cfg.Store.SetDelivery(ctx, j.PushRef, store.Delivery{State: store.DeliveryQueued, Reason: j.last.Outcome.String()}); err != nil {
			log.Warn("delivery not noted", "error", err)
		}
	}
	o.waits.Go(func() {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-stop.Done():
			o.giveBack(ctx, j)
		case <-t.C:
			o.send(ctx, j)
		}
	})
}

// finish says what became of a push and lets go of it.
func (o *Outbox) finish(ctx context.Context, j *job, d store.Delivery) {
	defer o.letGo(j.PushRef)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if err := o.cfg.Store.SetDelivery(ctx, j.PushRef, d); err != nil {
		// The entry stays in the outbox; a replica that finds it may send it again.
		o.cfg.Log.Warn("delivery not noted", "challenge", j.Challenge, "state", string(d.State), "error", err)
	}
	o.cfg.Observe.PushEnded(j.Push.Provider, d.State)
}
