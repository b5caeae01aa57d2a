package devicetest

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// ErrHidden says that no app shows a serial number, or not any more.
var ErrHidden = errors.New("no app shows this serial number")

// unclaimed is an app that shows a serial number.
type unclaimed struct {
	sign, box  *ecdsa.PublicKey
	invitation *deviceproto.PendingInvitation
	verdicts   deviceproto.Verdicts
	said       bool
	right      bool
}

// serialNumber checks the authorization of a request of an app that shows a serial number.
func (s *Service) serialNumber(h func(*http.Request, *unclaimed, []byte) (any, error)) func(*http.Request, []byte) (any, error) {
	return func(r *http.Request, body []byte) (any, error) {
		serial := deviceproto.Serial(r.PathValue("serial"))
		app, err := s.unclaimedApp(r, serial, body)
		if err != nil {
			return nil, err
		}
		request := deviceproto.Request{Audience: s.URL(), Method: r.Method, Path: r.URL.Path, Body: body}
		a, err := deviceproto.VerifyAuthorization(r.Header.Get("Authorization"), func(t sallyport.TenantID, id sallyport.DeviceID) (*ecdsa.PublicKey, error) {
			if t != deviceproto.UnclaimedTenant || id != deviceproto.Thumbprint(app.sign) {
				return nil, errors.New("not the app's own")
			}
			return app.sign, nil
		}, request, s.now())
		if err != nil {
			return nil, err
		}
		s.change(func() {
			if s.seen[a.ID] {
				err = sallyport.Errorf(sallyport.CodeDenied, "The authorization was used before.", nil)
			}
			s.seen[a.ID] = true
		})
		if err != nil {
			return nil, err
		}
		return h(r, app, body)
	}
}

func (s *Service) unclaimedApp(r *http.Request, serial deviceproto.Serial, body []byte) (*unclaimed, error) {
	if r.Method != http.MethodPut {
		s.mu.Lock()
		defer s.mu.Unlock()
		if app := s.unclaimed[serial]; app != nil {
			return app, nil
		}
		return nil, sallyport.Errorf(sallyport.CodeNotFound, "No app shows this serial number.", nil)
	}
	var in deviceproto.UnclaimedApp
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The keys are not JSON.", err)
	}
	sign, box, number, err := in.Check()
	if err != nil || number != serial {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The keys do not give the serial number.", err)
	}
	return &unclaimed{sign: sign, box: box}, nil
}

func (s *Service) showSerial(r *http.Request, app *unclaimed, _ []byte) (any, error) {
	s.change(func() {
		serial := deviceproto.Serial(r.PathValue("serial"))
		if s.unclaimed[serial] == nil {
			s.unclaimed[serial] = app
		}
	})
	return deviceproto.Unclaimed{RemainingMS: deviceproto.UnclaimedLife.Milliseconds()}, nil
}

func (s *Service) invitations(r *http.Request, app *unclaimed, _ []byte) (any, error) {
	ctx, cancel := holding(r)
	defer cancel()
	list := deviceproto.InvitationList{Invitations: []deviceproto.PendingInvitation{}}
	_ = s.await(ctx, func() bool { // the wait may end: none is an answer
		if app.invitation != nil {
			list.Invitations = append(list.Invitations, *app.invitation)
		}
		return app.invitation != nil
	})
	return list, nil
}

func (s *Service) answerInvitation(r *http.Request, app *unclaimed, body []byte) (any, error) {
	var in deviceproto.VerdictBody
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The verdict is not JSON.", err)
	}
	box, err := deviceproto.Decode(in.Sealed)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The verdict is not base64url.", err)
	}
	s.change(func() {
		if app.invitation == nil || app.invitation.ID != r.PathValue("id") {
			err = sallyport.Errorf(sallyport.CodeExpired, "The invitation waits no more.", nil)
			return
		}
		right, failed := app.verdicts.Open(box)
		if failed != nil {
			err = sallyport.Errorf(sallyport.CodeInvalid, "The verdict does not hold.", failed)
			return
		}
		app.invitation, app.said, app.right = nil, true, right
	})
	return nil, err
}

func (s *Service) hideSerial(r *http.Request, _ *unclaimed, _ []byte) (any, error) {
	s.change(func() { delete(s.unclaimed, deviceproto.Serial(r.PathValue("serial"))) })
	return nil, nil
}

// InviteSerial invites the app that shows a serial number to e, as the appliance does when somebody has typed that and
// the code, and waits for what the app says of the code.
func (s *Service) InviteSerial(ctx context.Context, e *Enrolment, typed string, code sallyport.Secret) (right bool, err error) {
	serial, err := deviceproto.ParseSerial(typed)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	app := s.unclaimed[serial]
	s.mu.Unlock()
	if app == nil {
		return false, ErrHidden
	}
	link, err := deviceproto.ParseLink(e.Link())
	if err != nil {
		return false, err
	}
	id := sallyport.NewID()
	sealed, verdicts, err := deviceproto.SealInvitation(app.box, serial, Tenant, id, deviceproto.Invitation{Link: link, Code: code, Account: e.Account})
	if err != nil {
		return false, err
	}
	s.change(func() {
		app.said, app.verdicts = false, verdicts
		app.invitation = &deviceproto.PendingInvitation{ID: id, Tenant: Tenant, Sealed: deviceproto.Encode(sealed)}
	})
	hidden := false
	err = s.await(ctx, func() bool {
		right, hidden = app.right, !app.said && s.unclaimed[serial] != app
		return app.said || hidden
	})
	if hidden {
		return false, ErrHidden
	}
	return right, err
}
