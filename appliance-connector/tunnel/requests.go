package tunnel

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// maxTimeout bounds a request, and stands for a deadline that was not given.
const maxTimeout = 2 * time.Minute

// request is one request under way.
type request struct {
	cancel  context.CancelFunc
	started sync.Once
	acked   chan struct{} // closed by ProgressAck, or at once when the cloud sends none
}

// take begins to work on a request. A repeated id is ignored.
func (s *stream) take(req *tunnelpb.Request) {
	timeout := time.Duration(req.GetTimeoutMs()) * time.Millisecond
	if timeout <= 0 || timeout > maxTimeout {
		timeout = maxTimeout
	}
	s.mu.Lock()
	if _, twice := s.requests[req.GetId()]; twice || s.closing {
		s.mu.Unlock()
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	r := &request{cancel: cancel, acked: make(chan struct{})}
	s.requests[req.GetId()] = r
	s.mu.Unlock()
	room := int(s.c.busy.Add(1)) <= s.c.cfg.MaxRequests
	s.owned.Go(func() {
		defer s.c.busy.Add(-1)
		resp := busy()
		if room {
			resp = s.work(ctx, req, r)
		}
		s.respond(ctx, req.GetId(), resp)
		cancel()
		s.finished(req.GetId())
	})
}

// work finds the answer to a request.
func (s *stream) work(ctx context.Context, req *tunnelpb.Request, r *request) (resp *tunnelpb.Response) {
	defer func() {
		if p := recover(); p != nil {
			s.c.log.Error("request handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			resp = failed(sallyport.CodeInternal, "The appliance failed.")
		}
	}()
	switch body := req.GetBody().(type) {
	case *tunnelpb.Request_Ping:
		return &tunnelpb.Response{Body: &tunnelpb.Response_Pong{Pong: &tunnelpb.Pong{Payload: body.Ping.GetPayload()}}}
	case nil:
		return failed(sallyport.CodeUnsupported, "This release of the appliance does not know that request.")
	}
	resp = s.c.cfg.Handler.Handle(ctx, req, func() { s.progress(ctx, req.GetId(), r) })
	switch {
	case resp != nil:
		return resp
	case ctx.Err() == nil:
		return failed(sallyport.CodeInternal, "The appliance has no answer.")
	case r.mayGoOn():
		return failed(sallyport.CodeUncertain, "The time was over while your sign-in was being checked. Please try again.")
	default:
		return failed(sallyport.CodeExpired, "The appliance did not get to it in time. Please try again.")
	}
}

// progress tells the cloud that the directory is about to be asked and waits until the cloud knows. If
// it cannot be sure of that, it ends the request's context.
func (s *stream) progress(ctx context.Context, id uint64, r *request) {
	r.started.Do(func() {
		err := s.send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Progress{
			Progress: &tunnelpb.Progress{Id: id, BindStarted: true},
		}})
		if err != nil {
			r.cancel()
			return
		}
		if !s.has(featureProgressAck) {
			close(r.acked)
		}
	})
	select {
	case <-r.acked:
	case <-ctx.Done():
	}
}

// mayGoOn reports whether the directory may have been asked.
func (r *request) mayGoOn() bool {
	select {
	case <-r.acked:
		return true
	default:
		return false
	}
}

func (s *stream) confirmed(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests[id]
	if r == nil {
		return
	}
	if !r.mayGoOn() {
		close(r.acked)
	}
}

func (s *stream) cancelRequest(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.requests[id]; r != nil {
		r.cancel()
	}
}

func (s *stream) finished(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	if s.closing && len(s.requests) == 0 {
		close(s.idle)
	}
}

func (s *stream) respond(ctx context.Context, id uint64, resp *tunnelpb.Response) {
	// The handler may have given the same response to several requests.
	resp = &tunnelpb.Response{Id: id, Body: resp.GetBody()}
	frame := &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Response{Response: resp}}
	if proto.Size(frame) > MaxFrame {
		resp = failed(sallyport.CodeInternal, "The appliance's answer is too long.")
		resp.Id = id
		frame = &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Response{Response: resp}}
	}
	if err := s.send(frame); err != nil && ctx.Err() == nil {
		s.c.log.Warn("answer not sent", "error", err)
	}
}

func busy() *tunnelpb.Response {
	return failed(sallyport.CodeUnavailable, "The appliance has too much to do. Please try again.")
}

func failed(code sallyport.Code, message string) *tunnelpb.Response {
	return &tunnelpb.Response{Body: &tunnelpb.Response_Failure{Failure: &tunnelpb.Failure{Code: string(code), Message: message}}}
}
