package grpcapi

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// maxChallenge is the longest life of a challenge.
const maxChallenge = 5 * time.Minute

// Challenges is what Redis keeps of challenges.
type Challenges interface {
	CreateChallenge(ctx context.Context, c store.Challenge, owner string) (store.Created, error)
	Challenge(ctx context.Context, t sallyport.TenantID, id sallyport.ChallengeID) (store.Status, error)
	CancelChallenge(ctx context.Context, t sallyport.TenantID, id sallyport.ChallengeID) error
}

// CreateChallenge implements the service.
func (s *Server) CreateChallenge(ctx context.Context, r *tokensvcpb.CreateChallengeRequest) (*tokensvcpb.CreateChallengeResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(r.GetTtlMs()) * time.Millisecond
	switch {
	case !sallyport.ValidID(r.GetChallengeId()) || !sallyport.ValidID(r.GetDeviceId()):
		return nil, invalid("challenge_id and device_id must be identifiers")
	case ttl <= 0 || ttl > maxChallenge:
		return nil, invalid("ttl_ms must be between 1 and 300000")
	case len(r.GetSealedDetails()) == 0 || len(r.GetSealedDetails()) > deviceproto.MaxSealedDetails:
		return nil, invalid("sealed_details must have 1 to 2048 octets")
	}
	c := store.Challenge{
		Tenant: t, ID: sallyport.ChallengeID(r.GetChallengeId()), Device: sallyport.DeviceID(r.GetDeviceId()),
		Sealed: r.GetSealedDetails(), TTL: ttl,
	}
	made, err := s.cfg.Store.CreateChallenge(ctx, c, s.cfg.Owner)
	if err != nil {
		return nil, err
	}
	if made.Queued() {
		s.cfg.Sender.Send(ctx, store.PushJob{
			PushRef: store.PushRef{Tenant: t, Challenge: c.ID}, Device: c.Device,
			Push: made.Device.Push, TTL: ttl, Remaining: made.Remaining,
		})
	}
	return &tokensvcpb.CreateChallengeResponse{RemainingMs: uint32(made.Remaining.Milliseconds())}, nil
}

// CancelChallenge implements the service. One that is not known (any more) is cancelled enough.
func (s *Server) CancelChallenge(ctx context.Context, r *tokensvcpb.CancelChallengeRequest) (*tokensvcpb.CancelChallengeResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	if !sallyport.ValidID(r.GetChallengeId()) {
		return nil, invalid("challenge_id must be an identifier")
	}
	err = s.cfg.Store.CancelChallenge(ctx, t, sallyport.ChallengeID(r.GetChallengeId()))
	if err != nil && sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		return nil, err
	}
	return &tokensvcpb.CancelChallengeResponse{}, nil
}

// WatchChallenge implements the service.
func (s *Server) WatchChallenge(r *tokensvcpb.WatchChallengeRequest, out grpc.ServerStreamingServer[tokensvcpb.ChallengeEvent]) error {
	ctx := out.Context()
	t, err := tenant(ctx)
	if err != nil {
		return err
	}
	if !sallyport.ValidID(r.GetChallengeId()) {
		return invalid("challenge_id must be an identifier")
	}
	id := sallyport.ChallengeID(r.GetChallengeId())
	// Waiting begins before the first look, so that nothing falls between the two.
	changed, stop := s.cfg.Events.Wait(store.ChallengeTopic(t, id))
	defer stop()
	var told store.Delivery
	for {
		st, err := s.cfg.Store.Challenge(ctx, t, id)
		if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
			return out.Send(ended(tokensvcpb.Ended_UNKNOWN))
		}
		if err != nil {
			return err
		}
		if st.Delivery != told && st.Delivery.State != "" {
			if err := out.Send(delivery(st.Delivery)); err != nil {
				return err
			}
			told = st.Delivery
		}
		if st.End != nil {
			return out.Send(endEvent(*st.End))
		}
		// A millisecond more than is left, so that the key has gone when we look.
		if err := s.pause(ctx, changed, min(st.Remaining+time.Millisecond, look)); err != nil {
			return err
		}
	}
}

func delivery(d store.Delivery) *tokensvcpb.ChallengeEvent {
	state := map[store.DeliveryState]tokensvcpb.Delivery_State{
		store.DeliveryQueued: tokensvcpb.Delivery_QUEUED, store.DeliverySent: tokensvcpb.Delivery_SENT,
		store.DeliveryFailed: tokensvcpb.Delivery_FAILED, store.DeliveryNoAddress: tokensvcpb.Delivery_NO_ADDRESS,
	}[d.State]
	return &tokensvcpb.ChallengeEvent{Event: &tokensvcpb.ChallengeEvent_Delivery{
		Delivery: &tokensvcpb.Delivery{State: state, Reason: d.Reason},
	}}
}

func endEvent(e store.End) *tokensvcpb.ChallengeEvent {
	switch e.Reason {
	case store.EndAnswered:
		return &tokensvcpb.ChallengeEvent{Event: &tokensvcpb.ChallengeEvent_Answer{Answer: &tokensvcpb.Answer{Sealed: e.Sealed}}}
	case store.EndSuperseded:
		return ended(tokensvcpb.Ended_SUPERSEDED)
	case store.EndCancelled:
		return ended(tokensvcpb.Ended_CANCELLED)
	default:
		return ended(tokensvcpb.Ended_EXPIRED)
	}
}

func ended(r tokensvcpb.Ended_Reason) *tokensvcpb.ChallengeEvent {
	return &tokensvcpb.ChallengeEvent{Event: &tokensvcpb.ChallengeEvent_Ended{Ended: &tokensvcpb.Ended{Reason: r}}}
}
