package pushsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Credentials are what Apple and Google would have given out.
type Credentials struct {
	P8     []byte // APNs signing key, PEM
	KeyID  string
	TeamID string
	Topic  string
	// Certificate authenticates to the APNs side instead of the signing key.
	Certificate tls.Certificate
	Project     string
	// ServiceAccount is the JSON file of an FCM service account.
	ServiceAccount []byte

	apnsKey *ecdsa.PublicKey
	fcmKey  *rsa.PublicKey
	email   string
}

func newCredentials(cfg Config, tokenURL string) (Credentials, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Credentials{}, fmt.Errorf("make APNs key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Credentials{}, fmt.Errorf("encode APNs key: %w", err)
	}
	c := Credentials{
		P8:    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		KeyID: "SIMKEY0001", TeamID: "SIMTEAM001", Topic: cfg.Topic, Project: cfg.Project,
		apnsKey: &key.PublicKey, email: "push@" + cfg.Project + ".iam.gserviceaccount.com",
	}
	if c.Certificate, err = pushCertificate(cfg); err != nil {
		return Credentials{}, err
	}
	return c, c.addServiceAccount(tokenURL)
}

// pushCertificate stands for one that Apple issued; the simulator knows it by its bytes.
func pushCertificate(cfg Config) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make push certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Apple Push Services: " + cfg.Topic},
		NotBefore: cfg.Now().Add(-time.Hour), NotAfter: cfg.Now().Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make push certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func (c *Credentials) addServiceAccount(tokenURL string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make FCM key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode FCM key: %w", err)
	}
	c.fcmKey = &key.PublicKey
	c.ServiceAccount, err = json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": c.Project, "private_key_id": "sim-1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": c.email, "client_id": "1", "token_uri": tokenURL,
	}, "", "  ")
	return err
}
