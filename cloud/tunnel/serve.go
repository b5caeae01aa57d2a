package tunnel

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// The features of both ends (tunnel.proto).
const (
	featureProgress    = "progress"
	featureProgressAck = "progress_ack"
	featureCancel      = "cancel"
	featureDrain       = "drain"
	featureJoin        = "join"
)

func cloudFeatures() []string {
	return []string{featureProgressAck, "claims", "renew", "keys", featureJoin}
}

// Bounds of what a Hello may say.
const (
	maxVersion   = 64
	maxFeatures  = 32
	maxStatement = 4 << 10
	maxSignature = 256
)

type connection interface {
	Send(*tunnelpb.CloudFrame) error
	Recv() (*tunnelpb.ApplianceFrame, error)
	Context() context.Context
}

// Connect is the life of one stream.
func (h *Hub) Connect(c tunnelpb.Tunnel_ConnectServer) error {
	s, err := h.newStream(c)
	if err != nil {
		return err
	}
	defer s.flushed.Wait()
	hello, err := h.greet(c, s)
	if err != nil {
		h.log.Info("tunnel stream refused", "tenant", s.id.Tenant, "appliance", s.id.Appliance, "error", err)
		return err
	}
	s.read(hello)
	if err := h.add(s); err != nil {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	h.welcome(s, hello)
	err = h.receive(c, s)
	h.remove(s)
	reason := s.end()
	h.log.Info("tunnel stream ended", "tenant", s.id.Tenant, "appliance", s.id.Appliance, "reason", reason, "error", err)
	return err
}

func (h *Hub) newStream(c connection) (*stream, error) {
	p, ok := peer.FromContext(c.Context())
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "no peer")
	}
	info, ok := p.AuthInfo.(closableInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil, status.Error(codes.Unauthenticated, "a client certificate is needed")
	}
	leaf := info.State.VerifiedChains[0][0]
	id, err := pki.IdentityOf(leaf)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	now := h.cfg.Now()
	s := &stream{
		id: id, since: now, epoch: now, certEnds: leaf.NotAfter, now: h.cfg.Now,
		limits: h.cfg.Limits, heartbeat: h.cfg.Timing.Heartbeat, out: c, conn: info.conn,
		moved: func() { h.presence.touch(id.Tenant) },
		// Spread over the first beat, so that thousands that came at once are not served at once.
		nextBeat: now.Add(spread(h.cfg.Timing.Heartbeat)),
	}
	return s, nil
}

// greet waits for Hello and checks whether the appliance may come in.
func (h *Hub) greet(c connection, s *stream) (*tunnelpb.Hello, error) {
	if h.draining.Load() {
		return nil, status.Error(codes.Unavailable, "this replica shuts down")
	}
	if s.now().After(s.certEnds) {
		return nil, status.Error(codes.Unauthenticated, "the certificate has ended")
	}
	revoked, err := h.cfg.Revocations.Revoked(c.Context(), s.id)
	if err != nil {
		h.log.Warn("revocation list out of reach", "error", err)
		return nil, status.Error(codes.Unavailable, "the revocation list is out of reach")
	}
	if revoked {
		return nil, status.Error(codes.PermissionDenied, "this appliance's certificate was revoked")
	}
	late := time.AfterFunc(3*s.heartbeat, func() { s.cut("no hello") })
	defer late.Stop()
	first, err := c.Recv()
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "no hello")
	}
	hello := first.GetHello()
	if err := checkHello(hello); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return hello, nil
}

func checkHello(m *tunnelpb.Hello) error {
	switch {
	case m == nil:
		return errors.New("the first frame must be a hello")
	case !sallyport.ValidID(m.GetInstance()):
		return errors.New("hello: bad instance")
	case len(m.GetVersion()) > maxVersion:
		return errors.New("hello: version too long")
	case len(m.GetFeatures()) > maxFeatures:
		return errors.New("hello: too many features")
	case m.GetKeys() != nil && !validStatement(m.GetKeys()):
		return errors.New("hello: bad key statement")
	}
	for _, f := range m.GetFeatures() {
		if len(f) > maxVersion {
			return errors.New("hello: feature name too long")
		}
	}
	return nil
}

// read takes over what Hello says.
func (s *stream) read(m *tunnelpb.Hello) {
	s.instance, s.version, s.joining = m.GetInstance(), m.GetVersion(), m.GetJoining()
	s.features = make(map[string]struct{}, len(m.GetFeatures()))
	for _, f := range m.GetFeatures() {
		s.features[f] = struct{}{}
	}
	s.alive()
}

func (s *stream) alive() { s.heard.Store(int64(s.now().Sub(s.epoch))) }

func (h *Hub) welcome(s *stream, hello *tunnelpb.Hello) {
	s.send(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Welcome{Welcome: &tunnelpb.Welcome{
		Version: h.cfg.Version, Features: cloudFeatures(), Replica: h.cfg.Replica,
		HeartbeatMs: uint32(s.heartbeat / time.Millisecond),
	}}})
	h.log.Info("tunnel stream open", "tenant", s.id.Tenant, "appliance", s.id.Appliance,
		"version", s.version, "joining", s.joining)
	if hello.GetKeys() != nil {
		h.learnStatement(s, hello.GetKeys())
	}
	h.presence.touch(s.id.Tenant)
	if h.draining.Load() { // Drain began after greet looked
		s.drain("the replica shuts down")
	}
}

// receive works on frames until the stream ends: nil when the appliance closed it.
func (h *Hub) receive(c connection, s *stream) error {
	for {
		frame, err := c.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.alive()
		h.dispatch(c.Context(), s, frame)
	}
}

// dispatch works on one frame. It never blocks on anything outside this process.
func (h *Hub) dispatch(ctx context.Context, s *stream, frame *tunnelpb.ApplianceFrame) {
	switch body := frame.GetBody().(type) {
	case *tunnelpb.ApplianceFrame_Response:
		s.answered(body.Response)
	case *tunnelpb.ApplianceFrame_Progress:
		s.progressed(body.Progress)
	case *tunnelpb.ApplianceFrame_Call:
		h.call(ctx, s, body.Call)
	case *tunnelpb.ApplianceFrame_Leaving:
		if !s.leaving.Swap(true) {
			s.moved()
		}
	}
}
