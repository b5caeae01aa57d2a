// Package secrethash keeps secrets that people choose, passwords and PINs, as Argon2id hashes (RFC 9106), and
// checks what is typed against them. It serves whoever keeps such a secret. It keeps nothing and logs
// nothing; that guesses are counted is up to the caller.
package secrethash

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/sallyport/sallyport"
)

// As OWASP advises it for 2 lanes at most: 19 MiB, two passes, one lane. A hash says its own parameters, so
// that they can be raised and old hashes still be checked.
const (
	memory   = 19 << 10 // KiB
	passes   = 2
	lanes    = 1
	size     = 32
	saltSize = 16
)

// ErrHash means that what is kept is no hash of ours.
var ErrHash = errors.New("the kept hash cannot be read")

// Make makes the text that is kept of a secret: "$argon2id$v=19$m=…,t=…,p=…$salt$hash".
func Make(secret sallyport.Secret) string {
	var salt [saltSize]byte
	rand.Read(salt[:])
	sum := argon2.IDKey([]byte(secret), salt[:], passes, memory, lanes, size)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes, b64(salt[:]), b64(sum))
}

// Match checks a secret against what Make made.
func Match(kept string, secret sallyport.Secret) (bool, error) {
	var version, m, t uint32
	var p uint8
	var salt, sum string
	n, err := fmt.Sscanf(strings.ReplaceAll(kept, "$", " "), " argon2id v=%d m=%d,t=%d,p=%d %s %s", &version, &m, &t, &p, &salt, &sum)
	if err != nil || n != 6 || version != argon2.Version || m == 0 || m > 1<<20 || t == 0 || t > 16 || p == 0 || p > 16 {
		return false, ErrHash
	}
	rawSalt, err := base64.RawStdEncoding.DecodeString(salt)
	if err != nil {
		return false, ErrHash
	}
	want, err := base64.RawStdEncoding.DecodeString(sum)
	if err != nil || len(want) < 16 || len(want) > 64 {
		return false, ErrHash
	}
	got := argon2.IDKey([]byte(secret), rawSalt, t, m, p, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// Burn takes as long as Match, for names that have no hash.
func Burn(secret sallyport.Secret) {
	var salt [saltSize]byte
	argon2.IDKey([]byte(secret), salt[:], passes, memory, lanes, size)
}
