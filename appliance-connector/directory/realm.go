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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

const (
	maxServers  = 16
	maxSuffixes = 64
	maxNetBIOS  = 15        // MS-ADTS section 6.1.1.4
	maxPEM      = 256 << 10 // octets of a domain's authorities
)

// realm is one domain with the connections to its controllers. Its configuration never changes: a
// changed domain is another realm.
type realm struct {
	cfg     sallyport.Domain
	opts    Options
	log     *slog.Logger
	now     func() time.Time
	servers []*server
	naming  atomic.Pointer[naming]
	lockout atomic.Pointer[policyCache]
	fine    sync.Mutex // guards the fine-grained policies in it
	pace    *pace

	service     *gate // whether the service account is worth a try
	serviceTurn chan struct{}

	uses    int  // who holds it; guarded by the Directory
	retired bool // no longer one of the domains; guarded by the Directory
}

// naming is what the directory says about itself.
type naming struct {
	base          string // where users are looked for
	domain        string // the domain's own DN
	configuration string
}

func newRealm(cfg sallyport.Domain, opts Options) (*realm, error) {
	if cfg.NetBIOS == "" || cfg.Name == "" {
		return nil, invalid("The domain has no NetBIOS name or no DNS name.")
	}
	return connect(cfg, opts)
}

// connect makes a realm of a domain whose names need not be known yet.
func connect(cfg sallyport.Domain, opts Options) (*realm, error) {
	if err := checkDomain(cfg); err != nil {
		return nil, err
	}
	roots, err := parseAuthority(cfg.Authority)
	if err != nil {
		return nil, err
	}
	r := &realm{cfg: cfg, opts: opts, log: opts.Log.With("domain", cfg.Name), now: opts.Now, pace: &pace{},
		service: newGate(opts.Now, serviceBackoff), serviceTurn: make(chan struct{}, 1)}
	for _, u := range cfg.Servers {
		parsed, err := url.Parse(u)
		if err != nil {
			return nil, invalid(fmt.Sprintf("The server %q is not an address.", u))
		}
		r.servers = append(r.servers, r.newServer(parsed, &tls.Config{
			RootCAs: roots, ServerName: parsed.Hostname(), MinVersion: tls.VersionTLS12}))
	}
	return r, nil
}

func invalid(message string) error { return sallyport.Errorf(sallyport.CodeInvalid, message, nil) }

func wrongSetting(about Setting, message string) error { return tryFailed(about, message, nil) }

// checkDomain checks what can be checked without asking the directory.
func checkDomain(d sallyport.Domain) error {
	if len(d.Servers) == 0 || len(d.Servers) > maxServers {
		return wrongSetting(Servers, fmt.Sprintf("Name 1 to %d domain controllers.", maxServers))
	}
	for _, s := range d.Servers {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
			return wrongSetting(Servers, fmt.Sprintf("The server %q is not an address: use ldaps://HOST[:PORT], or ldap://HOST[:PORT] for StartTLS.", s))
		}
	}
	if _, err := ldap.ParseDN(d.Base); err != nil {
		return wrongSetting(Base, fmt.Sprintf("The base %q is not a distinguished name, such as OU=Staff,DC=hospital,DC=example.", d.Base))
	}
	if d.BindName == "" || d.BindPassword == "" {
		return wrongSetting(Service, "The service account has no name or no password.")
	}
	if len(d.NetBIOS) > maxNetBIOS || strings.ContainsAny(d.NetBIOS, `\/@`) {
		return wrongSetting(NetBIOS, fmt.Sprintf("The NetBIOS name %q is not one.", d.NetBIOS))
	}
	if strings.ContainsAny(d.Name, `\/@`) {
		return wrongSetting(Name, fmt.Sprintf("The domain name %q is not one.", d.Name))
	}
	if len(d.UPNSuffixes) > maxSuffixes {
		return invalid(fmt.Sprintf("Name at most %d UPN suffixes.", maxSuffixes))
	}
	_, err := parseAuthority(d.Authority)
	return err
}

// parseAuthority reads certificates in PEM; nil: crypto/tls takes the system's.
func parseAuthority(pem string) (*x509.CertPool, error) {
	if strings.TrimSpace(pem) == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if len(pem) > maxPEM || !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, wrongSetting(Authority, "The authority holds no certificate in PEM (-----BEGIN CERTIFICATE-----).")
	}
	return pool, nil
}

// sameAs reports whether a domain is to be asked as this realm does.
func (r *realm) sameAs(d sallyport.Domain) bool {
	c := r.cfg
	return c.ID == d.ID && c.Name == d.Name && c.NetBIOS == d.NetBIOS && c.Authority == d.Authority &&
		c.BindName == d.BindName && c.BindPassword == d.BindPassword && c.Base == d.Base &&
		slices.Equal(c.Servers, d.Servers) && slices.Equal(c.UPNSuffixes, d.UPNSuffixes)
}

// own reports whether a name typed before a backslash or after an @ is this domain's.
func (r *realm) own(s string) bool {
	return s != "" && (strings.EqualFold(s, r.cfg.NetBIOS) || strings.EqualFold(s, r.cfg.Name))
}

// takes reports whether a sAMAccountName is a log-in name under a UPN suffix.
func (r *realm) takes(suffix string) bool {
	further := func(s string) bool { return strings.EqualFold(s, suffix) }
	return r.own(suffix) || slices.ContainsFunc(r.cfg.UPNSuffixes, further)
}

// closeWhenIdle closes a retired realm that nobody holds. The caller holds the Directory's lock.
func (r *realm) closeWhenIdle() {
	if r.retired && r.uses == 0 {
		r.close()
	}
}

func (r *realm) close() {
	for _, s := range r.servers {
		s.searches.close()
		s.binds.close()
	}
}

// learn returns what the directory says about itself, asking once: it does not change while a domain
// lives.
func (r *realm) learn(ctx context.Context) (naming, error) {
	if known := r.naming.Load(); known != nil {
		return *known, nil
	}
	res, err := r.search(ctx, rootDSE(namingAttributes...))
	if err != nil {
		return naming{}, err
	}
	n, err := readNaming(res)
	if err != nil {
		return naming{}, err
	}
	if r.cfg.Base != "" {
		n.base = r.cfg.Base
	}
	r.naming.Store(&n)
	return n, nil
}

var namingAttributes = []string{"defaultNamingContext", "configurationNamingContext"}

func readNaming(res *ldap.SearchResult) (naming, error) {
	if len(res.Entries) != 1 {
		return naming{}, errors.New("read directory's own entry: it has none")
	}
	e := res.Entries[0]
	n := naming{domain: e.GetAttributeValue("defaultNamingContext"), configuration: e.GetAttributeValue("configurationNamingContext")}
	n.base = n.domain
	if n.domain == "" {
		return naming{}, errors.New("read directory's own entry: it names no domain")
	}
	return n, nil
}

// rootDSE is the search for the directory's entry about itself (RFC 4512 section 5.1).
func rootDSE(attributes ...string) *ldap.SearchRequest { return entryAt("", attributes...) }

// entryAt is the search for one entry by its DN.
func entryAt(dn string, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attributes, nil)
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

// nobody returns a DN below base that nothing has.
func nobody(base string) string {
	return "CN=" + strings.ToLower(rand.Text()) + "," + base
}
