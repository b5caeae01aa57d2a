// Package texts sends the text messages that appliances ask for, each once, whichever replica is asked and however
// often. It tries again only when nothing was taken and the code is still of use, and it keeps neither number nor
// text nor credential: they come with the request and go with it.
package texts

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/tokensvc/sms"
	"github.com/sallyport/sallyport/tokensvc/store"
)

const (
	// sendTime bounds all tries of one request; the appliance waits for it.
	sendTime = 8 * time.Second
	// firstPause is before the second try; each further one is twice as long.
	firstPause = 250 * time.Millisecond
	// tellFor is how long an outcome is told again that is not final. Until then a request that was repeated
	// because its answer was lost is answered and not done again.
	tellFor = 2 * time.Second
	// look is how often a repeated request looks whether the first one has ended.
	look = 50 * time.Millisecond
	// atOnce is how many messages of one enterprise are on their way on one replica at a time.
	atOnce = 64
	// settle bounds the writing down of a result.
	settle = 2 * time.Second
)

// Store is what Redis keeps of messages.
type Store interface {
	ClaimText(ctx context.Context, t sallyport.TenantID, id string, life time.Duration) (mine bool, r *store.TextResult, err error)
	TextResult(ctx context.Context, t sallyport.TenantID, id string) (*store.TextResult, error)
	SetTextResult(ctx context.Context, t sallyport.TenantID, id string, r store.TextResult, life time.Duration) error
	CountText(ctx context.Context, t sallyport.TenantID) (int64, error)
}

// Config is what the service needs.
type Config struct {
	Store Store
	// Open makes a sender for an enterprise's gateway, Own is the operator's; nil: there is none.
	Open func(sms.Gateway) (sms.Sender, error)
	Own  sms.Sender
	// OwnPerHour is how many messages an enterprise may send through it.
	OwnPerHour int64
	// Observe is told of every try, for metrics.
	Observe func(kind, outcome string, took time.Duration)
	Log     *slog.Logger
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
}

// Service sends messages.
type Service struct {
	cfg Config

	mu      sync.Mutex
	sending map[sallyport.TenantID]int
}

// New returns a service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, sending: map[sallyport.TenantID]int{}}
}

// Send sends a message through the gateway, or through the operator's own when that is nil. An error is of the
// token service itself; what the gateway says is in the result.
func (s *Service) Send(ctx context.Context, t sallyport.TenantID, m sms.Message, g *sms.Gateway) (sms.Result, error) {
	sender, kind, refused := s.sender(g)
	if sender == nil {
		return refused, nil
	}
	if !s.enter(t) {
		return sms.Result{Outcome: sms.Throttled, Detail: "too many messages at once"}, nil
	}
	defer s.leave(t)
	mine, known, err := s.cfg.Store.ClaimText(ctx, t, m.ID, m.Life)
	if err != nil {
		return sms.Result{}, err
	}
	if !mine {
		return s.await(ctx, t, m, known)
	}
	// It goes on when the appliance is gone: it will ask again, perhaps elsewhere, and is to be told.
	ctx = context.WithoutCancel(ctx)
	r, err := s.within(ctx, t, g == nil)
	if err == nil && r.Outcome != sms.Throttled {
		r = s.try(ctx, sender, kind, m)
	}
	if err != nil {
		r = sms.Result{Outcome: sms.Unavailable}
	}
	s.cfg.Log.Info("text message", "tenant", t, "id", m.ID, "gateway", kind, "outcome", r.Outcome.String(), "detail", r.Detail)
	return r, errors.Join(err, s.settle(ctx, t, m, r))
}

// within counts a message by the operator's gateway, who pays for it. It is throttled when there were too many.
func (s *Service) within(ctx context.Context, t sallyport.TenantID, own bool) (r sms.Result, err error) {
	if !own {
		return r, nil
	}
	n, err := s.cfg.Store.CountText(ctx, t)
	if err == nil && n > s.cfg.OwnPerHour {
		r = sms.Result{Outcome: sms.Throttled, Detail: "the enterprise has sent as many messages through the token service's gateway as it may in an hour"}
	}
	return r, err
}

func (s *Service) sender(g *sms.Gateway) (sms.Sender, string, sms.Result) {
	if g == nil {
		return s.cfg.Own, "own", sms.Result{Outcome: sms.NoGateway, Detail: "no gateway is set"}
	}
	sender, err := s.cfg.Open(*g)
	if err != nil {
		return nil, "", sms.Result{Outcome: sms.Rejected, Detail: sms.Detail(sms.Message{}, err.Error())}
	}
	return sender, string(g.Kind), sms.Result{}
}

// try sends until the gateway has taken the message, may have, or will not.
func (s *Service) try(ctx context.Context, sender sms.Sender, kind string, m sms.Message) sms.Result {
	began := s.cfg.Now()
	end := began.Add(min(sendTime, m.Life))
	ctx, cancel := context.WithDeadline(ctx, time.Now().Add(min(sendTime, m.Life)))
	defer cancel()
	for pause := firstPause; ; pause *= 2 {
		tried := s.cfg.Now()
		left := m
		left.Life -= tried.Sub(began)
		r := sender.Send(ctx, left)
		s.cfg.Observe(kind, r.Outcome.String(), s.cfg.Now().Sub(tried))
		wait := max(pause, r.RetryAfter)
		if r.Outcome != sms.Unavailable && r.Outcome != sms.Throttled || s.cfg.Now().Add(wait).After(end) {
			return r
		}
		select {
		case <-ctx.Done():
			return r
		case <-s.cfg.After(wait):
		}
	}
}

func (s *Service) settle(ctx context.Context, t sallyport.TenantID, m sms.Message, r sms.Result) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	life := tellFor
	if r.Outcome.Final() {
		life += m.Life
	}
	err := s.cfg.Store.SetTextResult(ctx, t, m.ID, store.TextResult{Outcome: int(r.Outcome), Detail: r.Detail}, life)
	if err != nil && r.Outcome.Final() {
		// The claim stands: whoever repeats the request is told that it is uncertain, and nothing is sent twice.
		s.cfg.Log.Warn("result of a text message was not kept", "tenant", t, "id", m.ID, "error", err)
		return nil
	}
	return err
}

// await is for a message that another request has taken.
func (s *Service) await(ctx context.Context, t sallyport.TenantID, m sms.Message, known *store.TextResult) (sms.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, min(sendTime, m.Life))
	defer cancel()
	for known == nil {
		select {
		case <-ctx.Done():
			return sms.Result{Outcome: sms.Uncertain, Detail: "it is being sent, or the replica that sent it was lost"}, nil
		case <-s.cfg.After(look):
		}
		var err error
		if known, err = s.cfg.Store.TextResult(ctx, t, m.ID); err != nil && ctx.Err() == nil {
			return sms.Result{}, err
		}
	}
	return sms.Result{Outcome: sms.Outcome(known.Outcome), Detail: known.Detail}, nil
}

func (s *Service) enter(t sallyport.TenantID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[t] >= atOnce {
		return false
	}
	s.sending[t]++
	return true
}

func (s *Service) leave(t sallyport.TenantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[t]--; s.sending[t] == 0 {
		delete(s.sending, t)
	}
}
