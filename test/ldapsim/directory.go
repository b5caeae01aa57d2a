package ldapsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// Config describes the domain.
type Config struct {
	NetBIOS string // "HOSPITAL"
	DNSName string // "hospital.test"
	Users   []User
	Groups  []Group
	// LockoutThreshold locks an account after so many wrong passwords, for half an hour;
	// 0: never.
	LockoutThreshold int
	Now              func() time.Time
}

// User is an account. Its entry is CN=<CommonName>,CN=Users,<domain>.
type User struct {
	Name        string // sAMAccountName
	UPN         string // empty: Name@DNSName
	CommonName  string // empty: Name
	DisplayName string
	Mail        string
	Password    sallyport.Secret
	// State is what the directory says once the password is right; empty: AccountOK.
	State sallyport.AccountState
}

// Group is a group, CN=<Name>,CN=Users,<domain>, of users and other groups by name.
type Group struct {
	Name    string
	Members []string
}

// stateData are the Windows error codes in refused binds (MS-ERREF section 2.2).
var stateData = map[sallyport.AccountState]string{
	sallyport.AccountWrongPassword:    "52e",
	sallyport.AccountLogonHours:       "530",
	sallyport.AccountWrongWorkstation: "531",
	sallyport.AccountPasswordExpired:  "532",
	sallyport.AccountDisabled:         "533",
	sallyport.AccountExpired:          "701",
	sallyport.AccountMustChange:       "773",
	sallyport.AccountLocked:           "775",
	sallyport.AccountRefused:          "569",
}

const lockoutTime = 30 * time.Minute

// entry is one entry; root's parsed DN has no parts.
type entry struct {
	dn        string
	parsed    *ldap.DN
	attrs     map[string][]string // by name in lower case
	names     map[string]string   // lower case: as to be shown
	order     []string
	allGroups []string // DNs of the groups it is in, by whatever way
}

func newEntry(dn string, attrs ...string) (*entry, error) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return nil, fmt.Errorf("name entry %q: %w", dn, err)
	}
	e := &entry{dn: dn, parsed: parsed, attrs: map[string][]string{}, names: map[string]string{}}
	for i := 0; i+1 < len(attrs); i += 2 {
		e.add(attrs[i], attrs[i+1])
	}
	if dn != "" {
		e.add("distinguishedName", dn)
		guid := sha256.Sum256([]byte(strings.ToLower(dn)))
		e.add("objectGUID", string(guid[:16]))
	}
	return e, nil
}

// add adds a value; an empty one is no value.
func (e *entry) add(name, value string) {
	if value == "" {
		return
	}
	key := strings.ToLower(name)
	if _, known := e.names[key]; !known {
		e.names[key] = name
		e.order = append(e.order, key)
	}
	e.attrs[key] = append(e.attrs[key], value)
}

func (e *entry) values(name string) []string { return e.attrs[strings.ToLower(name)] }

// packet is the entry as an answer with the attributes asked for (none: all).
func (e *entry) packet(wanted []string) *ber.Packet {
	list := ber.NewSequence("")
	for _, key := range e.order {
		asked := func(w string) bool { return w == "*" || strings.EqualFold(w, key) }
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, asked) {
			continue
		}
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range e.attrs[key] {
			set.AppendChild(octets(v))
		}
		attr := ber.NewSequence("")
		attr.AppendChild(octets(e.names[key]))
		attr.AppendChild(set)
		list.AppendChild(attr)
	}
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(octets(e.dn))
	p.AppendChild(list)
	return p
}

// account is a user with what the directory counts.
type account struct {
	User
	dn      string
	bad     int
	lastBad time.Time
	locked  time.Time // since when; zero: not
}

type directory struct {
	cfg     Config
	base    string
	root    *entry
	entries []*entry

	mu       sync.Mutex
	accounts []*account
}

func newDirectory(cfg Config) (*directory, error) {
	if cfg.NetBIOS == "" || cfg.DNSName == "" || cfg.Now == nil {
		return nil, errors.New("NetBIOS, DNSName and Now are needed")
	}
	d := &directory{cfg: cfg, base: "DC=" + strings.ReplaceAll(cfg.DNSName, ".", ",DC=")}
	b := &builder{}
	config := "CN=Configuration," + d.base
	d.root = b.entry("", "objectClass", "top", "defaultNamingContext", d.base, "rootDomainNamingContext", d.base,
		"configurationNamingContext", config, "namingContexts", d.base, "namingContexts", config,
		"supportedLDAPVersion", "3", "dnsHostName", "dc1."+cfg.DNSName, "isGlobalCatalogReady", "TRUE")
	d.entries = []*entry{
		b.entry(d.base, "objectClass", "top", "objectClass", "domainDNS"),
		b.entry("CN=Users,"+d.base, "objectClass", "top", "objectClass", "container"),
		b.entry(config, "objectClass", "top", "objectClass", "configuration"),
		b.entry("CN=Partitions,"+config, "objectClass", "top", "objectClass", "crossRefContainer"),
		b.entry("CN="+cfg.NetBIOS+",CN=Partitions,"+config, "objectClass", "top", "objectClass", "crossRef",
			"nCName", d.base, "nETBIOSName", cfg.NetBIOS, "dnsRoot", cfg.DNSName),
	}
	for _, u := range cfg.Users {
		d.addUser(b, u)
	}
	for _, g := range cfg.Groups {
		d.addGroup(b, g)
	}
	return d, b.err
}

// builder remembers the first entry that could not be made.
type builder struct{ err error }

func (b *builder) entry(dn string, attrs ...string) *entry {
	e, err := newEntry(dn, attrs...)
	if err != nil {
		b.err = errors.Join(b.err, err)
		e = &entry{parsed: &ldap.DN{}, attrs: map[string][]string{}, names: map[string]string{}}
	}
	return e
}

func (d *directory) dn(commonName string) string {
	return "CN=" + ldap.EscapeDN(commonName) + ",CN=Users," + d.base
}

func (d *directory) addUser(b *builder, u User) {
	if u.CommonName == "" {
		u.CommonName = u.Name
	}
	if u.UPN == "" {
		u.UPN = u.Name + "@" + d.cfg.DNSName
	}
	control := "512"
	if u.State == sallyport.AccountDisabled {
		control = "514"
	}
	e := b.entry(d.dn(u.CommonName), "objectClass", "top", "objectClass", "person", "objectClass", "organizationalPerson",
		"objectClass", "user", "objectCategory", "CN=Person,CN=Schema,CN=Configuration,"+d.base, "cn", u.CommonName,
		"sAMAccountName", u.Name, "userPrincipalName", u.UPN, "displayName", u.DisplayName, "mail", u.Mail, "userAccountControl", control)
	e.allGroups = d.groupsOf(u.Name)
	for _, g := range d.cfg.Groups {
		if slices.ContainsFunc(g.Members, func(m string) bool { return strings.EqualFold(m, u.Name) }) {
			e.add("memberOf", d.dn(g.Name))
		}
	}
	d.entries = append(d.entries, e)
	d.accounts = append(d.accounts, &account{User: u, dn: e.dn})
}

func (d *directory) addGroup(b *builder, g Group) {
	e := b.entry(d.dn(g.Name), "objectClass", "top", "objectClass", "group",
		"objectCategory", "CN=Group,CN=Schema,CN=Configuration,"+d.base, "cn", g.Name, "sAMAccountName", g.Name)
	for _, m := range g.Members {
		e.add("member", d.dn(d.commonName(m)))
	}
	d.entries = append(d.entries, e)
}

func (d *directory) commonName(name string) string {
	for _, a := range d.accounts {
		if strings.EqualFold(a.Name, name) {
			return a.CommonName
		}
	}
	return name
}

// groupsOf returns the DNs of the groups that a user or group is in, by whatever way.
func (d *directory) groupsOf(name string) []string {
	var dns []string
	todo, seen := []string{name}, map[string]bool{}
	for len(todo) > 0 {
		member := todo[0]
		todo = todo[1:]
		for _, g := range d.cfg.Groups {
			in := slices.ContainsFunc(g.Members, func(m string) bool { return strings.EqualFold(m, member) })
			if in && !seen[g.Name] {
				seen[g.Name] = true
				dns = append(dns, d.dn(g.Name))
				todo = append(todo, g.Name)
			}
		}
	}
	return dns
}

func (d *directory) has(dn *ldap.DN) bool {
	return slices.ContainsFunc(d.entries, func(e *entry) bool { return dn.EqualFold(e.parsed) })
}

// bind checks a password as Active Directory does: a wrong one is counted, and the
// account's state is told to who knows the password, save that it is locked.
func (d *directory) bind(name, password string) result {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.account(name)
	if a == nil {
		return refused(sallyport.AccountWrongPassword)
	}
	now := d.cfg.Now()
	locked := a.State == sallyport.AccountLocked || !a.locked.IsZero() && now.Sub(a.locked) < lockoutTime
	right := subtle.ConstantTimeCompare([]byte(password), []byte(a.Password)) == 1
	switch {
	case locked: // said to everybody, and counted no further
		return refused(sallyport.AccountLocked)
	case !right:
		a.count(now, d.cfg.LockoutThreshold)
		return refused(sallyport.AccountWrongPassword)
	}
	if a.State != "" && a.State != sallyport.AccountOK {
		return refused(a.State)
	}
	a.bad = 0
	return result{ldap.LDAPResultSuccess, ""}
}

// count counts a wrong password and locks the account at the threshold.
func (a *account) count(now time.Time, threshold int) {
	a.locked = time.Time{}
	if now.Sub(a.lastBad) >= lockoutTime {
		a.bad = 0
	}
	a.bad++
	a.lastBad = now
	if threshold > 0 && a.bad >= threshold {
		a.locked = now
	}
}

// refused is code 49 with the state in its message, and the NUL that Active Directory
// often has at the end of it.
func refused(s sallyport.AccountState) result {
	return result{ldap.LDAPResultInvalidCredentials, fmt.Sprintf(
		"80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data %s, v4563\x00", stateData[s])}
}

// account finds who binds: by DN, UPN, DOMAIN\name, name@domain or name@DOMAIN.
func (d *directory) account(name string) *account {
	for _, a := range d.accounts {
		for _, n := range []string{a.UPN, d.cfg.NetBIOS + `\` + a.Name, a.Name + "@" + d.cfg.DNSName, a.Name + "@" + d.cfg.NetBIOS} {
			if strings.EqualFold(n, name) {
				return a
			}
		}
	}
	for _, a := range d.accounts {
		if sameDN(a.dn, name) {
			return a
		}
	}
	return nil
}

func (d *directory) badPwdCount(user string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.accounts {
		if strings.EqualFold(a.Name, user) {
			return a.bad
		}
	}
	return 0
}
