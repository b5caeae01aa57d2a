package sallyport

import (
	"crypto/subtle"
	"log/slog"
)

// Secret is a text that must not be shown: a password, a passcode, a shared secret, a
// provisioning code. It prints, logs and marshals as [redacted]; string(s) shows it.
type Secret string

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// In reports whether s is one of some secrets; each is compared, in the same time whichever it is.
func (s Secret) In(some []Secret) bool {
	found := 0
	for _, other := range some {
		found |= subtle.ConstantTimeCompare([]byte(other), []byte(s))
	}
	return found == 1
}

// Key is secret key material. It prints, logs and marshals as [redacted].
type Key []byte

func (Key) String() string               { return redacted }
func (Key) GoString() string             { return redacted }
func (Key) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
