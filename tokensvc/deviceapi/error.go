package deviceapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/httpstatus"
)

func invalid(message string, cause error) error {
	return sallyport.Errorf(sallyport.CodeInvalid, message, cause)
}

func limited() error {
	return sallyport.Errorf(sallyport.CodeLimited, "Too many requests. Please wait a moment.", nil)
}

// refuse answers an error: code, message and support code; the cause goes to the log.
func (s *Server) refuse(err error, c echo.Context) {
	if c.Response().Committed || errors.Is(err, context.Canceled) {
		return
	}
	body, status := describe(err)
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError {
		level, body.SupportCode = slog.LevelWarn, sallyport.NewSupportCode()
	} else if status == http.StatusUnauthorized {
		level = slog.LevelInfo
	}
	s.cfg.Log.Log(c.Request().Context(), level, "device's request refused", "method", c.Request().Method, "route", c.Path(),
		"status", status, "code", string(body.Code), "address", c.RealIP(), "supportCode", body.SupportCode, "error", err)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", "2")
	}
	if status == http.StatusUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", "Device")
	}
	if err := c.JSON(status, body); err != nil {
		s.cfg.Log.Debug("refusal not delivered", "error", err)
	}
}

func describe(err error) (deviceproto.ErrorBody, int) {
	var routing *echo.HTTPError
	if errors.As(err, &routing) && sallyport.ErrorCode(err) == sallyport.CodeInternal {
		code, message := sallyport.CodeInvalid, "The request is not one of this service's."
		if routing.Code == http.StatusNotFound || routing.Code == http.StatusMethodNotAllowed {
			code, message = sallyport.CodeNotFound, "There is nothing at this address."
		}
		return deviceproto.ErrorBody{Code: code, Message: message}, routing.Code
	}
	code := sallyport.ErrorCode(err)
	return deviceproto.ErrorBody{Code: code, Message: sallyport.ErrorMessage(err)}, httpStatus(code)
}

// httpStatus is the HTTP status of a code. Who is denied has not signed the request as the device would.
func httpStatus(c sallyport.Code) int {
	switch c {
	case sallyport.CodeDenied:
		return http.StatusUnauthorized
	case sallyport.CodeUncertain:
		return http.StatusInternalServerError
	}
	return httpstatus.Of(c)
}
