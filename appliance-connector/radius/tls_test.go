package radius

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Hospital CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pem: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) issue(t testing.TB, name string, ends time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func fingerprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// secureWorld is a server whose integration "vpn" asks from nowhere but over TLS.
type secureWorld struct {
	*Server
	log  *lines
	ca   *authority
	cert tls.Certificate // the gateway's
}

func secure(t testing.TB, opts Options, edit func(w *secureWorld, in *sallyport.Integration)) *secureWorld {
	t.Helper()
	w := &secureWorld{ca: newAuthority(t)}
	w.cert = w.ca.issue(t, "vpn.hospital.example", time.Now().Add(time.Hour))
	own := w.ca.issue(t, "appliance.hospital.example", time.Now().Add(time.Hour))
	if opts.TLS == nil {
		opts.TLS = &TLSOptions{}
	}
	opts.TLS.Address = "127.0.0.1:0"
	opts.TLS.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil }
	in := gatewayAt("192.0.2.0/24")
	in.TLS.Fingerprints = []string{fingerprint(w.cert)}
	if edit != nil {
		edit(w, &in)
	}
	opts.Integrations = append([]sallyport.Integration{in}, opts.Integrations...)
	w.Server, w.log = serve(t, opts)
	return w
}

// dialTLS connects with a certificate; certs may be empty.
func (w *secureWorld) dialTLS(t testing.TB, certs ...tls.Certificate) *tls.Conn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.cert)
	c, err := tls.Dial("tcp", w.TLSAddr().String(), &tls.Config{RootCAs: roots, ServerName: "appliance.hospital.example", Certificates: certs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a packet and reads the answer, or says why there is none.
func ask(c net.Conn, packet []byte) ([]byte, error) {
	if _, err := c.Write(packet); err != nil {
		return nil, err
	}
	return answered(c)
}

func answered(c net.Conn) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(soon)); err != nil {
		return nil, err
	}
	var room [maxPacket]byte
	b, err := readPacket(c, &room)
	return bytes.Clone(b), err
}

// refused holds that a connection is closed, with a line in the log.
func (w *secureWorld) refused(t *testing.T, words string, certs ...tls.Certificate) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.cert)
	before := w.Stats().TLSRefused
	c, err := tls.Dial("tcp", w.TLSAddr().String(), &tls.Config{RootCAs: roots, ServerName: "appliance.hospital.example", Certificates: certs})
	if err == nil {
		defer func() { _ = c.Close() }()
		var b []byte
		if b, err = ask(c, withMAC(t, access(t, "alice", "right", radsec))); err == nil {
			t.Fatalf("answered: %x", b)
		}
	}
	eventually(t, "the refusal", func() bool { return w.Stats().TLSRefused > before })
	eventually(t, "a line with "+words, func() bool { return strings.Contains(w.log.String(), words) })
}

func TestOverTLSAGatewayIsKnownByItsCertificate(t *testing.T) {
	v, _ := knows("right")
	w := secure(t, Options{Verifier: v}, nil)
	c := w.dialTLS(t, w.cert)
	for password, want := range map[string]radius.Code{"right": radius.CodeAccessAccept, "wrong": radius.CodeAccessReject, strings.Repeat("p", 128): radius.CodeAccessReject} {
		for _, request := range [][]byte{withMAC(t, access(t, "alice", password, radsec)), encode(t, access(t, "alice", password, radsec))} {
			b, err := ask(c, request)
			if err != nil {
				t.Fatal(err)
			}
			if p := checkAnswer(t, b, request, radsec); p.Code != want {
				t.Errorf("%s: %v", password, p.Code)
			}
		}
	}
	status := withMAC(t, radius.New(radius.CodeStatusServer, []byte(radsec)))
	if b, err := ask(c, status); err != nil || checkAnswer(t, b, status, radsec).Code != radius.CodeAccessAccept {
		t.Errorf("Status-Server: %v", err)
	}
	// A packet that makes no sense is dropped, and the next one is not.
	if _, err := c.Write(append([]byte{1, 9, 0, 22}, make([]byte, 18)...)); err != nil {
		t.Fatal(err)
	}
	request := withMAC(t, access(t, "alice", "right", radsec))
	request2 := withMAC(t, access(t, "alice", "wrong", radsec, func(p *radius.Packet) { p.Identifier = request[1] + 1 }))
	if _, err := c.Write(append(bytes.Clone(request), request2...)); err != nil { // two in one record
		t.Fatal(err)
	}
	for range 2 { // in whatever order
		b, err := answered(c)
		if err != nil {
			t.Fatal(err)
		}
		if b[1] == request[1] {
			checkAnswer(t, b, request, radsec)
		} else {
			checkAnswer(t, b, request2, radsec)
		}
	}
	if s := w.Stats(); s.TLSAccepted != 1 || s.Malformed != 1 {
		t.Errorf("%+v", s)
	}
	// The integration's own secret is for UDP.
	if b, err := ask(c, withMAC(t, access(t, "alice", "right", secret))); err == nil {
		t.Errorf("under the secret for UDP: %x", b)
	}
}

func TestOverTLSWhoIsNotKnownIsRefused(t *testing.T) {
	v, asked := knows("right")
	w := secure(t, Options{Verifier: v}, func(w *secureWorld, in *sallyport.Integration) {
		in.TLS.Authority, in.TLS.Names = w.ca.pem, []string{"vpn2.hospital.example", "vpn3.hospital.example"}
	})
	b, err := ask(w.dialTLS(t, w.ca.issue(t, "vpn3.hospital.example", time.Now().Add(time.Hour))), withMAC(t, access(t, "alice", "right", radsec)))
	if err != nil || radius.Code(b[0]) != radius.CodeAccessAccept {
		t.Errorf("by authority and name: %v", err)
	}
	before := asked.Load()
	w.refused(t, "no TLS from there")
	w.refused(t, "unknown client certificate", w.ca.issue(t, "vpn4.hospital.example", time.Now().Add(time.Hour)))
	w.refused(t, "outside its time", w.ca.issue(t, "vpn2.hospital.example", time.Now().Add(-time.Minute)))
	w.refused(t, "unknown client certificate", newAuthority(t).issue(t, "vpn2.hospital.example", time.Now().Add(time.Hour)))
	if got := asked.Load(); got != before {
		t.Errorf("%d were asked about", got-before)
	}
	plain, err := net.Dial("tcp", w.TLSAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	if b, err := ask(plain, withMAC(t, access(t, "alice", "right", radsec))); err == nil && b[0] < 20 {
		t.Errorf("without TLS: %x", b)
	}
}

func TestACertificateBelongsToOneIntegration(t *testing.T) {
	a, b := gatewayAt("192.0.2.1/32"), gatewayAt("192.0.2.2/32")
	b.ID = "other"
	a.TLS.Fingerprints, b.TLS.Fingerprints = []string{strings.Repeat("a", 64)}, []string{strings.Repeat("b", 64), strings.Repeat("a", 64)}
	if _, err := newClients([]sallyport.Integration{a, b}, nil, nil); err == nil || !strings.Contains(err.Error(), `belongs to integration "vpn"`) {
		t.Error(err)
	}
	a.TLS = sallyport.RADIUSTLS{Authority: "none"}
	if _, err := newClients([]sallyport.Integration{a}, nil, nil); err == nil {
		t.Error("an authority without a certificate is taken")
	}
}

// Who holds many requests, or opens many connections, keeps nobody else waiting.
func TestOverTLSOneGatewayDoesNotStarveAnother(t *testing.T) {
	var held atomic.Int64
	release := make(chan struct{})
	var other tls.Certificate
	w := secure(t, Options{Verifier: verifierFunc(func(_ context.Context, q Query) Verdict {
		if q.Integration.ID == "vpn" {
			held.Add(1)
			<-release
		}
		return Verdict{Accept: true}
	})}, nil)
	other = w.ca.issue(t, "other.hospital.example", time.Now().Add(time.Hour))
	second := gatewayAt("192.0.3.0/24")
	second.ID, second.TLS.Fingerprints = "other", []string{fingerprint(other)}
	first := gatewayAt("192.0.2.0/24")
	first.TLS.Fingerprints = []string{fingerprint(w.cert)}
	if err := w.SetIntegrations([]sallyport.Integration{first, second}); err != nil {
		t.Fatal(err)
	}
	c := w.dialTLS(t, w.cert)
	const many = linkPlaces + 50
	var sent sync.WaitGroup
	var requests [many][]byte
	for i := range many {
		requests[i] = withMAC(t, access(t, fmt.Sprint("user", i), "right", radsec))
	}
	sent.Go(func() {
		for _, r := range requests {
			if _, err := c.Write(r); err != nil {
				return
			}
		}
	})
	eventually(t, "as many as a connection may hold", func() bool { return held.Load() == linkPlaces })
	request := withMAC(t, access(t, "bob", "right", radsec))
	b, err := ask(w.dialTLS(t, other), request)
	if err != nil || checkAnswer(t, b, request, radsec).Code != radius.CodeAccessAccept {
		t.Errorf("the other gateway waits: %v", err)
	}
	for range linksOfOne - 1 {
		w.dialTLS(t, w.cert)
	}
	eventually(t, "the connections", func() bool { return w.Stats().TLSAccepted == linksOfOne+1 })
	w.refused(t, "too many connections over TLS of one integration", w.cert)
	if _, err = ask(w.dialTLS(t, other), request); err != nil {
		t.Errorf("the other gateway is not let in: %v", err)
	}
	if got := held.Load(); got != linkPlaces {
		t.Errorf("%d held on one connection", got)
	}
	close(release)
	sent.Wait()
	for range many {
		if _, err := answered(c); err != nil {
			t.Fatalf("what waited is not answered: %v", err)
		}
	}
}

func TestStrangersAreFew(t *testing.T) {
	var l links
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range strangersAt {
		if !l.meet(a) {
			t.Fatal("too few")
		}
	}
	if l.meet(a) || !l.meet(b) {
		t.Error("one address has too many, or keeps another out")
	}
	l.know(a)
	if !l.meet(a) {
		t.Error("a place is not given back")
	}
	for i := range strangers {
		l.meet(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if l.strangers != strangers || l.meet(netip.MustParseAddr("203.0.113.1")) {
		t.Errorf("%d strangers", l.strangers)
	}
}

func TestOverTLSSilenceAndNonsenseEndAConnection(t *testing.T) {
	v, _ := knows("right")
	w := secure(t, Options{Verifier: v, TLS: &TLSOptions{Idle: 50 * time.Millisecond}}, nil)
	ended := func(c net.Conn) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("it goes on: %d, %v", n, err)
		}
	}
	ended(w.dialTLS(t, w.cert))

	w = secure(t, Options{Verifier: v, TLS: &TLSOptions{Handshake: 300 * time.Millisecond}}, nil)
	plain, err := net.Dial("tcp", w.TLSAddr().String()) // says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	ended(plain)
	for _, nonsense := range [][]byte{{1, 2, 0, 19}, {1, 2, 255, 255}, {1, 2, 0}, {1, 2, 0, 40, 1}} { // too short, too long, and two that never end
		c := w.dialTLS(t, w.cert)
		if _, err := c.Write(nonsense); err != nil {
			t.Fatal(err)
		}
		ended(c)
	}
}

func TestOverTLSAGatewayThatIsTakenOutIsCutOff(t *testing.T) {
	v, _ := knows("right")
	w := secure(t, Options{Verifier: v}, nil)
	c := w.dialTLS(t, w.cert)
	request := withMAC(t, access(t, "alice", "right", radsec))
	if _, err := ask(c, request); err != nil {
		t.Fatal(err)
	}
	if err := w.SetIntegrations([]sallyport.Integration{gatewayAt("192.0.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	if b, err := ask(c, request); err == nil {
		t.Errorf("answered: %x", b)
	}
}

func TestOverTLSShutdownAnswersWhatIsBeingVerified(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	ca := newAuthority(t)
	own, cert := ca.issue(t, "appliance.hospital.example", time.Now().Add(time.Hour)), ca.issue(t, "vpn.hospital.example", time.Now().Add(time.Hour))
	in := gatewayAt("192.0.2.0/24")
	in.TLS.Fingerprints = []string{fingerprint(cert)}
	s, err := Listen(Options{Address: "127.0.0.1:0", Integrations: []sallyport.Integration{in},
		TLS: &TLSOptions{Address: "127.0.0.1:0", Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil }},
		Verifier: verifierFunc(func(ctx context.Context, q Query) Verdict {
			close(started)
			<-release
			return Verdict{Accept: ctx.Err() == nil}
		})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	w := &secureWorld{Server: s, ca: ca}
	c := w.dialTLS(t, cert)
	request := withMAC(t, access(t, "alice", "x", radsec))
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	<-started
	cancel()
	close(release)
	b, err := answered(c)
	if err != nil || checkAnswer(t, b, request, radsec).Code != radius.CodeAccessAccept {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("it is open still: %v", err)
	}
}

// FuzzStream: packets come out of a stream as they were put in, and what is none ends it.
func FuzzStream(f *testing.F) {
	packet := encode(f, access(f, "alice", "password", radsec))
	f.Add(packet, 7)
	f.Add(append(bytes.Clone(packet), packet...), 1)
	f.Add(append(bytes.Clone(packet), 1, 2, 0, 19), 30)
	f.Add([]byte{1, 2, 255, 255}, 2)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		r, all := io.Reader(bytes.NewReader(stream)), []byte(nil)
		if step > 0 {
			r = &slowly{stream, step}
		}
		var room [maxPacket]byte
		for {
			b, err := readPacket(r, &room)
			if err != nil {
				break
			}
			if len(b) < headerSize || len(b) > maxPacket || int(b[2])<<8|int(b[3]) != len(b) {
				t.Fatalf("a packet of %d octets: %x", len(b), b[:4])
			}
			all = append(all, b...)
		}
		if !bytes.HasPrefix(stream, all) {
			t.Error("what came out was not put in")
		}
	})
}

// slowly reads a few octets at a time.
type slowly struct {
	left []byte
	step int
}

func (s *slowly) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), s.step)], s.left)
	s.left = s.left[n:]
	return n, nil
}

// radsecproxy of Debian stands between a gateway that speaks UDP and the server that it reaches over TLS.
func TestRadsecproxyAsksOverTLS(t *testing.T) {
	v, _ := knows("right")
	w := secure(t, Options{Verifier: verifierFunc(func(ctx context.Context, q Query) Verdict {
		if string(q.Passcode) == "more" {
			return Verdict{Challenge: bytes.Repeat([]byte{5}, 253), Message: "Type the code."}
		}
		if q.State != nil {
			return Verdict{Accept: bytes.Equal(q.State, bytes.Repeat([]byte{5}, 253)) && q.Passcode == "123456", Reason: "wrong"}
		}
		return v(ctx, q)
	})}, func(w *secureWorld, in *sallyport.Integration) {
		in.TLS = sallyport.RADIUSTLS{Authority: w.ca.pem, Names: []string{"vpn.hospital.example"}}
	})
	gateway := radsecproxy(t, w)
	ask := func(p *radius.Packet, want radius.Code) *radius.Packet {
		t.Helper()
		request := withMAC(t, p)
		got := exchange(t, gateway, request, soon)
		if got == nil {
			t.Fatalf("no answer; the log: %s", w.log)
		}
		answer, err := radius.Parse(got, []byte(secret))
		if err != nil || !radius.IsAuthenticResponse(got, request, []byte(secret)) || answer.Code != want {
			t.Fatalf("%v, %+v", err, answer)
		}
		return answer
	}
	ask(access(t, "alice", "right", secret), radius.CodeAccessAccept)
	ask(access(t, "alice", "wrong", secret), radius.CodeAccessReject)
	challenge := ask(access(t, "alice", "more", secret), radius.CodeAccessChallenge)
	if rfc2865.ReplyMessage_GetString(challenge) != "Type the code." {
		t.Errorf("%+v", challenge)
	}
	ask(access(t, "alice", "123456", secret, func(p *radius.Packet) { p.Add(rfc2865.State_Type, rfc2865.State_Get(challenge)) }), radius.CodeAccessAccept)
	if s := w.Stats(); s.TLSAccepted != 1 || s.Accepted != 2 {
		t.Errorf("%+v", s)
	}
}

// radsecproxy starts one in front of w and returns a gateway's socket towards it.
func radsecproxy(t *testing.T, w *secureWorld) *net.UDPConn {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(w.cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	port := harness.FreePort(t)
	for name, content := range map[string]string{
		"ca.pem":   w.ca.pem,
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.cert.Certificate[0]})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"conf": fmt.Sprintf(`ListenUDP 127.0.0.1:%d
LogLevel 2
tls default {
	CACertificateFile %[2]s/ca.pem
	CertificateFile %[2]s/cert.pem
	CertificateKeyFile %[2]s/key.pem
}
client gateway {
	host 127.0.0.1
	type udp
	secret %[3]s
}
server appliance {
	host 127.0.0.1
	port %[4]d
	type tls
	secret radsec
	certificateNameCheck off
	statusServer on
}
realm * {
	server appliance
}
`, port, dir, secret, w.TLSAddr().Port()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := harness.NewProgram(t, "radsecproxy", "/usr/sbin/radsecproxy", func(context.Context) error {
		if w.Stats().TLSAccepted == 0 {
			return fmt.Errorf("it has not connected yet")
		}
		return nil
	}, "-f", "-c", filepath.Join(dir, "conf"))
	p.Start()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
