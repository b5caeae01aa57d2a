package legacy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// Words that people type instead of a passcode.
const (
	wordPush = "push"
	wordCode = "code"
	// wordSMS asks for a code by SMS, or for another one; wordToken is for the token of the external token server.
	wordSMS   = "sms"
	wordToken = "token"
)

// typed is what stands in a password field.
type typed struct {
	password sallyport.Secret
	code     sallyport.Secret // a passcode behind the separator; "": none
	push     bool             // the word "push" behind it
}

// split takes a password field apart: what follows the last separator counts when it is the word "push" or
// has the form of a passcode, digits only, and something stands before it; else all of it is the password. So a
// password with the separator in it is a password. One that ends like a passcode ("garden,123456") is written
// with the word behind it: "garden,123456,push".
func split(field sallyport.Secret, separator string) typed {
	all := typed{password: field}
	if separator == "" {
		return all
	}
	at := strings.LastIndex(string(field), separator)
	if at <= 0 {
		return all
	}
	password, word := field[:at], field[at+len(separator):]
	switch {
	case strings.EqualFold(string(word), wordPush):
		return typed{password: password, push: true}
	case sallyport.LooksLikePasscode(word):
		return typed{password: password, code: word}
	}
	return all
}

// unfit refuses what no login can begin with, whoever the user is.
func unfit(q *radius.Query) *radius.Verdict {
	switch {
	case len(q.Passcode) == 0:
		return &emptyPassword
	case gatewaytoken.LooksLike(string(q.Passcode)):
		return &tokenNotExpected
	case !utf8.ValidString(q.UserName) || strings.ContainsFunc(q.UserName, unicode.IsControl):
		return &unreadableName
	}
	return nil
}

// contextOf is what a request says of itself, each time.
func contextOf(q *radius.Query) login.Context {
	return login.Context{
		Integration: *q.Integration, UserName: q.UserName, Place: shown(q.CallingStation), Via: via(q), Door: sallyport.DoorRADIUS,
	}
}

// via names the gateway's unit and the address that was called.
func via(q *radius.Query) string {
	nas, called := shown(q.NASIdentifier), shown(q.CalledStation)
	switch {
	case called == "" || called == nas:
		return nas
	case nas == "":
		return called
	}
	return nas + " (" + called + ")"
}

// maxShown bounds what a phone shows of an attribute, in characters.
const maxShown = 64

// shown makes a text that anybody may have sent fit to be shown.
func shown(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown])
	}
	return strings.TrimSpace(s)
}
