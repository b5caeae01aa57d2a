package directory_test

import (
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/ldapsim"
)

// odd is a password with what parsers, filters and encodings trip over.
const odd = "p\u00e4$$ \"w\u00f6rd\\*()\u20ac\U0001F511'"

// fixture is a directory with the harness's users, as the conformance tests need it.
type fixture struct {
	domain sallyport.Domain
	opts   directory.Options
	bad    func(user string) int
}

// config is what a test may change.
type config struct {
	sallyport.Domain
	directory.Options
}

func (f fixture) open(t *testing.T, change func(*config)) *directory.Directory {
	t.Helper()
	c := config{f.domain, f.opts}
	c.Log, c.Now = slog.New(slog.NewTextHandler(t.Output(), nil)), time.Now
	if change != nil {
		change(&c)
	}
	d, err := directory.New(c.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if err := d.Set([]sallyport.Domain{c.Domain}); err != nil {
		t.Fatal(err)
	}
	return d
}

func samba(t *testing.T, opts ...harness.SambaOption) (*harness.Samba, fixture) {
	t.Helper()
	dc := harness.StartSamba(t, opts...)
	return dc, fixture{bad: dc.BadPwdCount, opts: directory.Options{Timeout: 20 * time.Second}, domain: sallyport.Domain{
		ID: "hospital", Name: harness.UPNSuffix, NetBIOS: harness.SambaDomain, Servers: []string{dc.URL()}, Authority: readCA(t, dc),
		BindName: harness.ServiceDN, BindPassword: harness.ServicePass}}
}

// sim starts the in-process directory with the same users.
func sim(t *testing.T) fixture {
	t.Helper()
	states := map[string]sallyport.AccountState{
		harness.Disabled: sallyport.AccountDisabled, harness.MustChange: sallyport.AccountMustChange,
		harness.ExpiredPw: sallyport.AccountPasswordExpired, harness.AcctExpired: sallyport.AccountExpired,
		harness.Locked: sallyport.AccountLocked, harness.Hours: sallyport.AccountLogonHours,
		harness.Workstation: sallyport.AccountWrongWorkstation, harness.Alice: "", harness.Bob: "",
	}
	cfg := ldapsim.Config{NetBIOS: harness.SambaDomain, DNSName: harness.UPNSuffix, Now: time.Now, LockoutThreshold: 10,
		Users: []ldapsim.User{
			{Name: "svc", CommonName: "svc Test", Password: harness.ServicePass},
			{Name: harness.Carol, UPN: harness.CarolUPN, CommonName: "Jones, Carol", DisplayName: "Carol Jones",
				Mail: "carol@hospital.test", Password: harness.UserPassword},
			{Name: "odd", Password: odd},
		},
		Groups: []ldapsim.Group{
			{Name: "Nurses", Members: []string{harness.Alice}},
			{Name: "Clinicians", Members: []string{"Nurses"}},
			{Name: "Remote Access", Members: []string{"Clinicians", harness.Bob}},
		}}
	for name, state := range states {
		cfg.Users = append(cfg.Users, ldapsim.User{Name: name, CommonName: name + " Test", DisplayName: name + " Test",
			Mail: name + "@hospital.test", Password: harness.UserPassword, State: state})
	}
	f := serve(t, cfg)
	f.domain.BindName, f.domain.BindPassword = "CN=svc Test,CN=Users,"+harness.SambaBaseDN, harness.ServicePass
	return f
}

// serve starts an in-process directory, whose service account is svc.
func serve(t *testing.T, cfg ldapsim.Config) fixture {
	t.Helper()
	srv, err := ldapsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cert, ca := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return fixture{bad: srv.BadPwdCount, domain: sallyport.Domain{
		ID: sallyport.DomainID(strings.ToLower(cfg.NetBIOS)), Name: cfg.DNSName, NetBIOS: cfg.NetBIOS,
		Servers: []string{"ldaps://" + l.Addr().(*net.TCPAddr).String()}, Authority: ca, BindName: "svc@" + cfg.DNSName, BindPassword: "svc password"}}
}

// certificate borrows the one that httptest has for 127.0.0.1, and returns it in PEM as well.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return srv.TLS.Certificates[0], string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}
