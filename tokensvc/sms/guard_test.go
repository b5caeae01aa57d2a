package sms_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/tokensvc/sms"
)

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
