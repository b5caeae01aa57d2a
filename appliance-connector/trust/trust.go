// Package trust makes an appliance part of its enterprise and keeps it so: it uses up the one-time
// provisioning code, keeps the certificate and renews it, and takes or gives the enterprise's keys
// when a further appliance joins. The appliance's private key never leaves its file.
package trust

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/internal/pki"
)

const (
	keyFile   = "appliance.key"
	certFile  = "appliance.crt"
	rootsFile = "cloud-ca.pem"
	trustFile = "trust.json"
)

// Trust is what an appliance knows of its enterprise once trust is established.
type Trust struct {
	Tenant         sallyport.TenantID    `json:"enterpriseId"`
	EnterpriseName string                `json:"enterpriseName"`
	Appliance      sallyport.ApplianceID `json:"applianceId"`
	Name           string                `json:"applianceName,omitempty"` // "": the host's
	CloudURL       string                `json:"cloudUrl"`
	TunnelAddress  string                `json:"tunnelAddress"`
	TokenService   string                `json:"tokensvcAddress"`

	dir   string
	roots *x509.CertPool
	key   crypto.Signer

	mu   sync.Mutex
	cert *tls.Certificate
}

// Load reads what Establish wrote. The error says what to do when there is nothing.
func Load(dir string) (*Trust, error) {
	text, err := os.ReadFile(filepath.Join(dir, trustFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, sallyport.Errorf(sallyport.CodeNotFound,
			"This appliance has no trust with the cloud yet. Run 'sallyport appliance trust' first.", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	t := &Trust{dir: dir}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("read %s: %w", trustFile, err)
	}
	roots, err := os.ReadFile(filepath.Join(dir, rootsFile))
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	t.roots = x509.NewCertPool()
	if !t.roots.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("%s holds no certificate", rootsFile)
	}
	return t, t.reload()
}

func (t *Trust) reload() error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(t.dir, certFile), filepath.Join(t.dir, keyFile))
	if err != nil {
		return fmt.Errorf("read appliance certificate: %w", err)
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("%s cannot sign", keyFile)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.key, t.cert = signer, &cert
	return nil
}

// Certificate is what the appliance shows when it dials; it changes when it was renewed.
func (t *Trust) Certificate() (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cert, nil
}

// TLS is for dialling cloud and token service. serverName is empty for the name dialled.
func (t *Trust) TLS(serverName string) *tls.Config {
	return pki.ClientTLS(t.Certificate, t.roots, serverName)
}

// Expires is when the certificate ends.
func (t *Trust) Expires() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cert.Leaf.NotAfter
}

// renewAt is when a certificate is to be renewed: after two thirds of its life.
func (t *Trust) renewAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	leaf := t.cert.Leaf
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) * 2 / 3)
}

// install takes a chain (DER, leaf first) for the appliance's own key into use.
func (t *Trust) install(chain [][]byte) error {
	if len(chain) == 0 {
		return errors.New("the cloud sent no certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return fmt.Errorf("read new certificate: %w", err)
	}
	if id, err := pki.IdentityOf(leaf); err != nil || id.Tenant != t.Tenant || id.Appliance != t.Appliance {
		return fmt.Errorf("the new certificate is not for this appliance: %v", err)
	}
	if pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(t.key.Public()) {
		return errors.New("the new certificate is not for this appliance's key")
	}
	if err := keyring.WriteFile(filepath.Join(t.dir, certFile), pki.CertPEM(chain...)); err != nil {
		return fmt.Errorf("keep new certificate: %w", err)
	}
	return t.reload()
}

// ensureKey makes the appliance's key unless a broken-off attempt left one.
func ensureKey(dir string) (crypto.Signer, error) {
	name := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		key, err := pki.NewKey()
		if err != nil {
			return nil, err
		}
		return key, pki.WriteKey(name, key)
	}
	if err != nil {
		return nil, fmt.Errorf("read appliance key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no private key", name)
	}
	return signer, nil
}
