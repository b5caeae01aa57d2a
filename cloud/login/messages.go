package login

import (
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
)

// maxMessage bounds what a page says, sealed, in octets.
const maxMessage = 6 << 10

// message is one request of docs/protocol/browser.md section 6.
type message struct {
	Version uint32 `json:"version"`
	Sealed  octets `json:"sealed"`
}

// messages passes on what the person did on the page. The same message again, octet for octet, gets
// the answer of the first; it is not passed on twice.
func (s *Service) messages(c echo.Context) error {
	started := s.cfg.Now()
	v, err := s.message(c)
	s.metrics.steps.WithLabelValues("message", result(err)).Observe(s.cfg.Now().Sub(started).Seconds())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v)
}

func (s *Service) message(c echo.Context) (*view, error) {
	if !s.address.Allow("message " + edge.Network(s.cfg.Proxies.Caller(c.Request()))) {
		return nil, errLimited()
	}
	var m message
	if err := edge.ReadJSON(c, maxBody, &m); err != nil {
		return nil, err
	}
	if m.Version == 0 || len(m.Sealed) == 0 || len(m.Sealed) > maxMessage {
		return nil, errInvalid("The request is not complete.", nil)
	}
	k, sess, err := s.authorize(c)
	if err != nil {
		return nil, err
	}
	if !s.enterprise.Allow("message " + string(k.tenant)) {
		return nil, errLimited()
	}
	return s.say(context.WithoutCancel(c.Request().Context()), k, sess, m)
}

// say passes a message on unless it was passed on already.
func (s *Service) say(ctx context.Context, k key, sess session, m message) (*view, error) {
	id := s.keys.messageMAC(k.login, m)
	if done, err := said(sess, m, id); done {
		return &sess.view, err
	}
	won, by, locked, err := s.store.startSaying(ctx, k, id, askTimeout+5*time.Second)
	switch {
	case won && err != nil:
		s.unlock(ctx, k)
		return nil, loadError(err)
	case won:
		return s.sayNow(ctx, k, locked, m, id)
	case err != nil:
		return nil, errUnavailable(err)
	case by == nil || hmac.Equal(by, id):
		return s.joinSaying(ctx, k, m, id)
	}
	return nil, errStale()
}

// said reports whether nothing is left to do for a message: the login has moved on, by this very
// message (its answer is the view that came of it) or otherwise.
func said(sess session, m message, id []byte) (bool, error) {
	switch {
	case sess.failure != nil:
		return true, ended(sess.failure)
	case len(sess.said) > 0 && hmac.Equal(sess.said, id):
		return true, nil
	case m.Version != sess.view.Version || sess.ended():
		return true, errStale()
	}
	return false, nil
}

// sayNow passes a message on. sess is the session as it is now that nobody else can say anything.
func (s *Service) sayNow(ctx context.Context, k key, sess session, m message, id []byte) (*view, error) {
	locked := true
	defer func() {
		if locked {
			s.unlock(ctx, k)
		}
	}()
	if done, err := said(sess, m, id); done {
		return &sess.view, err
	}
	if !s.inHand.Enter(string(k.tenant)) {
		return nil, errLimited()
	}
	defer s.inHand.Leave(string(k.tenant))
	next, wait, err := s.step(ctx, k, sess, &tunnelpb.LoginStep{Event: &tunnelpb.LoginStep_Message{Message: m.Sealed}}, askTimeout)
	if err != nil {
		if timedOut(err) {
			err = errUnavailable(err)
		}
		return nil, err
	}
	next.said = id
	s.keepRecord(ctx, k, &next)
	err = s.advance(ctx, k, sess.view.Version, next, wait)
	locked = err != nil // the lock ended with the view that it was for
	switch {
	case errors.Is(err, errChanged):
		return nil, errStale()
	case err != nil:
		return nil, loadError(err)
	}
	if next.view.Phase == phaseWaiting {
		s.drive(k, next, wait)
	}
	return &next.view, nil
}

func (s *Service) unlock(ctx context.Context, k key) {
	if err := s.store.stopSaying(ctx, k); err != nil {
		s.cfg.Log.WarnContext(ctx, "login stays locked", "login", k.login, "error", err)
	}
}

// joinSaying waits for the end of the same message, which another request is passing on.
func (s *Service) joinSaying(ctx context.Context, k key, m message, id []byte) (*view, error) {
	p := newPoll()
	if !s.watch.add(k.login, p) {
		return nil, errLimited()
	}
	defer s.watch.remove(k.login, p)
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for ctx.Err() == nil {
		locked, err := s.store.saidNow(ctx, k)
		if err != nil {
			break
		}
		sess, err := s.store.load(ctx, k)
		if err != nil {
			return nil, loadError(err)
		}
		if done, err := said(sess, m, id); done {
			return &sess.view, err
		}
		if !bytes.Equal(locked, id) {
			break
		}
		p.wait(ctx, joinEvery)
	}
	return nil, errUnavailable(errors.New("the first request was not answered"))
}

// authorize finds the session that a request's bearer opens.
func (s *Service) authorize(c echo.Context) (key, session, error) {
	bearer, ok := strings.CutPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
	if !ok {
		return key{}, session{}, errBearer(errors.New("no bearer"))
	}
	tenant, ok := tenantOf(sallyport.Secret(bearer))
	if !ok {
		return key{}, session{}, errBearer(errors.New("bearer is malformed"))
	}
	if _, err := s.checkID(c.Param("login"), tenant); err != nil {
		return key{}, session{}, err
	}
	k := key{tenant, sallyport.LoginID(c.Param("login"))}
	sess, err := s.store.load(c.Request().Context(), k)
	if err != nil {
		return k, sess, loadError(err)
	}
	if !hmac.Equal(sess.bearer, bearerHash(sallyport.Secret(bearer))) {
		return k, session{}, errBearer(errors.New("bearer is another login's"))
	}
	return k, sess, nil
}

func loadError(err error) error {
	if errors.Is(err, errGone) {
		return errLoginExpired()
	}
	return errUnavailable(err)
}

func errStale() error {
	return sallyport.Errorf(sallyport.CodeConflict, "The login has gone on meanwhile.", nil)
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
