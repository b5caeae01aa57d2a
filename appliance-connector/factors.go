package appliance

import (
	"context"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/texts"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// messages is the sender of text messages as the login engine asks for it.
type messages struct {
	*texts.Service
	store *store.Store
}

// Send sends a code.
func (m messages) Send(ctx context.Context, t login.TextMessage) error {
	return m.Service.Send(ctx, texts.Message{ID: t.ID, Phone: sallyport.Phone{Account: t.Account, Number: t.Number}, Code: t.Code,
		Application: t.Application, Language: t.Language, Life: t.Life})
}

// Parse reads a phone number.
func (m messages) Parse(ctx context.Context, typed string) (sallyport.PhoneNumber, error) {
	return m.Number(ctx, typed)
}

// Enrol keeps a phone number. One that the account has already is enrolled.
func (m messages) Enrol(ctx context.Context, account sallyport.AccountName, number sallyport.PhoneNumber) error {
	known, err := m.store.Phones(ctx, account)
	if err != nil {
		return err
	}
	for _, p := range known {
		if p.Number == number {
			return nil
		}
	}
	return m.store.AddPhone(ctx, sallyport.Phone{ID: sallyport.PhoneID(sallyport.NewID()), Account: account, Number: number, Enrolled: time.Now()})
}

// deviceApps is what devices say of their apps, by way of the token service, and kept in the store.
type deviceApps struct {
	phones *devices.Client
	store  *store.Store
}

// App asks what a device said last.
func (a deviceApps) App(ctx context.Context, id sallyport.DeviceID) ([]byte, error) {
	return a.phones.App(ctx, id)
}

// SetDeviceApp keeps it.
func (a deviceApps) SetDeviceApp(ctx context.Context, id sallyport.DeviceID, app sallyport.App) error {
	return a.store.SetDeviceApp(ctx, id, app)
}

// apps invites phones by way of the token service.
type apps struct {
	*Service
}

// Invite opens an enrolment.
func (a apps) Invite(ctx context.Context, account sallyport.AccountName) (login.Invitation, error) {
	e, err := a.phones.Invite(ctx, a.trust.Tenant, a.trust.EnterpriseName, account)
	if err != nil {
		return login.Invitation{}, err
	}
	return login.Invitation{ID: e.ID, Link: string(e.Link.Text())}, nil
}

// InviteSerial opens an enrolment, and has it reach the app that shows a serial number and a code.
func (a apps) InviteSerial(ctx context.Context, account sallyport.AccountName, serial string, code sallyport.Secret) (login.Invitation, error) {
	e, err := a.phones.InviteSerial(ctx, a.trust.Tenant, a.trust.EnterpriseName, account, serial, code)
	if err != nil {
		return login.Invitation{}, err
	}
	return login.Invitation{ID: e.ID, Link: string(e.Link.Text())}, nil
}

// Await waits until a device has followed the invitation, and keeps it.
func (a apps) Await(ctx context.Context, account sallyport.AccountName, i login.Invitation) (string, error) {
	link, err := deviceproto.ParseLink(i.Link)
	if err != nil {
		return "", err
	}
	policy, err := attestation.ReadPolicy(ctx, a.store)
	if err != nil {
		return "", err
	}
	d, err := a.phones.Await(ctx, devices.Enrolment{Attestation: policy, ID: i.ID, Tenant: a.trust.Tenant, Account: account, Enterprise: a.trust.EnterpriseName, Link: link},
		time.Now, a.store.PutDevice)
	return d.Name, err
}
