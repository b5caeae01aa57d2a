package harness

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

//go:embed smtp/server.py
var smtpServer []byte

// SMTP is a mail server. It takes everything but messages to nobody@… (550) and later@… (451).
type SMTP struct {
	Host string
	Port int
	// Authority is its certificate in PEM.
	Authority string
	// Messages are those that it took.
	Messages <-chan SMTPMessage
}

// SMTPMessage is a message as it arrived.
type SMTPMessage struct {
	From    string
	To      []string
	TLS     bool
	User    string
	Content string
}

// StartSMTP starts a mail server with security "starttls", "tls" or "none" that wants user and password, unless
// user is empty.
func StartSMTP(tb testing.TB, security, user, password string) *SMTP {
	tb.Helper()
	dir := tb.TempDir()
	cert, key := smtpCertificate(tb)
	for name, data := range map[string][]byte{"server.py": smtpServer, "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	args := []string{"-B", "server.py", "--security", security, "--cert", "cert.pem", "--key", "key.pem"}
	if user != "" {
		args = append(args, "--user", user, "--password", password)
	}
	cmd := exec.Command("/usr/bin/python3", args...)
	cmd.Dir = dir
	out, in := io.Pipe()
	cmd.Stdout = in
	p, err := startProcess(cmd)
	if err != nil {
		tb.Fatal(err)
	}
	messages, port := make(chan SMTPMessage, 64), make(chan int, 1)
	go readSMTP(out, port, messages)
	tb.Cleanup(func() {
		p.kill()
		_ = in.Close()
	})
	s := &SMTP{Host: "localhost", Authority: string(cert), Messages: messages}
	if err := p.await("mail server", func(ctx context.Context) error {
		if s.Port == 0 {
			select {
			case s.Port = <-port:
			case <-ctx.Done():
				return errors.New("it has not said its port")
			}
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return s
}

// readSMTP reads what the server says: its port, then messages. Everything else is its log.
func readSMTP(out io.Reader, port chan<- int, messages chan<- SMTPMessage) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 32<<20)
	for lines.Scan() {
		var m SMTPMessage
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			port <- n
		} else if strings.HasPrefix(lines.Text(), "{") && json.Unmarshal(lines.Bytes(), &m) == nil {
			messages <- m
		}
	}
}

func smtpCertificate(tb testing.TB) (cert, key []byte) {
	tb.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &pair.PublicKey, pair)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}
