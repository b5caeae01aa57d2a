package appliance

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
	"github.com/sallyport/sallyport/appliance-connector/tokenserver"
	"github.com/sallyport/sallyport/internal/sealed"
)

// externalSteps keeps, over all appliances of the enterprise, what was asked and said; the store does.
type externalSteps interface {
	TakeRADIUSStep(ctx context.Context, step, owner []byte, expires, now time.Time) (taken bool, holder, result []byte, err error)
	SetRADIUSStep(ctx context.Context, step, owner, result []byte, expires time.Time) error
	RADIUSStep(ctx context.Context, step []byte) (holder, result []byte, err error)
	FreeRADIUSStep(ctx context.Context, step []byte) error
}

// externalTokens is the external token servers as the login engine asks them. A question that is repeated, here or at
// another appliance, is put to them once. What a server needs to have its challenge answered is kept by login, sealed.
type externalTokens struct {
	client *tokenserver.Client
	steps  externalSteps
	key    sallyport.Key
	now    func() time.Time
	sleep  func(context.Context, time.Duration)
}

// externalPoll is how often one that repeats a question looks for what was said.
const externalPoll = 200 * time.Millisecond

var errExternalTaken = errors.New("another passcode was typed in this step")

// Ask puts what was typed to the token servers.
func (x externalTokens) Ask(ctx context.Context, q login.ExternalQuestion) (a login.ExternalAnswer, err error) {
	step, owner := x.name("question", q.Request), x.name("passcode", string(q.Passcode))
	taken, holder, box, err := x.steps.TakeRADIUSStep(ctx, step, owner, q.Expires, x.now())
	switch {
	case err != nil:
		return a, fmt.Errorf("take question: %w", err)
	case !taken:
		return x.repeated(ctx, step, owner, holder, box)
	}
	if a, err = x.ask(ctx, q); err != nil { // nobody said anything: it may be asked again
		if ferr := x.steps.FreeRADIUSStep(context.WithoutCancel(ctx), step); ferr != nil {
			err = errors.Join(err, fmt.Errorf("give question back: %w", ferr))
		}
		return a, err
	}
	text, err := json.Marshal(a)
	if err != nil {
		return a, fmt.Errorf("encode answer: %w", err)
	}
	if err := x.steps.SetRADIUSStep(ctx, step, owner, sealed.Seal(x.key, text, step), q.Expires); err != nil {
		return login.ExternalAnswer{}, fmt.Errorf("keep answer: %w", err)
	}
	return a, nil
}

// repeated waits for what is said to the one who asks.
func (x externalTokens) repeated(ctx context.Context, step, owner, holder, box []byte) (a login.ExternalAnswer, err error) {
	for {
		switch {
		case len(holder) == 0:
			return a, errors.New("the question was given back")
		case !hmac.Equal(holder, owner):
			return a, errExternalTaken
		case len(box) > 0:
			text, err := sealed.Open(x.key, box, step)
			if err == nil {
				err = json.Unmarshal(text, &a)
			}
			return a, err
		case ctx.Err() != nil:
			return a, ctx.Err()
		}
		x.sleep(ctx, externalPoll)
		if holder, box, err = x.steps.RADIUSStep(ctx, step); err != nil {
			return a, fmt.Errorf("read question: %w", err)
		}
	}
}

func (x externalTokens) ask(ctx context.Context, q login.ExternalQuestion) (out login.ExternalAnswer, err error) {
	place := x.name("state", string(q.Login))
	_, box, err := x.steps.RADIUSStep(ctx, place)
	if err != nil {
		return out, fmt.Errorf("read state of token server: %w", err)
	}
	var state []byte
	if len(box) > 0 {
		if state, err = sealed.Open(x.key, box, place); err != nil {
			return out, fmt.Errorf("open state of token server: %w", err)
		}
	}
	a, err := x.client.Check(ctx, tokenserver.Query{Account: q.Account, UserName: q.UserName, Passcode: q.Passcode, State: state})
	if err != nil {
		if state != nil { // what was asked is void: the next server in the row has not asked it
			if ferr := x.steps.FreeRADIUSStep(context.WithoutCancel(ctx), place); ferr != nil {
				err = errors.Join(err, fmt.Errorf("forget state of token server: %w", ferr))
			}
		}
		return out, err
	}
	out = login.ExternalAnswer{Accepted: a.Outcome == tokenserver.Accepted, Challenge: a.Outcome == tokenserver.Challenged, Message: a.Message}
	if !out.Challenge {
		if state != nil {
			err = x.steps.FreeRADIUSStep(ctx, place)
		}
		return out, err
	}
	if _, _, _, err = x.steps.TakeRADIUSStep(ctx, place, place, q.Expires, x.now()); err == nil {
		err = x.steps.SetRADIUSStep(ctx, place, place, sealed.Seal(x.key, a.State, place), q.Expires)
	}
	if err != nil {
		return login.ExternalAnswer{}, fmt.Errorf("keep state of token server: %w", err)
	}
	return out, nil
}

// name is that of a step, or of its owner: 16 octets that say nothing of what they stand for.
func (x externalTokens) name(parts ...string) []byte {
	m := hmac.New(sha256.New, x.key)
	m.Write(sealed.Fields(parts...))
	return m.Sum(nil)[:16]
}
