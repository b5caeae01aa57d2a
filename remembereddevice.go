package sallyport

import "time"

// RememberedID names a remembered device: 16 octets in base64url without padding, 22 characters.
type RememberedID string

// RememberedDevice is a browser that may skip the second factor, for one account at one gateway's page. It
// proves itself by a key that cannot leave it.
type RememberedDevice struct {
	ID      RememberedID
	Account AccountName
	// Browser is what it says of itself, in words: "Firefox on Windows".
	Browser string
	// Place is the address from which it was remembered, LastPlace the one from which it was used last.
	Place     string
	LastPlace string
	Made      time.Time
	LastUsed  time.Time // zero: not yet
	// Uses is how often it asked to be let in; the browser counts along.
	Uses uint32
}
