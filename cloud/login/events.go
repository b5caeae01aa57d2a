package login

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// pollTimeout is how long a poll is held.
const pollTimeout = 20 * time.Second

// events shows the page every change of its login: as server-sent events, or by long polling.
func (s *Service) events(c echo.Context) error {
	k, sess, err := s.authorize(c)
	if err != nil {
		return err
	}
	if sess.failure != nil {
		return ended(sess.failure)
	}
	if strings.Contains(c.Request().Header.Get("Accept"), "text/event-stream") {
		return s.stream(c, k)
	}
	after, err := strconv.ParseUint(cmp.Or(c.QueryParam("after"), "0"), 10, 32)
	if err != nil {
		return errInvalid("after is not the version of a view.", err)
	}
	return s.poll(c, k, uint32(after))
}

func (s *Service) poll(c echo.Context, k key, after uint32) error {
	p := newPoll()
	if !s.watch.add(k.login, p) {
		return errBusy()
	}
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	defer s.watch.remove(k.login, p)
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.pollTimeout)
	defer cancel()
	for {
		sess, err := s.look(ctx, k)
		switch {
		case err != nil && ctx.Err() == nil:
			return loadError(err)
		case err == nil && sess.failure != nil:
			return ended(sess.failure)
		case err == nil && sess.view.Version > after:
			return c.JSON(http.StatusOK, sess.view)
		case ctx.Err() != nil || p.ended():
			return c.NoContent(http.StatusNoContent)
		}
		p.wait(ctx, s.pollTimeout)
	}
}

// look reads a session for a watcher, and sees to it that somebody drives it while it is waiting.
func (s *Service) look(ctx context.Context, k key) (session, error) {
	sess, err := s.store.load(ctx, k)
	if err != nil {
		return sess, err
	}
	if sess.ended() || sess.view.Phase != phaseWaiting {
		s.watch.drivenBy(k.login, "")
		return sess, nil
	}
	s.watch.drivenBy(k.login, sess.driver)
	s.seeDriven(ctx, k, sess)
	return sess, nil
}

// seeDriven takes the waiting over when its driver has died, and ends it when its time is over.
func (s *Service) seeDriven(ctx context.Context, k key, sess session) {
	switch {
	case sess.driver == "":
		// The key has lapsed: nobody drives any more, and it is not worth waiting any longer.
		s.giveUp(ctx, k, sess)
	case sess.driver == s.replica.instance:
		s.drive(k, sess, sess.waitLeft) // no more than a look when it is driven already
	case s.replica.alive(ctx, sess.driver):
	default:
		taken, err := s.store.takeOver(ctx, k, sess.driver, s.replica.instance)
		if err != nil || !taken {
			return // the next look finds out
		}
		s.metrics.takeOver.Inc()
		s.watch.drivenBy(k.login, s.replica.instance)
		s.drive(k, sess, sess.waitLeft)
	}
}

// poll is a watcher that waits in its request's goroutine.
type poll struct {
	news chan struct{}
	over chan struct{}
}

func newPoll() *poll { return &poll{news: make(chan struct{}, 1), over: make(chan struct{}, 1)} }

func (p *poll) wake() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

func (p *poll) beat() {}

func (p *poll) end() {
	select {
	case p.over <- struct{}{}:
	default:
	}
	p.wake()
}

func (p *poll) ended() bool { return len(p.over) > 0 }

func (p *poll) wait(ctx context.Context, longest time.Duration) {
	t := time.NewTimer(longest)
	defer t.Stop()
	select {
	case <-p.news:
	case <-t.C:
	case <-ctx.Done():
	}
}
