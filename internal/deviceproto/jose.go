package deviceproto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// es256 is ES256 (RFC 7518 section 3.4) that signs through crypto.Signer, so that a device may keep
// its key in hardware. Checking is golang-jwt's.
type es256 struct{}

func (es256) Alg() string { return jwt.SigningMethodES256.Alg() }

func (es256) Verify(text string, sig []byte, key any) error {
	return jwt.SigningMethodES256.Verify(text, sig, key)
}

func (es256) Sign(text string, key any) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	sum := sha256.Sum256([]byte(text))
	der, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign with device key: %w", err)
	}
	var rs struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &rs)
	if err != nil || len(rest) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
		return nil, errors.New("device key made no P-256 signature")
	}
	sig := make([]byte, 2*coordinateSize)
	rs.R.FillBytes(sig[:coordinateSize])
	rs.S.FillBytes(sig[coordinateSize:])
	return sig, nil
}

// signJWS signs claims as a compact JWS with the given type.
func signJWS(signer crypto.Signer, typ string, claims jwt.Claims) (string, error) {
	device, err := deviceOf(signer)
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(es256{}, claims)
	t.Header["typ"] = typ
	t.Header["kid"] = string(device)
	return t.SignedString(signer)
}

// parseJWS checks a compact JWS: ES256 and nothing else, the type, and the signature by the key that
// find returns for the key id. Times are the caller's to check.
func parseJWS(text, typ string, claims jwt.Claims, find func(kid string) (*ecdsa.PublicKey, error)) error {
	p := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err := p.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != typ {
			return nil, errors.New("wrong typ")
		}
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("unknown critical header") // RFC 7515 section 4.1.11
		}
		kid, _ := t.Header["kid"].(string)
		return find(kid)
	})
	return err
}
