package cloud

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/pki"
)

// certificate gives the certificate for a handshake.
type certificate func() (*tls.Certificate, error)

// lookEvery is how often certificate files are looked at for a renewed one.
const lookEvery = 10 * time.Second

// fromFiles serves the certificate in two PEM files, and the new one soon after they were replaced.
// While the new pair cannot be read (half written), the old one is served.
func fromFiles(certFile, keyFile string, now func() time.Time) (certificate, error) {
	var (
		mu      sync.Mutex
		cur     *tls.Certificate
		changed time.Time
		next    time.Time
	)
	load := func() error {
		info, err := os.Stat(certFile)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		if cur != nil && info.ModTime().Equal(changed) {
			return nil
		}
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("read certificate %s: %w", certFile, err)
		}
		cur, changed = &pair, info.ModTime()
		return nil
	}
	if err := load(); err != nil {
		return nil, err
	}
	return func() (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if t := now(); t.After(next) {
			next = t.Add(lookEvery)
			_ = load() // the old one is better than none
		}
		return cur, nil
	}, nil
}

// ownTTL is how long a certificate holds that the cloud makes for its own tunnel listener.
const ownTTL = 90 * 24 * time.Hour

// fromAuthority serves a certificate that the cloud's own authority makes, and makes it anew after
// two thirds of its time.
func fromAuthority(ca *pki.CA, now func() time.Time, hosts ...string) (certificate, error) {
	var (
		mu    sync.Mutex
		cur   tls.Certificate
		until time.Time
	)
	get := func() (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if t := now(); !t.Before(until) {
			c, err := ca.ServerCertificate(t, ownTTL, hosts...)
			if err != nil {
				return nil, err
			}
			cur, until = c, t.Add(ownTTL*2/3)
		}
		out := cur
		return &out, nil
	}
	_, err := get()
	return get, err
}

func (s *Service) tunnelCertificate() (certificate, error) {
	if s.cfg.TunnelCert != "" {
		return fromFiles(s.cfg.TunnelCert, s.cfg.TunnelKey, s.deps.Now)
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, a := range []string{s.cfg.TunnelAddress, s.TunnelAddr()} {
		if h, _, err := net.SplitHostPort(a); err == nil && h != "" {
			hosts = append([]string{h}, hosts...)
		}
	}
	return fromAuthority(s.keys.CA, s.deps.Now, hosts...)
}

func (s *Service) tunnelTLS() *tls.Config {
	c := pki.ServerTLS(tls.Certificate{}, s.keys.CA.Pool())
	c.Certificates = nil
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.tunnelCert() }
	return c
}
