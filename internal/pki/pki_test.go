package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var alice = Identity{"tenant-1", "appliance-1"}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestApplianceIsWhoTheAuthoritySays(t *testing.T) {
	now := time.Now()
	ca, err := NewCA(now)
	check(t, err)
	key, err := NewKey()
	check(t, err)
	csr, err := CSR(key)
	check(t, err)
	chain, err := ca.SignAppliance(csr, alice, now, time.Hour)
	check(t, err)
	leaf, err := x509.ParseCertificate(chain[0])
	check(t, err)
	if id, err := IdentityOf(leaf); err != nil || id != alice {
		t.Errorf("%v, %v", id, err)
	}
	for at, ok := range map[time.Duration]bool{-time.Minute: true, 59 * time.Minute: true, 61 * time.Minute: false, -time.Hour: false} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: now.Add(at), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if (err == nil) != ok {
			t.Errorf("after %v: %v", at, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("an appliance can pose as a server")
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "cloud"}); err == nil {
		t.Error("an appliance has a host name")
	}
}

func TestNamesInTheRequestAreNotTaken(t *testing.T) {
	ca, err := NewCA(time.Now())
	check(t, err)
	key, err := NewKey()
	check(t, err)
	u, err := url.Parse("sallyport://appliance/other/other")
	check(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "mallory"}, DNSNames: []string{"cloud"}, URIs: []*url.URL{u}}, key)
	check(t, err)
	chain, err := ca.SignAppliance(csr, alice, time.Now(), time.Hour)
	check(t, err)
	leaf, err := x509.ParseCertificate(chain[0])
	check(t, err)
	if id, _ := IdentityOf(leaf); id != alice || len(leaf.DNSNames) != 0 || len(leaf.URIs) != 1 || leaf.Subject.CommonName != "appliance-1" {
		t.Errorf("%v %v %v", id, leaf.DNSNames, leaf.Subject)
	}
}

func TestRequestsThatAreNotGoodAreRefused(t *testing.T) {
	ca, err := NewCA(time.Now())
	check(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	key, err := NewKey()
	check(t, err)
	forged, err := CSR(key)
	check(t, err)
	forged[len(forged)-1] ^= 1
	big, err := CSR(p384)
	check(t, err)
	other, err := CSR(weak)
	check(t, err)
	for name, csr := range map[string][]byte{"signature": forged, "P-384": big, "RSA": other, "rubbish": []byte("x"), "none": nil, "huge": make([]byte, MaxCSR+1)} {
		if _, err := ca.SignAppliance(csr, alice, time.Now(), time.Hour); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func FuzzSignAppliance(f *testing.F) {
	ca, err := NewCA(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	csr, err := CSR(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr)
	f.Fuzz(func(t *testing.T, b []byte) {
		chain, err := ca.SignAppliance(b, alice, time.Now(), time.Hour)
		if err != nil {
			return
		}
		leaf, err := x509.ParseCertificate(chain[0])
		if err != nil {
			t.Fatal(err)
		}
		if id, err := IdentityOf(leaf); err != nil || id != alice || leaf.IsCA {
			t.Errorf("%v, %v, CA %v", id, err, leaf.IsCA)
		}
	})
}

func TestIdentityIsReadStrictly(t *testing.T) {
	for _, s := range []string{"https://appliance/a/b", "sallyport://other/a/b", "sallyport://appliance/a", "sallyport://appliance/a/b/c",
		"sallyport://appliance//b", "sallyport://appliance/a%2Fb/c", "sallyport://appliance/a/b%00"} {
		u, err := url.Parse(s)
		check(t, err)
		if id, err := IdentityOf(&x509.Certificate{URIs: []*url.URL{u}}); !errors.Is(err, ErrNoIdentity) {
			t.Errorf("%s: %v, %v", s, id, err)
		}
	}
}

func TestAuthorityIsKeptForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	ca, err := NewCA(time.Now())
	check(t, err)
	check(t, ca.Save(cert, key))
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := ca.Save(cert, key); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	back, err := LoadCA(cert, key)
	check(t, err)
	if !back.Cert.Equal(ca.Cert) {
		t.Error("another authority came back")
	}
	server, err := ca.ServerCertificate(time.Now(), time.Hour, "localhost", "127.0.0.1")
	check(t, err)
	pair := filepath.Join(dir, "s.crt")
	check(t, os.WriteFile(pair, CertPEM(server.Certificate...), 0o600))
	signer, ok := server.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("no key")
	}
	check(t, WriteKey(filepath.Join(dir, "s.key"), signer))
	if _, err := LoadCA(pair, filepath.Join(dir, "s.key")); err == nil {
		t.Error("a server's certificate was taken for an authority")
	}
	if c := ServerTLS(server, ca.Pool()); c.MinVersion != tls.VersionTLS13 || c.ClientAuth != tls.RequireAndVerifyClientCert {
		t.Error("the listener takes callers without a certificate")
	}
}
