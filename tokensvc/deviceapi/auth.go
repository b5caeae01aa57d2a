package deviceapi

import (
	"crypto/ecdsa"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// authorize checks that a device made this request, just now and for the first time. find looks the
// device's key up.
func (s *Server) authorize(c echo.Context, body []byte, find deviceproto.FindKey) (deviceproto.Authorization, error) {
	now := s.cfg.Now()
	if !s.failures.peek(c.RealIP(), now) {
		return deviceproto.Authorization{}, limited()
	}
	r := c.Request()
	a, err := deviceproto.VerifyAuthorization(r.Header.Get(echo.HeaderAuthorization), find,
		deviceproto.Request{Audience: s.cfg.URL, Method: r.Method, Path: r.URL.Path, Body: body}, now)
	if err != nil {
		if sallyport.ErrorCode(err) == sallyport.CodeDenied {
			s.failures.allow(c.RealIP(), now)
		}
		return deviceproto.Authorization{}, err
	}
	if !s.devices.allow(string(a.Device), now) {
		return deviceproto.Authorization{}, limited()
	}
	// Kept until the request could not be accepted any more; a minute more, for replicas' clocks.
	ttl := a.Expires.Sub(now) + deviceproto.ClockSkew + time.Minute
	first, err := s.cfg.Store.Once(r.Context(), a.Tenant, a.Device, a.ID, ttl)
	if err != nil {
		return deviceproto.Authorization{}, err
	}
	if !first {
		s.failures.allow(c.RealIP(), now)
		return deviceproto.Authorization{}, sallyport.Errorf(sallyport.CodeDenied, "This request was made before.", nil)
	}
	return a, nil
}

// enrolled authorizes a request of an enrolled device.
func (s *Server) enrolled(c echo.Context, body []byte) (deviceproto.Authorization, error) {
	return s.authorize(c, body, func(t sallyport.TenantID, id sallyport.DeviceID) (*ecdsa.PublicKey, error) {
		d, err := s.cfg.Store.Device(c.Request().Context(), t, id)
		if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
			return nil, sallyport.Errorf(sallyport.CodeDenied, "This device is not enrolled here, or no longer.", err)
		}
		if err != nil {
			return nil, err
		}
		return deviceproto.ParsePublicKey(d.PublicKey)
	})
}
