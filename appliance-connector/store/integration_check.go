package store

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
)

func checkIntegration(i sallyport.Integration) error {
	return first(
		checkID("integration", string(i.ID)),
		checkID("kind of integration", i.Kind),
		checkText("nickname", i.Nickname, maxName),
		checkSize("shared secret", len(i.Secret), 1, maxSecret),
		checkClients(i.Clients),
		checkOrigins(i.Origins),
	)
}

func checkClients(clients []netip.Prefix) error {
	if len(clients) == 0 || len(clients) > maxListed {
		return invalidf("An integration needs 1 to %d addresses or networks that its requests come from.", maxListed)
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
