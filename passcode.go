package sallyport

import (
	"crypto/rand"
	"math/big"
	"strings"
)

// temporaryCodeGroup is how many digits each of the two groups of a temporary code has: eight in all are two more
// than the app's, so that nobody takes one for the other, and few enough to be said on the telephone.
const temporaryCodeGroup = 4

// Bounds of everything that is typed as a second factor, in digits.
const (
	minPasscode = 6
	maxPasscode = 16
)

// NewTemporaryCode returns a random temporary code, as it is shown to people: "1234-5678". It has the form of a
// passcode (CanonicalPasscode), so that it is taken wherever one is typed.
func NewTemporaryCode() Secret {
	var b strings.Builder
	for i := range 2 * temporaryCodeGroup {
		if i == temporaryCodeGroup {
			b.WriteByte('-')
		}
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
