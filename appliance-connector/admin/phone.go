package admin

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/texts"
)

// Phones returns the phone numbers of a user, the newest first.
func (s *Service) Phones(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) ([]sallyport.Phone, error) {
	db, err := s.as(actor, "Phones")
	if err != nil {
		return nil, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return nil, err
	}
	return db.Phones(ctx, u.Account)
}

// AddPhone enrols a phone number for a user, typed as people do. Codes go there from now on: whoever adds it vouches
// for whose it is.
func (s *Service) AddPhone(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, typed string) (sallyport.Phone, error) {
	db, err := s.as(actor, "AddPhone")
	if err != nil {
		return sallyport.Phone{}, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return sallyport.Phone{}, err
	}
	if u.State == sallyport.UserRemoved {
		return sallyport.Phone{}, sallyport.Errorf(sallyport.CodeConflict, "This account was removed from the directory; a phone number would be of no use.", nil)
	}
	v, err := texts.ReadSettings(ctx, db)
	if err != nil {
		return sallyport.Phone{}, err
	}
	number, err := texts.Number(typed, v.Region)
	if err != nil {
		return sallyport.Phone{}, FieldErrors{"number": sallyport.ErrorMessage(err)}.err()
	}
	p := sallyport.Phone{ID: sallyport.PhoneID(sallyport.NewID()), Account: u.Account, Number: number, Enrolled: s.now()}
	return p, db.AddPhone(ctx, p)
}

// DeletePhone deletes a phone number of a user: no codes go there any more.
func (s *Service) DeletePhone(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, phone sallyport.PhoneID) error {
	db, err := s.as(actor, "DeletePhone")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	err = db.DeletePhone(ctx, u.Account, phone)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		return sallyport.Errorf(sallyport.CodeNotFound, "This user has no such phone number any more.", errors.Unwrap(err))
	}
	return err
}
