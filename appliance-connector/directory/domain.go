package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/go-ldap/ldap/v3"
)

// domain is what the directory says about itself.
type domain struct {
	base    string // where users are looked for
	netbios string
	dns     string
}

// domainCache keeps it: it does not change while a domain lives.
type domainCache struct{ atomic.Pointer[domain] }

// learn returns the domain, asking for what the configuration leaves open once.
func (d *Directory) learn(ctx context.Context) (domain, error) {
	if known := d.domain.Load(); known != nil {
		return *known, nil
	}
	dom, err := d.askDomain(ctx)
	if err != nil {
		return domain{}, err
	}
	d.domain.Store(&dom)
	return dom, nil
}

func (d *Directory) askDomain(ctx context.Context) (domain, error) {
	res, err := d.search(ctx, rootDSE("defaultNamingContext", "configurationNamingContext"))
	if err != nil {
		return domain{}, err
	}
	if len(res.Entries) != 1 {
		return domain{}, errors.New("read directory's own entry: it has none")
	}
	naming := res.Entries[0].GetAttributeValue("defaultNamingContext")
	config := res.Entries[0].GetAttributeValue("configurationNamingContext")
	dom := domain{base: d.cfg.BaseDN, netbios: d.cfg.NetBIOSName, dns: dnsName(naming)}
	if dom.base == "" {
		dom.base = naming
	}
	if dom.netbios == "" {
		dom.netbios, err = d.askNetBIOS(ctx, naming, config)
	}
	if dom.base == "" {
		return domain{}, errors.New("read directory's own entry: it names no domain; configure the base DN")
	}
	return dom, err
}

// askNetBIOS finds the domain's short name in the list of partitions (MS-ADTS section 6.1.1.2.1.1).
func (d *Directory) askNetBIOS(ctx context.Context, naming, config string) (string, error) {
	res, err := d.search(ctx, ldap.NewSearchRequest("CN=Partitions,"+config, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 2, 0, false,
		fmt.Sprintf("(&(objectClass=crossRef)(nCName=%s)(nETBIOSName=*))", ldap.EscapeFilter(naming)), []string{"nETBIOSName"}, nil))
	if err != nil {
		return "", fmt.Errorf("find NetBIOS name: %w", err)
	}
	if len(res.Entries) != 1 || res.Entries[0].GetAttributeValue("nETBIOSName") == "" {
		return "", fmt.Errorf("find NetBIOS name of %q: %d answers; configure it", naming, len(res.Entries))
	}
	return res.Entries[0].GetAttributeValue("nETBIOSName"), nil
}

// dnsName makes "hospital.test" of "DC=hospital,DC=test"; "" when it is no domain's DN.
func dnsName(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return ""
	}
	var labels []string
	for _, rdn := range parsed.RDNs {
		for _, a := range rdn.Attributes {
			if strings.EqualFold(a.Type, "DC") {
				labels = append(labels, a.Value)
			}
		}
	}
	return strings.Join(labels, ".")
}

// own reports whether a name typed before a backslash or after an @ is this domain's.
func (d domain) own(s string) bool {
	return strings.EqualFold(s, d.netbios) || d.dns != "" && strings.EqualFold(s, d.dns)
}
