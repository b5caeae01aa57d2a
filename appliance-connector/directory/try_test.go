package directory_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/test/harness"
)

func TestTryTellsOfADomainWhatItNeedsToKnow(t *testing.T) {
	t.Parallel()
	dc, f := samba(t, harness.LockoutThreshold(4))
	d := f.open(t, nil)
	fresh := f.domain
	fresh.Name, fresh.NetBIOS = "", ""
	for _, server := range []string{dc.URL(), dc.StartTLSURL()} {
		fresh.Servers = []string{server}
		got, err := d.Try(t.Context(), fresh)
		if err != nil {
			t.Fatalf("%s: %v", server, err)
		}
		if got.NetBIOS != harness.SambaDomain || got.DNSName != harness.UPNSuffix || !strings.EqualFold(got.Base, harness.SambaBaseDN) ||
			got.Lockout != (directory.Lockout{Threshold: 4, Duration: 30 * time.Minute, Window: 30 * time.Minute}) || got.PDC != "dc1.hospital.test" {
			t.Errorf("%s: %+v", server, got)
		}
		all := strings.Join(got.Warnings, "\n")
		if !strings.Contains(all, "after 4 wrong passwords") || !strings.Contains(all, "dc1.hospital.test hears of every wrong password") {
			t.Errorf("%s: warnings %q", server, got.Warnings)
		}
	}
	fresh.Servers = []string{"ldaps://localhost:1", dc.URL()}
	if got, err := d.Try(t.Context(), fresh); err != nil || !strings.Contains(strings.Join(got.Warnings, "\n"), "localhost:1 refuses the connection") {
		t.Errorf("with one server of two: %+v, %v", got.Warnings, err)
	}
}

func TestTrySaysInPlainWordsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	hole := harness.StartProxy(t, dc.Addr())
	hole.BlackHole(true)
	plain := harness.StartProxy(t, strings.TrimPrefix(dc.StartTLSURL(), "ldap://"))
	dc.AddUser("outdated", "Passw0rd.1")
	dc.Admin(func(c *ldap.Conn) error {
		r := ldap.NewModifyRequest("CN=outdated,"+harness.SambaStaffDN, nil)
		r.Replace("accountExpires", []string{"130000000000000000"})
		return c.Modify(r)
	})
	cert, otherCA := certificate(t)
	otherName := greet(t, cert)
	d := f.open(t, func(c *config) { c.Timeout = 4 * time.Second })
	for what, x := range map[string]struct {
		change func(*sallyport.Domain)
		says   []string
	}{
		"nobody listens":         {func(c *sallyport.Domain) { c.Servers = []string{"ldaps://localhost:1"} }, []string{"localhost:1 refuses the connection", "LDAPS"}},
		"no such host":           {func(c *sallyport.Domain) { c.Servers = []string{"ldaps://no-such-host.invalid"} }, []string{"no-such-host.invalid cannot be found in DNS"}},
		"nobody answers":         {func(c *sallyport.Domain) { c.Servers = []string{through(hole)} }, []string{"does not answer", "firewall"}},
		"not TLS":                {func(c *sallyport.Domain) { c.Servers = []string{through(plain)} }, []string{"cannot be asked over LDAPS"}},
		"another authority":      {func(c *sallyport.Domain) { c.Authority = otherCA }, []string{"is not trusted", "issuer", "SHA-256 ", "authority"}},
		"the system's authority": {func(c *sallyport.Domain) { c.Authority = ""; c.Servers = []string{dc.StartTLSURL()} }, []string{"is not trusted", "SHA-256 "}},
		"another host name":      {func(c *sallyport.Domain) { c.Servers, c.Authority = []string{otherName}, otherCA }, []string{"is for another name", "example.com"}},
		"authority is a path":    {func(c *sallyport.Domain) { c.Authority = "/etc/ca.pem" }, []string{"no certificate in PEM"}},
		"wrong password":         {func(c *sallyport.Domain) { c.BindPassword = "wrong" }, []string{"refuses the service account", "name or its password is wrong"}},
		"no such account":        {func(c *sallyport.Domain) { c.BindName = "nobody@hospital.test" }, []string{"refuses the service account"}},
		"expired account":        {func(c *sallyport.Domain) { c.BindName = "outdated@hospital.test"; c.BindPassword = "Passw0rd.1" }, []string{"it has expired"}},
		"disabled account": {func(c *sallyport.Domain) {
			c.BindName = "disabled@hospital.test"
			c.BindPassword = harness.UserPassword
		}, []string{"it is disabled"}},
		"no such base":           {func(c *sallyport.Domain) { c.Base = "OU=Gone," + harness.SambaBaseDN }, []string{`There is no "OU=Gone,DC=hospital,DC=test"`}},
		"base of another domain": {func(c *sallyport.Domain) { c.Base = "DC=clinic,DC=test" }, []string{"not in the domain hospital.test", "DC=hospital,DC=test"}},
		"base without users":     {func(c *sallyport.Domain) { c.Base = "CN=Configuration," + harness.SambaBaseDN }, []string{"sees no users"}},
		"another domain's name":  {func(c *sallyport.Domain) { c.Name = "clinic.test" }, []string{"controllers of the domain hospital.test, not of clinic.test"}},
		"another NetBIOS name":   {func(c *sallyport.Domain) { c.NetBIOS = "CLINIC" }, []string{"HOSPITAL, not CLINIC"}},
		"no server":              {func(c *sallyport.Domain) { c.Servers = nil }, []string{"Name 1 to 16 domain controllers"}},
	} {
		c := f.domain
		c.Servers = append([]string(nil), c.Servers...)
		x.change(&c)
		_, err := d.Try(t.Context(), c)
		said := sallyport.ErrorMessage(err)
		if err == nil || sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", what, err)
		}
		for _, words := range x.says {
			if !strings.Contains(said, words) {
				t.Errorf("%s: %q does not say %q", what, said, words)
			}
		}
		if strings.Contains(said+err.Error(), harness.ServicePass) {
			t.Errorf("%s: the password is in %q", what, said)
		}
	}
	c := f.domain
	c.Servers, c.BindPassword = []string{dc.URL(), dc.StartTLSURL()}, "wrong"
	before := f.bad("svc")
	if _, err := d.Try(t.Context(), c); err == nil || f.bad("svc") != before+1 {
		t.Errorf("a wrong password of the service account was counted %d times, want 1; %v", f.bad("svc")-before, err)
	}
}

// greet shows a certificate to everybody who comes to 127.0.0.2, for which it is not.
func greet(t *testing.T, cert tls.Certificate) (url string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.2:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return "ldaps://" + l.Addr().String()
}

func TestTheTreeShowsOUsAndGroups(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	d := f.open(t, nil)
	dc.Admin(func(c *ldap.Conn) error {
		r := ldap.NewAddRequest("OU=Wards\\, north,"+harness.SambaStaffDN, nil)
		r.Attribute("objectClass", []string{"organizationalUnit"})
		r.Attribute("description", []string{"Three floors"})
		return c.Add(r)
	})
	names := func(parent string) string {
		list, more, err := d.Tree(t.Context(), "hospital", parent)
		if err != nil || more {
			t.Fatalf("below %q: more %v, %v", parent, more, err)
		}
		var all []string
		for _, b := range list {
			all = append(all, string(b.Kind)+" "+b.Name+" "+b.Description)
		}
		return strings.Join(all, "; ")
	}
	top := names("")
	for _, want := range []string{"ou Staff ", "ou Users ", "ou Domain Controllers "} {
		if !strings.Contains(top, want) {
			t.Errorf("top: %s", top)
		}
	}
	if strings.Contains(top, "System") {
		t.Errorf("what the directory hides is shown: %s", top)
	}
	if got := names(strings.ToLower(harness.SambaStaffDN)); got != "ou Wards, north Three floors; group Clinicians ; group Nurses ; group Remote Access " {
		t.Errorf("staff: %s", got)
	}
	if got := names("OU=Wards\\, north," + harness.SambaStaffDN); got != "" {
		t.Errorf("wards: %s", got)
	}
	for _, dn := range []string{"OU=Gone," + harness.SambaBaseDN, "DC=clinic,DC=test", "hospital", "CN=Schema,CN=Configuration,DC=clinic"} {
		if _, _, err := d.Tree(t.Context(), "hospital", dn); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
			t.Errorf("below %q: %v", dn, err)
		}
	}
	found, err := d.FindGroups(t.Context(), "hospital", "rem", 5)
	if err != nil || len(found) < 1 || found[0].DN != harness.RemoteAccessDN && found[len(found)-1].DN != harness.RemoteAccessDN {
		t.Errorf("groups by name: %+v, %v", found, err)
	}
	if o, err := d.Object(t.Context(), "hospital", strings.ToUpper(harness.NursesDN)); err != nil || o.DN != harness.NursesDN || o.Kind != sallyport.ObjectGroup {
		t.Errorf("object: %+v, %v", o, err)
	}
	if _, err := d.Object(t.Context(), "hospital", "CN=alice Test,"+harness.SambaStaffDN); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("a user taken for a group: %v", err)
	}
}

// readCA returns the authority of a controller.
func readCA(t *testing.T, dc *harness.Samba) string {
	t.Helper()
	pem, err := os.ReadFile(filepath.Clean(dc.CAFile()))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem)
}
