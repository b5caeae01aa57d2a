package admin

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// FactorTOTP names the code generator among an administrator's second factors; the others are passkeys, by their ids.
const FactorTOTP = "totp"

// OwnFactors lists the second factors of the administrator who asks, without a session.
func (s *Service) OwnFactors(ctx context.Context, actor sallyport.Actor) (Factors, error) {
	if _, err := s.as(actor, "OwnFactors"); err != nil {
		return Factors{}, err
	}
	id, err := ownID(actor)
	if err != nil {
		return Factors{}, err
	}
	return s.factors(ctx, id)
}

// RemoveOwnFactor removes a second factor of the administrator who asks, unless it is the only one.
func (s *Service) RemoveOwnFactor(ctx context.Context, actor sallyport.Actor, factor string) error {
	db, err := s.as(actor, "RemoveOwnFactor")
	if err != nil {
		return err
	}
	id, err := ownID(actor)
	if err != nil {
		return err
	}
	return s.removeFactor(ctx, db, id, factor)
}

// RemoveFactor removes a second factor of an administrator, such as a passkey on a computer that was sold. The only
// one stays: who has lost that one needs ResetSecondFactor.
func (s *Service) RemoveFactor(ctx context.Context, actor sallyport.Actor, id sallyport.AdministratorID, factor string) error {
	db, err := s.as(actor, "RemoveFactor")
	if err != nil {
		return err
	}
	if _, err := db.Administrator(ctx, id); err != nil {
		return err
	}
	return s.removeFactor(ctx, db, id, factor)
}

// ownID is the administrator whom an actor is.
func ownID(actor sallyport.Actor) (sallyport.AdministratorID, error) {
	if actor.ID == "" {
		return "", sallyport.Errorf(sallyport.CodeUnsupported, "Somebody at the appliance's command line is no administrator of the console. Name one.", nil)
	}
	return sallyport.AdministratorID(actor.ID), nil
}

func (s *Service) removeFactor(ctx context.Context, db *store.Store, id sallyport.AdministratorID, factor string) error {
	f, err := s.factors(ctx, id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(f.Passkeys, func(p Passkey) bool { return p.ID == factor })
	left := len(f.Passkeys)
	if f.TOTP {
		left++
	}
	switch totp := factor == FactorTOTP && f.TOTP; {
	case !totp && at < 0:
		return sallyport.Errorf(sallyport.CodeNotFound, "This administrator has no such second factor.", nil)
	case left < 2:
		return sallyport.Errorf(sallyport.CodeConflict, "This is the administrator's only second factor. It can only be reset, in the console.", nil)
	case totp:
		return db.SetTOTP(ctx, id, nil)
	}
	return db.DeletePasskey(ctx, id, f.Passkeys[at].credential)
}
