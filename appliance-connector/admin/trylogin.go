package admin

import (
	"context"
	"slices"

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
	// Closed says why nobody comes in by this door at all; empty: it is open.
	Closed string
	// Whole: the login at this door is in RADIUS as a whole. Else what comes there is a gateway token or a passcode.
	Whole bool
	// Asked are those of the decision's methods that are served at this door, the one to begin with first.
	Asked []sallyport.Method
	// Enrols are the kinds of the decision's enrolment that can be enrolled at this door.
	Enrols []sallyport.AuthenticatorKind
	// Remembered: a browser that was remembered may skip the second factor, unless it was remembered before
	// the user's SecondFactorSince.
	Remembered bool
}

// Served is what logins can ask for, whatever policy would allow.
type Served struct {
	Methods []sallyport.Method
	Enrols  []sallyport.AuthenticatorKind
}

// LetsIn reports whether the door lets somebody go on, whom the decision does not refuse.
func (t TriedLogin) LetsIn() bool {
	switch {
	case t.Closed != "" || t.Decision.Outcome == policy.Refuse:
		return false
	case t.Decision.Outcome == policy.Ask:
		return len(t.Asked) > 0
	case t.Decision.Outcome == policy.Enrol:
		return len(t.Enrols) > 0
	}
	return t.Door == sallyport.DoorOverlay || t.Whole // a form that takes passcodes takes no password alone
}

// serve fills in what of the decision is served at the door.
func (t *TriedLogin) serve(s Served) {
	legacy := t.Integration.Experience == sallyport.ExperienceLegacy
	t.Whole = t.Door == sallyport.DoorRADIUS && (legacy || t.Integration.Experience == sallyport.ExperienceBoth)
	form := t.Door == sallyport.DoorRADIUS && !t.Whole
	switch {
	case t.Door == sallyport.DoorOverlay && legacy:
		t.Closed = "Logins at this gateway are in RADIUS as a whole: it has no overlay."
	case t.Door == sallyport.DoorOverlay && len(t.Integration.Origins) == 0:
		t.Closed = "This gateway has no logon page on which the overlay may be used. Its settings need one."
	}
	methods := t.Decision.Methods
	if form {
		methods = t.Decision.Typed()
	}
	for _, m := range methods {
		if t.Decision.Takes(m) && slices.Contains(s.Methods, m) {
			t.Asked = append(t.Asked, m)
		}
	}
	if e := t.Decision.Enrolment; e != nil && !form {
		for _, k := range e.Kinds {
			if slices.Contains(s.Enrols, k) {
				t.Enrols = append(t.Enrols, k)
			}
		}
	}
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
	t.serve(s.cfg.Served)
	t.Remembered = door == sallyport.DoorOverlay && t.LetsIn() && t.Decision.Outcome == policy.Ask && t.Standing.Workflow.Remember.Allowed
	for i := range t.Standing.Devices {
		t.Standing.Devices[i].Seed, t.Standing.Devices[i].DetailsKey = nil, nil
	}
	return t, nil
}
