package login

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
)

const (
	// askTimeout is what an appliance has for credentials or a message.
	askTimeout = 15 * time.Second

	maxState  = 8 << 10
	maxSealed = 8 << 10
)

// step has an appliance drive the login one event further, and returns the session as it would be
// then: nothing is stored here. wait is how long a waiting view is worth waiting on, grace included.
func (s *Service) step(ctx context.Context, k key, sess session, event *tunnelpb.LoginStep, timeout time.Duration) (next session, wait time.Duration, err error) {
	event.LoginId, event.IntegrationId = string(k.login), sess.integration
	event.Origin, event.RemoteAddr, event.State = sess.origin, sess.remote, sess.state
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := s.cfg.Appliances.Do(ctx, k.tenant, &tunnelpb.Request{
		TimeoutMs: uint32(timeout.Milliseconds()),
		Trace:     string(edge.Trace(sess.trace).Child()),
		Body:      &tunnelpb.Request_LoginStep{LoginStep: event},
	})
	if err != nil {
		return session{}, 0, err
	}
	if f := resp.GetFailure(); f != nil {
		return session{}, 0, &sallyport.Error{Code: sallyport.Code(f.GetCode()), Message: f.GetMessage(), SupportCode: f.GetSupportCode()}
	}
	v, err := readView(resp.GetLoginView())
	if err == nil && v.Version < sess.view.Version {
		err = errors.New("view goes back")
	}
	if err != nil {
		return session{}, 0, sallyport.Errorf(sallyport.CodeInternal, "Your organisation's servers gave an answer that was not understood. Please try again.", err)
	}
	next = sess
	next.view, next.state, next.said = v, resp.GetLoginView().GetState(), nil
	next.record = nil
	if v.Phase == phaseDone {
		next.record = resp.GetLoginView().GetRemembered()
	}
	wait = time.Duration(resp.GetLoginView().GetWaitMs()) * time.Millisecond
	return next, min(wait, maxWait-waitGrace) + waitGrace, nil
}

func readView(v *tunnelpb.LoginView) (view, error) {
	phase := phaseName(v.GetPhase())
	switch {
	case v == nil:
		return view{}, errors.New("answer without a view")
	case phase == "" || v.GetVersion() == 0:
		return view{}, errors.New("view without phase or version")
	case len(v.GetState()) > maxState || len(v.GetSealed()) > maxSealed:
		return view{}, errors.New("view is too long")
	}
	return view{Version: v.GetVersion(), Phase: phase, Sealed: v.GetSealed()}, nil
}

func phaseName(p tunnelpb.Phase) string {
	switch p {
	case tunnelpb.Phase_PHASE_WAITING:
		return phaseWaiting
	case tunnelpb.Phase_PHASE_INPUT:
		return phaseInput
	case tunnelpb.Phase_PHASE_DONE:
		return phaseDone
	case tunnelpb.Phase_PHASE_DENIED:
		return phaseDenied
	}
	return ""
}

// timedOut reports whether an error is our own deadline and not an appliance's word.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded)
}

func isChanged(err error) bool { return errors.Is(err, errChanged) || errors.Is(err, errGone) }

// failureOf keeps of an error what the outside may know of it.
func failureOf(err error) *sallyport.Error {
	b := edge.BodyOf(err)
	return &sallyport.Error{Code: b.Code, Message: b.Message, SupportCode: b.SupportCode}
}

// endedError is an error with which a login has ended, as opposed to one that may pass.
type endedError struct{ why *sallyport.Error }

func ended(e *sallyport.Error) error { return endedError{e} }

func (e endedError) Error() string { return e.why.Error() }
func (e endedError) Ended() bool   { return true }
func (e endedError) Unwrap() error { return e.why }

func traceID(trace string) string { return edge.Trace(trace).ID() }

// Errors that people see.

func errInvalid(message string, cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeInvalid, message, cause)
}

func errEnterprise() *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeNotFound, "The page's login settings name an organisation that is not known here.", nil)
}

func errLoginExpired() *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeExpired, "The login took too long. Please begin again.", nil)
}

func errUsed() *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeConflict, "This login was used already. Please begin again.", nil)
}

func errLimited() *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeLimited, "There are too many logins at once. Please try again in a moment.", nil)
}

func errBusy() *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "This server is busy or shutting down. Please try again.", nil)
}

func errUnavailable(cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "The login service cannot be reached now. Please try again.", cause)
}

func errUncertain(cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeUncertain, "The connection was lost while your password was being checked. Please try again.", cause)
}

func errBearer(cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeDenied, "This page may not follow this login.", cause)
}
