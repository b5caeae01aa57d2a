// Package directory asks Active Directory, over LDAPS, who somebody is and whether a
// password is right. It finds the user with the service account, then binds as the
// user, on connections that are kept, pooled and checked. A password is sent at most
// once: what happened before the bind may be repeated on another server, the bind
// never. It keeps no password, and never says more about an account to anybody than
// its caller asks for.
package directory

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// Config says which directory to ask, and as whom.
type Config struct {
	// URLs are the domain controllers, ldaps://host or ldaps://host:port, at most 8. The
	// first one that answers is asked.
	URLs []string
	// CAFile holds the authorities, in PEM, that may sign the controllers' certificates;
	// empty: the system's.
	CAFile string
	// BaseDN is where users are looked for; empty: the whole domain.
	BaseDN string
	// BindDN and BindPassword are the service account: a DN or a UPN.
	BindDN       string
	BindPassword sallyport.Secret
	// NetBIOSName is the domain's short name ("HOSPITAL"); empty: asked of the directory.
	NetBIOSName string
	// UPNSuffixes are further suffixes under which a sAMAccountName is a log-in name, as
	// it is anyway under the domain's own name.
	UPNSuffixes []string
	// Group is the DN of the group whose members, nested ones included, may log in;
	// empty: everybody may. A primary group does not count.
	Group string
	// MaxConns bounds the connections to one server for each of the two pools; 0: 16.
	MaxConns int
	// Timeout bounds each exchange with the directory; 0: 5 s. Establishing a connection
	// may take half of it.
	Timeout time.Duration
}

const (
	maxServers      = 8
	defaultConns    = 16
	maxConns        = 256
	defaultTimeout  = 5 * time.Second
	maxNetBIOS      = 15 // MS-ADTS section 6.1.1.4
	maxPasswordSize = 1024
)

// Directory is a directory that can be asked. It is safe for concurrent use.
type Directory struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	servers []*server
	domain  domainCache
	upns    *nameCache
	pace    *pace

	service     *gate // whether the service account is worth a try
	serviceTurn chan struct{}
}

// New returns a directory; it connects when it is first asked.
func New(cfg Config, log *slog.Logger, now func() time.Time) (*Directory, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("configure directory: %w", err)
	}
	roots, err := loadRoots(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("configure directory: %w", err)
	}
	d := &Directory{cfg: cfg, log: log, now: now, upns: newNameCache(now), pace: &pace{},
		service: newGate(now, serviceBackoff), serviceTurn: make(chan struct{}, 1)}
	for _, u := range cfg.URLs {
		parsed, err := url.Parse(u)
		if err != nil {
			return nil, fmt.Errorf("configure directory: %w", err)
		}
		d.servers = append(d.servers, d.newServer(parsed, &tls.Config{
			RootCAs: roots, ServerName: parsed.Hostname(), MinVersion: tls.VersionTLS12}))
	}
	return d, nil
}

// complete checks the configuration and fills in what was left open.
func (c *Config) complete() error {
	if len(c.URLs) == 0 || len(c.URLs) > maxServers {
		return fmt.Errorf("name 1 to %d servers, not %d", maxServers, len(c.URLs))
	}
	for _, u := range c.URLs {
		// Never ldap://: passwords would be readable on the wire.
		if p, err := url.Parse(u); err != nil || p.Scheme != "ldaps" || p.Hostname() == "" {
			return fmt.Errorf("server %q is not an ldaps:// address", u)
		}
	}
	for what, dn := range map[string]string{"base DN": c.BaseDN, "group": c.Group} {
		if _, err := ldap.ParseDN(dn); err != nil {
			return fmt.Errorf("%s %q is not a distinguished name", what, dn)
		}
	}
	if c.BindDN == "" || c.BindPassword == "" {
		return errors.New("the service account has no name or no password")
	}
	if len(c.NetBIOSName) > maxNetBIOS || strings.ContainsAny(c.NetBIOSName, `\/@`) {
		return fmt.Errorf("NetBIOS name %q is not one", c.NetBIOSName)
	}
	if c.MaxConns == 0 {
		c.MaxConns = defaultConns
	}
	if c.MaxConns < 1 || c.MaxConns > maxConns {
		return fmt.Errorf("allow 1 to %d connections, not %d", maxConns, c.MaxConns)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Timeout < 0 {
		return fmt.Errorf("timeout %v is negative", c.Timeout)
	}
	return nil
}

func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // crypto/tls then takes the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read authorities: no certificate in %s", file)
	}
	return pool, nil
}

// Close closes every connection. Whoever is asking meanwhile gets an error.
func (d *Directory) Close() {
	for _, s := range d.servers {
		s.searches.close()
		s.binds.close()
	}
}

// Health returns nil when a server answers and takes the service account. Its error
// says what to look at.
func (d *Directory) Health(ctx context.Context) error {
	_, err := d.search(ctx, rootDSE("supportedLDAPVersion"))
	return err
}

// rootDSE is the search for the directory's entry about itself (RFC 4512 section 5.1).
func rootDSE(attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=*)", attributes, nil)
}

// nobody returns a DN below base that nothing has.
func nobody(base string) string {
	return "CN=" + strings.ToLower(rand.Text()) + "," + base
}

func unavailable(err error) error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "The directory does not answer. Please try again in a moment.", err)
}

func uncertain(err error) error {
	return sallyport.Errorf(sallyport.CodeUncertain, "The directory was lost while it checked the password. Please try again.", err)
}
