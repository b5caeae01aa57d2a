package directory_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/ldapsim"
)

const clinicPassword = "clinic password"

// clinic starts a second domain, CLINIC, which has an alice of its own, dora, and eve whose UPN ends in the
// first domain's name.
func clinic(t *testing.T) fixture {
	t.Helper()
	f := serve(t, ldapsim.Config{NetBIOS: "CLINIC", DNSName: "clinic.test", Now: time.Now, LockoutThreshold: 5,
		Users: []ldapsim.User{
			{Name: "svc", Password: "svc password"}, {Name: "alice", Password: clinicPassword}, {Name: "dora", Password: clinicPassword},
			{Name: "eve", UPN: "eve@" + harness.UPNSuffix, Password: clinicPassword}, {Name: "m\u00fcller", Password: clinicPassword},
		}})
	f.domain.UPNSuffixes = []string{"clinic.example"}
	return f
}

// both opens a directory of the Samba domain and the clinic, with its log.
func both(t *testing.T, change func(*config)) (d *directory.Directory, dc *harness.Samba, second fixture, log *logged) {
	t.Helper()
	dc, f := samba(t, harness.LockoutThreshold(10))
	second = clinic(t)
	log = &logged{}
	d = f.open(t, func(c *config) {
		c.Log = slog.New(slog.NewTextHandler(log, nil))
		if change != nil {
			change(c)
		}
	})
	if err := d.Set([]sallyport.Domain{f.domain, second.domain}); err != nil {
		t.Fatal(err)
	}
	return d, dc, second, log
}

// logged is a log that can be read.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func TestANameIsRoutedToItsDomain(t *testing.T) {
	t.Parallel()
	d, dc, second, log := both(t, nil)
	for _, x := range []struct {
		typed    string
		password sallyport.Secret
		want     sallyport.AccountName
	}{
		{`HOSPITAL\alice`, harness.UserPassword, `hospital\alice`},
		{`hospital.test\alice`, harness.UserPassword, `hospital\alice`},
		{`clinic\alice`, clinicPassword, `clinic\alice`},
		{`CLINIC.TEST\ALICE`, clinicPassword, `clinic\alice`},
		{"alice@clinic.test", clinicPassword, `clinic\alice`},
		{"alice@clinic.example", clinicPassword, `clinic\alice`},
		{"alice@hospital.test", harness.UserPassword, `hospital\alice`},
		{"eve@hospital.test", clinicPassword, `clinic\eve`}, // not found under the suffix's domain: looked for in the others
		{harness.CarolUPN, harness.UserPassword, `hospital\carol`},
		{"dora", clinicPassword, `clinic\dora`},
		{"bob", harness.UserPassword, `hospital\bob`},
		{"M\u00dcLLER", clinicPassword, `clinic\m` + "\u00fc" + `ller`},
	} {
		res := verify(t, d, x.typed, x.password)
		if res.State != sallyport.AccountOK || res.Account.Name != x.want || string(res.Account.Domain) != strings.SplitN(string(x.want), `\`, 2)[0] {
			t.Errorf("%q: %q %+v", x.typed, res.State, res.Account)
		}
		for range 2 { // searched and remembered
			if got, err := d.Identify(t.Context(), x.typed); err != nil || got != x.want {
				t.Errorf("%q is %q, %v", x.typed, got, err)
			}
		}
	}
	if got, ok := d.IdentifyNow("dora"); !ok || got != `clinic\dora` {
		t.Errorf("a name that was looked for is not known now: %q, %v", got, ok)
	}
	if _, ok := d.IdentifyNow("alice"); ok {
		t.Error("an ambiguous name is known")
	}
	for _, typed := range []string{"alice", `OTHER\alice`, "alice@other.test", `CLINIC\bob`, "carol@clinic.test"} {
		if res := verify(t, d, typed, harness.UserPassword); res.State != sallyport.AccountUnknown || res.Account.Name != "" {
			t.Errorf("%q: %+v", typed, res)
		}
	}
	if !log.has("log-in name is in several domains") {
		t.Error("nobody was told that alice is in two domains")
	}
	if _, err := d.Identify(t.Context(), "alice"); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("an ambiguous name is somebody: %v", err)
	}
	if n := dc.BadPwdCount("alice") + second.bad("alice") + second.bad("bob"); n != 0 {
		t.Errorf("%d wrong passwords were counted of people who were not asked for", n)
	}
}

func TestADomainThatIsDownTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	d, dc, _, log := both(t, func(c *config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	dc.Kill()
	if res := verify(t, d, "dora", clinicPassword); res.State != sallyport.AccountOK {
		t.Errorf("of the domain that is up: %q", res.State)
	}
	if err := d.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	states := d.States(t.Context())
	if len(states) != 2 || states[0].Err == nil || states[1].Err != nil || states[1].Name != "clinic.test" {
		t.Errorf("states: %+v", states)
	}
	// Who exists is not to be told by an answer: neither is found, both are refused alike.
	for _, typed := range []string{"bob", "nobody"} {
		if res := verify(t, d, typed, harness.UserPassword); res.State != sallyport.AccountUnknown {
			t.Errorf("%s: %q", typed, res.State)
		}
	}
	if !log.has("without a domain that does not answer") {
		t.Error("nobody was told why bob is not found")
	}
	if _, err := d.Verify(t.Context(), `HOSPITAL\bob`, harness.UserPassword, nil); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("by the name of the domain that is down: %v", err)
	}
	dc.Start()
	ahead.Store(int64(time.Minute)) // longer than a server is left alone
	if res := verify(t, d, "bob", harness.UserPassword); res.State != sallyport.AccountOK {
		t.Errorf("once his domain is back: %q", res.State)
	}
}

func TestDomainsChangeWhileLoginsRun(t *testing.T) {
	t.Parallel()
	dc, f := samba(t, harness.LockoutThreshold(0))
	p := harness.StartProxy(t, dc.Addr())
	other := clinic(t).domain
	d := f.open(t, func(c *config) { c.Servers = []string{through(p)} })
	first := f.domain
	first.Servers = []string{through(p)}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if res, err := d.Verify(t.Context(), `HOSPITAL\alice`, harness.UserPassword, nil); err != nil || res.State != sallyport.AccountOK {
					t.Errorf("while domains change: %q, %v", res.State, err)
				}
			}
		})
	}
	for i := range 8 {
		first.UPNSuffixes = []string{strings.Repeat("x", i+1) + ".test"} // another configuration each time
		if err := d.Set([]sallyport.Domain{other, first}[i%2:]); err != nil {
			t.Error(err)
		}
		verify(t, d, `HOSPITAL\bob`, harness.UserPassword)
	}
	stop()
	wg.Wait()
	before := p.Connections()
	first.Every, first.Scope, first.Version = time.Hour, []sallyport.DirectoryObject{{Kind: sallyport.ObjectOU, DN: harness.SambaStaffDN}}, 9
	if err := d.Set([]sallyport.Domain{first}); err != nil {
		t.Fatal(err)
	}
	verify(t, d, `HOSPITAL\alice`, harness.UserPassword)
	if n := p.Connections(); n != before {
		t.Errorf("%d new connections although nothing of them changed", n-before)
	}
	if err := d.Set(nil); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for p.Open() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections of a removed domain stay open", p.Open())
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := d.Verify(t.Context(), "alice", harness.UserPassword, nil); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("without a domain: %v", err)
	}
	if d.Health(t.Context()) == nil {
		t.Error("healthy without a domain")
	}
}

func TestStartTLSComesFirst(t *testing.T) {
	t.Parallel()
	dc, f := samba(t, harness.LockoutThreshold(0))
	d := f.open(t, func(c *config) { c.Servers = []string{dc.StartTLSURL()} })
	if res := verify(t, d, "alice", harness.UserPassword); res.State != sallyport.AccountOK {
		t.Errorf("state %q", res.State)
	}
	if res := verify(t, d, "alice", "wrong"); res.State != sallyport.AccountWrongPassword {
		t.Errorf("state %q", res.State)
	}
	untrusted := f.open(t, func(c *config) { c.Servers = []string{dc.StartTLSURL()}; c.Authority = "" })
	if _, err := untrusted.Verify(t.Context(), "alice", harness.UserPassword, func() { t.Error("a bind was announced") }); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("with a certificate that is not trusted: %v", err)
	}
	// A server without TLS gets nothing but the question for it.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			n, _ := c.Read(b)
			got <- b[:n]
			_, _ = c.Write([]byte("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00")) // protocolError
			n, _ = c.Read(b)
			got <- b[:n]
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	plain := f.open(t, func(c *config) { c.Servers = []string{"ldap://" + l.Addr().String()} })
	if _, err := plain.Verify(t.Context(), "alice", harness.UserPassword, nil); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("without TLS: %v", err)
	}
	if asked := string(<-got); !strings.Contains(asked, "1.3.6.1.4.1.1466.20037") || strings.Contains(asked, harness.ServicePass) {
		t.Errorf("said first: %q", asked)
	}
	if more := string(<-got); strings.Contains(more, harness.ServicePass) || strings.Contains(more, "CN=svc") {
		t.Errorf("said in the clear: %q", more)
	}
}
