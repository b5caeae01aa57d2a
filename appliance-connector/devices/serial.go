package devices

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// inviteTime is a little longer than the token service waits for the app.
const inviteTime = deviceproto.InvitationLife + 2*time.Second

const errNoSuchSerial = "No open app has this serial number."

// InviteSerial opens an enrolment, and has its link reach the app that shows a serial number and a token code. That the app has the
// keys which the serial number names is checked here; that the code is the one it shows, the app says, under a seal that
// only it could open.
// Errors: CodeNotFound (mistyped, too old, or the app is not open), CodeDenied (the code is wrong), CodeLimited.
func (c *Client) InviteSerial(ctx context.Context, tenant sallyport.TenantID, enterprise string, account sallyport.AccountName, typed string, code sallyport.Secret) (Enrolment, error) {
	serial, err := deviceproto.ParseSerial(typed)
	if err != nil {
		return Enrolment{}, sallyport.Errorf(sallyport.CodeNotFound, errNoSuchSerial, err)
	}
	ctx, cancel := context.WithTimeout(ctx, inviteTime+2*callTime)
	defer cancel()
	app, err := c.rpc.FindUnclaimed(ctx, &tokensvcpb.FindUnclaimedRequest{Serial: string(serial)})
	if err != nil {
		return Enrolment{}, serialError("find app", err)
	}
	sign, err1 := deviceproto.ParsePublicKey(app.GetPublicKey())
	box, err2 := deviceproto.ParsePublicKey(app.GetBoxKey())
	if err := errors.Join(err1, err2); err != nil {
		return Enrolment{}, fmt.Errorf("find app: %w", err)
	}
	if deviceproto.SerialOf(sign, box) != serial {
		return Enrolment{}, errors.New("find app: the token service gave the keys of another one; nothing was sent to it")
	}
	e, err := c.Invite(ctx, tenant, enterprise, account)
	if err != nil {
		return e, err
	}
	return e, c.invite(ctx, e, serial, box, deviceproto.Invitation{Link: e.Link, Code: sallyport.CanonicalPasscode(code),
		Account: deviceproto.Account{User: account.User(), Enterprise: enterprise}})
}

// invite sends an invitation, and waits for what the app says of its code.
func (c *Client) invite(ctx context.Context, e Enrolment, serial deviceproto.Serial, box *ecdsa.PublicKey, i deviceproto.Invitation) error {
	id := sallyport.NewID()
	sealed, verdict, err := deviceproto.SealInvitation(box, serial, e.Tenant, id, i)
	if err != nil {
		return fmt.Errorf("invite app: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, inviteTime)
	defer cancel()
	a, err := c.rpc.InviteUnclaimed(ctx, &tokensvcpb.InviteUnclaimedRequest{InvitationId: id, Serial: string(serial), Sealed: sealed})
	switch {
	case err != nil:
		return serialError("invite app", err)
	case len(a.GetSealed()) == 0:
		return sallyport.Errorf(sallyport.CodeNotFound, errNoSuchSerial, errors.New("the app has not answered"))
	}
	right, err := verdict.Open(a.GetSealed())
	if err != nil {
		return fmt.Errorf("invite app: open verdict: %w", err)
	}
	if !right {
		return sallyport.Errorf(sallyport.CodeDenied, "The app does not show this token code.", nil)
	}
	return nil
}

// serialError gives an error of the token service its code.
func serialError(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	switch status.Code(err) {
	case codes.NotFound:
		return sallyport.Errorf(sallyport.CodeNotFound, errNoSuchSerial, err)
	case codes.ResourceExhausted:
		return sallyport.Errorf(sallyport.CodeLimited, "Too many attempts with this serial number.", err)
	}
	return err
}
