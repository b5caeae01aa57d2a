package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/labstack/echo/v4"
)

// Trace is a W3C traceparent (Trace Context, version 00): one id for a login from the browser to
// the directory.
type Trace string

// traceparent: 2 hex, "-", 32 hex, "-", 16 hex, "-", 2 hex.
const traceLen = 2 + 1 + 32 + 1 + 16 + 1 + 2

// ParseTrace takes a traceparent header as it is, or gives a new one in its place when it is
// malformed: a trace id goes to logs and must not carry anything else there.
func ParseTrace(header string) Trace {
	if !validTrace(header) {
		return NewTrace()
	}
	return Trace(header)
}

// NewTrace makes a trace of its own, not sampled.
func NewTrace() Trace {
	var b [24]byte
	rand.Read(b[:])
	return Trace("00-" + hex.EncodeToString(b[:16]) + "-" + hex.EncodeToString(b[16:]) + "-00")
}

// Child is the same trace with a parent id of our own.
func (t Trace) Child() Trace {
	if len(t) != traceLen {
		return NewTrace()
	}
	var b [8]byte
	rand.Read(b[:])
	return t[:36] + Trace(hex.EncodeToString(b[:])) + t[52:]
}

// ID is the trace id, 32 hex digits.
func (t Trace) ID() string {
	if len(t) != traceLen {
		return ""
	}
	return string(t[3:35])
}

func validTrace(s string) bool {
	if len(s) != traceLen || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	zero := func(p string) bool {
		for _, c := range []byte(p) {
			if c != '0' {
				return false
			}
		}
		return true
	}
	for i, c := range []byte(s) {
		hexDigit := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
		if !hexDigit && i != 2 && i != 35 && i != 52 {
			return false
		}
	}
	return !zero(s[3:35]) && !zero(s[36:52])
}

type traceKey struct{}

// WithTrace and TraceOf carry the trace of a request.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf returns the trace in ctx, "" when there is none.
func TraceOf(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t
}

// Tracing puts the trace of every request into its context.
func Tracing(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		c.SetRequest(r.WithContext(WithTrace(r.Context(), ParseTrace(r.Header.Get("traceparent")).Child())))
		return next(c)
	}
}
