package sallyport

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is; it is what machines compare.
type Code string

const (
	CodeInvalid     Code = "invalid"     // the request itself is wrong; sending it again will not help
	CodeDenied      Code = "denied"      // not allowed: bad or missing proof of who asks
	CodeNotFound    Code = "not_found"   // the thing named does not exist, or no longer
	CodeConflict    Code = "conflict"    // already done, or changed meanwhile
	CodeExpired     Code = "expired"     // too late
	CodeLimited     Code = "limited"     // too many attempts; try later
	CodeUnavailable Code = "unavailable" // a part that is needed does not answer; try again
	CodeUnsupported Code = "unsupported" // a version or a kind this end does not speak
	CodeInternal    Code = "internal"    // our fault
	CodeUncertain   Code = "uncertain"   // the work may have been done; it must not be repeated blindly
)

// Error is a failure as people outside see it: a code, a message in plain words that
// says what to do, and the support code that finds the cause in the log. Err is the
// cause, for the operator's log only; it never leaves the process.
type Error struct {
	Code        Code
	Message     string
	SupportCode string
	Err         error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// ErrOvertaken is in the chain of a conflict with somebody who saved another version of the object meanwhile:
// what tells it apart from a name that is taken.
var ErrOvertaken = errors.New("another version was saved meanwhile")

// Errorf makes an Error; cause may be nil.
func Errorf(code Code, message string, cause error) *Error {
	return &Error{Code: code, Message: message, Err: cause}
}

// ErrorCode returns the code of the first Error in err's chain: "" for nil, and
// CodeInternal for an error that has none.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// ErrorMessage returns the words for people of the first Error in err's chain.
func ErrorMessage(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "Something went wrong on our side. Please try again."
}
