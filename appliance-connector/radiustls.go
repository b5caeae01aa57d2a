package appliance

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/appliance-connector/console"
	"github.com/sallyport/sallyport/appliance-connector/radius"
)

// RADIUSTLSConfig is how RADIUS over TLS is served.
type RADIUSTLSConfig struct {
	// Listen is the TCP address, ":2083"; empty: it is not served.
	Listen string
	// Cert and Key are PEM files; empty: the console's certificate is used.
	Cert, Key string
}

// radiusTLS is how the RADIUS server serves TLS; nil: it does not.
func (s *Service) radiusTLS() (*radius.TLSOptions, error) {
	c := s.cfg.RADIUSTLS
	if c.Listen == "" {
		return nil, nil
	}
	var cert *console.Certificate
	var err error
	if c.Cert != "" || c.Key != "" {
		cert, err = console.CertificateFromFiles(c.Cert, c.Key, time.Now)
	} else {
		cert, err = s.consoleCertificate()
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("RADIUS over TLS is served", "address", c.Listen, "certificate_sha256", cert.Fingerprint())
	return &radius.TLSOptions{Address: c.Listen, Certificate: cert.Get}, nil
}

// RADIUSTLSAddr is where RADIUS over TLS is served; the zero value: nowhere.
func (s *Service) RADIUSTLSAddr() netip.AddrPort {
	if s.cfg.RADIUSTLS.Listen == "" {
		return netip.AddrPort{}
	}
	return s.radius.TLSAddr()
}

// accounting is how the RADIUS server keeps what gateways tell of sessions; nil: it does not.
func (s *Service) accounting() *radius.AccountingOptions {
	if s.cfg.RADIUSAccounting == "" {
		return nil
	}
	return &radius.AccountingOptions{Address: s.cfg.RADIUSAccounting, Recorder: s.store}
}
