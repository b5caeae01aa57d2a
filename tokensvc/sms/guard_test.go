package sms_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/tokensvc/sms"
)

// inside are addresses that an enterprise must not have the token service talk to. None of them is dialled: the
// guard is asked before the first packet.
var inside = []string{
	"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255",
	"192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
	"::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001::1", "fec0::1",
}

func TestTheGuardDialsNothingInside(t *testing.T) {
	t.Parallel()
	var g sms.Guard
	for _, address := range inside {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		conn, err := g.Dial(ctx, "tcp", net.JoinHostPort(address, "9"))
		cancel()
		if conn != nil {
			_ = conn.Close()
		}
		if !errors.Is(err, sms.ErrForbidden) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A name is looked up by the dialler, and what it means is looked at then.
func TestTheGuardLooksAtWhatANameMeans(t *testing.T) {
	t.Parallel()
	conn, err := sms.Guard{}.Dial(t.Context(), "tcp", "localhost:9")
	if conn != nil {
		_ = conn.Close()
	}
	if !errors.Is(err, sms.ErrForbidden) {
		t.Errorf("localhost: %v", err)
	}
}

func TestTheGuardDialsWhatTheOperatorAllows(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, err := sms.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if _, err := (sms.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}).Dial(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, sms.ErrForbidden) {
		t.Errorf("another address of the same host: %v", err)
	}
}
