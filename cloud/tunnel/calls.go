package tunnel

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// callTimeout bounds a call of an appliance, whatever it asks for.
const callTimeout = 30 * time.Second

// call works on a call of the appliance, in a goroutine of its own when it has to wait for something.
func (h *Hub) call(ctx context.Context, s *stream, c *tunnelpb.Call) {
	if keys, ok := c.GetBody().(*tunnelpb.Call_Keys); ok {
		s.reply(c.GetId(), h.keysCall(s, keys.Keys))
		return
	}
	if int(s.calls.Add(1)) > h.cfg.Limits.Calls {
		s.calls.Add(-1)
		s.reply(c.GetId(), failed(sallyport.Errorf(sallyport.CodeLimited, "Too many calls at once.", nil)))
		return
	}
	timeout := callTimeout
	if ms := c.GetTimeoutMs(); ms > 0 {
		timeout = min(timeout, time.Duration(ms)*time.Millisecond)
	}
	h.work.Add(1)
	go func() {
		defer h.work.Done()
		defer s.calls.Add(-1)
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		result, err := h.answerCall(ctx, s.id, c)
		if err != nil {
			h.log.Warn("appliance call failed", "tenant", s.id.Tenant, "appliance", s.id.Appliance, "error", err)
			result = failed(err)
		}
		s.reply(c.GetId(), result)
	}()
}

func (h *Hub) answerCall(ctx context.Context, id pki.Identity, c *tunnelpb.Call) (*tunnelpb.Result, error) {
	switch body := c.GetBody().(type) {
	case *tunnelpb.Call_Claims:
		first, err := h.claim(ctx, id.Tenant, body.Claims.GetClaims())
		return &tunnelpb.Result{Body: &tunnelpb.Result_Claims{Claims: &tunnelpb.ClaimResults{First: first}}}, err
	case *tunnelpb.Call_Renew:
		chain, err := h.renew(ctx, id, body.Renew.GetCsr())
		return &tunnelpb.Result{Body: &tunnelpb.Result_Renewed{Renewed: &tunnelpb.Renewed{Chain: chain}}}, err
	case *tunnelpb.Call_Join:
		answer, err := h.join(ctx, id, body.Join)
		return &tunnelpb.Result{Body: &tunnelpb.Result_Join{Join: answer}}, err
	default:
		return nil, sallyport.Errorf(sallyport.CodeUnsupported, "This release of the cloud does not know that call.", nil)
	}
}

func (h *Hub) renew(ctx context.Context, id pki.Identity, csr []byte) ([][]byte, error) {
	if len(csr) == 0 || len(csr) > pki.MaxCSR {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The certificate request has a wrong size.", nil)
	}
	return h.cfg.Renewer.Renew(ctx, id, csr)
}

func (h *Hub) keysCall(s *stream, keys *tunnelpb.KeyStatement) *tunnelpb.Result {
	if !validStatement(keys) {
		return failed(sallyport.Errorf(sallyport.CodeInvalid, "The key statement has a wrong size.", nil))
	}
	if s.joining {
		return failed(sallyport.Errorf(sallyport.CodeDenied, "An appliance that joins has no keys to state.", nil))
	}
	h.learnStatement(s, keys)
	return &tunnelpb.Result{Body: &tunnelpb.Result_Ack{Ack: &tunnelpb.Ack{}}}
}

// reply sends the result of a call.
func (s *stream) reply(id uint64, r *tunnelpb.Result) {
	r.Id = id
	frame := &tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Result{Result: r}}
	if proto.Size(frame) > MaxFrame {
		r = failed(sallyport.Errorf(sallyport.CodeInternal, "The result is too long.", nil))
		r.Id = id
		frame = &tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Result{Result: r}}
	}
	s.send(frame)
}

// failed turns an error into what the appliance may know of it.
func failed(err error) *tunnelpb.Result {
	f := &tunnelpb.Failure{Code: string(sallyport.ErrorCode(err)), Message: sallyport.ErrorMessage(err)}
	var e *sallyport.Error
	if errors.As(err, &e) {
		f.SupportCode = e.SupportCode
	}
	if errors.Is(err, context.DeadlineExceeded) && e == nil {
		f.Code, f.Message = string(sallyport.CodeUnavailable), "The cloud did not get it done in time."
	}
	return &tunnelpb.Result{Body: &tunnelpb.Result_Failure{Failure: f}}
}
