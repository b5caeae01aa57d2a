package radius

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/radiusattr"
)

// client is an integration as its packets meet it.
type client struct {
	sallyport.Integration
	keys       *keys
	previous   *keys // of the secret that is being replaced, or nil
	attributes *radiusattr.Set
	memory     *memory
}

func newClient(in sallyport.Integration, m *memory) (*client, error) {
	if in.Secret == "" {
		return nil, fmt.Errorf("integration %q has no RADIUS secret", in.ID)
	}
	attributes, err := radiusattr.Compile(in.Attributes)
	if err != nil {
		return nil, fmt.Errorf("integration %q: %w", in.ID, err)
	}
	c := &client{Integration: in, keys: newKeys(in.Secret), attributes: attributes, memory: m}
	if in.PreviousSecret != "" {
		c.previous = newKeys(in.PreviousSecret)
	}
	return c, nil
}

// clients finds the integration that a source address belongs to. It never changes; a new
// configuration is a new table.
type clients struct {
	hosts    map[netip.Addr]*client // the usual case: an address, not a network
	networks map[netip.Prefix]*client
	bits     []int // lengths of the prefixes in networks, longest first, IPv6 and IPv4 together
	memories map[sallyport.IntegrationID]*memory
	clashes  []clash
	tls      []*tlsClient // those that may ask over TLS, in the order of the configuration
}

// clash is an address of a host name that another integration has already.
type clash struct {
	host         string
	address      netip.Addr
	loser, owner sallyport.IntegrationID
}

// newClients refuses a configuration in which a gateway could be taken for another, or has no secret. found
// has the addresses of host names; what an integration names as an address comes before them. memories is
// what was remembered so far.
func newClients(list []sallyport.Integration, found map[string][]netip.Addr, memories map[sallyport.IntegrationID]*memory) (*clients, error) {
	t := &clients{hosts: make(map[netip.Addr]*client), networks: make(map[netip.Prefix]*client),
		memories: make(map[sallyport.IntegrationID]*memory)}
	made := make([]*client, 0, len(list))
	for _, in := range list {
		c, err := newClient(in, remember(memories[in.ID], in))
		if err != nil {
			return nil, err
		}
		for _, p := range in.Clients {
			if err := t.add(p, c); err != nil {
				return nil, fmt.Errorf("integration %q: %w", in.ID, err)
			}
		}
		if err := t.addTLS(c); err != nil {
			return nil, fmt.Errorf("integration %q: %w", in.ID, err)
		}
		t.memories[in.ID] = c.memory
		made = append(made, c)
	}
	for _, c := range made {
		t.addHosts(c, found)
	}
	slices.Sort(t.bits)
	slices.Reverse(t.bits)
	t.bits = slices.Compact(t.bits)
	return t, nil
}

// remember goes on with what is remembered of an integration. That Message-Authenticator was seen is
// forgotten with an edit, unless the store has it.
func remember(m *memory, in sallyport.Integration) *memory {
	if m == nil || m.version != in.Version {
		m = m.next(in.Version)
	}
	if !in.MessageAuthenticatorSeen.IsZero() {
		m.seen.Store(true)
	}
	return m
}

func (t *clients) addHosts(c *client, found map[string][]netip.Addr) {
	for _, host := range c.Hosts {
		for _, a := range found[host] {
			switch owner := t.hosts[a]; {
			case owner == nil:
				t.hosts[a] = c
			case owner != c:
				t.clashes = append(t.clashes, clash{host, a, c.ID, owner.ID})
			}
		}
	}
}

func (t *clients) add(p netip.Prefix, c *client) error {
	if !p.IsValid() {
		return fmt.Errorf("RADIUS client address is not an address or a network")
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	other, found := t.networks[p]
	if p.IsSingleIP() {
		other, found = t.hosts[p.Addr()]
	}
	if found {
		return fmt.Errorf("RADIUS client address %v belongs to integration %q already", p, other.ID)
	}
	if p.IsSingleIP() {
		t.hosts[p.Addr()] = c
		return nil
	}
	t.networks[p] = c
	t.bits = append(t.bits, p.Bits())
	return nil
}

// find returns the client with the longest prefix that holds source, or nil.
func (t *clients) find(source netip.Addr) *client {
	source = source.Unmap().WithZone("")
	if c := t.hosts[source]; c != nil {
		return c
	}
	for _, bits := range t.bits {
		if p, err := source.Prefix(bits); err == nil {
			if c := t.networks[p]; c != nil {
				return c
			}
		}
	}
	return nil
}
