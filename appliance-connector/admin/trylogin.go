package admin

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// LoginDoor is a gateway at which somebody can log in.
type LoginDoor struct {
	ID       sallyport.IntegrationID
	Nickname string
}

// TriedLogin is what a login would ask for, once the password was right.
type TriedLogin struct {
	// Standing is what is known of the account, without the secrets of its devices; User is nil for
	// somebody who is not in the list of users.
	Standing    sallyport.Standing
	Integration sallyport.Integration // without its secrets
	Door        sallyport.Door
	Decision    policy.Decision
	// Typed are the passcodes that the gateway's own form takes of it; without any, nobody comes in there.
	Typed []sallyport.Method
	// Remembered: a browser that was remembered may skip the second factor, unless it was remembered before
	// the user's SecondFactorSince.
	Remembered bool
}

// LoginDoors returns all gateways by nickname, for TryLogin.
func (s *Service) LoginDoors(ctx context.Context, actor sallyport.Actor) ([]LoginDoor, error) {
	db, err := s.as(actor, "LoginDoors")
	if err != nil {
		return nil, err
	}
	list, err := db.Integrations(ctx)
	out := make([]LoginDoor, 0, len(list))
	for _, in := range list {
		out = append(out, LoginDoor{in.ID, in.Nickname})
	}
	return out, err
}

// TryLogin tells what a login of a user at a gateway would ask for and why, by the function that decides
// about logins; nobody is asked for anything. Without a user it is about an account that is not in the list of users.
func (s *Service) TryLogin(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, gateway sallyport.IntegrationID, door sallyport.Door) (t TriedLogin, err error) {
	db, err := s.as(actor, "TryLogin")
	if err != nil {
		return t, err
	}
	if door != sallyport.DoorOverlay && door != sallyport.DoorRADIUS {
		return t, sallyport.Errorf(sallyport.CodeInvalid, "Say whether the login comes by the overlay or by the gateway's own form.", nil)
	}
	in, err := db.Integration(ctx, gateway)
	if err != nil {
		return t, err
	}
	in.Secret, in.PreviousSecret = "", ""
	t.Integration, t.Door = in, door
	account := sallyport.AccountName("somebody")
	if id != "" {
		u, err := userInScope(ctx, db, actor, id)
		if err != nil {
			return t, err
		}
		account = u.Account
		if t.Standing, _, err = db.AccountStanding(ctx, account); err != nil {
			return t, err
		}
	}
	policies, _, err := db.LoginPolicies(ctx)
	if err != nil {
		return t, err
	}
	policies.Apply(&t.Standing)
	t.Decision = policy.Decide(policy.Input{Account: account, Known: true, Standing: t.Standing, Integration: in, Door: door, Now: s.now()})
	t.Typed = t.Decision.Typed()
	t.Remembered = door == sallyport.DoorOverlay && t.Decision.Outcome == policy.Ask && t.Standing.Workflow.Remember.Allowed
	for i := range t.Standing.Devices {
		t.Standing.Devices[i].Seed, t.Standing.Devices[i].DetailsKey = nil, nil
	}
	return t, nil
}
