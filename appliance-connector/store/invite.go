package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/sallyport/sallyport"
)

// InviteID names an invitation for a further appliance.
type InviteID string

// Invite lets one further appliance join the enterprise.
type Invite struct {
	ID InviteID
	// Secret is the part of the join code that proves it, 1 to 256 octets.
	Secret  sallyport.Secret
	Created time.Time
	Expires time.Time
}

const inviteColumns = `id, sealed_secret, created, expires`

// PutInvite adds an invitation; an id that exists is a conflict.
func (s *Store) PutInvite(ctx context.Context, i Invite) error {
	err := first(
		checkID("invitation", string(i.ID)),
		checkSize("invitation's secret", len(i.Secret), 1, maxOneTime),
		checkLife("invitation", i.Created, i.Expires),
	)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err = s.engine.exec(ctx, `INSERT INTO invites (`+inviteColumns+`) VALUES ($1, $2, $3, $4)`,
		string(i.ID), s.box.seal(invitePlace(i.ID), []byte(i.Secret)), micros(i.Created), micros(i.Expires))
	return s.engine.failure("save invitation", err)
}

// Invites returns the invitations that are open at now, the oldest first.
func (s *Store) Invites(ctx context.Context, now time.Time) ([]Invite, error) {
	return s.invites(ctx, s.engine.read, `SELECT `+inviteColumns+` FROM invites WHERE expires > $1 ORDER BY created, id`, micros(now))
}

// TakeInvite removes an invitation and returns it to exactly one caller. It is not_found for all
// others, and expired for all when its time is over.
func (s *Store) TakeInvite(ctx context.Context, id InviteID, now time.Time) (Invite, error) {
	if err := checkID("invitation", string(id)); err != nil {
		return Invite{}, err
	}
	list, err := s.invites(ctx, s.engine.write, `DELETE FROM invites WHERE id = $1 RETURNING `+inviteColumns, string(id))
	switch {
	case err != nil:
		return Invite{}, err
	case len(list) == 0:
		return Invite{}, notFound("invitation")
	case !list[0].Expires.After(now):
		return Invite{}, sallyport.Errorf(sallyport.CodeExpired, "This invitation has expired. Make a new one.", nil)
	}
	return list[0], nil
}

// DeleteInvite removes an invitation. Of all callers with one id, exactly one is told that it existed.
func (s *Store) DeleteInvite(ctx context.Context, id InviteID) (existed bool, err error) {
	if err := checkID("invitation", string(id)); err != nil {
		return false, err
	}
	return s.take(ctx, "delete invitation", `DELETE FROM invites WHERE id = $1`, string(id))
}

func (s *Store) invites(ctx context.Context, db *sql.DB, query string, args ...any) ([]Invite, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, db, query, args...)
	if err != nil {
		return nil, s.engine.failure("read invitations", err)
	}
	list, err := collect(rows, s.scanInvite)
	return list, s.engine.failure("read invitations", err)
}

func (s *Store) scanInvite(rows *sql.Rows) (i Invite, err error) {
	var created, expires int64
	var box []byte
	if err := rows.Scan(&i.ID, &box, &created, &expires); err != nil {
		return i, err
	}
	i.Created, i.Expires = fromMicros(created), fromMicros(expires)
	secret, err := s.box.open(invitePlace(i.ID), box)
	i.Secret = sallyport.Secret(secret)
	return i, err
}

func invitePlace(id InviteID) place {
	return place{table: "invites", column: "sealed_secret", row: string(id)}
}
