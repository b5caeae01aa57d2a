package deviceproto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport"
)

// coordinateSize is the length of one coordinate of a P-256 point, in octets.
const coordinateSize = 32

// JWK is a device's public key as RFC 7517 writes it.
type JWK struct {
	KeyType string `json:"kty"`
	Curve   string `json:"crv"`
	X       string `json:"x"`
	Y       string `json:"y"`
}

// NewKey makes the signing key of a device, for devices that keep it in memory or in a file.
func NewKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// NewJWK writes a P-256 key as JWK.
func NewJWK(pub *ecdsa.PublicKey) (JWK, error) {
	point, err := point(pub)
	if err != nil {
		return JWK{}, err
	}
	return JWK{KeyType: "EC", Curve: "P-256", X: Encode(point[1 : 1+coordinateSize]), Y: Encode(point[1+coordinateSize:])}, nil
}

// PublicKey reads the JWK. It accepts nothing but a point on P-256.
func (j JWK) PublicKey() (*ecdsa.PublicKey, error) {
	if j.KeyType != "EC" || j.Curve != "P-256" {
		return nil, errors.New("key is not an EC key on P-256")
	}
	x, errX := Decode(j.X)
	y, errY := Decode(j.Y)
	if errX != nil || errY != nil || len(x) != coordinateSize || len(y) != coordinateSize {
		return nil, errors.New("coordinates are not 32 octets in base64url")
	}
	uncompressed := append(append([]byte{4}, x...), y...)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed)
	if err != nil {
		return nil, errors.New("key is not a point on P-256")
	}
	return pub, nil
}

// Thumbprint names a device by its key: RFC 7638, SHA-256, base64url, 43 characters. A key that
// is not on P-256 has none: "".
func Thumbprint(pub *ecdsa.PublicKey) sallyport.DeviceID {
	j, err := NewJWK(pub)
	if err != nil {
		return ""
	}
	// RFC 7638 section 3: the required members, sorted, without spaces. All values are base64url
	// or constant, so nothing needs escaping.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + j.X + `","y":"` + j.Y + `"}`))
	return sallyport.DeviceID(Encode(sum[:]))
}

// MarshalPublicKey writes a device's key as SubjectPublicKeyInfo DER, the way appliances keep it.
func MarshalPublicKey(pub *ecdsa.PublicKey) ([]byte, error) {
	if _, err := point(pub); err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// ParsePublicKey reads SubjectPublicKeyInfo DER of a P-256 key.
func ParsePublicKey(der []byte) (*ecdsa.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse device key: %w", err)
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("device key is not on P-256")
	}
	return pub, nil
}

// point is the uncompressed point of a P-256 key, 65 octets.
func point(pub *ecdsa.PublicKey) ([]byte, error) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return nil, errors.New("device key is not on P-256")
	}
	b, err := pub.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode device key: %w", err)
	}
	return b, nil
}

// deviceOf names the device that a signer belongs to.
func deviceOf(signer crypto.Signer) (sallyport.DeviceID, error) {
	pub, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok {
		return "", errors.New("device key is not an EC key")
	}
	id := Thumbprint(pub)
	if id == "" {
		return "", errors.New("device key is not on P-256")
	}
	return id, nil
}
