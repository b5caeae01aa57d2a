package attestation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport"
)

// Sections of the store with the settings, and with the key that opens Google's tokens.
const (
	Section       = "attestation"
	SecretSection = "attestation-secret"
)

// Settings are the enterprise's, the same for all appliances.
type Settings struct {
	// Require refuses devices whose attestation does not hold, and those that have none.
	Require bool `json:"require"`
	// AppleRoots are certificates in PEM: Apple's App Attestation Root CA. Without AppleApps App Attest is not checked.
	AppleRoots       string   `json:"appleRoots,omitempty"`
	AppleApps        []string `json:"appleApps,omitempty"`
	AppleDevelopment bool     `json:"appleDevelopment,omitempty"`
	// GoogleKey is the verification key of the Play Console: SubjectPublicKeyInfo, base64. Without GooglePackages Play Integrity is not checked.
	GoogleKey          string   `json:"googleKey,omitempty"`
	GooglePackages     []string `json:"googlePackages,omitempty"`
	GoogleCertificates []string `json:"googleCertificates,omitempty"`
	// Version is that of what was read; it goes back with what is saved.
	Version int64 `json:"-"`
}

// Sections is the part of the store that holds settings.
type Sections interface {
	Section(ctx context.Context, name string) ([]byte, int64, error)
	SealedSection(ctx context.Context, name string) (sallyport.Secret, int64, error)
}

// ReadSettings returns the settings; never set, nothing is checked and nobody refused.
func ReadSettings(ctx context.Context, s Sections) (v Settings, err error) {
	text, version, err := s.Section(ctx, Section)
	if err != nil || version == 0 {
		return v, err
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("read attestation settings: %w", err)
	}
	v.Version = version
	return v, nil
}

// ReadPolicy returns what the settings mean. With settings that cannot be read no device is to be enrolled.
func ReadPolicy(ctx context.Context, s Sections) (Policy, error) {
	v, err := ReadSettings(ctx, s)
	if err != nil {
		return Policy{}, err
	}
	secret, _, err := s.SealedSection(ctx, SecretSection)
	if err != nil {
		return Policy{}, err
	}
	return v.Policy(secret)
}

// Policy is what the settings mean, with the decryption key of the Play Console (base64). The error is for people.
func (v Settings) Policy(decryption sallyport.Secret) (p Policy, err error) {
	p.Require = v.Require
	if len(v.AppleApps) > 0 {
		p.Apple = &Apple{Roots: x509.NewCertPool(), AppIDs: v.AppleApps, Development: v.AppleDevelopment}
		if !p.Apple.Roots.AppendCertsFromPEM([]byte(v.AppleRoots)) {
			return p, errors.New("give Apple's App Attestation Root CA as a PEM file")
		}
	}
	if len(v.GooglePackages) == 0 {
		return p, nil
	}
	p.Google = &Google{Packages: v.GooglePackages, Certificates: v.GoogleCertificates}
	if p.Google.VerificationKey, err = publicKey(v.GoogleKey); err != nil {
		return p, errors.New("give the verification key of the Play Console: a P-256 key in base64 or PEM")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(decryption)))
	if err != nil || len(key) != 32 {
		return p, errors.New("give the decryption key of the Play Console: 32 octets in base64")
	}
	p.Google.DecryptionKey = key
	return p, nil
}

func publicKey(text string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der, err = block.Bytes, nil
	}
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not of P-256")
	}
	return key, nil
}
