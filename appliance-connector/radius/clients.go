package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"fmt"
	"hash"
	"net/netip"
	"slices"
	"sync"

	"github.com/sallyport/sallyport"
)

// client is an integration as its packets meet it.
type client struct {
	sallyport.Integration
	secret []byte
	macs   sync.Pool // *mac
}

// mac makes Message-Authenticators; setting one up costs more than using it.
type mac struct {
	hash.Hash
	sum [md5.Size]byte
}

func newClient(in sallyport.Integration) *client {
	c := &client{Integration: in, secret: []byte(in.Secret)}
	c.macs.New = func() any { return &mac{Hash: hmac.New(md5.New, c.secret)} }
	return c
}

// clients finds the integration that a source address belongs to. It never changes; a new
// configuration is a new table.
type clients struct {
	hosts    map[netip.Addr]*client // the usual case: an address, not a network
	networks map[netip.Prefix]*client
	bits     []int // lengths of the prefixes in networks, longest first, IPv6 and IPv4 together
}

// newClients refuses a configuration in which a gateway could be taken for another, or has no secret.
func newClients(list []sallyport.Integration) (*clients, error) {
	t := &clients{hosts: make(map[netip.Addr]*client), networks: make(map[netip.Prefix]*client)}
	for _, in := range list {
		if in.Secret == "" {
			return nil, fmt.Errorf("integration %q has no RADIUS secret", in.ID)
		}
		c := newClient(in)
		for _, p := range in.Clients {
			if err := t.add(p, c); err != nil {
				return nil, fmt.Errorf("integration %q: %w", in.ID, err)
			}
		}
	}
	slices.Sort(t.bits)
	slices.Reverse(t.bits)
	t.bits = slices.Compact(t.bits)
	return t, nil
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
