package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// Bounds of a domain.
const (
	maxServers     = 16
	maxAuthority   = 32 << 10 // octets
	maxBindName    = 1000
	maxEvery       = 31 * 24 * time.Hour
	minEvery       = time.Minute
	maxNetBIOS     = 15 // characters ([MS-ADTS] section 1.1: a NetBIOS name)
	maxDomainName  = 253
	maxDomainScope = 64
)

func checkDomain(d sallyport.Domain) error {
	if d.BindPassword != "" {
		if err := checkSize("service account's password", len(d.BindPassword), 1, maxOneTime); err != nil {
			return err
		}
	}
	if d.Base != "" {
		if err := checkDN("base", d.Base); err != nil {
			return err
		}
	}
	if d.Every != 0 && (d.Every < minEvery || d.Every > maxEvery) {
		return invalidf("Synchronise every 1 minute to 31 days, or on demand only.")
	}
	return first(
		checkID(domain, string(d.ID)),
		checkText("name of the domain", d.Name, maxDomainName),
		checkText("domain's NetBIOS name", d.NetBIOS, maxNetBIOS),
		checkText("name of the service account", d.BindName, maxBindName),
		checkDomainNames(d),
		checkServers(d.Servers),
		checkAuthority(d.Authority),
		checkDomainScope(d.Scope),
	)
}

func checkDomainNames(d sallyport.Domain) error {
	if !canonicalHost(strings.ToLower(d.Name)) {
		return invalidf("%q is not the DNS name of a domain, such as hospital.example.", d.Name)
	}
	if strings.ContainsAny(d.NetBIOS, `\/:*?"<>|@ `) {
		return invalidf("%q is not the NetBIOS name of a domain, such as HOSPITAL.", d.NetBIOS)
	}
	if len(d.UPNSuffixes) > maxListed {
		return invalidf("A domain may have at most %d further UPN suffixes.", maxListed)
	}
	for _, suffix := range d.UPNSuffixes {
		if err := checkText("UPN suffix", suffix, maxDomainName); err != nil {
			return err
		}
	}
	return nil
}

// checkNetBIOS refuses the NetBIOS name of another domain: accounts are told apart by it.
func checkNetBIOS(ctx context.Context, tx *changing, d sallyport.Domain) error {
	var other string
	err := tx.QueryRowContext(ctx, `SELECT name FROM domains WHERE netbios_folded = $1 AND id <> $2`, fold(d.NetBIOS), string(d.ID)).Scan(&other)
	switch {
	case err == nil:
		return conflictf("The domain %q has the NetBIOS name %s already.", other, d.NetBIOS)
	case errors.Is(err, sql.ErrNoRows):
		return nil
	}
	return fmt.Errorf("look for NetBIOS name: %w", err)
}

func checkServers(servers []string) error {
	if len(servers) == 0 || len(servers) > maxServers {
		return invalidf("A domain needs 1 to %d domain controllers.", maxServers)
	}
	seen := make(map[string]bool, len(servers))
	for _, server := range servers {
		u, err := url.Parse(server)
		switch {
		case len(server) > maxOrigin:
			return invalidf("The address of a domain controller may have at most %d characters.", maxOrigin)
		case err != nil || (u.Scheme != "ldaps" && u.Scheme != "ldap") || u.Hostname() == "" || server != u.Scheme+"://"+u.Host:
			return invalidf("%q is not the address of a domain controller: write it like ldaps://dc1.hospital.example or ldaps://dc1.hospital.example:636.", server)
		case seen[server]:
			return invalidf("The domain controller %s stands in the list twice.", server)
		}
		seen[server] = true
	}
	return nil
}

// checkAuthority takes certificates in PEM and nothing else.
func checkAuthority(text string) error {
	if len(text) > maxAuthority {
		return invalidf("The certificates of the domain's authority may have at most %d octets.", maxAuthority)
	}
	rest := []byte(text)
	for len(strings.TrimSpace(string(rest))) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return invalidf("The domain's authority is not certificates in PEM.")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return sallyport.Errorf(sallyport.CodeInvalid, "One of the certificates of the domain's authority cannot be read.", err)
		}
	}
	return nil
}

func checkDomainScope(scope []sallyport.DirectoryObject) error {
	if len(scope) > maxDomainScope {
		return invalidf("A domain's users may be limited to at most %d OUs and groups.", maxDomainScope)
	}
	seen := make(map[sallyport.DirectoryObject]bool, len(scope))
	for _, o := range scope {
		if err := checkObject(o); err != nil {
			return err
		}
		if seen[o] {
			return invalidf("%q stands in the list twice.", o.DN)
		}
		seen[o] = true
	}
	return nil
}
