package store

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

const (
	// maxInvitations bounds how often an app is invited, whoever does it.
	maxInvitations = 20
	// maxUnclaimed bounds how many apps may show a new serial number within unclaimedWindow, on all replicas
	// together: what strangers can leave in Redis has a limit, whatever their number.
	maxUnclaimed    = 6000
	unclaimedWindow = time.Minute
)

// Unclaimed is an app that shows a serial number and belongs to nobody yet.
type Unclaimed struct {
	Device sallyport.DeviceID
	// Keys that the serial number is made of, SubjectPublicKeyInfo DER.
	PublicKey, BoxKey []byte
}

// Invitation is what an appliance has for such an app.
type Invitation struct {
	ID     string
	Tenant sallyport.TenantID
	Sealed []byte
}

const errNoSerial = "No app shows this serial number now."

// ShowSerial keeps an app for deviceproto.UnclaimedLife. Again it keeps it for as long from then.
// Errors: CodeLimited when there are too many new ones.
func (s *Store) ShowSerial(ctx context.Context, serial deviceproto.Serial, u Unclaimed) error {
	known, err := s.KeepSerial(ctx, serial)
	if err != nil || known {
		return err
	}
	if err := s.countUnclaimed(ctx); err != nil {
		return err
	}
	// The keys give the serial number, so whoever else writes writes the same.
	return unavailable("keep unclaimed app", s.redis.Set(ctx, unclaimedKey(serial, "app"), encode(u), deviceproto.UnclaimedLife).Err())
}

func (s *Store) countUnclaimed(ctx context.Context) error {
	const key = "sp:ts:unclaimed:new"
	p := s.redis.Pipeline()
	p.SetArgs(ctx, key, 0, redis.SetArgs{Mode: "NX", TTL: unclaimedWindow})
	n := p.Incr(ctx, key)
	if err := run(ctx, p); err != nil {
		return unavailable("count unclaimed apps", err)
	}
	if n.Val() > maxUnclaimed {
		return sallyport.Errorf(sallyport.CodeLimited, "Too many apps ask for a serial number. Please wait a minute.", nil)
	}
	return nil
}

// KeepSerial keeps an app for deviceproto.UnclaimedLife from now, and reports whether it is known.
func (s *Store) KeepSerial(ctx context.Context, serial deviceproto.Serial) (bool, error) {
	p := s.redis.Pipeline()
	known := p.Expire(ctx, unclaimedKey(serial, "app"), deviceproto.UnclaimedLife)
	p.Expire(ctx, unclaimedKey(serial, "tries"), deviceproto.UnclaimedLife)
	if err := run(ctx, p); err != nil {
		return false, unavailable("keep serial number", err)
	}
	return known.Val(), nil
}

// Unclaimed returns the app of a serial number; CodeNotFound when no app shows it.
func (s *Store) Unclaimed(ctx context.Context, serial deviceproto.Serial) (Unclaimed, error) {
	text, err := absent(s.redis.Get(ctx, unclaimedKey(serial, "app")))
	if err != nil {
		return Unclaimed{}, unavailable("read unclaimed app", err)
	}
	if text == "" {
		return Unclaimed{}, notFound(errNoSerial)
	}
	var u Unclaimed
	return u, decode(text, &u)
}

// Invite has an invitation wait for the app of a serial number, in the place of the one before. The same again
// changes nothing. Errors: CodeNotFound, CodeLimited (this app was invited too often).
func (s *Store) Invite(ctx context.Context, serial deviceproto.Serial, i Invitation) error {
	seen, err := s.redis.Exists(ctx, unclaimedKey(serial, "invited:"+i.ID)).Result()
	if err != nil {
		return unavailable("read invitation", err)
	}
	if seen > 0 {
		return nil
	}
	if _, err := s.Unclaimed(ctx, serial); err != nil {
		return err
	}
	key := unclaimedKey(serial, "tries")
	p := s.redis.Pipeline()
	tries := p.Incr(ctx, key)
	p.Expire(ctx, key, deviceproto.UnclaimedLife)
	if err := run(ctx, p); err != nil {
		return unavailable("count invitation", err)
	}
	if tries.Val() > maxInvitations {
		return sallyport.Errorf(sallyport.CodeLimited, "Too many attempts with this serial number.", nil)
	}
	p = s.redis.TxPipeline()
	p.Set(ctx, unclaimedKey(serial, "invitation"), encode(i), deviceproto.InvitationLife)
	p.Set(ctx, unclaimedKey(serial, "invited:"+i.ID), "1", keep)
	if err := run(ctx, p); err != nil {
		return unavailable("keep invitation", err)
	}
	s.events.tell(ctx, UnclaimedTopic(serial))
	return nil
}

// Invitation returns what waits for the app of a serial number, nil when nothing does.
func (s *Store) Invitation(ctx context.Context, serial deviceproto.Serial) (*Invitation, error) {
	text, err := absent(s.redis.Get(ctx, unclaimedKey(serial, "invitation")))
	if err != nil || text == "" {
		return nil, unavailable("read invitation", err)
	}
	var i Invitation
	if err := decode(text, &i); err != nil {
		return nil, err
	}
	return &i, nil
}

// AnswerInvitation keeps what the app says of an invitation. The first answer counts, and the same again is no error.
// Errors: CodeExpired when the invitation waits no more, CodeConflict when it was answered otherwise.
func (s *Store) AnswerInvitation(ctx context.Context, serial deviceproto.Serial, id string, sealed []byte) error {
	key := unclaimedKey(serial, "verdict:"+id)
	said, err := absent(s.redis.Get(ctx, key))
	switch {
	case err != nil:
		return unavailable("read verdict", err)
	case said == string(sealed):
		return nil
	case said != "":
		return conflict("This invitation was answered otherwise.")
	}
	i, err := s.Invitation(ctx, serial)
	if err != nil {
		return err
	}
	if i == nil || i.ID != id {
		return expired("This invitation waits no more.")
	}
	p := s.redis.TxPipeline()
	p.SetArgs(ctx, key, string(sealed), redis.SetArgs{Mode: "NX", TTL: keep})
	p.Del(ctx, unclaimedKey(serial, "invitation"))
	if err := run(ctx, p); err != nil {
		return unavailable("keep verdict", err)
	}
	s.events.tell(ctx, UnclaimedTopic(serial))
	return nil
}

// InvitationVerdict is what the app has said of an invitation, nil as long as it has not.
func (s *Store) InvitationVerdict(ctx context.Context, serial deviceproto.Serial, id string) ([]byte, error) {
	text, err := absent(s.redis.Get(ctx, unclaimedKey(serial, "verdict:"+id)))
	if err != nil || text == "" {
		return nil, unavailable("read verdict", err)
	}
	return []byte(text), nil
}

// HideSerial forgets the app of a serial number, and what waits for it.
func (s *Store) HideSerial(ctx context.Context, serial deviceproto.Serial) error {
	if err := s.redis.Del(ctx, unclaimedKey(serial, "app"), unclaimedKey(serial, "invitation")).Err(); err != nil {
		return unavailable("forget unclaimed app", err)
	}
	s.events.tell(ctx, UnclaimedTopic(serial)) // who invites it need not wait for it
	return nil
}
