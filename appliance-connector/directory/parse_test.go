package directory

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

func TestDiagnosticMessagesGiveTheState(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]sallyport.AccountState{
		"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1":     sallyport.AccountWrongPassword,
		"80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 775, v4563\x00": sallyport.AccountLocked,
		"data 525":                      sallyport.AccountUnknown,
		"data 52E,":                     sallyport.AccountWrongPassword,
		"data 533 data 52e":             sallyport.AccountDisabled,
		"data , data 530":               sallyport.AccountLogonHours,
		"data 569":                      sallyport.AccountRefused,
		"data 52e0":                     sallyport.AccountRefused,
		"":                              sallyport.AccountWrongPassword,
		"Invalid credentials":           sallyport.AccountWrongPassword,
		strings.Repeat("data ", 100_00): sallyport.AccountWrongPassword,
	} {
		got, ok := stateOf(ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New(message)))
		if !ok || got != want {
			t.Errorf("%.80q: %q, %v; want %q", message, got, ok, want)
		}
	}
	for _, err := range []error{errors.New("data 52e"), ldap.NewError(ldap.LDAPResultBusy, errors.New("data 52e")), ldap.NewError(ldap.ErrorNetwork, errors.New("data 52e"))} {
		if got, ok := stateOf(err); ok {
			t.Errorf("%v is no answer about an account, got %q", err, got)
		}
	}
}

func FuzzMessageState(f *testing.F) {
	f.Add("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1\x00")
	f.Add("data data 775")
	f.Add("data ")
	f.Fuzz(func(t *testing.T, message string) {
		// Whatever the message, a refused bind is never taken for a right password.
		if s := messageState(message); s == "" || s == sallyport.AccountOK {
			t.Errorf("state %q", s)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"alice", `HOSPITAL\alice`, "alice@hospital.test", ` a\ b `, "a@b@c", "\x00", "\xff", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		n, err := parseName(typed)
		if err != nil {
			return
		}
		whole := n.domain + n.user + n.suffix
		if n.user == "" || len(whole) > maxName || n.domain != "" && n.suffix != "" ||
			!utf8.ValidString(whole) || strings.ContainsFunc(whole, unicode.IsControl) {
			t.Errorf("%q: %+v", typed, n)
		}
		if _, err := ldap.CompileFilter((&realm{}).nameFilter(n)); err != nil {
			t.Errorf("%q: filter: %v", typed, err)
		}
	})
}

func TestDomainsThatCannotWorkAreLeftOutAndNamed(t *testing.T) {
	t.Parallel()
	good := sallyport.Domain{ID: "h", Name: "hospital.test", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://dc1", "ldap://dc2:3389"}, BindName: "svc@x", BindPassword: "p"}
	d, err := New(Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set([]sallyport.Domain{good}); err != nil {
		t.Fatal(err)
	}
	other := good
	other.ID, other.Name, other.NetBIOS = "o", "other.test", "OTHER"
	for what, change := range map[string]func(*sallyport.Domain){
		"no server":            func(c *sallyport.Domain) { c.Servers = nil },
		"not LDAP":             func(c *sallyport.Domain) { c.Servers = []string{"https://dc1"} },
		"no host":              func(c *sallyport.Domain) { c.Servers = []string{"ldaps://"} },
		"more than a server":   func(c *sallyport.Domain) { c.Servers = []string{"ldaps://dc1/DC=x"} },
		"no password":          func(c *sallyport.Domain) { c.BindPassword = "" },
		"no account":           func(c *sallyport.Domain) { c.BindName = "" },
		"no name":              func(c *sallyport.Domain) { c.Name = "" },
		"no NetBIOS name":      func(c *sallyport.Domain) { c.NetBIOS = "" },
		"base is no DN":        func(c *sallyport.Domain) { c.Base = "hospital" },
		"NetBIOS too long":     func(c *sallyport.Domain) { c.NetBIOS = "ABCDEFGHIJKLMNOP" },
		"no certificate":       func(c *sallyport.Domain) { c.Authority = "/etc/ssl/ca.pem" },
		"another one's name":   func(c *sallyport.Domain) { c.NetBIOS = "Hospital" },
		"another one's domain": func(c *sallyport.Domain) { c.Name = "Hospital.Test" },
	} {
		c := other
		change(&c)
		if err := d.Set([]sallyport.Domain{good, c}); err == nil || !strings.Contains(err.Error(), "domain") {
			t.Errorf("%s: %v", what, err)
		}
		if now := d.current.Load(); len(now.realms) != 1 || now.realms[0].cfg.ID != "h" {
			t.Errorf("%s: %d domains", what, len(now.realms))
		}
	}
	good.Servers = nil
	if err := d.Set([]sallyport.Domain{good}); err == nil || len(d.current.Load().realms) != 1 {
		t.Errorf("a domain that became unusable is not kept as it was: %v", err)
	}
}

func TestGateOpensForOneAtATimeAndForgets(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := newGate(func() time.Time { return clock }, limits{time.Second, 8 * time.Second})
	if !g.fail(errName) || g.fail(errName) {
		t.Error("only the first failure in a row is the first")
	}
	if g.open(time.Second) {
		t.Error("open right after a failure")
	}
	clock = clock.Add(3 * time.Second) // the second wait is 2 s and at most a fifth
	if !g.open(time.Second) || g.open(time.Second) {
		t.Error("not open for exactly one")
	}
	for range 100 {
		g.fail(errName)
	}
	clock = clock.Add(10 * time.Second)
	if !g.open(time.Second) {
		t.Error("closed for longer than the longest wait")
	}
	if !g.ok() || g.ok() || !g.open(0) || !g.open(0) || g.last() != nil {
		t.Error("success does not wipe the slate clean")
	}
}

func TestNameCacheForgetsInTimeAndStaysSmall(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newNameCache(func() time.Time { return clock })
	c.put("a", `d\a`)
	c.put("nobody", "")
	clock = clock.Add(time.Minute)
	if n, ok := c.get("a"); !ok || n != `d\a` {
		t.Errorf("found name: %q, %v", n, ok)
	}
	if _, ok := c.get("nobody"); ok {
		t.Error("a missing name is remembered for a minute")
	}
	clock = clock.Add(5 * time.Minute)
	if _, ok := c.get("a"); ok {
		t.Error("a name is remembered for six minutes")
	}
	for i := range 2 * cacheSize {
		c.put(time.Duration(i).String(), `d\x`)
	}
	if len(c.m) > cacheSize {
		t.Errorf("%d names kept", len(c.m))
	}
}

func FuzzDirectoryValues(f *testing.F) {
	f.Add("member;range=0-1499", "-18000000000", "133500000000000000", "513", []byte("\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00"))
	f.Add("member;range=1500-*", "-9223372036854775808", "0", "", []byte("\x01\xff"))
	f.Add("member", "x", "9223372036854775807", "4294967296", []byte{})
	f.Fuzz(func(t *testing.T, attribute, length, when, rid string, sid []byte) {
		e := ldap.NewEntry("CN=x", map[string][]string{attribute: {"a"}})
		if _, next, err := ranged(e, "member"); err == nil && next == 0 {
			t.Errorf("%q begins again", attribute)
		}
		if interval(length) < 0 {
			t.Errorf("%q is negative", length)
		}
		if at := fileTime(when); !at.IsZero() && at.Year() < 1601 {
			t.Errorf("%q is %v", when, at)
		}
		if other := withRID(sid, rid); other != nil {
			if n, ok := ridOf(other); !ok || strconv.FormatUint(uint64(n), 10) != strings.TrimLeft(rid, "+0") && n != 0 {
				t.Errorf("rid %q of %x is %d", rid, sid, n)
			}
		}
	})
}
