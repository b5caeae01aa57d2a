package e2e_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/test/stack"
)

// from is the cloud as somebody at another address reaches it.
func from(t *testing.T, s *stack.Stack, address string) string {
	t.Helper()
	to, err := url.Parse(s.CloudURL())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header.Set("X-Forwarded-For", address)
	}})
	t.Cleanup(srv.Close)
	return srv.URL
}

// trustFails expects that trust is refused with exit code 1 and words.
func trustFails(t *testing.T, s *stack.Stack, cloud string, tenant sallyport.TenantID, code sallyport.Secret, words string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "appliance")
	r, err := s.Trust(cloud, dir, tenant, code)
	if err == nil || r.Code != 1 || !strings.Contains(r.Stderr, words) || !strings.Contains(r.Stderr, "Support code: ") {
		t.Fatalf("exit code %d, %q, want words %q and a support code", r.Code, r.Stderr, words)
	}
	if strings.Contains(r.Stdout+r.Stderr, string(code)) {
		t.Error("the code is shown")
	}
	_, support, _ := strings.Cut(r.Stderr, "Support code: ")
	support = strings.Trim(strings.TrimSpace(support), ".")
	if log := s.Clouds[0].Log() + s.Clouds[1].Log(); !strings.Contains(log, support) {
		t.Errorf("support code %q is in no log", support)
	}
	if _, err := os.Stat(filepath.Join(dir, "trust.json")); err == nil {
		t.Error("trust was kept")
	}
}

const notRight = "The enterprise id or the provisioning code is not right, or the code was used already or has expired."

func TestProvisioningCodesWorkOnceInTimeAndAreNotToBeGuessed(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	enterprise := func(t *testing.T) (sallyport.TenantID, sallyport.Secret) {
		tenant, code, err := s.CreateEnterprise("Enterprise of the test")
		if err != nil {
			t.Fatal(err)
		}
		return tenant, code
	}
	t.Run("used twice", func(t *testing.T) {
		tenant, code := enterprise(t)
		cloud := from(t, s, "192.0.2.1")
		dir := filepath.Join(t.TempDir(), "first floor")
		if _, err := s.Trust(cloud, dir, tenant, code); err != nil {
			t.Fatal(err)
		}
		if own, err := trust.Load(dir); err != nil || own.Name != "first floor" {
			t.Errorf("the appliance does not know how it is called: %+v %v", own, err)
		}
		trustFails(t, s, cloud, tenant, code, notRight)
	})
	t.Run("late", func(t *testing.T) {
		tenant, _ := enterprise(t)
		code, err := s.Code(tenant, "--expires", "1s")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // the code's own life, by Redis's clock
		trustFails(t, s, from(t, s, "192.0.2.2"), tenant, code, notRight)
	})
	t.Run("wrong", func(t *testing.T) {
		tenant, code := enterprise(t)
		cloud := from(t, s, "192.0.2.3")
		trustFails(t, s, cloud, tenant, sallyport.NewCode(4), notRight)
		trustFails(t, s, cloud, "no-such-enterprise", code, notRight)
		if _, err := s.Trust(cloud, filepath.Join(t.TempDir(), "a"), tenant, code); err != nil {
			t.Errorf("the right code after a slip: %v", err)
		}
	})
	t.Run("guessed at", func(t *testing.T) {
		tenant, code := enterprise(t)
		guesser := from(t, s, "203.0.113.66")
		for range 10 {
			trustFails(t, s, guesser, tenant, sallyport.NewCode(4), notRight)
		}
		trustFails(t, s, guesser, tenant, code, "too many wrong attempts")
		if _, err := s.Trust(from(t, s, "192.0.2.4"), filepath.Join(t.TempDir(), "a"), tenant, code); err != nil {
			t.Errorf("whom the code was given to is locked out: %v", err)
		}
	})
}

func TestJoinCodesWorkOnce(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	further := func() string {
		code, err := s.Code(s.Tenant)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "further")
		if r, err := s.Trust(from(t, s, "192.0.2.5"), dir, s.Tenant, code); err != nil || !strings.Contains(r.Stdout, "appliance join") {
			t.Fatalf("%v, %q", err, r.Stdout)
		}
		return dir
	}
	first, second := further(), further()
	code, err := s.JoinCode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Join(first, sallyport.NewCode(6)); err == nil || r.Code != 1 {
		t.Errorf("a wrong join code: %d, %q", r.Code, r.Stdout)
	}
	if r, err := s.Join(first, code); err != nil || !strings.Contains(r.Stdout, s.Fingerprint) {
		t.Fatalf("%v, %q", err, r.Stdout)
	}
	if r, err := s.Join(second, code); err == nil || r.Code != 1 {
		t.Errorf("a join code for the second time: %d, %q", r.Code, r.Stdout)
	}
}

func TestRevokedApplianceIsCutOffWithinSeconds(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	b := s.NewBranch(t)
	b.Start()
	u := s.NewUser(t)
	e := b.Invite(t, u.Name)
	d := b.Complete(t, e)
	l := pushed(t, b.Page(), u)
	if err := d.Approve(within(t, patience), l.Prompt.Number); err != nil {
		t.Fatal(err)
	}
	tokenOf(t, l)

	if _, err := s.Run("enterprise", "revoke", string(b.Tenant), string(b.Appliance), "--yes", "--redis", s.Redis.URL()); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	stack.Until(t, 10*time.Second, "a login that fails", func() bool {
		_, err := b.Page().LogIn(within(t, patience), u.Name, u.Password)
		return sallyport.ErrorCode(err) == sallyport.CodeUnavailable
	})
	t.Logf("cut off %v after the command", time.Since(revoked).Round(time.Millisecond))
	stack.Until(t, patience, "the appliance's log says that it is revoked", func() bool { return strings.Contains(b.Log(), "revoked") })
	if why := b.Ready(t); !strings.Contains(why, "tunnel") {
		t.Errorf("/readyz says %q", why)
	}
	if r, err := b.Run("appliance", "enrol", "--user", u.Name); err == nil {
		t.Errorf("the token service still serves it: %q", r.Stdout)
	}
	// A restart brings it no further.
	b.Stop()
	mark := b.LogSize()
	if err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	stack.Until(t, patience, "the restarted appliance is refused", func() bool { return strings.Contains(b.LogSince(mark), "revoked") })
	if _, err := b.Page().LogIn(within(t, patience), u.Name, u.Password); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("after a restart: %v", err)
	}
	list, err := s.Run("enterprise", "appliances", string(b.Tenant), "--redis", s.Redis.URL())
	if err != nil || !strings.Contains(list.Stdout, "revoked") {
		t.Errorf("%v, %q", err, list.Stdout)
	}
}

func TestCertificateIsRenewedThroughTheTunnel(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	b := s.NewBranch(t)
	old := ageCertificate(t, s, b)
	b.Start()
	stack.Until(t, patience, "a renewed certificate", func() bool { return certificate(t, b).NotAfter.After(old.NotAfter) })
	fresh := certificate(t, b)
	if id, err := pki.IdentityOf(fresh); err != nil || id != (pki.Identity{Tenant: b.Tenant, Appliance: b.Appliance}) {
		t.Errorf("the new certificate is of %v, %v", id, err)
	}
	// It is good for what the old one was good for, also after a restart.
	b.Stop()
	b.Start()
	u := s.NewUser(t)
	l, err := b.Page().LogIn(within(t, patience), u.Name, u.Password)
	if err != nil || l.Prompt.Reason != sallyport.ReasonNotEnrolled {
		t.Errorf("%v, %+v", err, l)
	}
}

func certificate(t *testing.T, b *stack.Branch) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.Dir, "appliance.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// ageCertificate gives the appliance a certificate for its key of whose life most has passed.
func ageCertificate(t *testing.T, s *stack.Stack, b *stack.Branch) *x509.Certificate {
	t.Helper()
	ca, err := pki.LoadCA(filepath.Join(s.KeyDir(), "ca.crt"), filepath.Join(s.KeyDir(), "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(b.Dir, "appliance.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.CSR(key.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	const life = 10 * time.Hour
	chain, err := ca.SignAppliance(csr, pki.Identity{Tenant: b.Tenant, Appliance: b.Appliance}, time.Now().Add(-life*9/10), life)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.Dir, "appliance.crt"), pki.CertPEM(chain...), 0o600); err != nil {
		t.Fatal(err)
	}
	return certificate(t, b)
}
