package radius

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
)

// names is a DNS.
type names struct {
	mu sync.Mutex
	of map[string][]string
}

func (n *names) set(host string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of[host] = addresses
}

func (n *names) LookupNetIP(_ context.Context, _, host string) (out []netip.Addr, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addresses, found := n.of[host]
	if !found {
		return nil, errors.New("no such host")
	}
	for _, a := range addresses {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func (n *names) remove(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.of, host)
}

func TestAGatewayIsKnownByItsHostName(t *testing.T) {
	dns := &names{of: map[string][]string{}}
	in := sallyport.Integration{ID: "named", Nickname: "named", Secret: secret, Hosts: []string{"vpn.hospital.example"}, MessageAuthenticator: sallyport.MessageAuthenticatorNever}
	network := gatewayAt("127.0.0.0/8")
	network.Secret = "the secret of the network"
	s, log := serve(t, Options{Verifier: acceptAs{}, Resolver: dns, Integrations: []sallyport.Integration{in, network}})
	asks := func(from string) string {
		t.Helper()
		for _, used := range []string{secret, string(network.Secret)} {
			request := withMAC(t, access(t, "alice", "x", used))
			if b := exchange(t, dial(t, s, from), request, hush); b != nil {
				checkAnswer(t, b, request, used)
				return used
			}
		}
		return ""
	}
	if asks("127.0.0.5") != string(network.Secret) {
		t.Fatal("not the network's before the name is found")
	}
	dns.set("vpn.hospital.example", "::ffff:127.0.0.5", "127.0.0.5", "127.0.0.6", "0.0.0.0")
	s.resolve(t.Context())
	if asks("127.0.0.5") != secret || asks("127.0.0.6") != secret || asks("127.0.0.7") != string(network.Secret) {
		t.Error("the name's addresses do not win over the network")
	}
	dns.set("vpn.hospital.example", "127.0.0.7")
	s.resolve(t.Context())
	if asks("127.0.0.5") != string(network.Secret) || asks("127.0.0.7") != secret {
		t.Error("the name's new address is not taken, or the old one is kept")
	}
	for _, gone := range []func(){func() { dns.remove("vpn.hospital.example") }, func() { dns.set("vpn.hospital.example") }} {
		gone()
		s.resolve(t.Context())
		s.resolve(t.Context())
		if asks("127.0.0.7") != secret {
			t.Error("the address is not kept while the name is not found")
		}
	}
	if n := log.count("host name of a RADIUS client not found"); n < 1 || n > 2 { // once at the start, before it was there; once when it went
		t.Errorf("%d lines about the name\n%s", n, log)
	}
}

func TestANameInANewConfigurationIsResolvedAtOnceAndTakesNothingFromAnother(t *testing.T) {
	dns := &names{of: map[string][]string{"a.example": {"127.0.0.3", "127.0.0.4"}, "b.example": {"127.0.0.4"}}}
	owner := gatewayAt("127.0.0.3/32")
	s, log := serve(t, Options{Verifier: acceptAs{}, Resolver: dns, Integrations: []sallyport.Integration{owner}})
	a := sallyport.Integration{ID: "a", Secret: "secret of a", Hosts: []string{"a.example"}}
	b := sallyport.Integration{ID: "b", Secret: "secret of b", Hosts: []string{"b.example"}}
	if err := s.SetIntegrations([]sallyport.Integration{a, b, owner}); err != nil {
		t.Fatal(err)
	}
	find := func(address string) sallyport.IntegrationID {
		if c := s.clients.Load().find(netip.MustParseAddr(address)); c != nil {
			return c.ID
		}
		return ""
	}
	eventually(t, "the names", func() bool { return find("127.0.0.4") == "a" })
	if find("127.0.0.3") != "vpn" || log.count("belongs to another integration") < 2 {
		t.Errorf("127.0.0.3 belongs to %q\n%s", find("127.0.0.3"), log)
	}
	// Taken out of the configuration, a name is forgotten.
	if err := s.SetIntegrations([]sallyport.Integration{owner}); err != nil {
		t.Fatal(err)
	}
	s.resolve(t.Context())
	kept := func() int {
		s.config.mu.Lock()
		defer s.config.mu.Unlock()
		return len(s.config.found)
	}
	eventually(t, "the name to be forgotten", func() bool { return find("127.0.0.4") == "" && kept() == 0 })
}
