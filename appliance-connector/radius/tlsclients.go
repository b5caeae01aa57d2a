package radius

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
)

// radsec is the shared secret of all RADIUS over TLS (RFC 6614 section 2.3): TLS keeps others out.
const radsec = "radsec"

// tlsClient is an integration as its packets over TLS meet it.
type tlsClient struct {
	client
	authority *x509.CertPool // or nil
}

var (
	unknownCertificate = complaint{"unknown client certificate",
		"add the certificate's SHA-256 fingerprint, or its authority and name, to the integration's TLS settings"}
	oldCertificate = complaint{"client certificate outside its time", "give the gateway a new certificate, or set its clock"}
	tooManyLinks   = complaint{"too many connections over TLS of one integration",
		"see why the gateway opens so many connections, or does not close old ones"}
	tooManyStrangers = complaint{"too many connections over TLS at a time whose certificate is not known yet",
		"see who connects to this port; let only the gateways through"}
)

// addTLS enters an integration for TLS, if it may ask over it. A certificate belongs to one integration.
func (t *clients) addTLS(c *client) error {
	set := c.TLS
	if !set.Allowed() {
		return nil
	}
	n := &tlsClient{client: *c}
	// TLS says who asks, and that nobody changed it.
	n.keys, n.previous, n.MessageAuthenticator = newKeys(radsec), nil, sallyport.MessageAuthenticatorNever
	if set.Authority != "" {
		n.authority = x509.NewCertPool()
		if !n.authority.AppendCertsFromPEM([]byte(set.Authority)) {
			return errors.New("the authority of its TLS settings holds no certificate")
		}
	}
	for _, other := range t.tls {
		for _, f := range set.Fingerprints {
			if slices.Contains(other.TLS.Fingerprints, f) {
				return fmt.Errorf("client certificate %s belongs to integration %q already", f, other.ID)
			}
		}
	}
	t.tls = append(t.tls, n)
	return nil
}

// byCertificate returns the client that a certificate is of, the leaf first: one that names the certificate itself comes
// before one that names its authority.
func (t *clients) byCertificate(chain []*x509.Certificate, now time.Time) (*tlsClient, *complaint) {
	if len(chain) == 0 {
		return nil, &unknownCertificate
	}
	leaf := chain[0]
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, &oldCertificate
	}
	sum := sha256.Sum256(leaf.Raw)
	fingerprint := hex.EncodeToString(sum[:])
	for _, c := range t.tls {
		if slices.Contains(c.TLS.Fingerprints, fingerprint) {
			return c, nil
		}
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	for _, c := range t.tls {
		if c.authority == nil || !slices.ContainsFunc(c.TLS.Names, func(name string) bool { return leaf.VerifyHostname(name) == nil }) {
			continue
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: c.authority, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err == nil {
			return c, nil
		}
	}
	return nil, &unknownCertificate
}
