package admin

import (
	"context"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Users returns a page of the users that the actor looks after.
func (s *Service) Users(ctx context.Context, actor sallyport.Actor, q store.UserQuery) (store.UserPage, error) {
	db, err := s.as(actor, "Users")
	if err != nil {
		return store.UserPage{}, err
	}
	q.Scope = actor.Scope
	return db.Users(ctx, q)
}

// User returns one.
func (s *Service) User(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) (sallyport.User, error) {
	db, err := s.as(actor, "User")
	if err != nil {
		return sallyport.User{}, err
	}
	return userInScope(ctx, db, actor, id)
}

func userInScope(ctx context.Context, db *store.Store, actor sallyport.Actor, id sallyport.UserID) (sallyport.User, error) {
	u, err := db.User(ctx, id)
	if err != nil {
		return sallyport.User{}, err
	}
	return u, inScope(actor, u)
}

// AssignPolicy gives a user policy, by hand, to all users that are meant and that the actor looks after.
// It returns how many did not have it.
func (s *Service) AssignPolicy(ctx context.Context, actor sallyport.Actor, q store.UserQuery, policy sallyport.UserPolicyID) (int, error) {
	db, err := s.as(actor, "AssignPolicy")
	if err != nil {
		return 0, err
	}
	q.Scope = actor.Scope
	return db.AssignPolicy(ctx, q, policy, sallyport.PolicyByHand)
}

// ReleasePolicy takes back a policy given by hand: the user has the default policy until the next
// synchronisation finds the rule that fits.
func (s *Service) ReleasePolicy(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) error {
	db, err := s.as(actor, "ReleasePolicy")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	standard, err := db.DefaultUserPolicy(ctx)
	if err != nil {
		return err
	}
	_, err = db.AssignPolicy(ctx, store.UserQuery{IDs: []sallyport.UserID{u.ID}, State: u.State}, standard.ID, sallyport.PolicyByDefault)
	return err
}

// RequireSecondFactor makes every remembered device of a user ask for the second factor again.
func (s *Service) RequireSecondFactor(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) error {
	db, err := s.as(actor, "RequireSecondFactor")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	return db.RequireSecondFactor(ctx, u.ID, s.now())
}

// Devices returns the devices of a user, the newest first.
func (s *Service) Devices(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) ([]sallyport.Device, error) {
	db, err := s.as(actor, "Devices")
	if err != nil {
		return nil, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return nil, err
	}
	return db.Devices(ctx, u.Account)
}

// DeleteDevice deletes a device that its user has lost: it can neither approve nor show a good code any more.
func (s *Service) DeleteDevice(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, device sallyport.DeviceID) error {
	db, err := s.as(actor, "DeleteDevice")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	devices, err := db.Devices(ctx, u.Account)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if d.ID == device {
			return db.DeleteDevice(ctx, device)
		}
	}
	return sallyport.Errorf(sallyport.CodeNotFound, "This user has no such device any more.", nil)
}

// RememberedDevices returns the browsers that may skip the second factor for a user, the newest first, with
// until when by the policy of now. Those that it takes no more are not among them.
func (s *Service) RememberedDevices(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) ([]Remembered, error) {
	db, err := s.as(actor, "RememberedDevices")
	if err != nil {
		return nil, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return nil, err
	}
	w, err := db.LoginWorkflow(ctx)
	if err != nil || !w.Remember.Allowed {
		return nil, err
	}
	list, err := db.RememberedDevices(ctx, u.Account)
	out := make([]Remembered, 0, len(list))
	for _, d := range list {
		until := d.Made.Add(w.Remember.For)
		if s.now().Before(until) && !d.Made.Before(w.Remember.Since) && !d.Made.Before(u.SecondFactorSince) {
			out = append(out, Remembered{d, until})
		}
	}
	return out, err
}

// Remembered is a remembered device, and until when it may skip the second factor by the policy of now.
type Remembered struct {
	sallyport.RememberedDevice
	Until time.Time
}

// DeleteRememberedDevice forgets one browser of a user for good, on every appliance at once.
func (s *Service) DeleteRememberedDevice(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, device sallyport.RememberedID) error {
	db, err := s.as(actor, "DeleteRememberedDevice")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	return db.ForgetRemembered(ctx, u.Account, device, "")
}
