package attestation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
)

const packageName = "example.hospital.authenticator"

// google makes integrity tokens as the Play Integrity documentation has them: a verdict signed with ES256, in a JWE with A256KW and A256GCM.
type google struct {
	verifier *attestation.Google
	key      *ecdsa.PrivateKey
}

func newGoogle(t testing.TB) *google {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return &google{&attestation.Google{DecryptionKey: sallyport.Key(strings.Repeat("k", 32)), VerificationKey: &key.PublicKey, Packages: []string{packageName}}, key}
}

type object = map[string]any

// payload is the verdict of the documentation's example.
func payload() object {
	hash := sha256.Sum256(challenge)
	return object{
		"requestDetails": object{"requestPackageName": packageName, "nonce": base64.RawURLEncoding.EncodeToString(hash[:]),
			"timestampMillis": strconv.FormatInt(now.Add(-5*time.Second).UnixMilli(), 10)},
		"appIntegrity": object{"appRecognitionVerdict": "PLAY_RECOGNIZED", "packageName": packageName,
			"certificateSha256Digest": []string{"6a6a1474b5cbbb2b1aa57e0bc3"}, "versionCode": "42"},
		"deviceIntegrity": object{"deviceRecognitionVerdict": []string{"MEETS_DEVICE_INTEGRITY"}},
		"accountDetails":  object{"appLicensingVerdict": "LICENSED"},
	}
}

func (g *google) token(t testing.TB, change func(object)) []byte {
	t.Helper()
	p := payload()
	if change != nil {
		change(p)
	}
	return g.seal(t, p, g.key, jose.ES256, jose.A256KW, jose.A256GCM, []byte(g.verifier.DecryptionKey))
}

func (g *google) seal(t testing.TB, p object, key any, alg jose.SignatureAlgorithm, wrap jose.KeyAlgorithm, enc jose.ContentEncryption, secret []byte) []byte {
	t.Helper()
	text, err := json.Marshal(p)
	check(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	check(t, err)
	s, err := signer.Sign(text)
	check(t, err)
	inner, err := s.CompactSerialize()
	check(t, err)
	e, err := jose.NewEncrypter(enc, jose.Recipient{Algorithm: wrap, Key: secret}, nil)
	check(t, err)
	box, err := e.Encrypt([]byte(inner))
	check(t, err)
	out, err := box.CompactSerialize()
	check(t, err)
	return []byte(out)
}

func TestPlayIntegrity(t *testing.T) {
	g := newGoogle(t)
	request := func(p object) object { return p["requestDetails"].(object) }
	app := func(p object) object { return p["appIntegrity"].(object) }
	device := func(verdicts ...string) func(object) {
		return func(p object) { p["deviceIntegrity"] = object{"deviceRecognitionVerdict": verdicts} }
	}
	hash := sha256.Sum256(challenge)
	for name, c := range map[string]struct {
		change func(object)
		why    string
	}{
		"as it should be":    {func(object) {}, ""},
		"a padded nonce":     {func(p object) { request(p)["nonce"] = base64.URLEncoding.EncodeToString(hash[:]) }, ""},
		"a standard request": {func(p object) { request(p)["requestHash"] = request(p)["nonce"]; delete(request(p), "nonce") }, ""},
		"a number as time":   {func(p object) { request(p)["timestampMillis"] = now.UnixMilli() }, ""},
		"a strong device":    {device("MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY", "MEETS_STRONG_INTEGRITY"), ""},
		"both":               {func(p object) { request(p)["requestHash"] = request(p)["nonce"] }, "both nonce and requestHash"},
		"another enrolment":  {func(p object) { request(p)["nonce"] = "AAAA" }, "the nonce is not"},
		"no nonce":           {func(p object) { delete(request(p), "nonce") }, "the nonce is not"},
		"too old": {func(p object) {
			request(p)["timestampMillis"] = strconv.FormatInt(now.Add(-11*time.Minute).UnixMilli(), 10)
		}, "too old"},
		"from the future": {func(p object) {
			request(p)["timestampMillis"] = strconv.FormatInt(now.Add(3*time.Minute).UnixMilli(), 10)
		}, "too old, or from the future"},
		"no time": {func(p object) { delete(request(p), "timestampMillis") }, "when it was made"},
		"another app": {func(p object) {
			request(p)["requestPackageName"], app(p)["packageName"] = "example.games", "example.games"
		}, "another app's"},
		"asked for by another": {func(p object) { request(p)["requestPackageName"] = "example.games" }, "another app's"},
		"no app":               {func(p object) { delete(p, "appIntegrity") }, "another app's"},
		"altered":              {func(p object) { app(p)["appRecognitionVerdict"] = "UNRECOGNIZED_VERSION" }, "does not know this app"},
		"not evaluated":        {func(p object) { app(p)["appRecognitionVerdict"] = "UNEVALUATED" }, "does not know this app"},
		"an emulator":          {device("MEETS_VIRTUAL_INTEGRITY"), "not a genuine one"},
		"a rooted device":      {device("MEETS_BASIC_INTEGRITY"), "not a genuine one"},
		"no device":            {func(p object) { p["deviceIntegrity"] = object{} }, "not a genuine one"},
	} {
		t.Run(name, func(t *testing.T) { holds(t, g.verifier.Verify(g.token(t, c.change), challenge, now), c.why) })
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	secret := []byte(g.verifier.DecryptionKey)
	for name, c := range map[string]struct {
		token []byte
		why   string
	}{
		"signed by somebody else":    {g.seal(t, payload(), stranger, jose.ES256, jose.A256KW, jose.A256GCM, secret), "not Google's"},
		"signed with a shared key":   {g.seal(t, payload(), secret, jose.HS256, jose.A256KW, jose.A256GCM, secret), "read signed verdict"},
		"for another key":            {g.seal(t, payload(), g.key, jose.ES256, jose.A256KW, jose.A256GCM, []byte(strings.Repeat("x", 32))), "not for this decryption key"},
		"wrapped in another way":     {g.seal(t, payload(), g.key, jose.ES256, jose.DIRECT, jose.A256GCM, secret), "read token"},
		"encrypted in another way":   {g.seal(t, payload(), g.key, jose.ES256, jose.A256KW, jose.A128CBC_HS256, secret), "read token"},
		"not encrypted":              {[]byte("e30.e30.AAAA"), "read token"},
		"nothing":                    {nil, "read token"},
		"a token with a broken seal": {append(g.token(t, nil), 'A'), ""},
	} {
		if err := g.verifier.Verify(c.token, challenge, now); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	pinned := *g.verifier
	pinned.Certificates = []string{"6a6a1474b5cbbb2b1aa57e0bc3"}
	holds(t, pinned.Verify(g.token(t, nil), challenge, now), "")
	pinned.Certificates = []string{"ffff1474b5cbbb2b1aa57e0bc3"}
	holds(t, pinned.Verify(g.token(t, nil), challenge, now), "signed by somebody else")
	holds(t, (&attestation.Google{DecryptionKey: g.verifier.DecryptionKey}).Verify(g.token(t, nil), challenge, now), "no verification key")
}
