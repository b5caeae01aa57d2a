package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	phoneNumber  = "phone number"
	phoneColumns = `id, account, sealed_number, enrolled`
)

// Phones returns the phone numbers of an account, the newest first; none is no error.
func (s *Store) Phones(ctx context.Context, account sallyport.AccountName) ([]sallyport.Phone, error) {
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+phoneColumns+` FROM phones WHERE account = $1 ORDER BY enrolled DESC, id`, string(account))
	if err != nil {
		return nil, s.engine.failure("list phone numbers", err)
	}
	list, err := collect(rows, s.scanPhone)
	return list, s.engine.failure("list phone numbers", err)
}

// AddPhone enrols a phone number. An account may have sallyport.PhonesMost, each once. It ends the account's
// temporary codes: there is a usual factor now.
func (s *Store) AddPhone(ctx context.Context, p sallyport.Phone) error {
	if err := checkPhone(p); err != nil {
		return err
	}
	return s.change(ctx, "save phone number", func(ctx context.Context, tx *changing) error {
		// Two that come at once must see each other; every change waits for this row at its end anyway.
		if _, err := tx.ExecContext(ctx, `UPDATE revision SET value = value`); err != nil {
			return fmt.Errorf("wait for other changes: %w", err)
		}
		if err := s.roomForPhone(ctx, tx, p); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO phones (`+phoneColumns+`) VALUES ($1, $2, $3, $4)`,
			string(p.ID), string(p.Account), s.box.seal(phonePlace(p), []byte(p.Number)), micros(p.Enrolled)); err != nil {
			return fmt.Errorf("write phone number: %w", err)
		}
		if _, err := s.endCodes(ctx, tx, `account = $1`, string(p.Account), sallyport.EndedByEnrolment, p.Enrolled); err != nil {
			return err
		}
		tx.authenticator(p.Account, sallyport.AuthenticatorPhone, p.Number.Tail(), true)
		return tx.record(phoneNumber+".enrol", string(p.Account), string(p.ID), nil, p)
	})
}

func (s *Store) roomForPhone(ctx context.Context, tx *changing, p sallyport.Phone) error {
	rows, err := tx.QueryContext(ctx, `SELECT `+phoneColumns+` FROM phones WHERE account = $1`, string(p.Account))
	if err != nil {
		return fmt.Errorf("read phone numbers: %w", err)
	}
	list, err := collect(rows, s.scanPhone)
	if err != nil {
		return err
	}
	for _, known := range list {
		if known.Number == p.Number {
			return conflictf("This phone number is enrolled already.")
		}
	}
	if len(list) >= sallyport.PhonesMost {
		return conflictf("There are %d phone numbers already. Delete one first.", sallyport.PhonesMost)
	}
	return nil
}

// DeletePhone removes a phone number of an account, or says not_found.
func (s *Store) DeletePhone(ctx context.Context, account sallyport.AccountName, id sallyport.PhoneID) error {
	if err := first(checkAccount(account), checkID(phoneNumber, string(id))); err != nil {
		return err
	}
	return s.change(ctx, "delete phone number", func(ctx context.Context, tx *changing) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+phoneColumns+` FROM phones WHERE id = $1 AND account = $2`, string(id), string(account))
		if err != nil {
			return fmt.Errorf("read phone number: %w", err)
		}
		list, err := collect(rows, s.scanPhone)
		if spoiled(err) {
			list, err = []sallyport.Phone{{ID: id, Account: account}}, nil
		}
		before, err := only(phoneNumber, list, err)
		if err != nil {
			return err
		}
		if err := deleteOne(ctx, tx.Tx, phoneNumber, `DELETE FROM phones WHERE id = $1`, string(id)); err != nil {
			return err
		}
		tx.authenticator(account, sallyport.AuthenticatorPhone, before.Number.Tail(), false)
		return tx.record(phoneNumber+".delete", string(account), string(id), before, nil)
	})
}

func (s *Store) scanPhone(rows *sql.Rows) (p sallyport.Phone, err error) {
	var enrolled int64
	var box []byte
	if err := rows.Scan(&p.ID, &p.Account, &box, &enrolled); err != nil {
		return p, err
	}
	p.Enrolled = fromMicros(enrolled)
	number, err := s.box.open(phonePlace(p), box)
	p.Number = sallyport.PhoneNumber(number)
	return p, err
}

// phonePlace binds a number to its account: whoever can write to the database cannot have somebody's codes sent
// to another phone.
func phonePlace(p sallyport.Phone) place {
	return place{table: "phones", column: "sealed_number", row: string(p.ID), binding: []string{string(p.Account)}}
}

func checkPhone(p sallyport.Phone) error {
	if !p.Number.Valid() {
		return invalidf("A phone number is kept with its country, as in +447700900123.")
	}
	if p.Enrolled.Before(time.Unix(0, 0)) {
		return invalidf("The phone number's time of enrolment is missing.")
	}
	return first(checkID(phoneNumber, string(p.ID)), checkAccount(p.Account))
}
