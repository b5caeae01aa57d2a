package cloud

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/cloud/enterprise"
	"github.com/sallyport/sallyport/cloud/internal/redistest"
	"github.com/sallyport/sallyport/embed"
	"github.com/sallyport/sallyport/internal/pki"
)

// start runs a replica until the test ends, and checks that it ends well.
func start(t *testing.T, redisURL, keyDir string, change ...func(*Config)) *Service {
	t.Helper()
	cfg := Config{
		Listen: "127.0.0.1:0", TunnelListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Redis: redisURL, KeyDir: keyDir,
		TokenServiceAddress: "tokens.example:443", Replica: "one", Grace: 5 * time.Second,
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(t.Context(), cfg, Deps{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	})
	return s
}

func newKeyDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := InitKeys(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body), r.Header
}

func post(t *testing.T, url string, body, into any) int {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post(url, "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode
}

func TestFromNothingToATrustedAppliance(t *testing.T) {
	redis := redistest.Start(t)
	s := start(t, redis.URL, newKeyDir(t))
	base := "http://" + s.Addr()
	e, code, err := enterprise.New(redis.Client(t), time.Now).Create(t.Context(), "General Hospital")
	if err != nil {
		t.Fatal(err)
	}
	token := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"tenantId":%q,"contextData":{"authAppId":"f5-big-ip","authInstanceId":"g"}}`, e.ID))
	var refused struct{ Code string }
	if status := post(t, base+"/v1/logins", map[string]string{"accessToken": token}, &refused); status != 503 || refused.Code != "unavailable" {
		t.Errorf("login without an appliance: %d %+v", status, refused)
	}
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		ApplianceID, EnterpriseName, CA, TunnelAddress, TokensvcAddress string
		Chain                                                           []string
	}
	status := post(t, base+"/v1/provision", map[string]string{
		"enterpriseId": string(e.ID), "code": string(code), "csr": base64.RawURLEncoding.EncodeToString(csr), "applianceName": "alpha",
	}, &a)
	if status != 200 || a.EnterpriseName != "General Hospital" || a.TunnelAddress != s.TunnelAddr() || a.TokensvcAddress != "tokens.example:443" {
		t.Fatalf("%d %+v", status, a)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(a.CA)) {
		t.Fatal("no roots")
	}
	if err := shakeHands(a.TunnelAddress, roots, certificateOf(t, a.Chain, key)); err != nil {
		t.Errorf("with the certificate: %v", err)
	}
	if err := shakeHands(a.TunnelAddress, roots, tls.Certificate{}); err == nil {
		t.Error("the tunnel lets anybody in")
	}
}

func certificateOf(t *testing.T, chain []string, key crypto.Signer) tls.Certificate {
	t.Helper()
	c := tls.Certificate{PrivateKey: key}
	for _, s := range chain {
		der, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificate = append(c.Certificate, der)
	}
	return c
}

// shakeHands dials the tunnel. In TLS 1.3 a server's refusal shows with the first read.
func shakeHands(address string, roots *x509.CertPool, cert tls.Certificate) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	cfg := pki.ClientTLS(func() (*tls.Certificate, error) { return &cert, nil }, roots, host)
	cfg.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = conn.Read(make([]byte, 1)) // the server's SETTINGS
	return err
}

func TestTheScriptTagWorksAtTheCloud(t *testing.T) {
	s := start(t, redistest.Start(t).URL, newKeyDir(t))
	tag, _, _, err := embed.Script("http://"+s.Addr(), "gate", "hospital", strings.Repeat("A", 43), "")
	if err != nil {
		t.Fatal(err)
	}
	src := regexp.MustCompile(`src="([^"]+)"`).FindStringSubmatch(tag)[1]
	if status, body, h := get(t, src); status != 200 || body == "" || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %d octets %v", status, len(body), h)
	}
}

func TestProbesAndMetrics(t *testing.T) {
	s := start(t, redistest.Start(t).URL, newKeyDir(t))
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": `"redis":"ok"`, "/metrics": "sallyport_login_streams"} {
		if status, body, _ := get(t, "http://"+s.AdminAddr()+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
		if status, _, _ := get(t, "http://"+s.Addr()+path); status != 404 {
			t.Errorf("%s is open to browsers: %d", path, status)
		}
	}
}

func TestHugeHeadersAndSlowClientsAreCut(t *testing.T) {
	s := start(t, redistest.Start(t).URL, newKeyDir(t))
	req, err := http.NewRequest("GET", "http://"+s.Addr()+"/v1/logins/x/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.Repeat("A", 1<<20))
	if r, err := http.DefaultClient.Do(req); err == nil {
		_ = r.Body.Close()
		if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("1 MB of headers: status %d", r.StatusCode)
		}
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /v1/logins HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(headerTime + 20*time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("a client that never finishes its headers is kept: %v", err)
	}
}

func TestBrowsersAreServedOverTLSWithARenewedCertificate(t *testing.T) {
	keyDir, dir := newKeyDir(t), t.TempDir()
	keys, err := LoadKeys(keyDir)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := keys.IssueServer(time.Now(), cert, key, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	s := start(t, redistest.Start(t).URL, keyDir, func(c *Config) { c.TLSCert, c.TLSKey = cert, key })
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: keys.CA.Pool()}, ForceAttemptHTTP2: true}}
	r, err := c.Get("https://" + s.Addr() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != 404 || r.ProtoMajor != 1 || r.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %s %v", r.StatusCode, r.Proto, r.Header)
	}
}

func TestACertificateInFilesIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	keys := &Keys{CA: ca}
	cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
	now := time.Now()
	if err := keys.IssueServer(now, cert, key, "a.example"); err != nil {
		t.Fatal(err)
	}
	get, err := fromFiles(cert, key, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	nameOf := func() string {
		c, err := get()
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.DNSNames[0]
	}
	if nameOf() != "a.example" {
		t.Error(nameOf())
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := keys.IssueServer(now, cert, key, "b.example"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(cert, now.Add(time.Hour), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery + time.Second)
	if nameOf() != "b.example" {
		t.Error("the renewed certificate is not served")
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery + time.Second)
	if nameOf() != "b.example" {
		t.Error("a half-written certificate took the good one's place")
	}
}

func TestTheOwnCertificateIsMadeAnewInTime(t *testing.T) {
	now := time.Now()
	ca, err := pki.NewCA(now)
	if err != nil {
		t.Fatal(err)
	}
	get, err := fromAuthority(ca, func() time.Time { return now }, "cloud.example")
	if err != nil {
		t.Fatal(err)
	}
	first, err := get()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(ownTTL * 3 / 4)
	second, err := get()
	if err != nil {
		t.Fatal(err)
	}
	if !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("the certificate runs out")
	}
}

func TestKeysAreMadeOnceAndGuarded(t *testing.T) {
	dir := newKeyDir(t)
	first, err := LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := InitKeys(dir); err != nil {
		t.Fatal(err)
	}
	second, err := LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !first.CA.Cert.Equal(second.CA.Cert) || !bytes.Equal(first.Login, second.Login) {
		t.Error("keys that were there were replaced")
	}
	for _, name := range []string{caKeyFile, loginKeyFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", name, info.Mode(), err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, loginKeyFile), 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(dir); err == nil || !strings.Contains(err.Error(), "mode 0600") {
		t.Errorf("open key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, loginKeyFile), []byte("AAAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, loginKeyFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(dir); err == nil || !strings.Contains(err.Error(), "32 octets") {
		t.Errorf("short key: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, caKeyFile)); err != nil {
		t.Fatal(err)
	}
	if err := InitKeys(dir); err == nil || !strings.Contains(err.Error(), "only one of") {
		t.Errorf("half an authority: %v", err)
	}
	if _, err := LoadKeys(dir); err == nil || !strings.Contains(err.Error(), "cloud init") {
		t.Errorf("no authority: %v", err)
	}
}

func TestConfigurationThatCannotWorkIsRefusedWithItsReason(t *testing.T) {
	good := Config{Redis: "redis://x", KeyDir: "k"}
	if _, err := good.complete(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"redis":                 func(c *Config) { c.Redis = "" },
		"key directory":         func(c *Config) { c.KeyDir = "" },
		"key for browsers":      func(c *Config) { c.TLSCert = "x" },
		"key of the tunnel":     func(c *Config) { c.TunnelKey = "x" },
		"replica name":          func(c *Config) { c.Replica = "a b" },
		"public URL":            func(c *Config) { c.PublicURL = "cloud.example" },
		"token service address": func(c *Config) { c.TokenServiceAddress = "tokens" },
		"trusted proxy":         func(c *Config) { c.TrustedProxies = []string{"10.0.0.0/99"} },
	} {
		c := good
		change(&c)
		if _, err := c.complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
