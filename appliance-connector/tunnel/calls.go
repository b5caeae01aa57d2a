package tunnel

import (
	"context"
	"crypto/rand"
	mrand "math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

const (
	// callTimeout stands for a deadline that the caller did not give.
	callTimeout = 10 * time.Second
	// callTries bounds how many streams a call that may be repeated is tried on.
	callTries = 3
	maxClaims = 512
	// maxCalls is how many calls are under way on one stream; more wait. The cloud takes 64.
	maxCalls = 48
)

// Claim asks for one-time use: of all claims made for a key within its time to live, one owner is
// told true. An error says nothing about whether the claims were made; claiming again with the same
// owner is safe. Errors are *sallyport.Error; CodeUnavailable when the cloud is out of reach.
func (c *Client) Claim(ctx context.Context, claims []*tunnelpb.Claim) ([]bool, error) {
	first := make([]bool, 0, len(claims))
	for batch := range slices.Chunk(owned(claims), maxClaims) {
		r, err := c.call(ctx, callTries, &tunnelpb.Call{Body: &tunnelpb.Call_Claims{Claims: &tunnelpb.ClaimBatch{Claims: batch}}})
		if err != nil {
			return nil, err
		}
		got := r.GetClaims().GetFirst()
		if len(got) != len(batch) {
			return nil, sallyport.Errorf(sallyport.CodeInternal, "The cloud answered a claim wrongly.", nil)
		}
		first = append(first, got...)
	}
	return first, nil
}

// owned gives claims without an owner one of their own, so that repeating a call whose answer was
// lost does not find its own claim taken.
func owned(claims []*tunnelpb.Claim) []*tunnelpb.Claim {
	out := make([]*tunnelpb.Claim, len(claims))
	for i, claim := range claims {
		out[i] = claim
		if len(claim.GetOwner()) == 0 {
			owner := make([]byte, 16)
			rand.Read(owner)
			out[i] = &tunnelpb.Claim{Key: claim.GetKey(), TtlMs: claim.GetTtlMs(), Owner: owner}
		}
	}
	return out
}

// Renew asks for a new certificate; csr is PKCS#10 DER. The chain is in DER, leaf first.
func (c *Client) Renew(ctx context.Context, csr []byte) ([][]byte, error) {
	r, err := c.call(ctx, callTries, &tunnelpb.Call{Body: &tunnelpb.Call_Renew{Renew: &tunnelpb.Renew{Csr: csr}}})
	if err != nil {
		return nil, err
	}
	if len(r.GetRenewed().GetChain()) == 0 {
		return nil, sallyport.Errorf(sallyport.CodeInternal, "The cloud sent no certificate.", nil)
	}
	return r.GetRenewed().GetChain(), nil
}

// Join sends a join message to the other appliances of the enterprise. It is sent once: whether one
// of them worked on it is unknown when the stream breaks.
func (c *Client) Join(ctx context.Context, m *tunnelpb.JoinRequest) (*tunnelpb.JoinResponse, error) {
	r, err := c.call(ctx, 1, &tunnelpb.Call{Body: &tunnelpb.Call_Join{Join: m}})
	if err != nil {
		return nil, err
	}
	if r.GetJoin() == nil {
		return nil, sallyport.Errorf(sallyport.CodeInternal, "The cloud answered the join wrongly.", nil)
	}
	return r.GetJoin(), nil
}

// call sends a call and waits for its result, on up to tries streams as they break.
func (c *Client) call(ctx context.Context, tries int, call *tunnelpb.Call) (*tunnelpb.Result, error) {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	var last error
	for range tries {
		s := c.pick()
		if s == nil {
			break
		}
		r, err := s.call(ctx, call)
		if err == nil {
			return r, resultError(r)
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, sallyport.Errorf(sallyport.CodeUnavailable, "The cloud is out of reach.", last)
}

func resultError(r *tunnelpb.Result) error {
	f := r.GetFailure()
	if f == nil {
		return nil
	}
	return &sallyport.Error{Code: sallyport.Code(f.GetCode()), Message: f.GetMessage(), SupportCode: f.GetSupportCode()}
}

// pick chooses an open stream, a draining one only when there is no other.
func (c *Client) pick() *stream {
	live := c.live()
	mrand.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
	for _, s := range live {
		if !s.isDraining() {
			return s
		}
	}
	if len(live) > 0 {
		return live[0]
	}
	return nil
}

func (s *stream) call(ctx context.Context, call *tunnelpb.Call) (*tunnelpb.Result, error) {
	id, done := s.c.lastCall.Add(1), make(chan *tunnelpb.Result, 1)
	deadline, _ := ctx.Deadline()
	frame := &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{
		Id: id, TimeoutMs: uint32(max(time.Until(deadline), time.Millisecond) / time.Millisecond), Body: call.GetBody(),
	}}}
	if proto.Size(frame) > MaxFrame {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The call is too long.", nil)
	}
	select {
	case s.callRoom <- struct{}{}:
		defer func() { <-s.callRoom }()
	case <-s.done:
		return nil, errBroken
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	if s.calls == nil {
		s.mu.Unlock()
		return nil, errBroken
	}
	s.calls[id] = done
	s.mu.Unlock()
	defer s.forgetCall(id)
	if err := s.send(frame); err != nil {
		return nil, err
	}
	select {
	case r := <-done:
		return r, nil
	case <-s.done:
		return nil, errBroken
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *stream) forgetCall(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, id)
}

// result takes the result of a call in. One that nobody waits for is ignored.
func (s *stream) result(r *tunnelpb.Result) {
	s.mu.Lock()
	done := s.calls[r.GetId()]
	delete(s.calls, r.GetId())
	s.mu.Unlock()
	if done != nil {
		done <- r
	}
}
