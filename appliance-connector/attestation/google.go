package attestation

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport"
)

// How old a verdict may be, and how far clocks may differ.
const (
	verdictLife = 10 * time.Minute
	verdictSkew = 90 * time.Second
)

// Google checks Play Integrity's tokens with the keys of the Play Console, without asking Google ("Decrypt and verify the integrity verdict",
// "Decrypt and verify locally", of the Play Integrity documentation: classic requests with response keys that the developer manages).
type Google struct {
	// DecryptionKey is the AES key, 32 octets; VerificationKey is Google's, P-256.
	DecryptionKey   sallyport.Key
	VerificationKey *ecdsa.PublicKey
	// Packages are the apps that are taken.
	Packages []string
	// Certificates are the SHA-256 digests of the certificates that the apps are signed with, base64url as in the verdict; empty: any that Play knows.
	Certificates []string
}

// verdict is the payload ("Integrity verdicts" of the documentation), as far as it counts.
type verdict struct {
	Request struct {
		Package string      `json:"requestPackageName"`
		Nonce   string      `json:"nonce"`       // of a classic request
		Hash    string      `json:"requestHash"` // of a standard one
		Millis  json.Number `json:"timestampMillis"`
	} `json:"requestDetails"`
	App struct {
		Verdict      string   `json:"appRecognitionVerdict"`
		Package      string   `json:"packageName"`
		Certificates []string `json:"certificateSha256Digest"`
	} `json:"appIntegrity"`
	Device struct {
		Verdicts []string `json:"deviceRecognitionVerdict"`
	} `json:"deviceIntegrity"`
}

// Verify checks a token whose nonce or requestHash is base64url(SHA-256(challenge)), without padding. The error says what does not hold.
func (g *Google) Verify(token, challenge []byte, now time.Time) error {
	v, err := g.open(string(token))
	if err != nil {
		return err
	}
	hash := sha256.Sum256(challenge)
	want := base64.RawURLEncoding.EncodeToString(hash[:])
	given := v.Request.Nonce
	if given == "" {
		given = v.Request.Hash
	} else if v.Request.Hash != "" {
		return errors.New("it has both nonce and requestHash")
	}
	millis, err := v.Request.Millis.Int64()
	if err != nil {
		return errors.New("it does not say when it was made")
	}
	age := now.Sub(time.UnixMilli(millis))
	switch {
	// Classic nonces may come back with padding.
	case subtle.ConstantTimeCompare([]byte(strings.TrimRight(given, "=")), []byte(want)) != 1:
		return errors.New("the nonce is not that of this enrolment")
	case age > verdictLife || age < -verdictSkew:
		return errors.New("it is too old, or from the future")
	case !slices.Contains(g.Packages, v.Request.Package) || v.App.Package != v.Request.Package:
		return errors.New("it is another app's")
	case v.App.Verdict != "PLAY_RECOGNIZED":
		return fmt.Errorf("the store does not know this app: %.40q", v.App.Verdict)
	case len(g.Certificates) > 0 && !slices.ContainsFunc(v.App.Certificates, func(c string) bool { return slices.Contains(g.Certificates, strings.TrimRight(c, "=")) }):
		return errors.New("the app is signed by somebody else")
	case !slices.Contains(v.Device.Verdicts, "MEETS_DEVICE_INTEGRITY") && !slices.Contains(v.Device.Verdicts, "MEETS_STRONG_INTEGRITY"):
		return errors.New("the device is not a genuine one, or was tampered with")
	}
	return nil
}

// open decrypts a token and checks whose it is.
func (g *Google) open(token string) (v verdict, err error) {
	if g.VerificationKey == nil {
		return v, errors.New("no verification key is set up")
	}
	e, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.A256KW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return v, fmt.Errorf("read token: %w", err)
	}
	inner, err := e.Decrypt([]byte(g.DecryptionKey))
	if err != nil {
		return v, errors.New("the token is not for this decryption key")
	}
	s, err := jose.ParseSignedCompact(string(inner), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return v, fmt.Errorf("read signed verdict: %w", err)
	}
	text, err := s.Verify(g.VerificationKey)
	if err != nil {
		return v, errors.New("the verdict is not Google's")
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("read verdict: %w", err)
	}
	return v, nil
}
