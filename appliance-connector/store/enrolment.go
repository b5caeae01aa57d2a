package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/sallyport/sallyport"
)

// Enrolment is an invitation to enrol a device, until it is finished or expires.
type Enrolment struct {
	ID      sallyport.EnrolmentID
	Account sallyport.AccountName
	// Secret is what the link carries, 16 to 256 octets.
	Secret  sallyport.Key
	Created time.Time
	Expires time.Time
}

// PutEnrolment adds an invitation; an id that exists is a conflict.
func (s *Store) PutEnrolment(ctx context.Context, e Enrolment) error {
	if err := checkEnrolment(e); err != nil {
		return err
	}
	return s.audited(ctx, "save enrolment", func(ctx context.Context, tx *changing) error {
		if _, err := tx.ExecContext(ctx,
			`INSERT INTO enrolments (id, account, sealed_secret, created, expires) VALUES ($1, $2, $3, $4, $5)`,
			string(e.ID), string(e.Account), s.box.seal(enrolmentPlace(e), e.Secret), micros(e.Created), micros(e.Expires)); err != nil {
			return err
		}
		return tx.record("enrolment.create", string(e.Account), string(e.ID), nil, e)
	})
}

// Enrolment returns an invitation, or not_found. One that has expired stays readable for a while,
// so that the user can be told so: the caller compares Expires with its clock.
func (s *Store) Enrolment(ctx context.Context, id sallyport.EnrolmentID) (Enrolment, error) {
	if err := checkID("enrolment", string(id)); err != nil {
		return Enrolment{}, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT id, account, sealed_secret, created, expires FROM enrolments WHERE id = $1`, string(id))
	if err != nil {
		return Enrolment{}, s.engine.failure("read enrolment", err)
	}
	list, err := collect(rows, s.scanEnrolment)
	switch {
	case err != nil:
		return Enrolment{}, s.engine.failure("read enrolment", err)
	case len(list) == 0:
		return Enrolment{}, notFound("enrolment")
	}
	return list[0], nil
}

// DeleteEnrolment removes an invitation. Of all callers with one id, exactly one is told that it
// existed: that one may finish the enrolment.
func (s *Store) DeleteEnrolment(ctx context.Context, id sallyport.EnrolmentID) (existed bool, err error) {
	if err := checkID("enrolment", string(id)); err != nil {
		return false, err
	}
	return s.take(ctx, "delete enrolment", `DELETE FROM enrolments WHERE id = $1`, string(id))
}

// take runs a DELETE and says whether there was a row.
func (s *Store) take(ctx context.Context, doing, statement, id string) (existed bool, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, statement, id)
	return n == 1, s.engine.failure(doing, err)
}

func (s *Store) scanEnrolment(rows *sql.Rows) (e Enrolment, err error) {
	var created, expires int64
	var secret []byte
	if err := rows.Scan(&e.ID, &e.Account, &secret, &created, &expires); err != nil {
		return e, err
	}
	e.Created, e.Expires = fromMicros(created), fromMicros(expires)
	e.Secret, err = s.box.open(enrolmentPlace(e), secret)
	return e, err
}

func enrolmentPlace(e Enrolment) place {
	return place{table: "enrolments", column: "sealed_secret", row: string(e.ID), binding: []string{string(e.Account)}}
}

func checkEnrolment(e Enrolment) error {
	return first(
		checkID("enrolment", string(e.ID)),
		checkAccount(e.Account),
		checkSize("enrolment's secret", len(e.Secret), 16, maxOneTime),
		checkLife("enrolment", e.Created, e.Expires),
	)
}
