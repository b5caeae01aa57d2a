// Package sallyport holds the nouns of the domain: what a login, an account, a
// challenge or an integration is, for every service that speaks of them. It does no
// I/O, keeps no state, and imports the standard library only.
package sallyport

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// TenantID names an enterprise: a customer with its users, appliances and gateways.
type TenantID string

// ApplianceID names one host of an enterprise. It is unique within the enterprise.
type ApplianceID string

// IntegrationID names a gateway as configured on the appliances of an enterprise.
type IntegrationID string

// LoginID names one login at the overlay, from the first request to its end.
type LoginID string

// ChallengeID names one push and its end.
type ChallengeID string

// EnrolmentID names one invitation to enrol a device.
type EnrolmentID string

// DeviceID names an enrolled device: the RFC 7638 thumbprint (SHA-256, base64url
// without padding, 43 characters) of the public key that the device made.
type DeviceID string

// DomainID names an Active Directory domain.
type DomainID string

// UserID names somebody of a domain; it stays when the account is renamed.
type UserID string

// UserPolicyID names a user policy.
type UserPolicyID string

// EnrolRuleID names an enrol rule.
type EnrolRuleID string

// SiteID names a site.
type SiteID string

// TokenServerID names a server of the external token system.
type TokenServerID string

// AdministratorID names an administrator.
type AdministratorID string

// maxID bounds every identifier that arrives from outside, in octets.
const maxID = 64

// ValidID reports whether s can be an identifier: 1 to 64 characters out of
// letters, digits, "-" and "_". It keeps identifiers safe in Redis keys, in
// addresses and in logs.
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > maxID {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewID returns a random identifier of 26 lower-case characters (128 bits).
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return strings.ToLower(crockford.EncodeToString(b[:]))
}

// NewCode returns a random code for people to carry from one machine to another:
// n groups of five characters out of Crockford's alphabet, joined by "-"; 25 bits a group.
func NewCode(groups int) Secret {
	b := make([]byte, groups*4)
	rand.Read(b)
	all := crockford.EncodeToString(b)
	parts := make([]string, groups)
	for i := range parts {
		parts[i] = all[i*5 : i*5+5]
	}
	return Secret(strings.Join(parts, "-"))
}

// CanonicalCode undoes what people do to a code while copying it: case, spaces,
// dashes, and the letters O, I and L typed for digits.
func CanonicalCode(s Secret) Secret {
	return Secret(copyingHabits.Replace(strings.ToUpper(strings.TrimSpace(string(s)))))
}

var copyingHabits = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1")

// SupportCode writes five octets as a code that a user can read to the help desk: two groups of
// four characters. It finds the log lines of a login and opens nothing.
func SupportCode(b [5]byte) string {
	s := crockford.EncodeToString(b[:])
	return s[:4] + "-" + s[4:]
}

// NewSupportCode returns a random support code.
func NewSupportCode() string {
	var b [5]byte
	rand.Read(b[:])
	return SupportCode(b)
}
