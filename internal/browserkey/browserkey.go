// Package browserkey is how a browser that was remembered proves that it is the one: by a signature over
// the login at hand, under an ECDSA key on P-256 that the browser made and cannot export
// (docs/protocol/browser.md section 8). Both the cloud and the appliance check it: the cloud before it
// counts a use, the appliance before it lets anybody in. The package keeps nothing and decides nothing.
package browserkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"strconv"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Lengths, in octets.
const (
	IDSize        = 16
	KeySize       = 65 // an uncompressed point
	SignatureSize = 64 // r and s (IEEE P1363), as WebCrypto writes them
)

const label = "sallyport/v1 remembered"

var encoding = base64.RawURLEncoding.Strict()

// ErrKey is the one error of a public key that is none.
var ErrKey = errors.New("not an uncompressed point of P-256")

// Claim is what a browser signs: this login, by this user, at this gateway, for the n-th time. It is good
// for nothing else.
type Claim struct {
	Tenant      sallyport.TenantID
	Integration sallyport.IntegrationID
	Login       sallyport.LoginID
	UserName    string // as sent
	ID          sallyport.RememberedID
	Uses        uint32
}

// Text is what is signed.
func (c Claim) Text() []byte {
	return sealed.Fields(label, string(c.Tenant), string(c.Integration), string(c.Login), c.UserName, string(c.ID),
		strconv.FormatUint(uint64(c.Uses), 10))
}

// SignedBy reports whether signature is the claim's under key. A key or a signature that is none is no
// signature.
func (c Claim) SignedBy(key, signature []byte) bool {
	pub, err := ParseKey(key)
	if err != nil || len(signature) != SignatureSize {
		return false
	}
	sum := sha256.Sum256(c.Text())
	return ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// ParseKey reads a browser's public key: KeySize octets, a point on the curve.
func ParseKey(key []byte) (*ecdsa.PublicKey, error) {
	if len(key) != KeySize {
		return nil, ErrKey
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key)
	if err != nil {
		return nil, ErrKey
	}
	return pub, nil
}

// NewID writes IDSize octets as the name of a remembered device; false for another length.
func NewID(octets []byte) (sallyport.RememberedID, bool) {
	return sallyport.RememberedID(encoding.EncodeToString(octets)), len(octets) == IDSize
}

// Octets undoes NewID.
func Octets(id sallyport.RememberedID) ([]byte, bool) {
	b, err := encoding.DecodeString(string(id))
	return b, err == nil && len(b) == IDSize
}
