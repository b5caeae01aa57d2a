package sms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden is in the chain of what a Guard answers for an address it does not dial.
var ErrForbidden = errors.New("address not allowed")

// dialTime bounds one connection.
const dialTime = 4 * time.Second

// Guard dials for enterprises, who say themselves where their gateway is: only what is on the public internet,
// and what the operator has allowed. It looks at the address that is dialled in the end, so that no name, and no
// change of what a name means, leads inside.
type Guard struct {
	// Allowed are networks that may be dialled though they are not public.
	Allowed []netip.Prefix
}

// Dial is a sms.Dial.
func (g Guard) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime, Control: g.control}
	return d.DialContext(ctx, network, address)
}

func (g Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	if !g.may(to.Addr()) {
		return ErrForbidden
	}
	return nil
}

func (g Guard) may(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range g.Allowed {
		if p.Contains(a) {
			return true
		}
	}
	return public(a)
}

// special are networks that are not of the public internet, or lead into ones that are not (IANA's registries of
// special-purpose addresses), besides those that netip knows.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
