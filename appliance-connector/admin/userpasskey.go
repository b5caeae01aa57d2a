package admin

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport"
)

// UserPasskeys returns the passkeys of a user, the newest first, without what they are checked with.
func (s *Service) UserPasskeys(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) ([]sallyport.Passkey, error) {
	db, err := s.as(actor, "UserPasskeys")
	if err != nil {
		return nil, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return nil, err
	}
	list, err := db.UserPasskeys(ctx, u.Account)
	for i := range list {
		list[i].Kept = nil
	}
	return list, err
}

// DeleteUserPasskey deletes a passkey of a user: it opens nothing any more.
func (s *Service) DeleteUserPasskey(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, passkey sallyport.PasskeyID) error {
	db, err := s.as(actor, "DeleteUserPasskey")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	err = db.DeleteUserPasskey(ctx, u.Account, passkey)
	if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
		return sallyport.Errorf(sallyport.CodeNotFound, "This user has no such passkey any more.", errors.Unwrap(err))
	}
	return err
}
