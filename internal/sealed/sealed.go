// Package sealed encrypts and authenticates the small values that travel through hands that must
// not read them: from browser to appliance, from appliance to browser, to the device and back, and
// the state of a login between two steps. It never keeps keys and never logs.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

const (
	// KeySize is the length of every key here, in octets (AES-256).
	KeySize = 32
	// Overhead is what Seal adds to a plaintext: a 12-octet nonce and a 16-octet tag.
	Overhead = 12 + 16
)

// ErrOpen is the only thing said about a box that does not open: wrong key, wrong associated data,
// cut or edited.
var ErrOpen = errors.New("sealed value does not open")

// Fields joins texts so that no two lists of fields give the same octets: each is preceded by its
// length in two octets, big-endian. A field is at most 65,535 octets; longer ones panic, since
// every caller has bounded its input before.
func Fields(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += 2 + len(p)
	}
	out := make([]byte, 0, n)
	for _, p := range parts {
		if len(p) > 0xffff {
			panic("sealed: field too long")
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(p)))
		out = append(out, p...)
	}
	return out
}

// Derive makes a key of n octets out of secret (HKDF-SHA256, RFC 5869).
func Derive(secret, salt []byte, info string, n int) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		panic("sealed: " + err.Error()) // only for n beyond 255 hashes: a programming error
	}
	return key
}

// Seal encrypts plaintext under key (32 octets) with AES-256-GCM and binds it to aad. The result is
// nonce, ciphertext and tag: Overhead octets longer.
func Seal(key, plaintext, aad []byte) []byte {
	box := make([]byte, 12, 12+len(plaintext)+16)
	rand.Read(box)
	return gcm(key).Seal(box, box[:12], plaintext, aad)
}

// Open undoes Seal. The only error is ErrOpen.
func Open(key, box, aad []byte) ([]byte, error) {
	if len(box) < Overhead {
		return nil, ErrOpen
	}
	out, err := gcm(key).Open(nil, box[:12], box[12:], aad)
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil || len(key) != KeySize {
		panic("sealed: key must be 32 octets")
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("sealed: " + err.Error())
	}
	return aead
}
