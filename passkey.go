package sallyport

import "time"

// PasskeyID names a passkey of an account.
type PasskeyID string

// PasskeysMost is how many passkeys an account may have.
const PasskeysMost = 10

// Passkey is a passkey (WebAuthn) of an account: a second factor on the pages of one host.
type Passkey struct {
	ID      PasskeyID
	Account AccountName
	// Host is that of the gateway's page, which the passkey is bound to.
	Host string
	// Name is what it is kept in, as far as that is known ("iCloud Keychain", "Security key"), at most 64 octets.
	Name string
	// Credential is the id that its authenticator gave it, 1 to 1023 octets (WebAuthn, section 4).
	Credential []byte
	// Kept is what it is checked with, at most 16 KiB.
	Kept     []byte `json:"-"`
	Enrolled time.Time
	Used     time.Time // zero: never
	// Copied is when its counter went back, so that there may be a copy of it; zero: never. It is not taken any more.
	Copied  time.Time
	Version int64
}
