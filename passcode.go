package sallyport

import (
	"crypto/rand"
	"math/big"
	"strings"
)

// TemporaryCodeDigits is how many digits a temporary code has: two more than the app's, so that nobody
// takes one for the other, and few enough to be said on the telephone.
const TemporaryCodeDigits = 8

// Bounds of everything that is typed as a second factor, in digits.
const (
	minPasscode = 6
	maxPasscode = 16
)

// NewTemporaryCode returns a random temporary code.
func NewTemporaryCode() Secret {
	var b strings.Builder
	for range TemporaryCodeDigits {
		n, err := rand.Int(rand.Reader, big.NewInt(10))
		if err != nil {
			panic(err) // never: crypto/rand aborts the program itself
		}
		b.WriteByte(byte('0' + n.Int64()))
	}
	return Secret(b.String())
}

// CanonicalPasscode undoes how people group digits while they copy them.
func CanonicalPasscode(s Secret) Secret {
	return Secret(strings.TrimSpace(strings.NewReplacer(" ", "", "-", "").Replace(string(s))))
}

// LooksLikePasscode reports whether s, in its canonical form, has the form of a passcode, so that
// something else typed into the same field (a password) is told apart. It says nothing about its being right.
func LooksLikePasscode(s Secret) bool {
	if len(s) < minPasscode || len(s) > maxPasscode {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
