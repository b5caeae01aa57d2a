// Package httpstatus says which HTTP status (RFC 9110 section 15) the code of an error has.
package httpstatus

import (
	"net/http"

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
