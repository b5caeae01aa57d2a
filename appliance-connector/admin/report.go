package admin

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// EachUser calls each with every user asked for that the actor looks after, by display name, with the
// devices and phone numbers of the user: for the reports of enrolled and unenrolled users.
func (s *Service) EachUser(ctx context.Context, actor sallyport.Actor, q store.UserQuery, each func(sallyport.User, []sallyport.Device, []sallyport.Phone) error) error {
	db, err := s.as(actor, "EachUser")
	if err != nil {
		return err
	}
	q.Scope = actor.Scope
	return db.EachUser(ctx, q, func(u sallyport.User) error {
		devices, err := db.Devices(ctx, u.Account)
		if err != nil {
			return err
		}
		phones, err := db.Phones(ctx, u.Account)
		if err != nil {
			return err
		}
		return each(u, devices, phones)
	})
}
