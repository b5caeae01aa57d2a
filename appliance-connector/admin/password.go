package admin

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/secrethash"
)

// Bounds of a local password, in characters. No rules about kinds of characters: length is what helps
// (NIST SP 800-63B section 5.1.1.2).
const (
	minPassword = 12
	maxPassword = 256
)

// initialMark stands before the hash of a password that somebody else set: it must be changed first.
const initialMark = "initial:"

// hashPassword makes the text that is kept of a password.
func hashPassword(password sallyport.Secret) string { return secrethash.Make(password) }

// matchPassword checks a password against what hashPassword made, marked or not.
func matchPassword(kept string, password sallyport.Secret) (bool, error) {
	return secrethash.Match(strings.TrimPrefix(kept, initialMark), password)
}

// burn takes as long as checking a password, for names that have none here.
func burn(password sallyport.Secret) { secrethash.Burn(password) }

// checkPassword says what is wrong with a new local password, "" for nothing.
func checkPassword(password sallyport.Secret, name string) string {
	p := string(password)
	switch n := utf8.RuneCountInString(p); {
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return "Use letters, digits, signs and spaces."
	case n < minPassword:
		return fmt.Sprintf("Use at least %d characters; several words make a good password.", minPassword)
	case n > maxPassword:
		return fmt.Sprintf("Use at most %d characters.", maxPassword)
	case name != "" && strings.Contains(strings.ToLower(p), strings.ToLower(name)):
		return "Leave your sign-in name out of it."
	case distinct(p) < 5:
		return "Use more different characters."
	}
	return ""
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// newPassword makes a password for somebody else's first sign-in: 100 bits, easy to read aloud.
func newPassword() sallyport.Secret { return sallyport.NewCode(4) }
