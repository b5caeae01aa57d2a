package login

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

const (
	// waitGrace is what the appliance has beyond the wait it named to say how the wait ended.
	waitGrace = 5 * time.Second
	// maxWait bounds a wait that an appliance may name.
	maxWait = lifetime
	// waitStep is the longest single Wait request.
	waitStep = 25 * time.Second

	backOffFirst = 50 * time.Millisecond
	backOffMost  = time.Second
)

// drivers are the logins whose waiting this replica drives: one goroutine each.
type drivers struct {
	mu     sync.Mutex
	logins map[sallyport.LoginID]*driver
}

type driver struct {
	key     key
	session session
	end     time.Time // by the monotonic clock
	cancel  context.CancelFunc

	version uint32 // of the view that is driven; under drivers.mu
}

func newDrivers() *drivers { return &drivers{logins: make(map[sallyport.LoginID]*driver)} }

// put makes d the driver of its login, in place of one of an older view. It reports false when one
// of this view or a newer one is there.
func (ds *drivers) put(d *driver) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if old := ds.logins[d.key.login]; old != nil {
		if old.version >= d.version {
			return false
		}
		old.cancel()
	}
	ds.logins[d.key.login] = d
	return true
}

func (ds *drivers) drop(d *driver) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.logins[d.key.login] == d {
		delete(ds.logins, d.key.login)
	}
}

// outdate stops the driver of a view that is older than version.
func (ds *drivers) outdate(login sallyport.LoginID, version uint32) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d := ds.logins[login]; d != nil && d.version < version {
		d.cancel()
		delete(ds.logins, login)
	}
}

// moved says that d has itself brought the view to version, before anybody else is told.
func (ds *drivers) moved(d *driver, version uint32) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d.version = version
}

// drive starts to drive a waiting session, for at most left.
func (s *Service) drive(k key, sess session, left time.Duration) {
	ctx, cancel := context.WithCancel(s.ctx)
	d := &driver{key: k, session: sess, end: time.Now().Add(left), cancel: cancel, version: sess.view.Version}
	if !s.drivers.put(d) {
		cancel()
		return
	}
	s.background(func() {
		defer cancel()
		defer s.drivers.drop(d)
		s.keepWaiting(ctx, d)
	})
}

// keepWaiting repeats Wait until the view moves out of waiting, somebody else moved it, or the wait
// is over. An appliance that is gone is no reason to end: another one may be there in a moment.
func (s *Service) keepWaiting(ctx context.Context, d *driver) {
	backOff := backOffFirst
	for ctx.Err() == nil {
		left := time.Until(d.end)
		if left <= 0 {
			s.giveUp(ctx, d.key, d.session)
			return
		}
		asked := time.Now()
		next, wait, err := s.step(ctx, d.key, d.session, &tunnelpb.LoginStep{Event: &tunnelpb.LoginStep_Wait{Wait: &tunnelpb.Wait{}}}, min(left, waitStep))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && mayRepeatWait(err), err == nil && next.view.Version == d.session.view.Version && time.Since(asked) < backOffFirst:
			pause(ctx, min(backOff/2+rand.N(backOff), left))
			backOff = min(backOff*2, backOffMost)
		case err != nil:
			s.fail(ctx, d.key, d.session, err)
			return
		case next.view.Version == d.session.view.Version:
			backOff = backOffFirst
		default:
			backOff = backOffFirst
			if !s.show(ctx, d, next, wait) {
				return
			}
		}
	}
}

// show stores and tells the next view; it reports whether there is more to wait for.
func (s *Service) show(ctx context.Context, d *driver, next session, wait time.Duration) bool {
	from := d.session.view.Version
	s.keepRecord(ctx, d.key, &next)
	s.drivers.moved(d, next.view.Version)
	if err := s.advance(ctx, d.key, from, next, wait); err != nil {
		if ctx.Err() == nil && !isChanged(err) {
			s.cfg.Log.WarnContext(ctx, "view of a login is lost", "login", d.key.login, "error", err)
		}
		return false
	}
	d.session, d.end = next, time.Now().Add(wait)
	return next.view.Phase == phaseWaiting
}

// advance stores the next view, of which every replica hears.
func (s *Service) advance(ctx context.Context, k key, from uint32, next session, wait time.Duration) error {
	if err := s.store.advance(ctx, k, from, next, s.replica.instance, wait); err != nil {
		return err
	}
	s.metrics.views.WithLabelValues(next.view.Phase).Inc()
	s.logEnd(ctx, k, next)
	s.told(k, next.view.Version)
	return nil
}

// logEnd tells of the view that ends a login.
func (s *Service) logEnd(ctx context.Context, k key, next session) {
	if next.view.Phase == phaseDone || next.view.Phase == phaseDenied {
		s.cfg.Log.DebugContext(ctx, "end of the login goes to the page", "step", 12, "login", k.login, "enterprise", k.tenant, "phase", next.view.Phase)
	}
}

// told lets this replica's driver and streams act on a view that was stored, without waiting for
// Redis to say so to every replica.
func (s *Service) told(k key, version uint32) {
	s.drivers.outdate(k.login, version)
	s.watch.wake(k.login)
}

// mayRepeatWait: Wait changes nothing at the appliance, so it can be repeated after any failure
// that may pass.
func mayRepeatWait(err error) bool {
	switch sallyport.ErrorCode(err) {
	case sallyport.CodeUnavailable, sallyport.CodeUncertain, sallyport.CodeLimited, sallyport.CodeInternal:
		return true
	}
	return timedOut(err)
}

// giveUp ends a login on which nothing was heard while it was worth waiting.
func (s *Service) giveUp(ctx context.Context, k key, sess session) {
	s.fail(ctx, k, sess, sallyport.Errorf(sallyport.CodeUnavailable,
		"Your login could not be finished, because your organisation's servers did not answer in time. Please try again.", nil))
}

// fail ends a login with an error in place of a last view.
func (s *Service) fail(ctx context.Context, k key, sess session, cause error) {
	out := failureOf(cause)
	s.cfg.Log.WarnContext(ctx, "login ended without an answer", "login", k.login, "enterprise", k.tenant,
		"support_code", out.SupportCode, "trace", traceID(sess.trace), "error", cause)
	next := sess
	next.failure = out
	if err := s.store.advance(ctx, k, sess.view.Version, next, "", 0); err != nil {
		return // somebody else has moved the login on, or Redis is away and its time to live ends it
	}
	s.metrics.views.WithLabelValues("failed").Inc()
	s.told(k, next.latest())
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func formatVersion(v uint32) string { return strconv.FormatUint(uint64(v), 10) }

func parseVersion(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err
}
