package apmsim_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jimlambrt/gldap"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/sallyport/sallyport/test/apmsim"
)

const (
	secret  = "a shared secret of some length"
	base    = "dc=hospital,dc=example"
	aliceDN = "cn=Alice Adams," + base
)

// directory answers LDAPS for one service account and one user.
func directory(t *testing.T) (string, *x509.CertPool) {
	t.Helper()
	s, err := gldap.NewServer()
	must(t, err)
	mux, err := gldap.NewMux()
	must(t, err)
	must(t, mux.Bind(func(w *gldap.ResponseWriter, r *gldap.Request) {
		resp := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
		m, err := r.GetSimpleBindMessage()
		if err == nil && (m.UserName == "cn=svc" && m.Password == "svc-pw" || strings.EqualFold(m.UserName, aliceDN) && m.Password == "right") {
			resp.SetResultCode(gldap.ResultSuccess)
		}
		_ = w.Write(resp)
	}))
	must(t, mux.Search(func(w *gldap.ResponseWriter, r *gldap.Request) {
		m, err := r.GetSearchMessage()
		if err == nil && (m.Filter == "(sAMAccountName=alice)" || m.Filter == "(userPrincipalName=alice@hospital.example)") {
			_ = w.Write(r.NewSearchResponseEntry(aliceDN, gldap.WithAttributes(map[string][]string{"displayName": {"Alice Adams"}, "memberOf": {"cn=nurses"}})))
		}
		_ = w.Write(r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultSuccess)))
	}))
	must(t, s.Router(mux))
	cert, pool := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := l.Addr().String()
	must(t, l.Close())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(addr, gldap.WithTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	}()
	t.Cleanup(func() {
		must(t, s.Stop())
		if err := <-ended; err != nil {
			t.Log("directory:", err)
		}
	})
	for end := time.Now().Add(10 * time.Second); !s.Ready() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond) // waiting for an event of another goroutine
	}
	return "ldaps://" + addr, pool
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dc1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// radiusServer keeps every packet and answers as answer says; nil is silence.
type radiusServer struct {
	conn net.PacketConn
	mu   sync.Mutex
	got  [][]byte
}

func newRADIUS(t *testing.T, answer func(n int, p *radius.Packet) *radius.Packet) *radiusServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	s := &radiusServer{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.got = append(s.got, slices.Clone(buf[:n]))
			count := len(s.got)
			s.mu.Unlock()
			p, err := radius.Parse(slices.Clone(buf[:n]), []byte(secret))
			if err != nil {
				continue
			}
			if a := answer(count, p); a != nil {
				wire, err := a.Encode()
				if err == nil {
					_, _ = conn.WriteTo(wire, from)
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

func (s *radiusServer) addr() string { return s.conn.LocalAddr().String() }

func (s *radiusServer) packets() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func acceptToken(_ int, p *radius.Packet) *radius.Packet {
	if rfc2865.UserPassword_GetString(p) == "token" {
		return p.Response(radius.CodeAccessAccept)
	}
	return p.Response(radius.CodeAccessReject)
}

// gateway starts a stand-in and returns a browser-like client of it.
func gateway(t *testing.T, cfg apmsim.Config) (*http.Client, string) {
	t.Helper()
	cfg.LDAPURL, cfg.LDAPRoots = directory(t)
	cfg.BaseDN, cfg.BindDN, cfg.BindPassword, cfg.RADIUSSecret = base, "cn=svc", "svc-pw", secret
	if cfg.Log == nil {
		cfg.Log = func(step int, text string) { t.Log(step, text) }
	}
	s, err := apmsim.Listen(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &http.Client{Jar: jar, Timeout: 30 * time.Second}, strings.TrimSuffix(s.URL(), "/")
}

func get(t *testing.T, c *http.Client, address string) (string, *http.Response) {
	t.Helper()
	r, err := c.Get(address)
	must(t, err)
	return body(t, r), r
}

func post(t *testing.T, c *http.Client, address string, form url.Values) (string, *http.Response) {
	t.Helper()
	r, err := c.PostForm(address, form)
	must(t, err)
	return body(t, r), r
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	must(t, r.Body.Close())
	return string(b)
}

func credentials(user, password, token string) url.Values {
	return url.Values{"username": {user}, "password": {password}, "password1": {token}, "vhost": {"standard"}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPolicyAsksLDAPThenRADIUSThenShowsTheWebtop(t *testing.T) {
	r := newRADIUS(t, acceptToken)
	var mu sync.Mutex
	var steps []int
	c, at := gateway(t, apmsim.Config{RADIUSServers: []string{r.addr()}, Log: func(step int, _ string) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step)
	}})
	for _, user := range []string{"alice", `HOSPITAL\alice`, "alice@hospital.example"} {
		page, _ := get(t, c, at+"/")
		if !strings.Contains(page, `<form id="auth_form" name="e1" method="post"`) {
			t.Fatalf("logon page: %s", page)
		}
		page, resp := post(t, c, at+"/my.policy", credentials(user, "right", "token"))
		if !strings.Contains(page, "Alice Adams") || resp.Request.URL.Path != "/vdesk/webtop.eui" {
			t.Errorf("%s: at %s: %s", user, resp.Request.URL, page)
		}
	}
	if want := []int{1, 13, 14, 15, 16}; !slices.Equal(steps[:5], want) {
		t.Errorf("steps %v, want %v", steps[:5], want)
	}
}

func TestFailedLogonComesBackWithTheError(t *testing.T) {
	r := newRADIUS(t, acceptToken)
	c, at := gateway(t, apmsim.Config{RADIUSServers: []string{r.addr()}})
	for name, form := range map[string]url.Values{
		"wrong password": credentials("alice", "wrong", "token"), "unknown user": credentials("nobody", "right", "token"),
		"empty password": credentials("alice", "", "token"), "wrong token": credentials("alice", "right", "no"),
		"filter in the name": credentials("*", "right", "token"),
	} {
		get(t, c, at+"/")
		page, resp := post(t, c, at+"/my.policy", form)
		if resp.StatusCode != 200 || !regexp.MustCompile(`id="credentials_table_postheader"><font color=red>The username or password is not correct`).MatchString(page) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, page)
		}
	}
	if n := len(r.packets()); n != 1 {
		t.Errorf("RADIUS was asked %d times; only the right password should get that far", n)
	}
}

func TestRetransmissionsAreTheSameOctets(t *testing.T) {
	r := newRADIUS(t, func(n int, p *radius.Packet) *radius.Packet {
		if n < 4 {
			return nil
		}
		return acceptToken(n, p)
	})
	c, at := gateway(t, apmsim.Config{RADIUSServers: []string{r.addr()}, Timeout: 150 * time.Millisecond, MessageAuthenticator: true})
	get(t, c, at+"/")
	if page, _ := post(t, c, at+"/my.policy", credentials("alice", "right", "token")); !strings.Contains(page, "Alice Adams") {
		t.Fatal(page)
	}
	got := r.packets()
	if len(got) != 4 {
		t.Fatalf("%d packets, want 4", len(got))
	}
	for _, p := range got[1:] {
		if !slices.Equal(p, got[0]) {
			t.Error("a retransmission differs")
		}
	}
	if got[0][20] != byte(rfc2869.MessageAuthenticator_Type) {
		t.Error("the Message-Authenticator does not come first")
	}
}

func TestPoolGoesOnToTheNextServer(t *testing.T) {
	silent := newRADIUS(t, func(int, *radius.Packet) *radius.Packet { return nil })
	liar := newRADIUS(t, func(_ int, p *radius.Packet) *radius.Packet {
		a := p.Response(radius.CodeAccessAccept)
		a.Secret = []byte("another secret")
		return a
	})
	good := newRADIUS(t, acceptToken)
	c, at := gateway(t, apmsim.Config{RADIUSServers: []string{silent.addr(), liar.addr(), good.addr()}, Timeout: 100 * time.Millisecond, Retries: 1})
	get(t, c, at+"/")
	if page, _ := post(t, c, at+"/my.policy", credentials("alice", "right", "token")); !strings.Contains(page, "Alice Adams") {
		t.Fatal(page)
	}
	if a, b, n := len(silent.packets()), len(liar.packets()), len(good.packets()); a != 2 || b != 2 || n != 1 {
		t.Errorf("packets: %d, %d, %d; want 2, 2, 1", a, b, n)
	}
}

func TestNoServerAnswers(t *testing.T) {
	silent := newRADIUS(t, func(int, *radius.Packet) *radius.Packet { return nil })
	c, at := gateway(t, apmsim.Config{RADIUSServers: []string{silent.addr()}, Timeout: 50 * time.Millisecond, Retries: -1})
	get(t, c, at+"/")
	page, _ := post(t, c, at+"/my.policy", credentials("alice", "right", "token"))
	if !strings.Contains(page, "An error occurred while contacting the authentication server") || len(silent.packets()) != 1 {
		t.Errorf("%d packets; %s", len(silent.packets()), page)
	}
}

func TestAccessChallengeBecomesAChallengePage(t *testing.T) {
	r := newRADIUS(t, func(_ int, p *radius.Packet) *radius.Packet {
		if string(rfc2865.State_Get(p)) == "st" && rfc2865.UserPassword_GetString(p) == "123456" {
			return p.Response(radius.CodeAccessAccept)
		}
		a := p.Response(radius.CodeAccessChallenge)
		_ = rfc2865.State_AddString(a, "st")
		_ = rfc2865.ReplyMessage_AddString(a, "Which code?")
		return a
	})
	c, at := gateway(t, apmsim.Config{RADIUSServers: []string{r.addr()}})
	get(t, c, at+"/")
	page, _ := post(t, c, at+"/my.policy", credentials("alice", "right", ""))
	if !strings.Contains(page, "Which code?") || !strings.Contains(page, `name="_F5_challenge"`) || !strings.Contains(page, "var challengeMode =  true") {
		t.Fatal(page)
	}
	if page, resp := post(t, c, at+"/my.policy", url.Values{"_F5_challenge": {"123456"}}); resp.Request.URL.Path != "/vdesk/webtop.eui" {
		t.Error(page)
	}
}

func TestSessionsAndTheirCookies(t *testing.T) {
	c, at := gateway(t, apmsim.Config{SessionTimeout: time.Hour})
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	_, resp := get(t, c, at+"/")
	cookies := map[string]string{}
	for _, k := range resp.Cookies() {
		cookies[k.Name] = k.Value
	}
	id := cookies["MRHSession"]
	if resp.StatusCode != 302 || resp.Header.Get("Location") != "/my.policy" || len(id) != 32 || cookies["LastMRH_Session"] != id[24:] {
		t.Errorf("%d to %q with %v", resp.StatusCode, resp.Header.Get("Location"), cookies)
	}
	_, resp = get(t, c, at+"/vdesk/timeoutagent-i.php")
	var left int64
	for _, k := range resp.Cookies() {
		if _, err := fmt.Sscan(k.Value, &left); k.Name == "TIN" && err != nil {
			t.Error(err)
		}
	}
	if left < 3_500_000 || left > 3_600_000 {
		t.Errorf("TIN %d ms", left)
	}
	stranger := &http.Client{CheckRedirect: c.CheckRedirect}
	if _, resp := get(t, stranger, at+"/my.policy"); resp.Header.Get("Location") != "/my.logout.php3?errorcode=20" {
		t.Errorf("stale GET goes to %q", resp.Header.Get("Location"))
	}
	if _, resp := post(t, stranger, at+"/my.policy", credentials("alice", "right", "token")); resp.Header.Get("Location") != "/my.logout.php3?errorcode=19" {
		t.Errorf("stale POST goes to %q", resp.Header.Get("Location"))
	}
}

func TestEveryPageIsThere(t *testing.T) {
	script := `<script src="https://cloud.example/f5.js"></script>`
	c, at := gateway(t, apmsim.Config{Script: script, ModernScript: apmsim.ExternalScript{Address: "https://cloud.example/f5.js#t=a&k=b", Integrity: "sha384-x"}})
	for path, want := range map[string]string{
		"/": `<input type="password" name="password1"`, "/?page=div12": `method="post" action="/my.policy"`, "/?page=labelleft": "credentials_table_label_cell",
		"/?page=domain": `<select name="domain"`, "/?page=failed": "The username or password is not correct", "/?page=challenge": "_F5_challenge",
		"/?page=passwordchange": "_F5_verify_password", "/?page=messagebox": `id="hidden_form"`, "/?page=expired": "interval:  2000",
		"/?page=restart": "globalRestartOnSubmit =  true", "/?page=nofetch": "window.fetch = undefined",
		"/modern": `<script src="https://cloud.example/f5.js#t=a&amp;k=b" integrity="sha384-x" crossorigin="anonymous">`,
	} {
		page, _ := get(t, c, at+path)
		if !strings.Contains(page, want) {
			t.Errorf("%s has no %s:\n%s", path, want, page)
		}
		if !strings.HasPrefix(path, "/modern") && (!strings.Contains(page, script+"\n</body>") || !strings.HasPrefix(page, `<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML//EN">`)) {
			t.Errorf("%s: script or doctype is not where it belongs", path)
		}
	}
	for _, file := range []string{"js/session_check.js", "js/agent_common.js", "js/web_host.js", "js/modern.js", "css/apm.css", "css/modern.css"} {
		if _, resp := get(t, c, at+"/public/include/"+file); resp.StatusCode != 200 {
			t.Errorf("%s: %s", file, resp.Status)
		}
	}
}
