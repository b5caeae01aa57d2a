package sms

import (
	"errors"
	"net"
	"testing"
)

// inside are addresses that an enterprise must not have the token service talk to. The guard is asked about them and
// nobody dials: were it wrong, a dial would go there.
var inside = []string{
	"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255",
	"192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
	"::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001::1", "fec0::1",
}

func TestTheGuardDialsNothingInside(t *testing.T) {
	t.Parallel()
	var g Guard
	for _, address := range inside {
		if err := g.control("tcp", net.JoinHostPort(address, "443"), nil); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"", "localhost:443", "1.1.1.1", "x"} {
		if err := g.control("tcp", address, nil); !errors.Is(err, ErrForbidden) {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"} {
		if err := g.control("tcp", net.JoinHostPort(address, "443"), nil); err != nil {
			t.Errorf("%s, which is public: %v", address, err)
		}
	}
}
