package ldapsim

import (
	"bufio"
	"bytes"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

func testConfig(now func() time.Time) Config {
	return Config{NetBIOS: "HOSPITAL", DNSName: "hospital.test", Now: now, LockoutThreshold: 3,
		Users: []User{
			{Name: "svc", Password: "svc password"},
			{Name: "alice", CommonName: "Smith, Alice", DisplayName: "Alice Smith", Mail: "alice@hospital.test", Password: "right"},
			{Name: "bob", Password: "right", State: sallyport.AccountDisabled},
		},
		Groups: []Group{{Name: "Nurses", Members: []string{"alice"}}, {Name: "Remote", Members: []string{"Nurses"}}}}
}

// start serves the test's domain and returns a connection to it.
func start(t *testing.T, now func() time.Time) (*Server, *ldap.Conn) {
	t.Helper()
	return startWith(t, testConfig(now))
}

func startWith(t *testing.T, cfg Config) (*Server, *ldap.Conn) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { s.Close(); wg.Wait() })
	c, err := ldap.DialURL("ldap://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.SetTimeout(time.Minute)
	return s, c
}

const base = "DC=hospital,DC=test"

func find(t *testing.T, c *ldap.Conn, baseDN string, scope int, filter string, attributes ...string) []string {
	t.Helper()
	res, err := c.Search(ldap.NewSearchRequest(baseDN, scope, 0, 0, 0, false, filter, attributes, nil))
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	var found []string
	for _, e := range res.Entries {
		name := e.GetAttributeValue("cn")
		if name == "" {
			name = e.DN
		}
		found = append(found, name)
	}
	return found
}

func TestFiltersAndScopesSelectAsRFC4511Says(t *testing.T) {
	t.Parallel()
	_, c := start(t, time.Now)
	if err := c.Bind("svc@hospital.test", "svc password"); err != nil {
		t.Fatal(err)
	}
	alice := `CN=Smith\, Alice,CN=Users,` + base
	for _, x := range []struct {
		base   string
		scope  int
		filter string
		want   []string
	}{
		{base, 2, "(sAMAccountName=ALICE)", []string{"Smith, Alice"}},
		{base, 2, "(&(objectCategory=person)(objectClass=user)(|(userPrincipalName=alice@HOSPITAL.test)(cn=bob)))", []string{"Smith, Alice", "bob"}},
		{base, 2, "(&(objectCategory=person)(!(cn=bob))(!(cn=svc)))", []string{"Smith, Alice"}},
		{base, 2, "(cn=*mith*al*)", []string{"Smith, Alice"}},
		{base, 2, "(cn=s*c)", []string{"svc"}},
		{base, 2, "(mail=*)", []string{"Smith, Alice"}},
		{base, 2, "(memberOf=cn=nurses,cn=users," + base + ")", []string{"Smith, Alice"}},
		{base, 2, "(memberOf=CN=Remote,CN=Users," + base + ")", []string{"Nurses"}},
		{base, 2, "(memberOf:1.2.840.113556.1.4.1941:=CN=Remote,CN=Users," + base + ")", []string{"Smith, Alice", "Nurses"}},
		{base, 2, "(member:1.2.840.113556.1.4.1941:=" + ldap.EscapeFilter(alice) + ")", []string{"Nurses", "Remote"}},
		{base, 2, "(&(uSNChanged>=4000)(uSNChanged<=99999)(cn=bob))", []string{"bob"}},
		{base, 2, "(uSNChanged>=10000)", nil}, // by value, not by letters
		{base, 2, "(distinguishedName=" + ldap.EscapeFilter(alice) + ")", []string{"Smith, Alice"}},
		{alice, 0, "(objectClass=*)", []string{"Smith, Alice"}},
		{base, 1, "(objectClass=container)", []string{"CN=Users," + base}},
		{base, 0, "(sAMAccountName=alice)", nil},
		{"CN=Partitions,CN=Configuration," + base, 1, "(&(objectClass=crossRef)(nCName=dc=hospital,dc=test)(nETBIOSName=*))",
			[]string{"CN=HOSPITAL,CN=Partitions,CN=Configuration," + base}},
		{"", 0, "(objectClass=*)", []string{""}},
		{"", 0, "(supportedLDAPVersion=3)", []string{""}},
	} {
		if got := find(t, c, x.base, x.scope, x.filter); !slices.Equal(got, x.want) {
			t.Errorf("%s %d %s: got %q, want %q", x.base, x.scope, x.filter, got, x.want)
		}
	}
	if _, err := c.Search(ldap.NewSearchRequest("OU=Nowhere,"+base, 2, 0, 0, 0, false, "(cn=*)", nil, nil)); !ldap.IsErrorWithCode(err, 32) {
		t.Errorf("base that does not exist: %v", err)
	}
	if _, err := c.Search(ldap.NewSearchRequest(base, 2, 0, 1, 0, false, "(objectClass=user)", nil, nil)); !ldap.IsErrorWithCode(err, 4) {
		t.Errorf("more than the limit: %v", err)
	}
}

func TestOnlyWhoIsBoundMaySearch(t *testing.T) {
	t.Parallel()
	_, c := start(t, time.Now)
	search := func() error {
		_, err := c.Search(ldap.NewSearchRequest(base, 2, 0, 0, 0, false, "(cn=*)", nil, nil))
		return err
	}
	if err := search(); !ldap.IsErrorWithCode(err, ldap.LDAPResultOperationsError) {
		t.Errorf("before a bind: %v", err)
	}
	// The trap that our directory package must not fall into: success for nobody.
	if err := c.UnauthenticatedBind("alice@hospital.test"); err != nil {
		t.Errorf("bind without a password: %v", err)
	}
	if err := search(); !ldap.IsErrorWithCode(err, ldap.LDAPResultOperationsError) {
		t.Errorf("as nobody: %v", err)
	}
	if err := c.Bind(`hospital\ALICE`, "right"); err != nil {
		t.Errorf("bind: %v", err)
	}
	if err := search(); err != nil {
		t.Errorf("as alice: %v", err)
	}
	if err := c.Bind(`hospital\alice`, "wrong"); !ldap.IsErrorWithCode(err, 49) {
		t.Errorf("wrong password: %v", err)
	}
	if err := search(); err == nil {
		t.Error("still bound after a refused bind")
	}
}

func TestWrongPasswordsLockTheAccountForAWhile(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	s, c := start(t, now)
	says := func(password, data string) {
		t.Helper()
		err := c.Bind("alice@hospital.test", password)
		if (data == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), "data "+data+",") {
			t.Errorf("%s: %v, want data %q", password, err, data)
		}
	}
	says("wrong", "52e")
	says("wrong", "52e")
	if n := s.BadPwdCount("Alice"); n != 2 {
		t.Errorf("count %d, want 2", n)
	}
	says("right", "")
	if n := s.BadPwdCount("alice"); n != 0 {
		t.Errorf("count %d after the right password", n)
	}
	for range 3 {
		says("wrong", "52e")
	}
	says("right", "775")
	mu.Lock()
	clock = clock.Add(31 * time.Minute)
	mu.Unlock()
	says("right", "")
	if err := c.Bind("bob@hospital.test", "right"); err == nil || !strings.Contains(err.Error(), "data 533,") {
		t.Errorf("disabled account: %v", err)
	}
}

func TestCloseEndsConnectionsThatClientsKeep(t *testing.T) {
	t.Parallel()
	s, c := start(t, time.Now)
	if err := c.Bind("svc@hospital.test", "svc password"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := c.Bind("svc@hospital.test", "svc password"); err == nil {
		t.Error("answered after Close")
	}
}

func FuzzSession(f *testing.F) {
	f.Add([]byte("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"))
	f.Add([]byte("\x30\x25\x02\x01\x02\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x00"))
	f.Add([]byte("\x30\x05\x02\x01\x03\x42\x00"))
	f.Add([]byte("\x30\x84\xff\xff\xff\xff"))
	d, err := newDirectory(testConfig(time.Now))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &session{dir: d, bound: true}
		r, w := bufio.NewReader(bytes.NewReader(in)), bufio.NewWriter(&bytes.Buffer{})
		for s.exchange(r, w) == nil {
			s.bound = true
		}
	})
}

func TestManyEntriesComeByPagesAndManyValuesByRanges(t *testing.T) {
	t.Parallel()
	cfg := testConfig(time.Now)
	everybody := Group{Name: "Everybody", OU: "Groups"}
	for i := range 1700 {
		name := "u" + strconv.Itoa(i)
		cfg.Users = append(cfg.Users, User{Name: name, OU: "Staff"})
		everybody.Members = append(everybody.Members, name)
	}
	cfg.Groups = append(cfg.Groups, everybody)
	_, c := startWith(t, cfg)
	if err := c.Bind("svc@hospital.test", "svc password"); err != nil {
		t.Fatal(err)
	}
	staff := ldap.NewSearchRequest("OU=Staff,"+base, 2, 0, 0, 0, false, "(sAMAccountType=805306368)", []string{"cn"}, nil)
	if _, err := c.Search(staff); !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		t.Errorf("without pages: %v", err)
	}
	res, err := c.SearchWithPaging(staff, 300)
	if err != nil || len(res.Entries) != 1700 {
		t.Fatalf("by pages: %d entries, %v", len(res.Entries), err)
	}
	group := "CN=Everybody,OU=Groups," + base
	for _, x := range []struct {
		asked, got string
		values     int
	}{{"member", "member;range=0-1499", 1500}, {"member;range=1500-*", "member;range=1500-*", 200}} {
		res, err := c.Search(ldap.NewSearchRequest(group, 0, 0, 0, 0, false, "(objectClass=*)", []string{x.asked}, nil))
		if err != nil || len(res.Entries) != 1 || len(res.Entries[0].Attributes) != 1 {
			t.Fatalf("%s: %v", x.asked, err)
		}
		if a := res.Entries[0].Attributes[0]; a.Name != x.got || len(a.Values) != x.values {
			t.Errorf("%s: %s with %d values", x.asked, a.Name, len(a.Values))
		}
	}
}
