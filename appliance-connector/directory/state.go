package directory

import (
	"errors"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// The values after "data" in the message of a refused bind: Windows error codes, in
// hexadecimal (MS-ERREF section 2.2).
var dataStates = map[string]sallyport.AccountState{
	"525": sallyport.AccountUnknown,
	"52e": sallyport.AccountWrongPassword,
	"530": sallyport.AccountLogonHours,
	"531": sallyport.AccountWrongWorkstation,
	"532": sallyport.AccountPasswordExpired,
	"533": sallyport.AccountDisabled,
	"701": sallyport.AccountExpired,
	"773": sallyport.AccountMustChange,
	"775": sallyport.AccountLocked,
}

// stateOf reads what a bind's answer says about the account. ok is false when err is
// not an answer about the account: the directory is broken, busy or gone.
func stateOf(err error) (s sallyport.AccountState, ok bool) {
	if err == nil {
		return sallyport.AccountOK, true
	}
	var e *ldap.Error
	if !errors.As(err, &e) || e.ResultCode != ldap.LDAPResultInvalidCredentials || e.Err == nil {
		return "", false
	}
	return messageState(e.Err.Error()), true
}

// messageState reads the diagnostic message of code 49, such as "80090308: LdapErr:
// DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1\x00". Only the
// part after "data " can be relied on. A directory that gives no such part says only
// that the credentials are wrong.
func messageState(message string) sallyport.AccountState {
	data, found := dataCode(message)
	if !found {
		return sallyport.AccountWrongPassword
	}
	if s, known := dataStates[data]; known {
		return s
	}
	return sallyport.AccountRefused
}

// dataCode returns the hexadecimal number after the first "data " that has one, in
// lower case.
func dataCode(message string) (string, bool) {
	const mark = "data "
	for {
		_, rest, found := strings.Cut(message, mark)
		if !found {
			return "", false
		}
		n := 0
		for n < len(rest) && isHex(rest[n]) {
			n++
		}
		if n > 0 && (n == len(rest) || !isWord(rest[n])) {
			return strings.ToLower(rest[:n]), true
		}
		message = rest
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isWord(c byte) bool {
	return isHex(c) || 'g' <= c && c <= 'z' || 'G' <= c && c <= 'Z' || c == '_'
}
