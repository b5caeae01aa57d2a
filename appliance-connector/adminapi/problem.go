package adminapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// problem is an error with a status of its own, which none of the codes has.
type problem struct {
	status int
	code   sallyport.Code
	detail string
	fields admin.FieldErrors
	cause  error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.detail + ": " + p.cause.Error()
	}
	return p.detail
}

func (p *problem) Unwrap() error { return p.cause }

// document is an error as a program sees it (RFC 9457). Type names the kind, and leads to its explanation.
type document struct {
	Type        string         `json:"type"`
	Title       string         `json:"title"`
	Status      int            `json:"status"`
	Detail      string         `json:"detail"`
	Instance    string         `json:"instance"`
	Code        sallyport.Code `json:"code"`
	SupportCode string         `json:"supportCode"`
	Errors      []fieldError   `json:"errors,omitempty"`
}

// fieldError says what is wrong with one field of a body or one parameter.
type fieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// kind is what an error's code means to a program.
type kind struct {
	status int
	title  string
}

// kinds maps the codes, once for all operations.
func kinds(code sallyport.Code) kind {
	switch code {
	case sallyport.CodeInvalid:
		return kind{http.StatusBadRequest, "The request is wrong"}
	case sallyport.CodeUnsupported:
		return kind{http.StatusUnprocessableEntity, "The request cannot be met"}
	case sallyport.CodeDenied:
		return kind{http.StatusForbidden, "Not allowed"}
	case sallyport.CodeNotFound:
		return kind{http.StatusNotFound, "Not found"}
	case sallyport.CodeConflict:
		return kind{http.StatusConflict, "It does not fit what is there"}
	case sallyport.CodeExpired:
		return kind{http.StatusGone, "Too late"}
	case sallyport.CodeLimited:
		return kind{http.StatusTooManyRequests, "Too many requests"}
	case sallyport.CodeUnavailable:
		return kind{http.StatusServiceUnavailable, "Not available now"}
	case sallyport.CodeUncertain:
		return kind{http.StatusInternalServerError, "It is not known whether it was done"}
	}
	return kind{http.StatusInternalServerError, "Something went wrong"}
}

// explain makes the document of an error, without instance and support code.
func explain(err error) document {
	code := sallyport.ErrorCode(err)
	k := kinds(code)
	d := document{Title: k.title, Status: k.status, Code: code, Detail: sallyport.ErrorMessage(err)}
	var own *problem
	var fields admin.FieldErrors
	var routed *echo.HTTPError
	switch {
	case errors.As(err, &own):
		d.Code, d.Status, d.Detail, d.Title = own.code, own.status, own.detail, kinds(own.code).title
		fields = own.fields
	case errors.As(err, &fields):
		d.Status = http.StatusUnprocessableEntity
	case errors.Is(err, sallyport.ErrOvertaken):
		d.Status = http.StatusPreconditionFailed
	case errors.As(err, &routed):
		d.fromRouter(routed.Code)
	}
	if d.Status == http.StatusUnauthorized {
		d.Title = "No valid API token"
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		d.Errors = append(d.Errors, fieldError{name, fields[name]})
	}
	d.Type = "/account/api/problems/" + string(d.Code)
	return d
}

// fromRouter is for addresses and methods that there are not.
func (d *document) fromRouter(status int) {
	switch status {
	case http.StatusNotFound:
		d.Code, d.Detail = sallyport.CodeNotFound, "There is nothing at this address."
	case http.StatusMethodNotAllowed:
		d.Code, d.Detail = sallyport.CodeInvalid, "This address does not take this method. Allow names those that it takes."
	default:
		return
	}
	d.Title, d.Status = kinds(d.Code).title, status
}

// fail answers with an error: its words, and a support code that finds the cause in the log.
func (s *Server) fail(err error, c echo.Context) {
	d := explain(err)
	d.Instance, d.SupportCode = c.Request().URL.EscapedPath(), sallyport.NewSupportCode()
	var known *sallyport.Error
	if errors.As(err, &known) {
		d.SupportCode = cmp.Or(known.SupportCode, d.SupportCode)
	}
	level := slog.LevelInfo
	if d.Status >= 500 {
		level = slog.LevelError
	}
	s.log.LogAttrs(c.Request().Context(), level, "api request failed", slog.String("support_code", d.SupportCode),
		slog.String("code", string(d.Code)), slog.Int("status", d.Status), slog.String("method", c.Request().Method),
		slog.String("route", c.Path()), slog.Any("err", err))
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	if (d.Status == http.StatusTooManyRequests || d.Status == http.StatusServiceUnavailable) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retrySeconds)
	}
	body, err := json.Marshal(d)
	if err == nil {
		err = c.Blob(d.Status, "application/problem+json", body)
	}
	if err != nil {
		s.log.WarnContext(c.Request().Context(), "api problem not sent", "err", err)
	}
}
