package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport"
)

// Identity is who an appliance is: its enterprise, and itself within it.
type Identity struct {
	Tenant    sallyport.TenantID
	Appliance sallyport.ApplianceID
}

func (id Identity) String() string { return string(id.Tenant) + "/" + string(id.Appliance) }

func (id Identity) uri() *url.URL {
	return &url.URL{Scheme: "sallyport", Host: "appliance", Path: "/" + id.String()}
}

// ErrNoIdentity means that a certificate does not name an appliance.
var ErrNoIdentity = errors.New("certificate names no appliance")

// IdentityOf reads the identity out of a certificate that the TLS layer has verified already.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	for _, u := range cert.URIs {
		if u.Scheme != "sallyport" || u.Host != "appliance" {
			continue
		}
		tenant, appliance, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if !ok || !sallyport.ValidID(tenant) || !sallyport.ValidID(appliance) {
			return Identity{}, fmt.Errorf("%w: malformed name", ErrNoIdentity)
		}
		return Identity{sallyport.TenantID(tenant), sallyport.ApplianceID(appliance)}, nil
	}
	return Identity{}, ErrNoIdentity
}
