// Package grpcapi is the token service towards appliances (api/tokensvcpb). The client certificate
// names the enterprise; nothing here reaches beyond it. It relays sealed values and looks into none.
package grpcapi

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// Limits of a connection and a request.
const (
	maxMessage = 64 << 10
	// maxStreams bounds those of one connection. An appliance watches one challenge a login: more than the logins that
	// it lets wait, or new ones stand still behind those that wait.
	maxStreams = 40_000
	unaryTime  = 10 * time.Second
	maxAwait   = 5 * time.Minute
	// look is how often a stream looks by itself, in case an event was lost.
	look = 3 * time.Second
)

// Store is what the service keeps in Redis.
type Store interface {
	Enrolments
	Unclaimed
	Challenges
	Device(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID) (store.Device, error)
	RemoveDevice(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID) error
}

// Sender takes a push that is to leave now.
type Sender interface {
	Send(ctx context.Context, p store.PushJob)
}

// Waiter wakes streams (store.Events).
type Waiter interface {
	Wait(store.Topic) (changed <-chan struct{}, stop func())
}

// Revocations is the list of appliances that were cut off.
type Revocations interface {
	Revoked(ctx context.Context, id pki.Identity) (bool, error)
}

// Config is what the service needs. Owner names this replica; Draining is closed when it shuts down,
// so that streams end and appliances watch elsewhere.
type Config struct {
	Store       Store
	Events      Waiter
	Sender      Sender
	Texts       Texts
	Revocations Revocations
	DeviceURL   string
	Owner       string
	Draining    <-chan struct{}
	// Observe is told of every request that has ended, for metrics.
	Observe func(method, code string, took time.Duration)
	Log     *slog.Logger
	Now     func() time.Time
}

// Server implements the service.
type Server struct {
	tokensvcpb.UnimplementedTokenServiceServer
	cfg Config
}

// NewServer returns a gRPC server with the service on it.
func NewServer(cfg Config, creds credentials.TransportCredentials) *grpc.Server {
	s := &Server{cfg: cfg}
	g := grpc.NewServer(
		grpc.Creds(creds),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.MaxHeaderListSize(16<<10),
		grpc.MaxConcurrentStreams(maxStreams), grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
	)
	tokensvcpb.RegisterTokenServiceServer(g, s)
	return g
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
	defer s.observe(info.FullMethod, s.cfg.Now(), &err)
	id, err := s.admit(ctx)
	if err != nil {
		return nil, s.refusal(info.FullMethod, id, err)
	}
	limit := unaryTime
	if info.FullMethod == tokensvcpb.TokenService_AwaitEnrolment_FullMethodName {
		limit = maxAwait
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := next(ctx, req)
	if err != nil {
		return nil, s.refusal(info.FullMethod, id, err)
	}
	return out, nil
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.observe(info.FullMethod, s.cfg.Now(), &err)
	id, err := s.admit(ss.Context())
	if err == nil {
		err = next(srv, ss)
	}
	if err != nil {
		return s.refusal(info.FullMethod, id, err)
	}
	return nil
}

func (s *Server) observe(method string, began time.Time, err *error) {
	s.cfg.Observe(method, status.Code(*err).String(), s.cfg.Now().Sub(began))
}

// admit says who calls, and refuses an appliance that was cut off. It is asked again while a stream lasts.
func (s *Server) admit(ctx context.Context) (pki.Identity, error) {
	id, err := identity(ctx)
	if err != nil {
		return id, err
	}
	revoked, err := s.cfg.Revocations.Revoked(ctx, id)
	if err != nil {
		return id, sallyport.Errorf(sallyport.CodeUnavailable, "the revocation list cannot be read; try again", err)
	}
	if revoked {
		return id, sallyport.Errorf(sallyport.CodeDenied, "this appliance was cut off from its enterprise", nil)
	}
	return id, nil
}

// identity reads who calls out of the certificate that TLS has verified.
func identity(ctx context.Context) (pki.Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return pki.Identity{}, denied(errors.New("no peer"))
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return pki.Identity{}, denied(errors.New("no verified certificate"))
	}
	id, err := pki.IdentityOf(info.State.VerifiedChains[0][0])
	if err != nil {
		return pki.Identity{}, denied(err)
	}
	return id, nil
}

// tenant is the enterprise of the caller, whom an interceptor has admitted.
func tenant(ctx context.Context) (sallyport.TenantID, error) {
	id, err := identity(ctx)
	return id.Tenant, err
}

func denied(cause error) error {
	return sallyport.Errorf(sallyport.CodeDenied, "the client certificate names no appliance", cause)
}

func invalid(message string) error { return sallyport.Errorf(sallyport.CodeInvalid, message, nil) }

// refusal is an error as the appliance sees it; the cause stays in our log.
func (s *Server) refusal(method string, id pki.Identity, err error) error {
	if errors.Is(err, context.Canceled) {
		return status.Error(codes.Canceled, "cancelled")
	}
	if errors.Is(err, context.DeadlineExceeded) && sallyport.ErrorCode(err) == sallyport.CodeInternal {
		return status.Error(codes.DeadlineExceeded, "not done in time")
	}
	code := grpcCode(sallyport.ErrorCode(err))
	level := slog.LevelInfo
	if code == codes.Internal || code == codes.Unavailable {
		level = slog.LevelWarn
	}
	s.cfg.Log.Log(context.Background(), level, "appliance's request refused", "method", method, "appliance", id.String(), "code", code.String(), "error", err)
	return status.Error(code, sallyport.ErrorMessage(err))
}

func grpcCode(c sallyport.Code) codes.Code {
	switch c {
	case sallyport.CodeInvalid:
		return codes.InvalidArgument
	case sallyport.CodeDenied:
		return codes.PermissionDenied
	case sallyport.CodeNotFound, sallyport.CodeExpired:
		return codes.NotFound
	case sallyport.CodeConflict:
		return codes.AlreadyExists
	case sallyport.CodeLimited:
		return codes.ResourceExhausted
	case sallyport.CodeUnavailable:
		return codes.Unavailable
	default:
		return codes.Internal
	}
}
