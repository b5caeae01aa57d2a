package appliance

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/trust"
)

// Handle works on a request that came through the tunnel.
func (s *Service) Handle(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response {
	switch body := req.GetBody().(type) {
	case *tunnelpb.Request_LoginStep:
		view, err := s.door.Step(ctx, body.LoginStep, func() error {
			progress()
			return ctx.Err() // the cloud may have turned to another appliance
		})
		if err != nil {
			return s.failure(ctx, err)
		}
		return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: view}}
	case *tunnelpb.Request_Join:
		answer, err := s.joins.Answer(ctx, sallyport.ApplianceID(body.Join.GetApplianceId()), body.Join.GetMessage())
		if err != nil {
			return s.failure(ctx, err)
		}
		return &tunnelpb.Response{Body: &tunnelpb.Response_Join{Join: &tunnelpb.JoinResponse{Message: answer}}}
	}
	return s.failure(ctx, sallyport.Errorf(sallyport.CodeUnsupported, "The appliance does not know this request. It may need an update.", nil))
}

// failure says an error to the outside: code, message and support code only.
func (s *Service) failure(ctx context.Context, err error) *tunnelpb.Response {
	var e *sallyport.Error
	if !errors.As(err, &e) {
		e = &sallyport.Error{Code: sallyport.CodeInternal, Message: sallyport.ErrorMessage(err), SupportCode: sallyport.NewSupportCode()}
		s.log.ErrorContext(ctx, "request failed", "support_code", e.SupportCode, "err", err)
	}
	return &tunnelpb.Response{Body: &tunnelpb.Response_Failure{Failure: &tunnelpb.Failure{
		Code: string(e.Code), Message: e.Message, SupportCode: e.SupportCode,
	}}}
}

// asked is the directory as the login engine asks it.
type asked struct{ *directory.Directory }

// Present is what the directory says of an account without its password.
func (a asked) Present(ctx context.Context, name string) (sallyport.AccountState, sallyport.Account, error) {
	r, err := a.Directory.Present(ctx, name)
	return r.State, r.Account, err
}

func (a asked) Verify(ctx context.Context, name string, password sallyport.Secret, onBind func() error) (sallyport.AccountState, sallyport.Account, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := a.Directory.Verify(ctx, name, password, func() {
		if err := onBind(); err != nil {
			cancel(err)
		}
	})
	if err != nil {
		return "", sallyport.Account{}, err
	}
	return r.State, r.Account, nil
}

// Invites keeps join codes in the store.
type Invites struct{ *store.Store }

// Put keeps a join code.
func (i Invites) Put(ctx context.Context, inv trust.Invite, now time.Time) error {
	return i.PutInvite(ctx, store.Invite{ID: store.InviteID(inv.ID), Secret: inv.Code, Created: now, Expires: inv.Expires})
}

// Invite finds an open join code.
func (i Invites) Invite(ctx context.Context, id string, now time.Time) (trust.Invite, error) {
	list, err := i.Store.Invites(ctx, now)
	if err != nil {
		return trust.Invite{}, err
	}
	for _, inv := range list {
		if string(inv.ID) == id {
			return trust.Invite{ID: id, Code: inv.Secret, Expires: inv.Expires}, nil
		}
	}
	return trust.Invite{}, sallyport.Errorf(sallyport.CodeNotFound, "No such join code is open.", nil)
}

// DeleteInvite uses a join code up.
func (i Invites) DeleteInvite(ctx context.Context, id string) (bool, error) {
	return i.Store.DeleteInvite(ctx, store.InviteID(id))
}
