package attestation_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/attestation"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// The settings as they are given, and read by whatever appliance enrols.
func TestSettingsMakeAPolicy(t *testing.T) {
	a, g := newApple(t), newGoogle(t)
	der, err := x509.MarshalPKIXPublicKey(&g.key.PublicKey)
	check(t, err)
	root := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.cert.Raw}))
	decryption := sallyport.Secret(base64.StdEncoding.EncodeToString([]byte(g.verifier.DecryptionKey)))
	good := attestation.Settings{Require: true, AppleRoots: root, AppleApps: []string{appID}, GoogleKey: base64.StdEncoding.EncodeToString(der), GooglePackages: []string{packageName}}
	for name, c := range map[string]struct {
		change func(*attestation.Settings)
		key    sallyport.Secret
		why    string
	}{
		"all of it": {func(*attestation.Settings) {}, decryption, ""},
		"the key in PEM": {func(v *attestation.Settings) {
			v.GoogleKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		}, decryption, ""},
		"no root":              {func(v *attestation.Settings) { v.AppleRoots = "" }, decryption, "Root CA"},
		"no verification key":  {func(v *attestation.Settings) { v.GoogleKey = "AAAA" }, decryption, "verification key"},
		"no decryption key":    {func(*attestation.Settings) {}, "", "decryption key"},
		"a short one":          {func(*attestation.Settings) {}, "AAAA", "decryption key"},
		"nothing of it needed": {func(v *attestation.Settings) { *v = attestation.Settings{} }, "", ""},
	} {
		v := good
		c.change(&v)
		_, err := v.Policy(c.key)
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sallyport.Key(strings.Repeat("m", 32)))
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	p, err := attestation.ReadPolicy(t.Context(), db)
	check(t, err)
	if f, _, err := p.Check(attestation.Evidence{}, challenge, now); f != attestation.NotAttested || err != nil {
		t.Errorf("never set: %s, %v", f, err)
	}
	check(t, db.SetSealedSection(t.Context(), attestation.SecretSection, decryption, 0))
	check(t, db.SetSection(t.Context(), attestation.Section, []byte(`{"require":true,"appleApps":["`+appID+`"],"appleRoots":`+quoted(root)+`}`), 0))
	p, err = attestation.ReadPolicy(t.Context(), db)
	check(t, err)
	if f, _, err := p.Check(attestation.Evidence{Format: attestation.AppAttest, Octets: a.object(t, nil)}, challenge, now); f != attestation.Attested || err != nil {
		t.Errorf("%s, %v", f, err)
	}
	if _, _, err := p.Check(attestation.Evidence{}, challenge, now); err == nil {
		t.Error("nobody is refused")
	}
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }
