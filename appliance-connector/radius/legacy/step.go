package legacy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/internal/sealed"
)

// How a step is taken once.
//
// A step has a name and an owner, both keyed hashes. The first step of a login is named after user name,
// password, calling station and integration; each later one after the login and how far it had got, and its owner
// after what was typed. Whoever takes the name first takes the step. The same owner, at this appliance or another,
// joins: it waits for the result, and then for the phone as the first one does. Another owner at a name that is
// taken has a State that was used, and is refused.
//
// A result is kept in the store, sealed, because an appliance may end between its step and its answer. When it ends
// in the middle of a step nobody knows whether the directory has counted the password: who joined is refused, and the
// user begins again.
const (
	// lease is how long the first step may take until its result is there.
	lease = beginTime + 3*time.Second
	// pollEvery is how often one that joined at another appliance looks for the result.
	pollEvery = 200 * time.Millisecond
	// holdKept is how long a login that waits for the phone can be joined.
	holdKept = 75 * time.Second
	// challengeKept is how long the first step's challenge is given again. It ends when it is answered.
	challengeKept = 10 * time.Second
	// endKept is how long an end is given again to the same intent in a new packet: a gateway whose answer
	// got lost asks at once, a person takes longer.
	endKept = 5 * time.Second
	// notMeKept is how long who said "this was not me" is not asked again for the same intent.
	notMeKept = 2 * time.Minute
	// stateGrace is how much longer than its login a used State is remembered: clocks differ.
	stateGrace = 3 * time.Minute
)

// stepID names a step, or its owner.
type stepID [16]byte

func (d *Door) name(parts ...string) stepID {
	m := hmac.New(sha256.New, d.Key)
	m.Write(sealed.Fields(parts...))
	return stepID(m.Sum(nil)[:16])
}

// step is one step of a login, to be taken once.
type step struct {
	key, owner  stepID
	begins      bool      // it is the first one
	repeatGrant bool      // its grant may be given again: it is known where the user is
	from        []byte    // a later one's first step
	expires     time.Time // of a later one
	run         func(context.Context) (result, error)
}

// result is what came of a step.
type result struct {
	State login.State `json:"s"`
	// Hold: the request waits for the phone.
	Hold bool `json:"h,omitempty"`
}

var (
	errReplayed  = errors.New("the State was used before, with another answer")
	errUncertain = errors.New("the appliance that took the step did not say what came of it")
)

// flight is a step under way at this appliance.
type flight struct {
	owner  stepID
	done   chan struct{}
	result result
	err    error
	asked  bool // again, by another packet: the log says so once
}

// take takes a step, or joins who takes it, and returns how the login stands when there is something to answer.
func (d *Door) take(ctx context.Context, q *radius.Query, st step) (result, error) {
	d.mu.Lock()
	if f := d.flights[st.key]; f != nil {
		again := f.asked
		f.asked = true
		d.mu.Unlock()
		return d.join(ctx, q, st, f, !again)
	}
	f := &flight{owner: st.owner, done: make(chan struct{}), err: errUncertain}
	d.flights[st.key] = f
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.flights, st.key)
		d.mu.Unlock()
		close(f.done)
	}()
	f.result, f.err = d.lead(ctx, st)
	return f.result, f.err
}

func (d *Door) join(ctx context.Context, q *radius.Query, st step, f *flight, tell bool) (result, error) {
	if f.owner != st.owner {
		return result{}, errReplayed
	}
	d.joined.Add(1)
	if tell {
		d.Log.WarnContext(ctx, "gateway asks again before it was answered",
			"cause", "the gateway's RADIUS timeout is shorter than the user takes to answer", "cure", "raise the timeout to 45 s; the login goes on, and the phone is not asked again",
			"user", q.UserName, "integration", string(q.Integration.ID), "gateway", q.Integration.Nickname, "source", q.Source.String())
	}
	select {
	case <-f.done:
		return f.result, f.err
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
}

// lead takes a step for everybody who asks at this appliance.
func (d *Door) lead(ctx context.Context, st step) (result, error) {
	now := d.Now()
	expires := st.expires
	if st.begins {
		expires = now.Add(lease)
	}
	taken, holder, box, err := d.Steps.TakeRADIUSStep(ctx, st.key[:], st.owner[:], expires, now)
	var r result
	switch {
	case err != nil:
		return r, fmt.Errorf("take step: %w", err)
	case taken:
		r, err = d.first(ctx, st)
	default:
		r, err = d.await(ctx, st, holder, box)
	}
	if err != nil {
		return r, err
	}
	return d.hold(ctx, st, r)
}

// first takes the step, and keeps what came of it.
func (d *Door) first(ctx context.Context, st step) (result, error) {
	if len(st.from) > 0 { // answered: who begins again begins another login
		if err := d.Steps.FreeRADIUSStep(ctx, st.from); err != nil {
			return result{}, fmt.Errorf("end first step: %w", err)
		}
	}
	r, err := st.run(ctx)
	if err != nil {
		if sallyport.ErrorCode(err) != sallyport.CodeUncertain { // nothing was decided: it may be tried again
			if ferr := d.Steps.FreeRADIUSStep(context.WithoutCancel(ctx), st.key[:]); ferr != nil {
				d.Log.WarnContext(ctx, "step not given back; it is free when its time is over", "err", ferr)
			}
		}
		return r, err
	}
	d.keep(ctx, st, r)
	return r, nil
}

// await waits for the result of a step that another appliance takes, or took.
func (d *Door) await(ctx context.Context, st step, holder, box []byte) (result, error) {
	d.joined.Add(1)
	for end := d.Now().Add(lease); ; {
		switch {
		case len(holder) == 0:
			return result{}, errUncertain // given back
		case !hmac.Equal(holder, st.owner[:]):
			return result{}, errReplayed
		case len(box) > 0:
			return d.open(st, box)
		case ctx.Err() != nil:
			return result{}, ctx.Err()
		case d.Now().After(end):
			return result{}, errUncertain
		}
		d.Sleep(ctx, pollEvery)
		var err error
		if holder, box, err = d.Steps.RADIUSStep(ctx, st.key[:]); err != nil {
			return result{}, fmt.Errorf("read step: %w", err)
		}
	}
}

// hold waits for the phone, where a result says so.
func (d *Door) hold(ctx context.Context, st step, r result) (result, error) {
	if !r.Hold || !waits(r.State) {
		return r, nil
	}
	waiting, cancel := context.WithTimeout(ctx, d.Hold)
	defer cancel()
	for waits(r.State) {
		next, err := d.Engine.Wait(waiting, r.State)
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case err != nil:
			return r, err
		case waiting.Err() != nil && next.Kind == sallyport.PromptPush:
			next = d.Engine.GiveUp(ctx, next)
		case waiting.Err() != nil && waits(next):
			if next, err = d.Engine.Act(ctx, next, login.Action{Do: "back"}); err != nil {
				return r, err
			}
			next.Reason = sallyport.ReasonEnrolFailed
		}
		r.State = next
	}
	var err error
	if r.State, err = d.finished(ctx, r.State); err != nil {
		return r, err
	}
	d.keep(ctx, st, r)
	return r, nil
}

// keep keeps a result for those who join at other appliances, or come later. That it cannot be kept costs them
// a refusal, and this one nothing.
func (d *Door) keep(ctx context.Context, st step, r result) {
	text, err := json.Marshal(r)
	if err == nil {
		box := sealed.Seal(d.States.Key, text, resultAAD(st))
		err = d.Steps.SetRADIUSStep(ctx, st.key[:], st.owner[:], box, d.keptUntil(st, r))
	}
	if err != nil {
		d.Log.WarnContext(ctx, "result of a login step not kept for other appliances", "login", r.State.Login, "support_code", r.State.Support, "err", err)
	}
}

func (d *Door) keptUntil(st step, r result) time.Time {
	now := d.Now()
	switch {
	case !st.begins:
		return st.expires
	case r.State.Kind == sallyport.PromptPush && r.Hold:
		return now.Add(holdKept)
	case r.State.Kind == sallyport.PromptDone && !st.repeatGrant:
		return now
	case r.State.Kind == sallyport.PromptDone:
		return now.Add(endKept)
	case r.State.Kind != sallyport.PromptDenied:
		return now.Add(challengeKept)
	case r.State.Reason == sallyport.ReasonNotMe:
		return now.Add(notMeKept)
	}
	return now.Add(endKept)
}

func (d *Door) open(st step, box []byte) (r result, err error) {
	text, err := sealed.Open(d.States.Key, box, resultAAD(st))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("open result of step: %w", err)
	}
	return r, nil
}

func resultAAD(st step) []byte {
	return sealed.Fields("RADIUS step", string(st.key[:]), string(st.owner[:]))
}
