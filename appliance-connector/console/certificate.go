package console

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/pki"
)

const (
	lookEvery = 10 * time.Second // how often certificate files are looked at for renewed ones
	ownLife   = 397 * 24 * time.Hour
	ownRenew  = 30 * 24 * time.Hour // an own certificate that ends sooner is made anew
)

// Certificate is the console's certificate, from files or made by the appliance.
type Certificate struct {
	// Own: made by the appliance itself, so that browsers warn of it.
	Own bool

	certFile, keyFile string
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time
	next    time.Time
	renew   func() error
}

// CertificateFromFiles takes a PEM certificate with its chain and the key, and the new ones soon after they
// were replaced. While they cannot be read (half written), the old ones are used.
func CertificateFromFiles(certFile, keyFile string, now func() time.Time) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, now: now}
	return c, c.load()
}

// OwnCertificate takes the certificate in the data directory, which it makes when there is none or it has
// nearly ended. hosts are further names for it.
func OwnCertificate(dataDir string, now func() time.Time, hosts ...string) (*Certificate, error) {
	c := &Certificate{Own: true, certFile: filepath.Join(dataDir, "console-cert.pem"), keyFile: filepath.Join(dataDir, "console-key.pem"), now: now}
	c.renew = func() error { return makeOwn(c.certFile, c.keyFile, now(), hosts) }
	err := c.load()
	if errors.Is(err, fs.ErrNotExist) || err == nil && c.ends() {
		if err := c.renew(); err != nil {
			return nil, fmt.Errorf("make console certificate: %w", err)
		}
		c.changed = time.Time{}
		err = c.load()
	}
	return c, err
}

// Fingerprint is the SHA-256 of the certificate, for people to compare with what the browser shows.
func (c *Certificate) Fingerprint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := sha256.Sum256(c.current.Certificate[0])
	var parts []string
	for i := range sum {
		parts = append(parts, strings.ToUpper(hex.EncodeToString(sum[i:i+1])))
	}
	return strings.Join(parts, ":")
}

// Ends is when the certificate does.
func (c *Certificate) Ends() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Leaf.NotAfter
}

func (c *Certificate) load() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("read console certificate: %w", err)
	}
	if c.current != nil && info.ModTime().Equal(c.changed) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read console certificate: %w", err)
	}
	c.current, c.changed = &pair, info.ModTime()
	return nil
}

func (c *Certificate) ends() bool { return c.current.Leaf.NotAfter.Sub(c.now()) < ownRenew }

// Get is the certificate as it is now, for tls.Config.GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.now(); t.After(c.next) {
		c.next = t.Add(lookEvery)
		if c.Own && c.ends() {
			_ = c.renew() // the old one is better than none
		}
		_ = c.load()
	}
	return c.current, nil
}

func makeOwn(certFile, keyFile string, now time.Time, hosts []string) error {
	key, err := pki.NewKey()
	if err != nil {
		return err
	}
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("draw serial number: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "Sallyport console"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownLife), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range append(hosts, "localhost", "127.0.0.1", "::1") {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else if h != "" {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	return writePair(certFile, keyFile, der, key)
}

// writePair writes the key first: a certificate without its key is never seen.
func writePair(certFile, keyFile string, der []byte, key *ecdsa.PrivateKey) error {
	for _, f := range []string{certFile, keyFile} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := pki.WriteKey(keyFile, key); err != nil {
		return err
	}
	return os.WriteFile(certFile, pki.CertPEM(der), 0o644)
}
