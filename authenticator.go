package sallyport

import (
	"slices"
	"time"
)

// Device is an enrolled phone of one account, as the appliance knows it.
type Device struct {
	ID      DeviceID
	Account AccountName
	// Name is what the user calls it ("Alice's iPhone"), at most 64 characters.
	Name     string
	Platform string // "ios", "android", "web", "cli"
	// PublicKey is the device's P-256 key in SubjectPublicKeyInfo DER; it checks answers.
	PublicKey []byte
	// Seed makes the token codes (RFC 6238; SHA-1, 30 s, six digits). 20 octets.
	Seed Key
	// DetailsKey seals what a challenge shows and what the device answers. 32 octets.
	DetailsKey Key
	Enrolled   time.Time
	App        App
	// Attestation is what its maker's word was worth when it was enrolled ("attested", "not attested", …), for the record of the enrolment:
	// afterwards it is empty.
	Attestation string `json:",omitempty"`
}

// App is what a device says of the app on it.
type App struct {
	Version string // at most 32 characters; "" when it has not said
	// WithoutNumberMatching: it is too old to ask for the number that the sign-in page shows. An app that says nothing can.
	WithoutNumberMatching bool
}

// AuthenticatorKind is a kind of second factor that users enrol by themselves.
type AuthenticatorKind string

const (
	AuthenticatorApp     AuthenticatorKind = "app"
	AuthenticatorPhone   AuthenticatorKind = "phone" // a phone number
	AuthenticatorPasskey AuthenticatorKind = "passkey"
	AuthenticatorOTP     AuthenticatorKind = "otp" // an OTP token, claimed by its owner
)

// AuthenticatorChange is that an authenticator came or went, as its owner is told of it.
type AuthenticatorChange struct {
	Account AccountName
	Kind    AuthenticatorKind
	// Name is what the device or passkey is called, the serial number of an OTP token, the last two digits of a phone number.
	Name string
	// Enrolled: it came; else it went.
	Enrolled bool
	Time     time.Time
	// Actor is who did it.
	Actor Actor
}

// Authenticators is which second factors an account has.
type Authenticators struct {
	Apps     int // devices with the app
	Phones   int // phone numbers
	Passkeys int
	// PasskeyHosts are the hosts of the pages whose passkeys are taken; one may be there several times.
	PasskeyHosts []string
	OTP          bool // an OTP token is assigned whose codes count
	PIN          bool // there is a PIN to be typed before a token's code
	External     bool // the external token server knows the user
	// TemporaryCodes are those that were issued and not forgotten; whether one is good depends on the time.
	TemporaryCodes []TemporaryCode
	// Last is how the account logged in last; empty: not known.
	Last Method
}

// Enrolled reports whether the account's owner has enrolled something.
func (a Authenticators) Enrolled() bool { return a.Apps > 0 || a.Phones > 0 || a.Passkeys > 0 }

// PasskeyAt reports whether a passkey is taken at the pages of a host.
func (a Authenticators) PasskeyAt(host string) bool { return slices.Contains(a.PasskeyHosts, host) }

// TemporaryCode returns the temporary code that is good at the time now, if there is one.
func (a Authenticators) TemporaryCode(now time.Time) (TemporaryCode, bool) {
	for _, c := range a.TemporaryCodes {
		if c.Good(now) {
			return c, true
		}
	}
	return TemporaryCode{}, false
}

// Decision is what the user told the device.
type Decision string

const (
	DecisionApprove Decision = "approve"
	DecisionDeny    Decision = "deny"
	DecisionNotMe   Decision = "not_me" // denied, and the user did not start this login
)

// ChallengeDetails is what the device shows. It travels sealed to the device.
type ChallengeDetails struct {
	User        string    `json:"user"`        // as typed on the page
	Application string    `json:"application"` // the integration's nickname
	Place       string    `json:"place"`       // where the browser is, as far as known
	Time        time.Time `json:"time"`
	Digits      int       `json:"digits"` // how many digits the user has to type; 0: none
}
