package attestation_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/sallyport/sallyport/appliance-connector/attestation"
)

const appID = "0352187391.example.hospital.authenticator"

// apple is an authority that makes attestation objects as Apple's documentation has them: a root and an authority of P-384, a certificate
// of the key of P-256 with the nonce in its extension, good for some days.
type apple struct {
	verifier *attestation.Apple
	root, ca *authority
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newApple(t testing.TB) *apple {
	t.Helper()
	a := &apple{root: newAuthority(t, "App Attestation Root CA", nil)}
	a.ca = newAuthority(t, "App Attestation CA 1", a.root)
	roots := x509.NewCertPool()
	roots.AddCert(a.root.cert)
	a.verifier = &attestation.Apple{Roots: roots, AppIDs: []string{"0352187391.another", appID}}
	return a
}

func newAuthority(t testing.TB, name string, by *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if by == nil {
		by = &authority{tmpl, key}
	}
	return &authority{certificate(t, tmpl, by, &key.PublicKey), key}
}

func certificate(t testing.TB, tmpl *x509.Certificate, by *authority, pub any) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, pub, by.key)
	check(t, err)
	c, err := x509.ParseCertificate(der)
	check(t, err)
	return c
}

// making is what goes into an object, to be changed by tests.
type making struct {
	challenge []byte
	app       string
	counter   uint32
	aaguid    []byte
	id        func(keyID []byte) []byte
	curve     elliptic.Curve
	by        *authority
	between   []*x509.Certificate
	extension func(nonce []byte) []pkix.Extension
	format    string
	template  func(*x509.Certificate)
	data      func([]byte) []byte // after the nonce was made of it
}

func (a *apple) object(t testing.TB, change func(*making)) []byte {
	t.Helper()
	m := making{challenge: challenge, app: appID, aaguid: []byte("appattest\x00\x00\x00\x00\x00\x00\x00"), id: func(id []byte) []byte { return id }, curve: elliptic.P256(), by: a.ca,
		between: []*x509.Certificate{a.ca.cert}, extension: inExtension, format: "apple-appattest", template: func(*x509.Certificate) {}, data: func(d []byte) []byte { return d }}
	if change != nil {
		change(&m)
	}
	key, err := ecdsa.GenerateKey(m.curve, rand.Reader)
	check(t, err)
	point, err := key.PublicKey.Bytes()
	check(t, err)
	keyID := sha256.Sum256(point)
	id, app, hash := m.id(keyID[:]), sha256.Sum256([]byte(m.app)), sha256.Sum256(m.challenge)
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	check(t, err)
	data := slices.Concat(app[:], []byte{0x40}, binary.BigEndian.AppendUint32(nil, m.counter), m.aaguid, binary.BigEndian.AppendUint16(nil, uint16(len(id))), id, cose)
	nonce := sha256.Sum256(slices.Concat(data, hash[:]))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "key"}, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(72 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, ExtraExtensions: m.extension(nonce[:])}
	m.template(tmpl)
	chain := [][]byte{certificate(t, tmpl, m.by, &key.PublicKey).Raw}
	for _, c := range m.between {
		chain = append(chain, c.Raw)
	}
	out, err := cbor.Marshal(map[string]any{"fmt": m.format, "attStmt": map[string]any{"x5c": chain, "receipt": make([]byte, 600)}, "authData": m.data(data)})
	check(t, err)
	return out
}

// inExtension is the extension as Apple writes it: a sequence with one octet string under the tag 1.
func inExtension(nonce []byte) []pkix.Extension {
	value, err := asn1.Marshal(struct {
		Nonce []byte `asn1:"tag:1,explicit"`
	}{nonce})
	if err != nil {
		panic(err)
	}
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}, Value: value}}
}

func TestAppAttest(t *testing.T) {
	a := newApple(t)
	stranger := newAuthority(t, "App Attestation Root CA", nil)
	strangersCA := newAuthority(t, "App Attestation CA 1", stranger)
	for name, c := range map[string]struct {
		change func(*making)
		why    string
	}{
		"as it should be":           {func(*making) {}, ""},
		"another enrolment":         {func(m *making) { m.challenge = attestation.Challenge("hospital", "e2", "d") }, "the nonce is not"},
		"another app":               {func(m *making) { m.app = "0352187391.example.games" }, "another app's"},
		"used before":               {func(m *making) { m.counter = 1 }, "counter is not 0"},
		"a development build":       {func(m *making) { m.aaguid = []byte("appattestdevelop") }, "production"},
		"another kind of key":       {func(m *making) { m.aaguid = make([]byte, 16) }, "production"},
		"another credential":        {func(m *making) { m.id = func([]byte) []byte { return make([]byte, 32) } }, "not the key of the certificate"},
		"no credential":             {func(m *making) { m.id = func([]byte) []byte { return nil } }, "not the key of the certificate"},
		"another curve":             {func(m *making) { m.curve = elliptic.P384() }, "not of P-256"},
		"somebody else's authority": {func(m *making) { m.by, m.between = strangersCA, []*x509.Certificate{strangersCA.cert} }, "verify certificates"},
		"their root comes along":    {func(m *making) { m.by, m.between = strangersCA, []*x509.Certificate{strangersCA.cert, stranger.cert} }, "verify certificates"},
		"no chain":                  {func(m *making) { m.between = nil }, "1 certificates"},
		"an endless chain":          {func(m *making) { m.between = slices.Repeat(m.between, 5) }, "6 certificates"},
		"a certificate that is over": {func(m *making) {
			m.template = func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) }
		}, "verify certificates"},
		"an authority as the key": {func(m *making) {
			m.template = func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage = x509.KeyUsageCertSign }
		}, "an authority's"},
		"no nonce":          {func(m *making) { m.extension = func([]byte) []pkix.Extension { return nil } }, "has no nonce"},
		"a malformed one":   {func(m *making) { m.extension = func(n []byte) []pkix.Extension { return malformed(n, true) } }, "cannot be read"},
		"one with a tail":   {func(m *making) { m.extension = func(n []byte) []pkix.Extension { return malformed(n, false) } }, "cannot be read"},
		"edited data":       {func(m *making) { m.data = func(d []byte) []byte { d = slices.Clone(d); d[33]++; return d } }, "the nonce is not"},
		"cut data":          {func(m *making) { m.data = func(d []byte) []byte { return d[:20] } }, "the nonce is not"},
		"another statement": {func(m *making) { m.format = "packed" }, "not apple-appattest"},
	} {
		t.Run(name, func(t *testing.T) { holds(t, a.verifier.Verify(a.object(t, c.change), challenge, now), c.why) })
	}
	good := a.object(t, nil)
	holds(t, a.verifier.Verify(append(slices.Clone(good), 0), challenge, now), "read attestation object")
	holds(t, a.verifier.Verify(good[:len(good)-1], challenge, now), "read attestation object")
	holds(t, a.verifier.Verify(bytes.Repeat([]byte{0x81}, 100), challenge, now), "read attestation object")
	holds(t, a.verifier.Verify(good, challenge, now.AddDate(0, 1, 0)), "verify certificates")
	developer := *a.verifier
	developer.Development = true
	holds(t, developer.Verify(a.object(t, func(m *making) { m.aaguid = []byte("appattestdevelop") }), challenge, now), "")
	holds(t, (&attestation.Apple{AppIDs: []string{appID}}).Verify(good, challenge, now), "no root is set up")
}

func malformed(nonce []byte, rubbish bool) []pkix.Extension {
	e := inExtension(nonce)
	if rubbish {
		e[0].Value = nonce
	} else {
		e[0].Value = append(e[0].Value, 0)
	}
	return e
}
