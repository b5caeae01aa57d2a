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

// Unclaimed is what Redis keeps of apps that show a serial number.
type Unclaimed interface {
	ShowSerial(ctx context.Context, serial deviceproto.Serial, u store.Unclaimed) error
	KeepSerial(ctx context.Context, serial deviceproto.Serial) (bool, error)
	Unclaimed(ctx context.Context, serial deviceproto.Serial) (store.Unclaimed, error)
	Invitation(ctx context.Context, serial deviceproto.Serial) (*store.Invitation, error)
	AnswerInvitation(ctx context.Context, serial deviceproto.Serial, id string, sealed []byte) error
	HideSerial(ctx context.Context, serial deviceproto.Serial) error
}

func serialOf(c echo.Context) (deviceproto.Serial, error) {
	s, err := deviceproto.ParseSerial(c.Param("serial"))
	if err != nil || string(s) != c.Param("serial") {
		return "", invalid("This is not a serial number.", err)
	}
	return s, nil
}

func (s *Server) showSerial(c echo.Context) error {
	serial, err := serialOf(c)
	if err != nil {
		return err
	}
	b, err := body(c)
	if err != nil {
		return err
	}
	app, key, err := parseUnclaimed(b, serial)
	if err != nil {
		return err
	}
	if !s.newcomers.allow(c.RealIP(), s.cfg.Now()) {
		return limited()
	}
	if _, err := s.authorize(c, b, func(t sallyport.TenantID, id sallyport.DeviceID) (*ecdsa.PublicKey, error) {
		if t != deviceproto.UnclaimedTenant || id != app.Device {
			return nil, errors.New("authorization is not the app's own")
		}
		return key, nil
	}); err != nil {
		return err
	}
	if err := s.cfg.Store.ShowSerial(c.Request().Context(), serial, app); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, deviceproto.Unclaimed{RemainingMS: deviceproto.UnclaimedLife.Milliseconds()})
}

// parseUnclaimed reads the keys of an app, which have to give its serial number.
func parseUnclaimed(b []byte, serial deviceproto.Serial) (store.Unclaimed, *ecdsa.PublicKey, error) {
	var in deviceproto.UnclaimedApp
	if err := decode(b, &in); err != nil {
		return store.Unclaimed{}, nil, err
	}
	sign, box, s, err := in.Check()
	if err != nil {
		return store.Unclaimed{}, nil, invalid("The keys are not complete: "+err.Error()+".", err)
	}
	if s != serial {
		return store.Unclaimed{}, nil, invalid("The serial number is not that of these keys.", nil)
	}
	app := store.Unclaimed{Device: deviceproto.Thumbprint(sign)}
	if app.PublicKey, err = deviceproto.MarshalPublicKey(sign); err == nil {
		app.BoxKey, err = deviceproto.MarshalPublicKey(box)
	}
	return app, sign, err
}

// unclaimed authorizes a request of the app that shows a serial number.
func (s *Server) unclaimed(c echo.Context, serial deviceproto.Serial, body []byte) (deviceproto.Authorization, error) {
	return s.authorize(c, body, func(t sallyport.TenantID, id sallyport.DeviceID) (*ecdsa.PublicKey, error) {
		u, err := s.cfg.Store.Unclaimed(c.Request().Context(), serial)
		if err != nil {
			return nil, err
		}
		if t != deviceproto.UnclaimedTenant || u.Device != id {
			return nil, errors.New("serial number is another app's")
		}
		return deviceproto.ParsePublicKey(u.PublicKey)
	})
}

func (s *Server) invitations(c echo.Context) error {
	serial, err := serialOf(c)
	if err != nil {
		return err
	}
	wait, err := waitTime(c)
	if err != nil {
		return err
	}
	a, err := s.unclaimed(c, serial, nil)
	if err != nil {
		return err
	}
	leave, err := s.waiting.enter(string(a.Device))
	if err != nil {
		return err
	}
	defer leave()
	ctx := c.Request().Context()
	if _, err := s.cfg.Store.KeepSerial(ctx, serial); err != nil {
		return err
	}
	out := deviceproto.InvitationList{Invitations: []deviceproto.PendingInvitation{}}
	err = s.until(ctx, store.UnclaimedTopic(serial), wait, func() (bool, error) {
		i, err := s.cfg.Store.Invitation(ctx, serial)
		if err != nil || i == nil {
			return false, err
		}
		out.Invitations = append(out.Invitations, deviceproto.PendingInvitation{ID: i.ID, Tenant: i.Tenant, Sealed: deviceproto.Encode(i.Sealed)})
		return true, nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Server) answerInvitation(c echo.Context) error {
	serial, err := serialOf(c)
	if err != nil {
		return err
	}
	id := c.Param("id")
	if !sallyport.ValidID(id) {
		return invalid("This is not an invitation.", nil)
	}
	b, err := body(c)
	if err != nil {
		return err
	}
	if _, err := s.unclaimed(c, serial, b); err != nil {
		return err
	}
	sealed, err := parseVerdict(b)
	if err != nil {
		return err
	}
	if err := s.cfg.Store.AnswerInvitation(c.Request().Context(), serial, id, sealed); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func parseVerdict(b []byte) ([]byte, error) {
	var in deviceproto.VerdictBody
	if err := decode(b, &in); err != nil {
		return nil, err
	}
	sealed, err := deviceproto.Decode(in.Sealed)
	if err != nil || len(sealed) == 0 || len(sealed) > deviceproto.MaxSealedVerdict {
		return nil, invalid("The verdict must be 1 to 256 octets in base64url.", err)
	}
	return sealed, nil
}

func (s *Server) hideSerial(c echo.Context) error {
	serial, err := serialOf(c)
	if err != nil {
		return err
	}
	if _, err := s.unclaimed(c, serial, nil); err != nil {
		return err
	}
	if err := s.cfg.Store.HideSerial(c.Request().Context(), serial); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
