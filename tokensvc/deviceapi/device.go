package deviceapi

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// Devices is what Redis keeps of devices.
type Devices interface {
	Device(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID) (store.Device, error)
	SetPush(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID, p deviceproto.Push) error
	SetApp(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID, sealed []byte) error
	RemoveDevice(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID) error
}

func (s *Server) setPush(c echo.Context) error {
	b, err := body(c)
	if err != nil {
		return err
	}
	a, err := s.enrolled(c, b)
	if err != nil {
		return err
	}
	var p deviceproto.Push
	if err := decode(b, &p); err != nil {
		return err
	}
	if err := p.Check(); err != nil {
		return invalid("The push address is not one: "+err.Error()+".", err)
	}
	if err := s.cfg.Store.SetPush(c.Request().Context(), a.Tenant, a.Device, p); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) setApp(c echo.Context) error {
	b, err := body(c)
	if err != nil {
		return err
	}
	a, err := s.enrolled(c, b)
	if err != nil {
		return err
	}
	sealed, err := parseApp(b)
	if err != nil {
		return err
	}
	if err := s.cfg.Store.SetApp(c.Request().Context(), a.Tenant, a.Device, sealed); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func parseApp(b []byte) ([]byte, error) {
	var in deviceproto.AppBody
	if err := decode(b, &in); err != nil {
		return nil, err
	}
	sealed, err := deviceproto.DecodeApp(in.Sealed)
	if err != nil || len(sealed) == 0 {
		return nil, invalid("What is said of the app must be 1 to 2048 octets in base64url.", err)
	}
	return sealed, nil
}

func (s *Server) forget(c echo.Context) error {
	b, err := body(c)
	if err != nil {
		return err
	}
	a, err := s.enrolled(c, b)
	if err != nil {
		return err
	}
	if err := s.cfg.Store.RemoveDevice(c.Request().Context(), a.Tenant, a.Device); err != nil {
		return err
	}
	s.cfg.Log.Info("device forgot itself", "tenant", a.Tenant, "device", a.Device)
	return c.NoContent(http.StatusNoContent)
}
