package admin

import (
	"context"

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
