package grpcapi

import (
	"context"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// maxEnrolment is the longest life of an enrolment: a link may go out by mail before a weekend.
const maxEnrolment = 7 * 24 * time.Hour

// Enrolments is what Redis keeps of enrolments.
type Enrolments interface {
	CreateEnrolment(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID, ttl time.Duration) error
	Enrolment(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID) (store.Enrolment, error)
	FinishEnrolment(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID, v store.Verdict) error
}

// CreateEnrolment implements the service.
func (s *Server) CreateEnrolment(ctx context.Context, r *tokensvcpb.CreateEnrolmentRequest) (*tokensvcpb.CreateEnrolmentResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(r.GetTtlSeconds()) * time.Second
	if !sallyport.ValidID(r.GetEnrolmentId()) || ttl <= 0 || ttl > maxEnrolment {
		return nil, invalid("enrolment_id must be an identifier and ttl_seconds between 1 s and 7 days")
	}
	if err := s.cfg.Store.CreateEnrolment(ctx, t, sallyport.EnrolmentID(r.GetEnrolmentId()), ttl); err != nil {
		return nil, err
	}
	return &tokensvcpb.CreateEnrolmentResponse{DeviceUrl: s.cfg.DeviceURL}, nil
}

// AwaitEnrolment implements the service.
func (s *Server) AwaitEnrolment(ctx context.Context, r *tokensvcpb.AwaitEnrolmentRequest) (*tokensvcpb.Registration, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	if !sallyport.ValidID(r.GetEnrolmentId()) {
		return nil, invalid("enrolment_id must be an identifier")
	}
	id := sallyport.EnrolmentID(r.GetEnrolmentId())
	changed, stop := s.cfg.Events.Wait(store.EnrolmentTopic(t, id))
	defer stop()
	for {
		e, err := s.cfg.Store.Enrolment(ctx, t, id)
		if err != nil {
			return nil, err
		}
		if e.Registration != nil {
			return registration(e.Registration), nil
		}
		if err := s.pause(ctx, changed, look); err != nil {
			return nil, err
		}
	}
}

func registration(r *store.Registration) *tokensvcpb.Registration {
	return &tokensvcpb.Registration{
		AttestationFormat: r.AttestationFormat, AttestationEvidence: r.Evidence,
		DeviceId: string(r.Device), PublicKey: r.PublicKey, Proof: r.Proof,
		Name: r.Name, Platform: r.Platform, AppVersion: r.AppVersion, App: r.App,
	}
}

// FinishEnrolment implements the service.
func (s *Server) FinishEnrolment(ctx context.Context, r *tokensvcpb.FinishEnrolmentRequest) (*tokensvcpb.FinishEnrolmentResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	if !sallyport.ValidID(r.GetEnrolmentId()) || len(r.GetSealed()) > deviceproto.MaxSealedAccount {
		return nil, invalid("enrolment_id must be an identifier and sealed at most 2 KiB")
	}
	v := store.Verdict{Accepted: r.GetAccepted(), Sealed: r.GetSealed()}
	if err := s.cfg.Store.FinishEnrolment(ctx, t, sallyport.EnrolmentID(r.GetEnrolmentId()), v); err != nil {
		return nil, err
	}
	return &tokensvcpb.FinishEnrolmentResponse{}, nil
}

// DeviceApp implements the service.
func (s *Server) DeviceApp(ctx context.Context, r *tokensvcpb.DeviceAppRequest) (*tokensvcpb.DeviceAppResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	if !sallyport.ValidID(r.GetDeviceId()) {
		return nil, invalid("device_id must be an identifier")
	}
	d, err := s.cfg.Store.Device(ctx, t, sallyport.DeviceID(r.GetDeviceId()))
	if err != nil {
		return nil, err
	}
	return &tokensvcpb.DeviceAppResponse{Sealed: d.App}, nil
}

// RemoveDevice implements the service.
func (s *Server) RemoveDevice(ctx context.Context, r *tokensvcpb.RemoveDeviceRequest) (*tokensvcpb.RemoveDeviceResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	if !sallyport.ValidID(r.GetDeviceId()) {
		return nil, invalid("device_id must be an identifier")
	}
	if err := s.cfg.Store.RemoveDevice(ctx, t, sallyport.DeviceID(r.GetDeviceId())); err != nil {
		return nil, err
	}
	return &tokensvcpb.RemoveDeviceResponse{}, nil
}

// pause waits for a change, at most for d. It ends early with ctx, and when this replica drains.
func (s *Server) pause(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.cfg.Draining:
		return sallyport.Errorf(sallyport.CodeUnavailable, "this replica is shutting down; ask again", nil)
	case <-changed:
		return nil
	case <-timer.C:
		_, err := s.admit(ctx)
		return err
	}
}
