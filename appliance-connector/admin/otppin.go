package admin

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
)

// OTPPIN says whether a user has a PIN, since when and from whom; nil: there is none. The PIN itself is known to nobody.
func (s *Service) OTPPIN(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) (*sallyport.OTPPIN, error) {
	db, err := s.as(actor, "OTPPIN")
	if err != nil {
		return nil, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return nil, err
	}
	p, err := db.OTPPIN(ctx, u.Account)
	if p != nil {
		p.Hash = ""
	}
	return p, err
}

// SetOTPPIN gives a user a PIN to type before the codes of an OTP token, in place of the one before.
func (s *Service) SetOTPPIN(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, pin sallyport.Secret) error {
	db, err := s.as(actor, "SetOTPPIN")
	if err != nil {
		return err
	}
	f := FieldErrors{}
	problem := sallyport.OTPPINProblem(pin)
	f.check(problem == "", "pin", problem)
	if err := f.err(); err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	return db.SetOTPPIN(ctx, sallyport.OTPPIN{Account: u.Account, Hash: passcode.HashPIN(pin), Set: s.now(), By: actor.Name})
}

// DeleteOTPPIN takes the PIN from a user: without one, the password has to be given.
func (s *Service) DeleteOTPPIN(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) error {
	db, err := s.as(actor, "DeleteOTPPIN")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	return db.DeleteOTPPIN(ctx, u.Account)
}
