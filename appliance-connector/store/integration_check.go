package store

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/radiusattr"
)

func checkIntegration(i sallyport.Integration) error {
	var all []error
	for _, p := range integrationChecks(i) {
		all = append(all, p.err)
	}
	return first(append(all, checkID("integration", string(i.ID)))...)
}

// IntegrationProblems says what PutIntegration would refuse in an integration, in words for people by the name of
// the field: nickname, kind, note, secret, messageAuthenticator, clients, hosts, origins, language, experience,
// passwordEncoding, passcodeSeparator, attributes, tls.
func IntegrationProblems(i sallyport.Integration) map[string]string {
	out := map[string]string{}
	for _, p := range integrationChecks(i) {
		if _, noted := out[p.field]; p.err != nil && !noted {
			out[p.field] = sallyport.ErrorMessage(p.err)
		}
	}
	return out
}

type fieldCheck struct {
	field string
	err   error
}

func integrationChecks(i sallyport.Integration) []fieldCheck {
	least := 1
	if i.Version != 0 { // empty: as it is
		least = 0
	}
	return []fieldCheck{
		{"kind", checkID("kind of integration", i.Kind)},
		{"nickname", checkText("nickname", i.Nickname, maxName)},
		{"note", checkNote(i.Note)},
		{"secret", checkSize("shared secret", len(i.Secret), least, maxSecret)},
		{"secret", checkPrevious(i)},
		{"messageAuthenticator", checkPolicy(i.MessageAuthenticator)},
		{"clients", checkClients(i)},
		{"hosts", checkHosts(i.Hosts)},
		{"tls", checkRADIUSTLS(i.TLS)},
		{"origins", checkOrigins(i.Origins)},
		{"language", checkLanguage(i.Language)},
		{"experience", checkExperience(i.Experience)},
		{"passwordEncoding", checkEncoding(i.PasswordEncoding)},
		{"passcodeSeparator", checkSeparator(i.PasscodeSeparator)},
		{"attributes", radiusattr.Check(i.Attributes)},
	}
}

// checkRADIUSTLS takes fingerprints, and an authority with the names that its certificates have to be for.
func checkRADIUSTLS(v sallyport.RADIUSTLS) error {
	if len(v.Fingerprints) > maxCertificates || len(v.Names) > maxCertificates {
		return invalidf("A gateway may have at most %d certificates and names.", maxCertificates)
	}
	for n, f := range v.Fingerprints {
		if b, err := hex.DecodeString(f); err != nil || len(b) != sha256.Size || strings.ToLower(f) != f {
			return invalidf("%.80q is not the SHA-256 of a certificate: write 64 hexadecimal digits in lower case.", f)
		}
		if slices.Contains(v.Fingerprints[:n], f) {
			return invalidf("A certificate stands in the list twice.")
		}
	}
	for n, name := range v.Names {
		if !canonicalHost(name) {
			return invalidf("%.80q is not a name of a certificate: use a host name in lower case or an address.", name)
		}
		if slices.Contains(v.Names[:n], name) {
			return invalidf("The name %s stands in the list twice.", name)
		}
	}
	switch {
	case v.Authority == "" && len(v.Names) > 0:
		return invalidf("Names of certificates need the authority that signs them.")
	case v.Authority != "" && len(v.Names) == 0:
		return invalidf("An authority signs many certificates: say which names the gateway's is for.")
	case v.Authority != "" && checkAuthority(v.Authority) != nil:
		return invalidf("The authority is not certificates in PEM, or too many.")
	}
	return nil
}

func checkNote(s string) error {
	switch {
	case utf8.RuneCountInString(s) > maxNote || len(s) > 4*maxNote:
		return invalidf("The note may have at most %d characters.", maxNote)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return invalidf("The note is not text.")
	}
	return nil
}

func checkPrevious(i sallyport.Integration) error {
	switch {
	case len(i.PreviousSecret) > maxSecret:
		return invalidf("The previous secret may have at most %d octets.", maxSecret)
	case (i.PreviousSecret == "") != i.PreviousUntil.IsZero():
		return invalidf("A previous secret needs an end, and an end needs a previous secret.")
	}
	return nil
}

func checkPolicy(p sallyport.MessageAuthenticator) error {
	switch p {
	case sallyport.MessageAuthenticatorAlways, sallyport.MessageAuthenticatorNever, sallyport.MessageAuthenticatorOnceSeen:
		return nil
	}
	return invalidf("Message-Authenticator is demanded always, never or once_seen.")
}

func checkExperience(e sallyport.Experience) error {
	switch e {
	case "", sallyport.ExperienceCloud, sallyport.ExperienceLegacy, sallyport.ExperienceBoth:
		return nil
	}
	return invalidf("The experience is cloud, legacy or both.")
}

func checkEncoding(e sallyport.PasswordEncoding) error {
	switch e {
	case "", sallyport.PasswordUTF8, sallyport.PasswordWindows1252:
		return nil
	}
	return invalidf("Passwords are written in utf-8 or windows-1252.")
}

// checkSeparator takes one mark of ASCII, which no passcode and no word has in it.
func checkSeparator(s string) error {
	if s == "" || len(s) == 1 && strings.Contains("!#$%&*+,./:;=?@^_|~", s) {
		return nil
	}
	return invalidf("The separator is one of the marks !#$%%&*+,./:;=?@^_|~ or none.")
}

func checkLanguage(s string) error {
	if s == "" || sallyport.LanguageName(s) != "" {
		return nil
	}
	return invalidf("%.40q is not one of the languages: %s, or none.", s, strings.Join(sallyport.Languages(), ", "))
}

// checkHosts takes names of the DNS in lower case; addresses belong among the clients.
func checkHosts(hosts []string) error {
	seen := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		_, err := netip.ParseAddr(host)
		switch {
		case len(host) > 253 || err == nil || !canonicalHost(host):
			return invalidf("%.80q is not a host name: write it like vpn1.hospital.example, in lower case.", host)
		case seen[host]:
			return invalidf("The host name %s stands in the list twice.", host)
		}
		seen[host] = true
	}
	return nil
}

func checkClients(i sallyport.Integration) error {
	clients := i.Clients
	if n := len(clients) + len(i.Hosts); n == 0 && !i.TLS.Allowed() || n > maxListed {
		return invalidf("An integration needs 1 to %d addresses, networks or host names that its requests come from.", maxListed)
	}
	seen := make(map[netip.Prefix]bool, len(clients))
	for _, p := range clients {
		switch {
		case !p.IsValid():
			return invalidf("One of the integration's networks is none.")
		case p.Addr().Is4In6():
			return invalidf("Write %s as an IPv4 network.", p)
		case p.Masked() != p:
			return invalidf("%s is not a network: write %s for the network or %s for the one address.",
				p, p.Masked(), netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
		case seen[p]:
			return invalidf("The address %s stands in the list twice.", p)
		}
		seen[p] = true
	}
	return nil
}

func checkOrigins(origins []string) error {
	if len(origins) > maxListed {
		return invalidf("An integration may have at most %d page origins.", maxListed)
	}
	seen := make(map[string]bool, len(origins))
	for _, o := range origins {
		switch {
		case len(o) > maxOrigin:
			return invalidf("A page origin may have at most %d characters.", maxOrigin)
		case !CanonicalOrigin(o):
			return invalidf("%q is not a page origin: write it like https://vpn.example.org or https://vpn.example.org:8443, in lower case, without a path.", o)
		case seen[o]:
			return invalidf("The page origin %s stands in the list twice.", o)
		}
		seen[o] = true
	}
	return nil
}

// CanonicalOrigin reports whether s is a page's origin exactly as browsers write it (RFC 6454
// section 6.1): http or https, host in lower-case ASCII, a port only when it is not the scheme's
// own, and nothing after it.
func CanonicalOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	host := u.Hostname()
	if !canonicalHost(host) {
		return false
	}
	want := host
	if strings.Contains(host, ":") {
		want = "[" + host + "]"
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port || defaultPort(u.Scheme) == port {
			return false
		}
		want = net.JoinHostPort(host, port)
	}
	return s == u.Scheme+"://"+want
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// canonicalHost takes an address in its canonical form, or labels out of a-z, 0-9, "-" and "_"
// whose last is not a number (browsers take such a name for an IPv4 address).
func canonicalHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == "" && !addr.Is4In6() && addr.String() == host
	}
	if len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
