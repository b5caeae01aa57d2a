package stack

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/pki"
)

// Tap stands in a connection that is encrypted between an appliance and a service and reads what is
// inside: with the keys of the cloud's own authority, as only the cloud's operator could.
type Tap struct {
	ln     net.Listener
	target string
	up     *tls.Config

	mu    sync.Mutex
	seen  bytes.Buffer
	conns map[net.Conn]struct{}
	over  bool
	wg    sync.WaitGroup
}

// StartTap starts a tap before target for the appliance of a branch.
func (b *Branch) StartTap(tb testing.TB, target string) *Tap {
	tb.Helper()
	keys := b.s.KeyDir()
	ca, err := pki.LoadCA(filepath.Join(keys, "ca.crt"), filepath.Join(keys, "ca.key"))
	if err != nil {
		tb.Fatal(err)
	}
	server, err := ca.ServerCertificate(time.Now(), time.Hour, "localhost", "127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	client, err := b.impostor(ca)
	if err != nil {
		tb.Fatal(err)
	}
	down := pki.ServerTLS(server, ca.Pool())
	t := &Tap{target: target, conns: map[net.Conn]struct{}{},
		up: pki.ClientTLS(func() (*tls.Certificate, error) { return client, nil }, ca.Pool(), "127.0.0.1")}
	down.NextProtos, t.up.NextProtos = []string{"h2"}, []string{"h2"}
	if t.ln, err = tls.Listen("tcp", "127.0.0.1:0", down); err != nil {
		tb.Fatal(err)
	}
	t.wg.Go(t.accept)
	tb.Cleanup(t.close)
	return t
}

// impostor makes a certificate for the branch's appliance with a key of the operator's own.
func (b *Branch) impostor(ca *pki.CA) (*tls.Certificate, error) {
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	csr, err := pki.CSR(key)
	if err != nil {
		return nil, err
	}
	chain, err := ca.SignAppliance(csr, pki.Identity{Tenant: b.Tenant, Appliance: b.Appliance}, time.Now(), time.Hour)
	return &tls.Certificate{Certificate: chain, PrivateKey: key}, err
}

// Addr returns host:port to dial instead of the target.
func (t *Tap) Addr() string { return t.ln.Addr().String() }

// Seen returns all that has passed, in both directions.
func (t *Tap) Seen() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.seen.Bytes())
}

func (t *Tap) accept() {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			return
		}
		t.wg.Go(func() { t.serve(c) })
	}
}

func (t *Tap) serve(c net.Conn) {
	up, err := tls.Dial("tcp", t.target, t.up)
	if err != nil || !t.track(c, up) {
		_ = c.Close()
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, up}, {up, c}} {
		both.Go(func() {
			_, _ = io.Copy(io.MultiWriter(t, way[0]), way[1]) // ends with either connection
			_ = c.Close()
			_ = up.Close()
		})
	}
	both.Wait()
}

func (t *Tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.Write(b)
}

func (t *Tap) track(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		t.conns[c] = struct{}{}
		if t.over {
			_ = c.Close()
		}
	}
	return !t.over
}

func (t *Tap) close() {
	_ = t.ln.Close()
	t.mu.Lock()
	t.over = true
	for c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}
