package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

// Bounds of how long a temporary code lasts.
const (
	TemporaryCodeLeast   = 15 * time.Minute
	TemporaryCodeMost    = 90 * 24 * time.Hour
	TemporaryCodeDefault = 24 * time.Hour
)

// IssueTemporaryCode gives a user a temporary code for a while and revokes the one before. The code is
// returned this once.
func (s *Service) IssueTemporaryCode(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, life time.Duration) (sallyport.TemporaryCode, sallyport.Secret, error) {
	db, err := s.as(actor, "IssueTemporaryCode")
	if err != nil {
		return sallyport.TemporaryCode{}, "", err
	}
	f := FieldErrors{}
	f.check(life >= TemporaryCodeLeast && life <= TemporaryCodeMost, "life", "A temporary code lasts 15 minutes to 90 days.")
	if err := f.err(); err != nil {
		return sallyport.TemporaryCode{}, "", err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return sallyport.TemporaryCode{}, "", err
	}
	if u.State != sallyport.UserActive {
		return sallyport.TemporaryCode{}, "", sallyport.Errorf(sallyport.CodeConflict,
			fmt.Sprintf("This account is %s in the directory; a temporary code would be of no use.", u.State), nil)
	}
	now, code := s.now(), sallyport.NewTemporaryCode()
	t := sallyport.TemporaryCode{ID: sallyport.NewID(), Account: u.Account, Issued: now, Expires: now.Add(life), By: actor.Name}
	return t, code, db.IssueTemporaryCode(ctx, t, code)
}

// TemporaryCodes returns the temporary codes of a user, ended ones included, the newest first.
func (s *Service) TemporaryCodes(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) ([]sallyport.TemporaryCode, error) {
	db, err := s.as(actor, "TemporaryCodes")
	if err != nil {
		return nil, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return nil, err
	}
	return db.TemporaryCodes(ctx, u.Account)
}

// RevokeTemporaryCode ends a user's temporary code.
func (s *Service) RevokeTemporaryCode(ctx context.Context, actor sallyport.Actor, id sallyport.UserID) error {
	db, err := s.as(actor, "RevokeTemporaryCode")
	if err != nil {
		return err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return err
	}
	ended, err := db.EndTemporaryCodes(ctx, u.Account, sallyport.EndedByRevocation, s.now())
	if err == nil && ended == 0 {
		return sallyport.Errorf(sallyport.CodeNotFound, "This user has no temporary code any more.", nil)
	}
	return err
}
