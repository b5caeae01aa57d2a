package radius

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

const secret = "gateway-shared-secret-22"

// verifierFunc decides as it likes and counts how often it was asked.
type verifierFunc func(ctx context.Context, q Query) Verdict

func (f verifierFunc) Verify(ctx context.Context, q Query) Verdict { return f(ctx, q) }

func gatewayAt(prefix string) sallyport.Integration {
	return sallyport.Integration{
		ID: "vpn", Kind: "f5-big-ip", Nickname: "Hospital VPN", Secret: secret,
		MessageAuthenticator: sallyport.MessageAuthenticatorNever,
		Clients:              []netip.Prefix{netip.MustParsePrefix(prefix)},
	}
}

// lines is a log that tests read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) count(what string) int { return bytes.Count([]byte(l.String()), []byte(what)) }

// serve runs a server on loopback until the test ends.
func serve(t testing.TB, opts Options) (*Server, *lines) {
	t.Helper()
	log := &lines{}
	opts.Address = "127.0.0.1:0"
	opts.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if opts.Integrations == nil {
		opts.Integrations = []sallyport.Integration{gatewayAt("127.0.0.1/32")}
	}
	s, err := Listen(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, log
}

// dial opens a gateway's socket on the loopback address from.
func dial(t testing.TB, s *Server, from string) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, net.UDPAddrFromAddrPort(s.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// exchange sends a packet and returns the answer, or nil when none comes within patience.
func exchange(t testing.TB, c *net.UDPConn, packet []byte, patience time.Duration) []byte {
	t.Helper()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	return receive(t, c, patience)
}

func receive(t testing.TB, c *net.UDPConn, patience time.Duration) []byte {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	n, err := c.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

const (
	soon = 5 * time.Second        // for what must come
	hush = 150 * time.Millisecond // for what must not
)

// access builds an Access-Request with the library, as a gateway would.
func access(t testing.TB, user, password, secret string, edit ...func(*radius.Packet)) *radius.Packet {
	t.Helper()
	p := radius.New(radius.CodeAccessRequest, []byte(secret))
	if err := rfc2865.UserName_SetString(p, user); err != nil {
		t.Fatal(err)
	}
	if err := rfc2865.UserPassword_SetString(p, password); err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

func encode(t testing.TB, p *radius.Packet) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withMAC encodes p with a Message-Authenticator in front.
func withMAC(t testing.TB, p *radius.Packet) []byte {
	t.Helper()
	p.Attributes = append(radius.Attributes{{Type: 80, Attribute: make([]byte, macSize)}}, p.Attributes...)
	b := encode(t, p)
	h := hmac.New(md5.New, p.Secret)
	h.Write(b)
	copy(b[headerSize+2:], h.Sum(nil))
	return b
}

// checkAnswer checks both signatures and returns the packet.
func checkAnswer(t testing.TB, answer, request []byte, secret string) *radius.Packet {
	t.Helper()
	if answer == nil {
		t.Fatal("no answer")
	}
	p, err := radius.Parse(answer, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if !radius.IsAuthenticResponse(answer, request, []byte(secret)) {
		t.Fatal("Response Authenticator is wrong")
	}
	if answer[headerSize] != 80 || answer[headerSize+1] != macAttrSize {
		t.Fatalf("first attribute is %d, not Message-Authenticator", answer[headerSize])
	}
	zeroed := append([]byte(nil), answer...)
	copy(zeroed[4:headerSize], request[4:headerSize])
	clear(zeroed[headerSize+2 : headerSize+macAttrSize])
	h := hmac.New(md5.New, []byte(secret))
	h.Write(zeroed)
	if !hmac.Equal(h.Sum(nil), answer[headerSize+2:headerSize+macAttrSize]) {
		t.Fatal("Message-Authenticator of the answer is wrong")
	}
	return p
}

// eventually waits for something that happens on another goroutine.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}
