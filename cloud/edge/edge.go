// Package edge is what every HTTP door of the cloud has in common: who is calling (behind which
// trusted proxies), how often they may, what an error looks like outside, and the trace id that a
// request carries on. It knows nothing of logins or enterprises.
package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the addresses from which X-Forwarded-For is believed. From anywhere else the header
// is ignored: whoever is not a trusted proxy could write any address into it.
type Proxies []netip.Prefix

// ParseProxies reads addresses and prefixes ("10.0.0.0/8", "192.0.2.7").
func ParseProxies(list []string) (Proxies, error) {
	var out Proxies
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("read trusted proxy %q: neither an address nor a prefix", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func (p Proxies) trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// maxHops bounds how many entries of X-Forwarded-For are looked at.
const maxHops = 16

// Caller returns the address of whoever sent r: the peer of the connection, or, when that is a
// trusted proxy, the last address in X-Forwarded-For that is not one. The zero address means that
// the peer has none (a unix socket).
func (p Proxies) Caller(r *http.Request) netip.Addr {
	peer := peerOf(r)
	if !p.trusts(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	caller := peer
	for i := len(hops) - 1; i >= 0 && i >= len(hops)-maxHops; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return caller
		}
		caller = a.Unmap().WithZone("")
		if !p.trusts(caller) {
			return caller
		}
	}
	return caller
}

func peerOf(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// Network is the part of an address that one customer of a network provider holds: all of an IPv4
// address, the first 64 bits of an IPv6 address. Limits count by it.
func Network(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// ErrTooLong means that a request's body has more octets than the door takes.
var ErrTooLong = errors.New("request body is too long")
