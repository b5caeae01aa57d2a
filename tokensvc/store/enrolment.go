package store

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// maxTries bounds the registrations tried on one enrolment, repetitions included.
const maxTries = 20

// Registration is what a device said of itself.
type Registration struct {
	Device     sallyport.DeviceID
	PublicKey  []byte // SubjectPublicKeyInfo DER
	Proof      []byte
	Name       string
	Platform   string
	AppVersion string
	Push       deviceproto.Push
	// App is what the device says of its app, sealed for the appliance.
	App []byte
	// AttestationFormat and Evidence are for the appliance; empty: none.
	AttestationFormat string
	Evidence          []byte
}

// Verdict is what the appliance made of a registration.
type Verdict struct {
	Accepted bool
	Sealed   []byte
}

// Enrolment is how far an enrolment is. Registration and Verdict are nil until they are there.
type Enrolment struct {
	Registration *Registration
	Verdict      *Verdict
}

const (
	errNoEnrolment      = "This enrolment is not known here. Ask for a new link."
	errEnrolmentExpired = "This link has expired. Ask for a new one."
)

// CreateEnrolment opens an enrolment for ttl. Asking again changes nothing, whether it is open or over.
func (s *Store) CreateEnrolment(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID, ttl time.Duration) error {
	record := enrolmentKey(t, id, "record")
	err := s.watch(ctx, func(tx *redis.Tx) error {
		n, err := tx.Exists(ctx, record).Result()
		if err != nil || n > 0 {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, record, "1", ttl+keep)
			p.Set(ctx, enrolmentKey(t, id, "open"), "1", ttl)
			return nil
		})
		return err
	}, record)
	return unavailable("create enrolment", err)
}

// Register keeps what a device said of itself. The same device may repeat it: the first one counts.
// Errors: CodeNotFound, CodeExpired, CodeConflict (another device was first), CodeLimited.
func (s *Store) Register(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID, r Registration) error {
	if err := s.mayRegister(ctx, t, id); err != nil {
		return err
	}
	key := enrolmentKey(t, id, "registration")
	p := s.redis.Pipeline()
	p.SetArgs(ctx, key, encode(r), redis.SetArgs{Mode: "NX", TTL: deviceproto.MaxWait + 3*keep})
	held := p.Get(ctx, key)
	if err := run(ctx, p); err != nil {
		return unavailable("keep registration", err)
	}
	var first Registration
	if err := decode(held.Val(), &first); err != nil {
		return unavailable("read registration", err)
	}
	if first.Device != r.Device {
		return conflict("Another device has used this link. Ask for a new one.")
	}
	s.events.tell(ctx, EnrolmentTopic(t, id))
	return nil
}

// mayRegister counts one try, of an enrolment that exists: names made up by strangers leave nothing behind.
func (s *Store) mayRegister(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID) error {
	p := s.redis.Pipeline()
	known := p.Exists(ctx, enrolmentKey(t, id, "record"))
	open := p.Exists(ctx, enrolmentKey(t, id, "open"))
	if err := run(ctx, p); err != nil {
		return unavailable("read enrolment", err)
	}
	if known.Val() == 0 {
		return notFound(errNoEnrolment)
	}
	if open.Val() == 0 {
		return expired(errEnrolmentExpired)
	}
	key := enrolmentKey(t, id, "tries")
	p = s.redis.Pipeline()
	tries := p.Incr(ctx, key)
	p.Expire(ctx, key, time.Hour)
	if err := run(ctx, p); err != nil {
		return unavailable("count registration", err)
	}
	if tries.Val() > maxTries {
		return sallyport.Errorf(sallyport.CodeLimited, "Too many attempts with this link. Ask for a new one.", nil)
	}
	return nil
}

// Enrolment says how far an enrolment is; CodeNotFound when it is unknown or ended unused.
func (s *Store) Enrolment(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID) (Enrolment, error) {
	p := s.redis.Pipeline()
	open := p.Exists(ctx, enrolmentKey(t, id, "open"))
	registration := p.Get(ctx, enrolmentKey(t, id, "registration"))
	verdict := p.Get(ctx, enrolmentKey(t, id, "verdict"))
	if err := run(ctx, p); err != nil {
		return Enrolment{}, unavailable("read enrolment", err)
	}
	var e Enrolment
	if registration.Val() == "" {
		if open.Val() == 0 {
			return Enrolment{}, notFound(errNoEnrolment)
		}
		return e, nil
	}
	e.Registration = &Registration{}
	if err := decode(registration.Val(), e.Registration); err != nil {
		return Enrolment{}, err
	}
	if verdict.Val() == "" {
		return e, nil
	}
	e.Verdict = &Verdict{}
	return e, decode(verdict.Val(), e.Verdict)
}

// FinishEnrolment keeps the appliance's verdict and, when it accepted the device, enrols it. The
// first verdict counts; the same again is no error.
func (s *Store) FinishEnrolment(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID, v Verdict) error {
	verdict, registration := enrolmentKey(t, id, "verdict"), enrolmentKey(t, id, "registration")
	err := s.watch(ctx, func(tx *redis.Tx) error {
		e, err := s.Enrolment(ctx, t, id)
		if err != nil {
			return err
		}
		if e.Registration == nil {
			return conflict("No device has registered yet.")
		}
		if e.Verdict != nil {
			if e.Verdict.Accepted != v.Accepted {
				return conflict("This enrolment was decided otherwise.")
			}
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, verdict, encode(v), 3*keep)
			p.Expire(ctx, registration, 3*keep)
			if v.Accepted {
				r := e.Registration
				p.HSet(ctx, deviceKey(t, r.Device), Device{PublicKey: r.PublicKey, Platform: r.Platform, Push: r.Push, App: r.App}.fields()...)
			}
			return nil
		})
		return err
	}, verdict, registration)
	if err != nil {
		return unavailable("finish enrolment", err)
	}
	s.events.tell(ctx, EnrolmentTopic(t, id))
	return nil
}
