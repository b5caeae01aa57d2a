// Package httpstatus says which HTTP status (RFC 9110 section 15) the code of an error has, and what a server that
// refused asks for.
package httpstatus

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

// Of is the HTTP status of a code.
func Of(code sallyport.Code) int {
	switch code {
	case sallyport.CodeInvalid, sallyport.CodeUnsupported:
		return http.StatusBadRequest
	case sallyport.CodeDenied:
		return http.StatusForbidden
	case sallyport.CodeNotFound:
		return http.StatusNotFound
	case sallyport.CodeConflict:
		return http.StatusConflict
	case sallyport.CodeExpired:
		return http.StatusGone
	case sallyport.CodeLimited:
		return http.StatusTooManyRequests
	case sallyport.CodeUnavailable, sallyport.CodeUncertain:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// RetryAfter reads the header of that name, in seconds or as a date (RFC 9110 section 10.2.3); 0: there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 86400)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
