package admin

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/sallyport/sallyport"
)

// Argon2id (RFC 9106) as OWASP advises it for 2 lanes at most: 19 MiB, two passes, one lane. A hash says its
// own parameters, so that they can be raised and old hashes still be checked.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSize   = 32
	saltSize    = 16
)

// Bounds of a local password, in characters. No rules about kinds of characters: length is what helps
// (NIST SP 800-63B section 5.1.1.2).
const (
	minPassword = 12
	maxPassword = 256
)

// initialMark stands before the hash of a password that somebody else set: it must be changed first.
const initialMark = "initial:"

// hashPassword makes the text that is kept of a password: "$argon2id$v=19$m=…,t=…,p=…$salt$hash".
func hashPassword(password sallyport.Secret) string {
	var salt [saltSize]byte
	rand.Read(salt[:])
	sum := argon2.IDKey([]byte(password), salt[:], argonTime, argonMemory, argonLanes, argonSize)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt[:]), b64(sum))
}

// errHash means that what is kept is no hash of ours.
var errHash = errors.New("the kept hash of the password cannot be read")

// matchPassword checks a password against what hashPassword made, marked or not.
func matchPassword(kept string, password sallyport.Secret) (bool, error) {
	var version, memory, passes uint32
	var lanes uint8
	var salt, sum string
	kept = strings.TrimPrefix(kept, initialMark)
	n, err := fmt.Sscanf(strings.ReplaceAll(kept, "$", " "), " argon2id v=%d m=%d,t=%d,p=%d %s %s", &version, &memory, &passes, &lanes, &salt, &sum)
	if err != nil || n != 6 || version != argon2.Version || memory == 0 || memory > 1<<20 || passes == 0 || passes > 16 || lanes == 0 || lanes > 16 {
		return false, errHash
	}
	rawSalt, err := base64.RawStdEncoding.DecodeString(salt)
	if err != nil {
		return false, errHash
	}
	want, err := base64.RawStdEncoding.DecodeString(sum)
	if err != nil || len(want) < 16 || len(want) > 64 {
		return false, errHash
	}
	got := argon2.IDKey([]byte(password), rawSalt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// burn takes as long as checking a password, for names that have none here.
func burn(password sallyport.Secret) {
	var salt [saltSize]byte
	argon2.IDKey([]byte(password), salt[:], argonTime, argonMemory, argonLanes, argonSize)
}

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
