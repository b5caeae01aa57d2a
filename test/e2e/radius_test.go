package e2e_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" // RADIUS is made of it
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/stack"
)

// radclient asks one appliance with FreeRADIUS's client: true is Access-Accept.
func radclient(t *testing.T, s *stack.Stack, addr, user string, passcode sallyport.Secret) bool {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(s.RADIUSSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t, patience), "radclient", "-x", "-t", "5", "-r", "3", "-S", secret, addr, "auth")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("User-Name = %q, User-Password = %q, Message-Authenticator = 0x00\n", user, string(passcode)))
	out, err := cmd.CombinedOutput()
	accept, reject := bytes.Contains(out, []byte("Received Access-Accept")), bytes.Contains(out, []byte("Received Access-Reject"))
	if accept == reject || accept != (err == nil) {
		t.Fatalf("radclient: %v\n%s", err, out)
	}
	return accept
}

// packet makes an Access-Request as a gateway does, with Message-Authenticator first.
func packet(secret sallyport.Secret, user string, passcode sallyport.Secret) ([]byte, error) {
	p := radius.New(radius.CodeAccessRequest, []byte(secret))
	p.Add(rfc2869.MessageAuthenticator_Type, make(radius.Attribute, 16))
	if err := errors.Join(rfc2865.UserName_AddString(p, user), rfc2865.UserPassword_AddString(p, string(passcode))); err != nil {
		return nil, err
	}
	wire, err := p.Encode()
	if err != nil {
		return nil, err
	}
	m := hmac.New(md5.New, []byte(secret))
	m.Write(wire)
	copy(wire[22:38], m.Sum(nil))
	return wire, nil
}

// errSilent: no answer, however often the request was sent.
var errSilent = errors.New("no answer over RADIUS")

// ask sends the same octets from one socket until an authentic answer comes, as a gateway does.
func ask(ctx context.Context, addr string, secret sallyport.Secret, wire []byte, timeout time.Duration, tries int) (accept bool, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", addr)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, radius.MaxPacketLength)
	for range tries {
		if _, err := conn.Write(wire); err != nil && ctx.Err() != nil {
			return false, err
		}
		end := time.Now().Add(timeout)
		if err := conn.SetReadDeadline(end); err != nil {
			return false, err
		}
		for time.Now().Before(end) && ctx.Err() == nil {
			n, err := conn.Read(buf)
			if err == nil && n >= 20 && radius.IsAuthenticResponse(buf[:n], wire, []byte(secret)) {
				return radius.Code(buf[0]) == radius.CodeAccessAccept, nil
			}
			if err != nil { // "connection refused" comes at once; the gateway waits all the same
				t := time.NewTimer(min(50*time.Millisecond, time.Until(end)))
				<-t.C
			}
		}
	}
	return false, errSilent
}

// gatewayAsks does what the gateway does with its pool: one server with all tries, then the next.
func gatewayAsks(ctx context.Context, s *stack.Stack, user string, passcode sallyport.Secret) (accept bool, err error) {
	for _, addr := range s.RADIUSAddrs() {
		wire, err := packet(s.RADIUSSecret, user, passcode)
		if err != nil {
			return false, err
		}
		if accept, err = ask(ctx, addr, s.RADIUSSecret, wire, 2*time.Second, 3); err == nil {
			return accept, nil
		}
	}
	return false, errSilent
}
