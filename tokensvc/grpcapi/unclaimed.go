package grpcapi

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// Unclaimed is what Redis keeps of apps that show a serial number.
type Unclaimed interface {
	Unclaimed(ctx context.Context, serial deviceproto.Serial) (store.Unclaimed, error)
	Invite(ctx context.Context, serial deviceproto.Serial, i store.Invitation) error
	Invitation(ctx context.Context, serial deviceproto.Serial) (*store.Invitation, error)
	InvitationVerdict(ctx context.Context, serial deviceproto.Serial, id string) ([]byte, error)
}

func serial(text string) (deviceproto.Serial, error) {
	s, err := deviceproto.ParseSerial(text)
	if err != nil || string(s) != text {
		return "", invalid("serial must be 18 characters of a serial number")
	}
	return s, nil
}

// FindUnclaimed implements the service.
func (s *Server) FindUnclaimed(ctx context.Context, r *tokensvcpb.FindUnclaimedRequest) (*tokensvcpb.UnclaimedApp, error) {
	number, err := serial(r.GetSerial())
	if err != nil {
		return nil, err
	}
	u, err := s.cfg.Store.Unclaimed(ctx, number)
	if err != nil {
		return nil, err
	}
	return &tokensvcpb.UnclaimedApp{PublicKey: u.PublicKey, BoxKey: u.BoxKey}, nil
}

// InviteUnclaimed implements the service.
func (s *Server) InviteUnclaimed(ctx context.Context, r *tokensvcpb.InviteUnclaimedRequest) (*tokensvcpb.InviteUnclaimedResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	number, err := serial(r.GetSerial())
	if err != nil {
		return nil, err
	}
	id := r.GetInvitationId()
	if !sallyport.ValidID(id) || len(r.GetSealed()) == 0 || len(r.GetSealed()) > deviceproto.MaxSealedInvitation {
		return nil, invalid("invitation_id must be an identifier and sealed must have 1 to 4096 octets")
	}
	changed, stop := s.cfg.Events.Wait(store.UnclaimedTopic(number))
	defer stop()
	if err := s.cfg.Store.Invite(ctx, number, store.Invitation{ID: id, Tenant: t, Sealed: r.GetSealed()}); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, deviceproto.InvitationLife)
	defer cancel()
	for {
		verdict, over, err := s.invited(ctx, number, id)
		if err != nil || over {
			return &tokensvcpb.InviteUnclaimedResponse{Sealed: verdict}, err
		}
		if err := s.pause(waiting, changed, look); err != nil {
			if waiting.Err() != nil && ctx.Err() == nil {
				return &tokensvcpb.InviteUnclaimedResponse{}, nil
			}
			return nil, err
		}
	}
}

// invited is what the app has said of an invitation; over without a verdict when it waits no more.
func (s *Server) invited(ctx context.Context, number deviceproto.Serial, id string) (verdict []byte, over bool, err error) {
	i, err := s.cfg.Store.Invitation(ctx, number)
	if err != nil {
		return nil, false, err
	}
	// Read after the invitation: one that is answered has its verdict before it is gone.
	verdict, err = s.cfg.Store.InvitationVerdict(ctx, number, id)
	return verdict, verdict != nil || i == nil || i.ID != id, err
}
