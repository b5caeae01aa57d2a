package edge

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/httpstatus"
)

// Body is an error as the outside sees it (docs/protocol/browser.md).
type Body struct {
	Code        sallyport.Code `json:"code"`
	Message     string         `json:"message"`
	SupportCode string         `json:"supportCode,omitempty"`
	// Ended says that what the request was about is over: asking again will not help.
	Ended bool `json:"ended,omitempty"`
}

// BodyOf is what the outside may know of err. A support code is made when err has none.
func BodyOf(err error) Body {
	b := Body{Code: sallyport.ErrorCode(err), Message: sallyport.ErrorMessage(err)}
	var e *sallyport.Error
	if errors.As(err, &e) {
		b.SupportCode = e.SupportCode
	}
	var over interface{ Ended() bool }
	b.Ended = errors.As(err, &over) && over.Ended()
	if b.SupportCode == "" {
		b.SupportCode = sallyport.NewSupportCode()
	}
	return b
}

// ErrorHandler writes every error of a handler as a Body, and the whole of it to the log under the
// same support code. A caller who is over a limit is not worth a line: that would be a flood too.
func ErrorHandler(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		err = fromEcho(err)
		b := BodyOf(err)
		status := httpstatus.Of(b.Code)
		level := slog.LevelInfo
		switch {
		case b.Code == sallyport.CodeLimited:
			level = slog.LevelDebug
		case status >= 500:
			level = slog.LevelWarn
		}
		ctx := c.Request().Context()
		log.LogAttrs(ctx, level, "request failed", slog.String("support_code", b.SupportCode),
			slog.String("code", string(b.Code)), slog.String("method", c.Request().Method),
			slog.String("route", c.Path()), slog.String("trace", TraceOf(ctx).ID()), slog.Any("error", err))
		if c.Response().Committed {
			return
		}
		c.Response().Header().Set("Cache-Control", "no-store")
		if status == http.StatusTooManyRequests {
			c.Response().Header().Set("Retry-After", "5")
		}
		if werr := writeJSON(c, status, b); werr != nil {
			log.DebugContext(ctx, "error not delivered", "error", werr)
		}
	}
}

func writeJSON(c echo.Context, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.JSONBlob(status, data)
}

// fromEcho gives errors of the router the codes of the domain.
func fromEcho(err error) error {
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		return err
	}
	switch he.Code {
	case http.StatusNotFound:
		return sallyport.Errorf(sallyport.CodeNotFound, "There is nothing at this address.", err)
	case http.StatusMethodNotAllowed:
		return sallyport.Errorf(sallyport.CodeInvalid, "This address does not take this kind of request.", err)
	}
	return err
}

// ReadJSON reads a request's body of at most limit octets into v: one JSON value and nothing after
// it. Unknown fields are ignored, so that newer pages work with an older cloud.
func ReadJSON(c echo.Context, limit int64, v any) error {
	body := http.MaxBytesReader(c.Response(), c.Request().Body, limit)
	dec := json.NewDecoder(body)
	if err := dec.Decode(v); err != nil {
		return badBody(err)
	}
	if dec.More() {
		return badBody(errors.New("more than one JSON value"))
	}
	return nil
}

func badBody(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return sallyport.Errorf(sallyport.CodeInvalid, "The request is too long.", ErrTooLong)
	}
	return sallyport.Errorf(sallyport.CodeInvalid, "The request is not the JSON that this address takes.", err)
}
