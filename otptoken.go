package sallyport

import "time"

// OTPTokenID names an OTP token.
type OTPTokenID string

// OTPKind says what an OTP token counts.
type OTPKind string

const (
	HOTP OTPKind = "hotp" // how often its button was pressed (RFC 4226)
	TOTP OTPKind = "totp" // time (RFC 6238)
)

// OTPAlgorithm is the hash function under an OTP token's HMAC.
type OTPAlgorithm string

const (
	SHA1   OTPAlgorithm = "sha1"
	SHA256 OTPAlgorithm = "sha256"
	SHA512 OTPAlgorithm = "sha512"
)

// OTPTokenState says whether the codes of an OTP token count.
type OTPTokenState string

const (
	OTPTokenActive   OTPTokenState = "active"
	OTPTokenDisabled OTPTokenState = "disabled" // lost, or kept out for a while
)

// Bounds of an OTP token.
const (
	OTPSeedLeast = 10 // octets of a seed
	OTPSeedMost  = 64
	// OTPSerialMost is how many characters a serial number has at most.
	OTPSerialMost = 64
	// OTPImportMost is how many tokens are imported at once.
	OTPImportMost = 10_000
	// OTPPlaceMost bounds a counter or step, so that those after it can be reckoned with.
	OTPPlaceMost = 1 << 53
)

// OTPToken is something that shows one-time codes (OATH) and is given to a user: a hardware token, or a
// program that holds an imported seed.
type OTPToken struct {
	ID OTPTokenID
	// Serial is the number on the token, at most 64 printable ASCII characters; no other token has it, in
	// whatever case.
	Serial    string
	Kind      OTPKind
	Algorithm OTPAlgorithm
	// Digits is how long a code is: 6 to 8.
	Digits int
	// Period is how long a TOTP token shows a code: 30 or 60 s. 0 for HOTP.
	Period time.Duration
	// Seed makes the codes, 10 to 64 octets. Lists leave it out.
	Seed Key
	// Next is the first counter (HOTP) or step (TOTP: time divided by Period) whose code may be used: what
	// is before it was used, or passed by.
	Next int64
	// Drift is by how many steps the clock of a TOTP token was ahead of the appliance's when last seen.
	Drift int64
	// Account is whose token it is; empty: nobody's.
	Account  AccountName
	State    OTPTokenState
	Maker    string // as the import said, for people; at most 64 characters
	Imported time.Time
	Assigned time.Time // zero: not assigned
	Used     time.Time // when it last let somebody in; zero: never
	Version  int64
}

// Good reports whether codes of the token let its owner in.
func (t OTPToken) Good() bool { return t.Account != "" && t.State == OTPTokenActive }

// Problem says in words for people what is wrong with the token's parameters; empty: nothing. It looks at
// what an import brings, and neither at the owner nor at the state.
func (t OTPToken) Problem() string {
	switch {
	case !validSerial(t.Serial):
		return "The serial number must have 1 to 64 letters, digits or signs, and no spaces."
	case t.Kind != HOTP && t.Kind != TOTP:
		return `The type must be "hotp" or "totp".`
	case t.Algorithm != SHA1 && t.Algorithm != SHA256 && t.Algorithm != SHA512:
		return "The algorithm must be SHA-1, SHA-256 or SHA-512."
	case t.Digits < 6 || t.Digits > 8:
		return "A code must have 6 to 8 digits."
	case t.Kind == TOTP && t.Period != 30*time.Second && t.Period != time.Minute:
		return "A TOTP token must show a code for 30 or 60 seconds."
	case t.Kind == HOTP && t.Period != 0:
		return "An HOTP token has no interval."
	case len(t.Seed) < OTPSeedLeast || len(t.Seed) > OTPSeedMost:
		return "The secret must have 10 to 64 octets."
	case t.Next < 0 || t.Next > OTPPlaceMost:
		return "The counter is out of bounds."
	}
	return ""
}

func validSerial(s string) bool {
	if len(s) == 0 || len(s) > OTPSerialMost {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
