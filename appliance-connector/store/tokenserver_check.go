package store

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
)

// Bounds of the external token servers.
const (
	maxTokenServers  = 16
	minTokenSecret   = 8
	maxTokenPolicies = 1000
)

// TokenServersProblems says what PutTokenServers would refuse by itself, in words for people by the name of the field:
// name, user_name, timeout, tries, policies; and of the server at a place in the list server.N.host, server.N.port,
// server.N.secret, server.N.sites.
func TokenServersProblems(v sallyport.TokenServers) map[string]string {
	out := map[string]string{}
	for _, c := range tokenServersChecks(v) {
		if _, noted := out[c.field]; c.err != nil && !noted {
			out[c.field] = sallyport.ErrorMessage(c.err)
		}
	}
	return out
}

func checkTokenServers(v sallyport.TokenServers) error {
	var all []error
	for _, c := range tokenServersChecks(v) {
		all = append(all, c.err)
	}
	return first(all...)
}

func tokenServersChecks(v sallyport.TokenServers) []fieldCheck {
	out := []fieldCheck{
		{"name", checkText("name of the tokens", v.Name, maxName)},
		{"user_name", checkTokenUserName(v.UserName)},
		{"timeout", checkTokenTimeout(v)},
		{"tries", checkTokenTries(v)},
		{"policies", checkTokenPolicies(v.Policies)},
	}
	if len(v.Servers) > maxTokenServers {
		return append(out, fieldCheck{"servers", invalidf("There may be at most %d token servers.", maxTokenServers)})
	}
	for i, s := range v.Servers {
		at := "server." + strconv.Itoa(i) + "."
		out = append(out,
			fieldCheck{at + "host", checkTokenHost(s.Host)},
			fieldCheck{at + "host", checkTokenServerOnce(v.Servers, i)},
			fieldCheck{at + "port", checkTokenPort(s.Port)},
			fieldCheck{at + "secret", checkTokenSecret(s.Secret)},
			fieldCheck{at + "sites", checkTokenSites(s.Sites)},
			fieldCheck{at + "id", checkID("token server", string(s.ID))})
	}
	return out
}

func checkTokenUserName(n sallyport.TokenUserName) error {
	switch n {
	case sallyport.TokenUserShort, sallyport.TokenUserAccount, sallyport.TokenUserTyped:
		return nil
	}
	return invalidf("Choose how users are named to the token servers.")
}

func checkTokenTimeout(v sallyport.TokenServers) error {
	if v.Timeout < sallyport.TokenTimeoutLeast || v.Timeout > sallyport.TokenTimeoutMost {
		return invalidf("A token server is waited for half a second to ten seconds at a time.")
	}
	return nil
}

func checkTokenTries(v sallyport.TokenServers) error {
	if v.Tries < 1 || v.Tries > sallyport.TokenTriesMost {
		return invalidf("A token server is asked one to %d times.", sallyport.TokenTriesMost)
	}
	return nil
}

func checkTokenPolicies(list []sallyport.UserPolicyID) error {
	if len(list) > maxTokenPolicies {
		return invalidf("At most %d user policies can be named.", maxTokenPolicies)
	}
	for i, id := range list {
		if err := checkID(userPolicy, string(id)); err != nil {
			return err
		}
		if slices.Contains(list[:i], id) {
			return invalidf("A user policy stands in the list twice.")
		}
	}
	return nil
}

func checkTokenHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() {
		return nil
	}
	if strings.Trim(host, "0123456789.") == "" || !canonicalHost(host) {
		return invalidf("Use a host name in lower case, such as rsa1.hospital.example, or an address, without a port.")
	}
	return nil
}

func checkTokenServerOnce(list []sallyport.TokenServer, at int) error {
	for _, other := range list[:at] {
		if other.ID == list[at].ID || other.Host == list[at].Host && other.Port == list[at].Port {
			return invalidf("The token server %s stands in the list twice.", list[at].Host)
		}
	}
	return nil
}

func checkTokenPort(port int) error {
	if port < 1 || port > 65535 {
		return invalidf("Use a port from 1 to 65535; usual is 1812.")
	}
	return nil
}

// checkTokenSecret takes an empty one: it keeps the one before.
func checkTokenSecret(s sallyport.Secret) error {
	if s == "" {
		return nil
	}
	return checkSize("shared secret", len(s), minTokenSecret, maxSecret)
}

func checkTokenSites(list []sallyport.SiteID) error {
	for i, id := range list {
		if err := checkID(siteNoun, string(id)); err != nil {
			return err
		}
		if slices.Contains(list[:i], id) {
			return invalidf("A site stands in the list twice.")
		}
	}
	return nil
}
