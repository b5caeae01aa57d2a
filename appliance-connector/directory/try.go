package directory

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// Found is what a domain that is tried says about itself.
type Found struct {
	NetBIOS string
	DNSName string
	Base    string // where users are looked for
	Lockout Lockout
	// PDC is the host name of the domain controller that hears of every wrong password; empty: not known.
	PDC string
	// Warnings are for people: what works, but not as well as it might.
	Warnings []string
}

// Setting is one of a domain's settings, by the name that forms and the API have for it.
type Setting string

// The settings that an error of Try can be about.
const (
	Servers   Setting = "servers"
	Authority Setting = "authority"
	Service   Setting = "bindName"
	Base      Setting = "base"
	Name      Setting = "name"
	NetBIOS   Setting = "netbios"
)

// wrong is the cause of an error about one setting.
type wrong struct {
	setting Setting
	err     error // nil: the setting itself is the cause
}

func (w *wrong) Error() string {
	if w.err == nil {
		return "setting " + string(w.setting)
	}
	return w.err.Error()
}

func (w *wrong) Unwrap() error { return w.err }

// WrongSetting returns which setting an error of Try is about; "" when it is about none in particular.
func WrongSetting(err error) Setting {
	var w *wrong
	if errors.As(err, &w) {
		return w.setting
	}
	return ""
}

// Try asks a domain that is not saved yet as it would be asked then. The error's message says in plain
// words what is wrong and what to do; the domain is usable when there is none. A server that does not
// answer is a warning as long as another one does.
func (d *Directory) Try(ctx context.Context, dom sallyport.Domain) (Found, error) {
	r, err := connect(dom, d.opts)
	if err != nil {
		return Found{}, err
	}
	defer r.close()
	ctx, cancel := context.WithTimeout(ctx, 6*d.opts.Timeout)
	defer cancel()
	var f Found
	var firstErr error
	answered := 0
	for i, s := range r.servers {
		err := r.tryServer(ctx, s)
		if err == nil {
			answered++
			continue
		}
		err = r.explain(ctx, dom.Servers[i], err)
		if firstErr == nil {
			firstErr = err
		}
		if errors.Is(err, errService) {
			return Found{}, err // another server would count another wrong password
		}
		f.Warnings = append(f.Warnings, sallyport.ErrorMessage(err))
	}
	if answered == 0 {
		return Found{}, firstErr
	}
	return f, r.inspect(ctx, &f)
}

func (r *realm) tryServer(ctx context.Context, s *server) error {
	_, err := r.searchAt(ctx, s, rootDSE("supportedLDAPVersion"))
	return err
}

// inspect reads what the domain says about itself.
func (r *realm) inspect(ctx context.Context, f *Found) error {
	res, err := r.search(ctx, rootDSE(namingAttributes...))
	if err != nil {
		return tryFailed(Servers, "The directory does not say which domain it serves.", err)
	}
	n, err := readNaming(res)
	if err != nil {
		return tryFailed(Servers, "The directory does not say which domain it serves. Is it a domain controller of Active Directory?", err)
	}
	f.DNSName, f.Base = dnsName(n.domain), n.domain
	if f.NetBIOS, err = r.askNetBIOS(ctx, n); err != nil {
		return tryFailed(Servers, "The directory does not tell the domain's NetBIOS name. Is it a domain controller of Active Directory?", err)
	}
	if err := r.compare(f); err != nil {
		return err
	}
	if r.cfg.Base != "" {
		if !sallyport.BelowDN(r.cfg.Base, n.domain) {
			return wrongSetting(Base, fmt.Sprintf("The base %q is not in the domain %s. It has to end in %s.", r.cfg.Base, f.DNSName, n.domain))
		}
		n.base, f.Base = r.cfg.Base, r.cfg.Base
	}
	r.naming.Store(&n)
	if err := r.tryBase(ctx, n.base); err != nil {
		return err
	}
	return r.inspectLockout(ctx, n, f)
}

// compare holds what the domain is called against what it is called in the configuration, where that
// says anything.
func (r *realm) compare(f *Found) error {
	if r.cfg.Name != "" && !strings.EqualFold(r.cfg.Name, f.DNSName) {
		return wrongSetting(Name, fmt.Sprintf("These are controllers of the domain %s, not of %s.", f.DNSName, r.cfg.Name))
	}
	if r.cfg.NetBIOS != "" && !strings.EqualFold(r.cfg.NetBIOS, f.NetBIOS) {
		return wrongSetting(NetBIOS, fmt.Sprintf("The domain's NetBIOS name is %s, not %s.", f.NetBIOS, r.cfg.NetBIOS))
	}
	return nil
}

func (r *realm) tryBase(ctx context.Context, base string) error {
	res, err := r.search(ctx, entryAt(base, "objectClass"))
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) || err == nil && len(res.Entries) == 0 {
		return tryFailed(Base, fmt.Sprintf("There is no %q in the domain, or the service account may not see it.", base), err)
	}
	if err != nil {
		return tryFailed(Base, "The directory does not show where its users are.", err)
	}
	res, err = r.search(ctx, ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1, 0, false, userFilter, []string{"sAMAccountName"}, nil))
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return tryFailed(Base, "The directory does not show its users.", err)
	}
	if len(res.Entries) == 0 {
		return wrongSetting(Base, fmt.Sprintf("The service account sees no users below %q. Check the base, and that the account may read users.", base))
	}
	return nil
}

func (r *realm) inspectLockout(ctx context.Context, n naming, f *Found) error {
	p, err := r.policies(ctx)
	if err != nil {
		return tryFailed(Service, "The directory does not show its lockout policy.", err)
	}
	f.Lockout = p.own
	if left := p.own.Threshold - r.opts.Leave; p.own.Threshold > 0 && r.opts.Leave > 0 && left < 3 {
		f.Warnings = append(f.Warnings, fmt.Sprintf(
			"The domain locks an account after %d wrong passwords. To leave %d to the inside, a login from outside is refused after %d, until the domain forgets them.",
			p.own.Threshold, r.opts.Leave, max(left, 1)))
	}
	f.PDC, err = r.askPDC(ctx, n)
	if err != nil || f.PDC == "" {
		return nil // for a hint only
	}
	for _, s := range r.cfg.Servers {
		if u, err := url.Parse(s); err == nil && strings.EqualFold(u.Hostname(), f.PDC) {
			return nil
		}
	}
	if p.own.Threshold > 0 {
		f.Warnings = append(f.Warnings, fmt.Sprintf(
			"%s hears of every wrong password in the domain (it is the PDC emulator) and is not among the servers. Name it, as the last one, so that accounts are kept from being locked by its count.", f.PDC))
	}
	return nil
}

// askNetBIOS finds the domain's short name in the list of partitions (MS-ADTS section 6.1.1.2.1.1).
func (r *realm) askNetBIOS(ctx context.Context, n naming) (string, error) {
	res, err := r.search(ctx, ldap.NewSearchRequest("CN=Partitions,"+n.configuration, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 2, 0, false,
		fmt.Sprintf("(&(objectClass=crossRef)(nCName=%s)(nETBIOSName=*))", ldap.EscapeFilter(n.domain)), []string{"nETBIOSName"}, nil))
	if err != nil {
		return "", fmt.Errorf("find NetBIOS name: %w", err)
	}
	if len(res.Entries) != 1 || res.Entries[0].GetAttributeValue("nETBIOSName") == "" {
		return "", fmt.Errorf("find NetBIOS name of %q: %d answers", n.domain, len(res.Entries))
	}
	return res.Entries[0].GetAttributeValue("nETBIOSName"), nil
}

// askPDC finds the host that is the PDC emulator (MS-ADTS section 6.1.5.3): the domain names its
// settings, above which is its server object.
func (r *realm) askPDC(ctx context.Context, n naming) (string, error) {
	res, err := r.search(ctx, entryAt(n.domain, "fSMORoleOwner"))
	if err != nil || len(res.Entries) != 1 {
		return "", err
	}
	_, server, found := strings.Cut(res.Entries[0].GetAttributeValue("fSMORoleOwner"), ",")
	if !found {
		return "", nil
	}
	res, err = r.search(ctx, entryAt(server, "dNSHostName"))
	if err != nil || len(res.Entries) != 1 {
		return "", err
	}
	return res.Entries[0].GetAttributeValue("dNSHostName"), nil
}

func tryFailed(about Setting, message string, err error) error {
	return sallyport.Errorf(sallyport.CodeInvalid, message, &wrong{about, err})
}

// explain says in plain words why a server cannot be used.
func (r *realm) explain(ctx context.Context, server string, err error) error {
	u, parseErr := url.Parse(server)
	if parseErr != nil {
		return wrongSetting(Servers, fmt.Sprintf("The server %q is not an address.", server))
	}
	host := address(u)
	var dns *net.DNSError
	switch {
	case errors.Is(err, errService):
		return tryFailed(Service, r.explainService(err), err)
	case errors.As(err, &dns):
		return tryFailed(Servers, fmt.Sprintf("The name %s cannot be found in DNS.", u.Hostname()), err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return tryFailed(Servers, fmt.Sprintf("%s refuses the connection. Is it a domain controller, and is that the port of %s?", host, kind(u)), err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return tryFailed(Servers, fmt.Sprintf("There is no way to %s in the network.", host), err)
	}
	if words := r.explainCertificate(ctx, u); words != "" {
		return tryFailed(Authority, words, err)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return tryFailed(Servers, fmt.Sprintf("%s does not answer. Check the name, and the firewall on the way.", host), err)
	}
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultProtocolError, ldap.LDAPResultUnavailable) && u.Scheme == "ldap" {
		return tryFailed(Servers, fmt.Sprintf("%s does not do StartTLS. The domain controller needs a certificate for that.", host), err)
	}
	return tryFailed(Servers, fmt.Sprintf("%s cannot be asked over %s. Does it have a certificate for LDAPS?", host, kind(u)), err)
}

func kind(u *url.URL) string {
	if u.Scheme == "ldap" {
		return "LDAP"
	}
	return "LDAPS"
}

func (r *realm) explainService(err error) string {
	why := "its name or its password is wrong"
	for state, words := range map[sallyport.AccountState]string{
		sallyport.AccountLocked:           "it is locked",
		sallyport.AccountDisabled:         "it is disabled",
		sallyport.AccountExpired:          "it has expired",
		sallyport.AccountPasswordExpired:  "its password has expired; set it never to expire",
		sallyport.AccountMustChange:       "its password has to be changed first",
		sallyport.AccountLogonHours:       "it may not log on at this hour",
		sallyport.AccountWrongWorkstation: "it may not log on from here (log on to: all computers)",
	} {
		if strings.HasSuffix(err.Error(), ": "+string(state)) {
			why = words
		}
	}
	return fmt.Sprintf("The directory refuses the service account %q: %s.", r.cfg.BindName, why)
}

// explainCertificate looks at a server's certificate, and says what is wrong with it; "" when nothing
// is, or it has none. Nothing but the certificate is read from the connection, and nothing is sent on it.
func (r *realm) explainCertificate(ctx context.Context, u *url.URL) string {
	chain := r.presented(ctx, u)
	if len(chain) == 0 {
		return ""
	}
	roots, err := parseAuthority(r.cfg.Authority)
	if err != nil {
		return ""
	}
	others := x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	leaf := chain[0]
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, DNSName: u.Hostname(), CurrentTime: r.now()})
	var name x509.HostnameError
	var unusable x509.CertificateInvalidError
	named := fmt.Sprintf("subject %q, issuer %q, SHA-256 %s", leaf.Subject, leaf.Issuer, fingerprint(leaf))
	switch {
	case err == nil:
		return ""
	case errors.As(err, &name):
		return fmt.Sprintf("The certificate of %s is for another name: %s. Use the name that is in it: %s.", address(u), named, strings.Join(leaf.DNSNames, ", "))
	case errors.As(err, &unusable) && unusable.Reason == x509.Expired:
		return fmt.Sprintf("The certificate of %s is not valid now (from %s to %s): %s.", address(u), leaf.NotBefore.UTC().Format("2006-01-02"), leaf.NotAfter.UTC().Format("2006-01-02"), named)
	}
	return fmt.Sprintf("The certificate of %s is not trusted: %s. Give the certificate of its issuer as the domain's authority, once you have made sure that it is yours.", address(u), named)
}

// presented returns the certificates that a server shows, whoever signed them.
func (r *realm) presented(ctx context.Context, u *url.URL) (chain []*x509.Certificate) {
	ctx, cancel := context.WithTimeout(ctx, r.dialTimeout())
	defer cancel()
	// InsecureSkipVerify: the connection ends with the handshake, which VerifyConnection fails.
	config := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			chain = s.PeerCertificates
			return errDone
		}}
	if c, err := dial(ctx, u, config, r.opts.Timeout, r.now()); err == nil {
		c.abandon()
	}
	return chain
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	var parts []string
	for _, b := range sum {
		parts = append(parts, fmt.Sprintf("%02X", b))
	}
	return strings.Join(parts, ":")
}
