package devices

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// LinkLife is how long an enrolment link can be used.
const LinkLife = 30 * time.Minute

// secretSize is the length of the secret in a link, in octets.
const secretSize = 32

// Enrolment is an invitation for one account to enrol one device.
type Enrolment struct {
	ID      sallyport.EnrolmentID
	Tenant  sallyport.TenantID
	Account sallyport.AccountName
	// Enterprise is the name that the device shows.
	Enterprise string
	Link       deviceproto.Link
	// Attestation is what the enterprise makes of what the phone's maker says.
	Attestation attestation.Policy
}

// Invite opens an enrolment and returns what has to reach the user, as link or QR code.
func (c *Client) Invite(ctx context.Context, tenant sallyport.TenantID, enterprise string, account sallyport.AccountName) (Enrolment, error) {
	e := Enrolment{ID: sallyport.EnrolmentID(sallyport.NewID()), Tenant: tenant, Account: account, Enterprise: enterprise}
	cctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	a, err := c.rpc.CreateEnrolment(cctx, &tokensvcpb.CreateEnrolmentRequest{EnrolmentId: string(e.ID), TtlSeconds: uint32(LinkLife.Seconds())})
	if err != nil {
		return e, sallyport.Errorf(sallyport.CodeUnavailable, "The token service does not answer. Check the appliance's way out to the internet, then try again.", fmt.Errorf("create enrolment: %w", err))
	}
	secret := make([]byte, secretSize)
	rand.Read(secret)
	e.Link = deviceproto.Link{Base: a.GetDeviceUrl(), Tenant: tenant, Enrolment: e.ID, Secret: secret}
	return e, nil
}

// Await waits until a device has registered, checks that it came by the link, and tells it so. The
// device is enrolled once keep has kept it.
func (c *Client) Await(ctx context.Context, e Enrolment, now func() time.Time, keep func(context.Context, sallyport.Device) error) (sallyport.Device, error) {
	r, err := c.rpc.AwaitEnrolment(ctx, &tokensvcpb.AwaitEnrolmentRequest{EnrolmentId: string(e.ID)})
	if err != nil {
		return sallyport.Device{}, fmt.Errorf("await enrolment: %w", err)
	}
	d, err := e.check(r, now())
	if err != nil {
		return d, errors.Join(err, c.finish(ctx, e, nil))
	}
	if err := keep(ctx, d); err != nil {
		return d, errors.Join(fmt.Errorf("keep device: %w", err), c.finish(ctx, e, nil))
	}
	box, err := deviceproto.SealAccount(d.DetailsKey, d.ID, deviceproto.Account{User: d.Account.User(), Enterprise: e.Enterprise})
	if err != nil {
		return d, fmt.Errorf("seal account: %w", err)
	}
	return d, c.finish(ctx, e, box)
}

func (e Enrolment) check(r *tokensvcpb.Registration, now time.Time) (sallyport.Device, error) {
	refused := func(why string) (sallyport.Device, error) {
		return sallyport.Device{}, sallyport.Errorf(sallyport.CodeDenied,
			"A device answered that does not hold the link's secret. It was refused; make a new link.", errors.New(why))
	}
	pub, err := deviceproto.ParsePublicKey(r.GetPublicKey())
	if err != nil {
		return refused("malformed key")
	}
	id := deviceproto.Thumbprint(pub)
	keys := deviceproto.DeriveKeys(e.Link.Secret, id)
	reg := deviceproto.Enrolling{Tenant: e.Tenant, Enrolment: e.ID, Device: id, Name: r.GetName(), Platform: r.GetPlatform()}
	if string(id) != r.GetDeviceId() || !reg.ProofHolds(keys.Proof, r.GetProof()) {
		return refused("proof does not hold")
	}
	var app sallyport.App
	if box := r.GetApp(); len(box) > 0 {
		if app, err = deviceproto.OpenApp(keys.Details, r.GetPublicKey(), id, box); err != nil {
			return refused("what is said of the app does not hold")
		}
	}
	evidence := attestation.Evidence{Format: attestation.Format(r.GetAttestationFormat()), Octets: r.GetAttestationEvidence()}
	found, _, err := e.Attestation.Check(evidence, attestation.Challenge(e.Tenant, e.ID, id), now)
	if err != nil {
		return sallyport.Device{}, err
	}
	return sallyport.Device{
		ID: id, Account: e.Account, Name: r.GetName(), Platform: r.GetPlatform(), PublicKey: r.GetPublicKey(),
		Seed: keys.Seed, DetailsKey: keys.Details, Enrolled: now, App: app, Attestation: string(found),
	}, nil
}

// finish tells the device; without a box that it was refused.
func (c *Client) finish(ctx context.Context, e Enrolment, box []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := c.rpc.FinishEnrolment(ctx, &tokensvcpb.FinishEnrolmentRequest{EnrolmentId: string(e.ID), Accepted: box != nil, Sealed: box})
	if err != nil {
		return fmt.Errorf("finish enrolment: %w", err)
	}
	return nil
}

// App asks what a device says of its app, sealed by the device; empty: nothing.
func (c *Client) App(ctx context.Context, id sallyport.DeviceID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	a, err := c.rpc.DeviceApp(ctx, &tokensvcpb.DeviceAppRequest{DeviceId: string(id)})
	if err != nil {
		return nil, fmt.Errorf("ask for device's app: %w", err)
	}
	return a.GetSealed(), nil
}

// Remove has the token service forget a device.
func (c *Client) Remove(ctx context.Context, id sallyport.DeviceID) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := c.rpc.RemoveDevice(ctx, &tokensvcpb.RemoveDeviceRequest{DeviceId: string(id)}); err != nil {
		return fmt.Errorf("remove device: %w", err)
	}
	return nil
}
