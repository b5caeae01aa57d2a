package pki

import (
	"crypto/tls"
	"crypto/x509"
)

// ServerTLS is for a listener that appliances dial: TLS 1.3, and a client certificate of the authority.
func ServerTLS(cert tls.Certificate, appliances *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: appliances,
	}
}

// ClientTLS is for an appliance that dials. certificate is asked at every handshake, so that a
// renewed one is used without a restart. Sessions are not resumed: a certificate is shown each time.
func ClientTLS(certificate func() (*tls.Certificate, error), roots *x509.CertPool, serverName string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: serverName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate() },
	}
}
