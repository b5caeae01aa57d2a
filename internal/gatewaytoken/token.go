// Package gatewaytoken mints and checks the gateway token: what the browser puts into the gateway's
// third field and the gateway hands to an appliance over RADIUS. A token is good for one account at
// one integration for a minute; any appliance of the enterprise checks it without asking anybody.
// That it is used once is not settled here: the caller claims Claim.Key (package claims).
//
// A token is 36 octets, 48 characters of base64url:
//
//	octet  0      version in the two high bits (01), key id in the six low ones
//	octets 1-3    expiry, the low 24 bits of the Unix time in seconds
//	octets 4-11   nonce, chosen by the minter, the same for every token of one login
//	octets 12-19  SHA-256 over integration and account, cut to 8 octets
//	octets 20-35  HMAC-SHA256 over octets 0-19 and the whole expiry in 8 octets, cut to 16 octets
//
// The high bits of the expiry are not sent: the checker takes those that bring it nearest to its own
// clock. Since the MAC covers the whole time, a token kept for 194 days, when its low bits come round
// again, has a wrong MAC.
//
// Clocks may differ by Skew. A minter that is 60 s behind makes tokens that are expired by the
// checker's clock when they are made: Check takes them for Skew longer. A minter that is 60 s ahead
// makes tokens that seem to live for 120 s: Check takes no expiry further away than Lifetime + Skew.
// ClaimTTL outlasts both, so a token is still claimed on the slowest clock that would take it.
package gatewaytoken

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	// Size is the length of a token in characters.
	Size = 48
	// Lifetime is how long a token should be good for when minted.
	Lifetime = 60 * time.Second
	// Skew is how far the clocks of two appliances may be apart.
	Skew = 60 * time.Second
	// ClaimTTL is how long a used token has to be remembered.
	ClaimTTL = Lifetime + 4*Skew

	// MaxKeyID is the highest id that a Key can have.
	MaxKeyID = 0x3f

	rawSize    = 36
	signedSize = 20
	version    = 0x40
	versionMax = 0xc0
)

var encoding = base64.RawURLEncoding.Strict()

type raw [rawSize]byte

func (r *raw) keyID() uint8   { return r[0] & MaxKeyID }
func (r *raw) nonce() [8]byte { return [8]byte(r[4:12]) }
func (r *raw) user() []byte   { return r[12:signedSize] }
func (r *raw) mac() []byte    { return r[signedSize:] }
func (r *raw) signed() []byte { return r[:signedSize] }
func (r *raw) expires24() uint32 {
	return uint32(r[1])<<16 | uint32(r[2])<<8 | uint32(r[3])
}

func (r *raw) setExpires(unix int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(unix))
	copy(r[1:4], b[5:])
}

// expires returns the time with the sent 24 bits that is nearest to now.
func (r *raw) expires(now int64) int64 {
	delta := (r.expires24() - uint32(now)) & 0xffffff
	return now + int64(int32(delta<<8)>>8)
}

// LooksLike reports whether s has the form of a gateway token, so that something else typed into
// the same field (a token code, a password) is told apart. It says nothing about its being good.
func LooksLike(s string) bool {
	_, ok := decode(s)
	return ok
}

func decode(s string) (raw, bool) {
	var r raw
	if len(s) != Size {
		return r, false
	}
	var text [Size]byte
	copy(text[:], s)
	n, err := encoding.Decode(r[:], text[:])
	return r, err == nil && n == rawSize && r[0]&versionMax == version
}

func (r *raw) encode() sallyport.Secret {
	var text [Size]byte
	encoding.Encode(text[:], r[:])
	return sallyport.Secret(text[:])
}
