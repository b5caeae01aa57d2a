package deviceapi

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// Enrolments is what Redis keeps of enrolments.
type Enrolments interface {
	Register(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID, r store.Registration) error
	Enrolment(ctx context.Context, t sallyport.TenantID, id sallyport.EnrolmentID) (store.Enrolment, error)
}

func (s *Server) register(c echo.Context) error {
	t, id, err := enrolmentOf(c)
	if err != nil {
		return err
	}
	b, err := body(c)
	if err != nil {
		return err
	}
	r, err := parseRegistration(b)
	if err != nil {
		return err
	}
	if err := s.cfg.Store.Register(c.Request().Context(), t, id, r); err != nil {
		return err
	}
	s.cfg.Log.Info("device registered", "tenant", t, "enrolment", id, "device", r.Device, "platform", r.Platform)
	return c.JSON(http.StatusAccepted, deviceproto.Registered{Device: r.Device})
}

// parseRegistration reads and checks the body of a registration.
func parseRegistration(b []byte) (store.Registration, error) {
	var in deviceproto.Registration
	if err := decode(b, &in); err != nil {
		return store.Registration{}, err
	}
	checked, err := in.Check()
	if err != nil {
		return store.Registration{}, invalid("The registration is not complete: "+err.Error()+".", err)
	}
	format := ""
	if in.Attestation != nil {
		format = in.Attestation.Format
	}
	return store.Registration{
		AttestationFormat: format, Evidence: checked.Evidence,
		Device: checked.Device, PublicKey: checked.PublicKey, Proof: checked.Proof,
		Name: in.Name, Platform: in.Platform, AppVersion: in.AppVersion, Push: in.Push, App: checked.App,
	}, nil
}

func (s *Server) enrolmentStatus(c echo.Context) error {
	t, id, err := enrolmentOf(c)
	if err != nil {
		return err
	}
	wait, err := waitTime(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	a, err := s.authorize(c, nil, func(tenant sallyport.TenantID, device sallyport.DeviceID) (*ecdsa.PublicKey, error) {
		if tenant != t {
			return nil, errors.New("tenant is another enterprise")
		}
		e, err := s.cfg.Store.Enrolment(ctx, t, id)
		if err != nil {
			return nil, err
		}
		if e.Registration == nil || e.Registration.Device != device {
			return nil, errors.New("enrolment is another device's")
		}
		return deviceproto.ParsePublicKey(e.Registration.PublicKey)
	})
	if err != nil {
		return err
	}
	leave, err := s.waiting.enter(string(a.Device))
	if err != nil {
		return err
	}
	defer leave()
	out := deviceproto.EnrolmentStatus{Status: deviceproto.EnrolmentWaiting}
	err = s.until(ctx, store.EnrolmentTopic(t, id), wait, func() (bool, error) {
		e, err := s.cfg.Store.Enrolment(ctx, t, id)
		if err != nil || e.Verdict == nil {
			return false, err
		}
		out = statusOf(*e.Verdict)
		return true, nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

func statusOf(v store.Verdict) deviceproto.EnrolmentStatus {
	if !v.Accepted {
		return deviceproto.EnrolmentStatus{Status: deviceproto.EnrolmentRefused}
	}
	return deviceproto.EnrolmentStatus{Status: deviceproto.EnrolmentAccepted, Sealed: deviceproto.Encode(v.Sealed)}
}

func enrolmentOf(c echo.Context) (sallyport.TenantID, sallyport.EnrolmentID, error) {
	t, id := c.Param("tenant"), c.Param("enrolment")
	if !sallyport.ValidID(t) || !sallyport.ValidID(id) {
		return "", "", invalid("This link is not complete.", nil)
	}
	return sallyport.TenantID(t), sallyport.EnrolmentID(id), nil
}
