// Package pki is the cloud's certificate authority and the names in its certificates. Appliances
// prove with them, to cloud and token service, which enterprise they belong to. It never sees a
// private key of an appliance: those send a request that they signed themselves.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// backdate lets a certificate hold for peers whose clocks are behind.
const backdate = 10 * time.Minute

// MaxCSR bounds a certificate request, in octets.
const MaxCSR = 8 << 10

// CA signs certificates. Its key lives in a file of the cloud's operator.
type CA struct {
	Cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes a fresh authority that holds for ten years.
func NewCA(now time.Time) (*CA, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Sallyport appliance authority"},
		NotBefore: now.Add(-backdate), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	return &CA{Cert: cert, key: key}, err
}

// LoadCA reads the authority from PEM files.
func LoadCA(certFile, keyFile string) (*CA, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("load authority: %s is not a certificate authority", certFile)
	}
	return &CA{Cert: pair.Leaf, key: signer}, nil
}

// Save writes the authority to PEM files; the key readable by the owner alone. It never overwrites.
func (ca *CA) Save(certFile, keyFile string) error {
	if err := WriteKey(keyFile, ca.key); err != nil {
		return err
	}
	return writeNew(certFile, ca.CertPEM(), 0o644)
}

// CertPEM is the authority's certificate, for others to trust.
func (ca *CA) CertPEM() []byte { return CertPEM(ca.Cert.Raw) }

// Pool holds the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.Cert)
	return p
}

// SignAppliance gives the appliance that made the request (PKCS#10 DER) a certificate for id that
// holds for ttl. Only the public key is taken from the request. The chain has the leaf first.
func (ca *CA) SignAppliance(csr []byte, id Identity, now time.Time, ttl time.Duration) ([][]byte, error) {
	if len(csr) > MaxCSR {
		return nil, errors.New("certificate request is too long")
	}
	req, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check certificate request: %w", err)
	}
	if pub, ok := req.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: the key must be ECDSA P-256")
	}
	tmpl := ca.leaf(now, ttl)
	tmpl.Subject = pkix.Name{Organization: []string{string(id.Tenant)}, CommonName: string(id.Appliance)}
	tmpl.URIs = append(tmpl.URIs, id.uri())
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, req.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return [][]byte{der, ca.Cert.Raw}, nil
}

// ServerCertificate makes a certificate for a service's tunnel or token service listener, for
// deployments that have no authority of their own, and for the demo.
func (ca *CA) ServerCertificate(now time.Time, ttl time.Duration, hosts ...string) (tls.Certificate, error) {
	key, err := NewKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := ca.leaf(now, ttl)
	tmpl.Subject = pkix.Name{CommonName: hosts[0]}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign server certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der, ca.Cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

func (ca *CA) leaf(now time.Time, ttl time.Duration) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-backdate), NotAfter: now.Add(ttl),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("pki: no randomness: " + err.Error())
	}
	return n
}

// NewKey makes a P-256 key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// CSR makes the request (PKCS#10 DER) that SignAppliance takes.
func CSR(key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return der, nil
}

// CertPEM encodes certificates, one block each.
func CertPEM(chain ...[]byte) []byte {
	var out []byte
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// WriteKey writes a private key (PKCS#8 PEM), readable by the owner alone. It never overwrites.
func WriteKey(file string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writeNew(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func writeNew(file string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
