package attestation

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Apple checks App Attest's attestation objects ("Validating apps that connect to your server", section "Verify the attestation", of
// Apple's DeviceCheck documentation; the numbers of its steps stand at the code).
type Apple struct {
	// Roots is Apple's App Attestation Root CA.
	Roots *x509.CertPool
	// AppIDs are the apps that are taken: team identifier, a dot, bundle identifier.
	AppIDs []string
	// Development takes apps that were built for development as well.
	Development bool
}

// nonceOID is the certificate extension with the nonce.
var nonceOID = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}

// The environments that a key may be of (AAGUID).
var (
	production  = append([]byte("appattest"), 0, 0, 0, 0, 0, 0, 0)
	development = []byte("appattestdevelop")
)

// strict refuses what an attestation object never has: what is written twice, tags, endless lists.
var strict = func() cbor.DecMode {
	m, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 16, MaxMapPairs: 16}.DecMode()
	if err != nil {
		panic(err) // never: the options are those above
	}
	return m
}()

// object is an attestation object. Its receipt is for who asks Apple later; nobody does here.
type object struct {
	Format    string `cbor:"fmt"`
	Statement struct {
		Chain   [][]byte `cbor:"x5c"`
		Receipt []byte   `cbor:"receipt"`
	} `cbor:"attStmt"`
	Data []byte `cbor:"authData"`
}

// Verify checks an attestation object that was made for SHA-256(challenge). The error says what does not hold.
func (a *Apple) Verify(octets, challenge []byte, now time.Time) error {
	var o object
	if err := strict.Unmarshal(octets, &o); err != nil {
		return fmt.Errorf("read attestation object: %w", err)
	}
	if o.Format != "apple-appattest" {
		return errors.New("the format is not apple-appattest")
	}
	leaf, err := a.chain(o.Statement.Chain, now) // 1
	if err != nil {
		return err
	}
	hash := sha256.Sum256(challenge) // 2, 3
	nonce := sha256.Sum256(slices.Concat(o.Data, hash[:]))
	if got, err := nonceOf(leaf); err != nil || subtle.ConstantTimeCompare(got, nonce[:]) != 1 { // 4
		return errors.Join(errors.New("the nonce is not that of this enrolment"), err)
	}
	point, err := pointOf(leaf)
	if err != nil {
		return err
	}
	keyID := sha256.Sum256(point) // 5
	return a.data(o.Data, keyID[:])
}

// chain returns the certificate of the key, once its chain leads to the root.
func (a *Apple) chain(x5c [][]byte, now time.Time) (*x509.Certificate, error) {
	if len(x5c) < 2 || len(x5c) > 4 {
		return nil, fmt.Errorf("%d certificates", len(x5c))
	}
	between := x509.NewCertPool()
	var leaf *x509.Certificate
	for i, der := range x5c {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("read certificate %d: %w", i, err)
		}
		if i == 0 {
			leaf = c
		} else {
			between.AddCert(c)
		}
	}
	if leaf.IsCA {
		return nil, errors.New("the key's certificate is an authority's")
	}
	if a.Roots == nil { // nil would mean the host's own roots
		return nil, errors.New("no root is set up")
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: a.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, fmt.Errorf("verify certificates: %w", err)
	}
	return leaf, nil
}

// nonceOf reads the extension: a sequence with one octet string under the tag 1.
func nonceOf(c *x509.Certificate) ([]byte, error) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(nonceOID) {
			continue
		}
		var v struct {
			Nonce []byte `asn1:"tag:1,explicit"`
		}
		if rest, err := asn1.Unmarshal(e.Value, &v); err != nil || len(rest) > 0 {
			return nil, errors.New("the extension with the nonce cannot be read")
		}
		return v.Nonce, nil
	}
	return nil, errors.New("the certificate has no nonce")
}

// pointOf is the key as an uncompressed point (X9.62).
func pointOf(c *x509.Certificate) ([]byte, error) {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the key is not of an elliptic curve")
	}
	k, err := key.ECDH()
	if err != nil || k.Curve() != ecdh.P256() {
		return nil, errors.New("the key is not of P-256")
	}
	return k.Bytes(), nil
}

// data checks the authenticator data (WebAuthn level 3 section 6.1).
func (a *Apple) data(d, keyID []byte) error {
	const fixed = 32 + 1 + 4 + 16 + 2 // hash, flags, counter, AAGUID, length
	if len(d) < fixed {
		return errors.New("the authenticator data is cut")
	}
	hash, counter, aaguid := d[:32], d[33:37], d[37:53]
	id := d[fixed:]
	if n := int(binary.BigEndian.Uint16(d[53:55])); n > len(id) {
		return errors.New("the authenticator data is cut")
	} else {
		id = id[:n]
	}
	switch {
	case !slices.ContainsFunc(a.AppIDs, func(app string) bool { h := sha256.Sum256([]byte(app)); return bytes.Equal(hash, h[:]) }): // 6
		return errors.New("it is another app's")
	case binary.BigEndian.Uint32(counter) != 0: // 7
		return errors.New("the key was used before: its counter is not 0")
	case !bytes.Equal(aaguid, production) && !(a.Development && bytes.Equal(aaguid, development)): // 8
		return errors.New("it is not of the production environment")
	case !bytes.Equal(id, keyID): // 9
		return errors.New("the credential is not the key of the certificate")
	}
	return nil
}
