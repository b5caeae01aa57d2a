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
	return s.audited(ctx, "save invitation", func(ctx context.Context, tx *changing) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO invites (`+inviteColumns+`) VALUES ($1, $2, $3, $4)`,
			string(i.ID), s.box.seal(invitePlace(i.ID), []byte(i.Secret)), micros(i.Created), micros(i.Expires)); err != nil {
			return err
		}
		return tx.record("invitation.create", "invitation of an appliance", string(i.ID), nil, i)
	})
}

// Invites returns the invitations that are open at now, the oldest first.
func (s *Store) Invites(ctx context.Context, now time.Time) ([]Invite, error) {
	return s.invites(ctx, `SELECT `+inviteColumns+` FROM invites WHERE expires > $1 ORDER BY created, id`, micros(now))
}

// TakeInvite removes an invitation and returns it to exactly one caller. It is not_found for all
// others, and expired for all when its time is over.
func (s *Store) TakeInvite(ctx context.Context, id InviteID, now time.Time) (Invite, error) {
	if err := checkID("invitation", string(id)); err != nil {
		return Invite{}, err
	}
	var taken Invite
	var expired bool
	err := s.audited(ctx, "take invitation", func(ctx context.Context, tx *changing) (err error) {
		if taken, err = s.deleteInvite(ctx, tx, id); err != nil {
			return err
		}
		if expired = !taken.Expires.After(now); expired {
			return tx.record("invitation.delete", "invitation of an appliance", string(id), taken, nil)
		}
		return tx.record("invitation.use", "invitation of an appliance", string(id), taken, nil)
	})
	if err == nil && expired {
		err = sallyport.Errorf(sallyport.CodeExpired, "This invitation has expired. Make a new one.", nil)
	}
	if err != nil {
		return Invite{}, err
	}
	return taken, nil
}

// DeleteInvite removes an invitation. Of all callers with one id, exactly one is told that it existed.
func (s *Store) DeleteInvite(ctx context.Context, id InviteID) (existed bool, err error) {
	if err := checkID("invitation", string(id)); err != nil {
		return false, err
	}
	err = s.audited(ctx, "delete invitation", func(ctx context.Context, tx *changing) error {
		gone, err := s.deleteInvite(ctx, tx, id)
		if spoiled(err) {
			gone, err = Invite{ID: id}, nil
		}
		if err != nil {
			return err
		}
		return tx.record("invitation.delete", "invitation of an appliance", string(id), gone, nil)
	})
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) deleteInvite(ctx context.Context, tx *changing, id InviteID) (Invite, error) {
	rows, err := tx.QueryContext(ctx, `DELETE FROM invites WHERE id = $1 RETURNING `+inviteColumns, string(id))
	if err != nil {
		return Invite{}, err
	}
	list, err := collect(rows, s.scanInvite)
	return only("invitation", list, err)
}

func (s *Store) invites(ctx context.Context, query string, args ...any) ([]Invite, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, query, args...)
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
