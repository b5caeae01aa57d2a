package directory_test

import (
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	cfg directory.Config
	bad func(user string) int
}

func (f fixture) open(t *testing.T, change func(*directory.Config)) *directory.Directory {
	t.Helper()
	cfg := f.cfg
	if change != nil {
		change(&cfg)
	}
	d, err := directory.New(cfg, slog.New(slog.NewTextHandler(t.Output(), nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func samba(t *testing.T, opts ...harness.SambaOption) (*harness.Samba, fixture) {
	t.Helper()
	dc := harness.StartSamba(t, opts...)
	return dc, fixture{bad: dc.BadPwdCount, cfg: directory.Config{
		URLs: []string{dc.URL()}, CAFile: dc.CAFile(), BindDN: harness.ServiceDN, BindPassword: harness.ServicePass,
		Group: harness.RemoteAccessDN, Timeout: 20 * time.Second}}
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
	cfg := ldapsim.Config{NetBIOS: harness.SambaDomain, DNSName: harness.UPNSuffix, Now: time.Now, LockoutThreshold: 3,
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
	users := ",CN=Users," + harness.SambaBaseDN
	return fixture{bad: srv.BadPwdCount, cfg: directory.Config{
		URLs: []string{"ldaps://" + l.Addr().(*net.TCPAddr).String()}, CAFile: ca, BindDN: "CN=svc Test" + users,
		BindPassword: harness.ServicePass, Group: "CN=Remote Access" + users}}
}

// certificate borrows the one that httptest has for 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return srv.TLS.Certificates[0], file
}
