package admin

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Logins returns a page of logins, the newest first.
func (s *Service) Logins(ctx context.Context, actor sallyport.Actor, q store.LoginQuery) (store.LoginPage, error) {
	db, err := s.as(actor, "Logins")
	if err != nil {
		return store.LoginPage{}, err
	}
	return db.Logins(ctx, q)
}

// UserLogins returns a page of the logins of one user.
func (s *Service) UserLogins(ctx context.Context, actor sallyport.Actor, id sallyport.UserID, after string, most int) (store.LoginPage, error) {
	db, err := s.as(actor, "UserLogins")
	if err != nil {
		return store.LoginPage{}, err
	}
	u, err := userInScope(ctx, db, actor, id)
	if err != nil {
		return store.LoginPage{}, err
	}
	return db.Logins(ctx, store.LoginQuery{Account: u.Account, After: after, Most: most})
}

// ExplainLogin returns a login by the support code that its page showed, with its timeline. Somebody who
// looks after some users only finds the logins of those.
func (s *Service) ExplainLogin(ctx context.Context, actor sallyport.Actor, code string) (sallyport.LoginRecord, []sallyport.LoginEvent, error) {
	db, err := s.as(actor, "ExplainLogin")
	if err != nil {
		return sallyport.LoginRecord{}, nil, err
	}
	record, events, err := db.LoginBySupportCode(ctx, code)
	if err != nil || actor.Scope.Unlimited() {
		return record, events, err
	}
	unknown := sallyport.Errorf(sallyport.CodeNotFound, "There is no login with this support code, or you do not look after its user.", nil)
	if record.Account == "" {
		return sallyport.LoginRecord{}, nil, unknown
	}
	u, err := db.UserByAccount(ctx, record.Account)
	if err != nil || inScope(actor, u) != nil {
		return sallyport.LoginRecord{}, nil, unknown
	}
	return record, events, nil
}

// EachLogin calls each with every login asked for, the newest first, for a report.
func (s *Service) EachLogin(ctx context.Context, actor sallyport.Actor, q store.LoginQuery, each func(sallyport.LoginRecord) error) error {
	db, err := s.as(actor, "EachLogin")
	if err != nil {
		return err
	}
	return db.EachLogin(ctx, q, each)
}

// RADIUSRequests returns a page of RADIUS requests, the newest first.
func (s *Service) RADIUSRequests(ctx context.Context, actor sallyport.Actor, q store.RADIUSQuery) (store.RADIUSPage, error) {
	db, err := s.as(actor, "RADIUSRequests")
	if err != nil {
		return store.RADIUSPage{}, err
	}
	return db.RADIUSRequests(ctx, q)
}

// EachRADIUSRequest calls each with every RADIUS request asked for, for a report.
func (s *Service) EachRADIUSRequest(ctx context.Context, actor sallyport.Actor, q store.RADIUSQuery, each func(store.RADIUSActivity) error) error {
	db, err := s.as(actor, "EachRADIUSRequest")
	if err != nil {
		return err
	}
	return db.EachRADIUS(ctx, q, each)
}
