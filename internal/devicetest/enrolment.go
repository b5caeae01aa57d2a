package devicetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// Tenant is the one enterprise of a Service.
const Tenant sallyport.TenantID = "hospital"

// Verdict says what the appliance makes of a registration.
type Verdict int

const (
	Accept  Verdict = iota
	Refuse          // says no
	Foreign         // somebody who does not have the secret of the link says yes
	Hold            // says nothing until Settle
)

// Enrolment is an invitation and, once answered, the enrolled device as the appliance knows it.
type Enrolment struct {
	ID      sallyport.EnrolmentID
	Account deviceproto.Account

	service *Service
	secret  sallyport.Key
	verdict Verdict
	expired bool

	// Known after the registration:
	registration deviceproto.Registration
	device       sallyport.DeviceID
	key          []byte
	keys         deviceproto.Keys
	app          *sallyport.App
}

// Invite makes an invitation for user that the appliance will meet with verdict.
func (s *Service) Invite(user, enterprise string, verdict Verdict) *Enrolment {
	e := &Enrolment{
		ID: sallyport.EnrolmentID(sallyport.NewID()), Account: deviceproto.Account{User: user, Enterprise: enterprise},
		service: s, secret: make(sallyport.Key, deviceproto.SecretSize), verdict: verdict,
	}
	rand.Read(e.secret)
	s.change(func() { s.enrolments[e.ID] = e })
	return e
}

// Link is the invitation as shown to the user.
func (e *Enrolment) Link() string {
	return string(deviceproto.Link{Base: e.service.URL(), Tenant: Tenant, Enrolment: e.ID, Secret: e.secret}.Text())
}

// Expire makes the invitation too old.
func (e *Enrolment) Expire() { e.service.change(func() { e.expired = true }) }

// Settle gives the verdict that was held.
func (e *Enrolment) Settle(v Verdict) { e.service.change(func() { e.verdict = v }) }

// Registration waits for the device's registration.
func (e *Enrolment) Registration(ctx context.Context) (deviceproto.Registration, error) {
	var r deviceproto.Registration
	err := e.service.await(ctx, func() bool { r = e.registration; return e.device != "" })
	return r, err
}

// Device is the device's id; "" until it has registered.
func (e *Enrolment) Device() sallyport.DeviceID {
	e.service.mu.Lock()
	defer e.service.mu.Unlock()
	return e.device
}

// Seed is what the appliance would check token codes with.
func (e *Enrolment) Seed() sallyport.Key {
	e.service.mu.Lock()
	defer e.service.mu.Unlock()
	return e.keys.Seed
}

// App is what the device said last of its app; nil: nothing.
func (e *Enrolment) App() *sallyport.App {
	e.service.mu.Lock()
	defer e.service.mu.Unlock()
	return e.app
}

// Push waits until the token service has a push address for the device that wanted accepts.
func (e *Enrolment) Push(ctx context.Context, wanted func(deviceproto.Push) bool) error {
	return e.service.await(ctx, func() bool {
		d := e.service.devices[e.device]
		return d != nil && wanted(d.push)
	})
}

// Known reports whether the token service still knows the device.
func (e *Enrolment) Known() bool {
	e.service.mu.Lock()
	defer e.service.mu.Unlock()
	return e.service.devices[e.device] != nil
}

// Forget removes the device, as the help desk would.
func (e *Enrolment) Forget() { e.service.change(func() { delete(e.service.devices, e.device) }) }

func (s *Service) find(r *http.Request) (*Enrolment, error) {
	e := s.enrolments[sallyport.EnrolmentID(r.PathValue("id"))]
	switch {
	case e == nil || r.PathValue("tenant") != string(Tenant):
		return nil, sallyport.Errorf(sallyport.CodeNotFound, "There is no such enrolment.", nil)
	case e.expired:
		return nil, sallyport.Errorf(sallyport.CodeExpired, "The enrolment has expired.", nil)
	}
	return e, nil
}

func (s *Service) register(r *http.Request, body []byte) (any, error) {
	var reg deviceproto.Registration
	if err := json.Unmarshal(body, &reg); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The registration is not JSON.", err)
	}
	checked, err := reg.Check()
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The registration is wrong.", err)
	}
	var out any
	s.change(func() { out, err = s.take(r, reg, checked) })
	return out, err
}

// take is under the lock.
func (s *Service) take(r *http.Request, reg deviceproto.Registration, checked deviceproto.Checked) (any, error) {
	e, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if e.device != "" && e.device != checked.Device {
		return nil, sallyport.Errorf(sallyport.CodeConflict, "Another device was faster.", nil)
	}
	keys := deviceproto.DeriveKeys(e.secret, checked.Device)
	enrolling := deviceproto.Enrolling{Tenant: Tenant, Enrolment: e.ID, Device: checked.Device, Name: reg.Name, Platform: reg.Platform}
	if !enrolling.ProofHolds(keys.Proof, checked.Proof) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The proof does not hold.", nil)
	}
	pub, err := reg.JWK.PublicKey()
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The key is wrong.", err)
	}
	if len(checked.App) > 0 {
		app, err := deviceproto.OpenApp(keys.Details, checked.PublicKey, checked.Device, checked.App)
		if err != nil {
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "What is said of the app does not hold.", err)
		}
		e.app = &app
	}
	e.registration, e.device, e.key, e.keys = reg, checked.Device, checked.PublicKey, keys
	if s.devices[e.device] == nil {
		s.devices[e.device] = &device{enrolment: e, key: pub, push: reg.Push}
	}
	return deviceproto.Registered{Device: e.device}, nil
}

func (s *Service) status(r *http.Request, _ []byte) (any, error) {
	ctx, cancel := holding(r)
	defer cancel()
	var e *Enrolment
	var out deviceproto.EnrolmentStatus
	var failed error
	_ = s.await(ctx, func() bool { // the wait may end: "waiting" is an answer
		if e, failed = s.find(r); failed != nil {
			return true
		}
		out, failed = e.outcome()
		return failed != nil || out.Status != deviceproto.EnrolmentWaiting
	})
	return out, failed
}

// outcome is under the lock.
func (e *Enrolment) outcome() (deviceproto.EnrolmentStatus, error) {
	if e.device == "" || e.verdict == Hold {
		return deviceproto.EnrolmentStatus{Status: deviceproto.EnrolmentWaiting}, nil
	}
	if e.verdict == Refuse {
		return deviceproto.EnrolmentStatus{Status: deviceproto.EnrolmentRefused}, nil
	}
	key := e.keys.Details
	if e.verdict == Foreign {
		key = make(sallyport.Key, len(key))
		rand.Read(key)
	}
	box, err := deviceproto.SealAccount(key, e.device, e.Account)
	return deviceproto.EnrolmentStatus{Status: deviceproto.EnrolmentAccepted, Sealed: deviceproto.Encode(box)}, err
}
