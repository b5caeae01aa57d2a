package ldapsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// User is an account. Its entry is CN=<CommonName>,CN=Users,<domain>, or below OU=<OU>,<domain>.
type User struct {
	Name        string // sAMAccountName
	OU          string
	UPN         string // empty: Name@DNSName
	CommonName  string // empty: Name
	DisplayName string
	Mail        string
	Password    sallyport.Secret
	// State is what the directory says once the password is right; empty: AccountOK.
	State sallyport.AccountState
}

// Group is a group, CN=<Name>,CN=Users,<domain>, or below OU=<OU>,<domain>, of users and other groups by
// name. Besides these, everybody's primary group is Domain Users.
type Group struct {
	Name    string
	OU      string
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
	dn     string
	parsed *ldap.DN
	attrs  map[string][]string // by name in lower case
	names  map[string]string   // lower case: as to be shown
	order  []string
	// DNs of the groups it is in, and of what is in it, by whatever way.
	allGroups, allMembers []string
	account               *account // nil: no user
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
		if name := parsed.RDNs[0].Attributes[0]; name != nil {
			e.add("name", name.Value)
		}
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

// packet is the entry as an answer with the attributes asked for (none: all). Of an attribute with very
// many values only some come, from the one asked for on ("member;range=1500-*").
func (e *entry) packet(wanted []string) *ber.Packet {
	list := ber.NewSequence("")
	for _, key := range e.order {
		from, asked := askedFor(wanted, key)
		if !asked {
			continue
		}
		name, values := e.names[key], e.attrs[key]
		if from > 0 || len(values) > maxValRange {
			last := "*"
			from = min(from, len(values))
			values = values[from:]
			if len(values) > maxValRange {
				values = values[:maxValRange]
				last = strconv.Itoa(from + maxValRange - 1)
			}
			name = fmt.Sprintf("%s;range=%d-%s", name, from, last)
		}
		list.AppendChild(attribute(name, values))
	}
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(octets(e.dn))
	p.AppendChild(list)
	return p
}

func attribute(name string, values []string) *ber.Packet {
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(octets(v))
	}
	attr := ber.NewSequence("")
	attr.AppendChild(octets(name))
	attr.AppendChild(set)
	return attr
}

// askedFor reports whether an attribute is asked for, and from which value on.
func askedFor(wanted []string, key string) (from int, asked bool) {
	if len(wanted) == 0 {
		return 0, true
	}
	for _, w := range wanted {
		name, options, _ := strings.Cut(strings.ToLower(w), ";")
		if name != key && name != "*" {
			continue
		}
		span, _, _ := strings.Cut(strings.TrimPrefix(options, "range="), "-")
		if n, err := strconv.Atoi(span); err == nil && n > 0 {
			from = n
		}
		return from, true
	}
	return 0, false
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
	d.addDomain(b)
	for _, u := range cfg.Users {
		d.addUser(b, u)
	}
	for _, g := range append([]Group{{Name: domainUsers}}, cfg.Groups...) {
		d.addGroup(b, g)
	}
	byDN := map[string]*entry{}
	for i, e := range d.entries {
		e.add("uSNChanged", strconv.Itoa(firstUSN+i))
		byDN[e.dn] = e
	}
	for _, e := range d.entries {
		for _, g := range e.allGroups {
			byDN[g].allMembers = append(byDN[g].allMembers, e.dn)
		}
	}
	d.root.add("highestCommittedUSN", strconv.Itoa(firstUSN+len(d.entries)))
	return d, b.err
}

const (
	domainUsers  = "Domain Users"
	primaryGroup = 513 // its RID, and everybody's primaryGroupID (MS-ADTS section 6.1.1.6)
	firstRID     = 1100
	firstUSN     = 4000
	userType     = "805306368" // sAMAccountType (MS-ADTS section 2.2.11)
	groupType    = "268435456"
	passwordSet  = 133500000000000000 // pwdLastSet of everybody
	until1970    = 116444736000000000 // in units of 100 ns, from 1601 on
	ticksASecond = 1e7
)

// addDomain adds the entries about the domain itself.
func (d *directory) addDomain(b *builder) {
	config := "CN=Configuration," + d.base
	server := "CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites," + config
	settings := "CN=NTDS Settings," + server
	d.root = b.entry("", "objectClass", "top", "defaultNamingContext", d.base, "rootDomainNamingContext", d.base,
		"configurationNamingContext", config, "namingContexts", d.base, "namingContexts", config,
		"supportedLDAPVersion", "3", "dnsHostName", "dc1."+d.cfg.DNSName, "isGlobalCatalogReady", "TRUE", "dsServiceName", settings)
	lockout := strconv.FormatInt(-int64(lockoutTime.Seconds()*ticksASecond), 10)
	invocation := sha256.Sum256([]byte(d.base))
	d.entries = []*entry{
		b.entry(d.base, "objectClass", "top", "objectClass", "domainDNS", "objectSid", sid(0), "fSMORoleOwner", settings,
			"lockoutThreshold", strconv.Itoa(d.cfg.LockoutThreshold), "lockoutDuration", lockout, "lockOutObservationWindow", lockout),
		b.entry("CN=Users,"+d.base, "objectClass", "top", "objectClass", "container"),
		b.entry(config, "objectClass", "top", "objectClass", "configuration"),
		b.entry("CN=Partitions,"+config, "objectClass", "top", "objectClass", "crossRefContainer"),
		b.entry("CN="+d.cfg.NetBIOS+",CN=Partitions,"+config, "objectClass", "top", "objectClass", "crossRef",
			"nCName", d.base, "nETBIOSName", d.cfg.NetBIOS, "dnsRoot", d.cfg.DNSName),
		b.entry(server, "objectClass", "top", "objectClass", "server", "dNSHostName", "dc1."+d.cfg.DNSName),
		b.entry(settings, "objectClass", "top", "objectClass", "nTDSDSA", "invocationId", string(invocation[:16])),
	}
	for _, ou := range d.ous() {
		d.entries = append(d.entries, b.entry("OU="+ldap.EscapeDN(ou)+","+d.base, "objectClass", "top", "objectClass", "organizationalUnit", "ou", ou))
	}
}

// ous returns the OUs that users and groups are in, each once.
func (d *directory) ous() []string {
	var list []string
	for _, u := range d.cfg.Users {
		list = append(list, u.OU)
	}
	for _, g := range d.cfg.Groups {
		list = append(list, g.OU)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// sid is the SID of the domain (0), or of what has a RID in it (MS-DTYP section 2.4.2.2).
func sid(rid uint32) string {
	parts := []uint32{21, 1001, 1002, 1003}
	if rid != 0 {
		parts = append(parts, rid)
	}
	b := []byte{1, byte(len(parts)), 0, 0, 0, 0, 0, 5}
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return string(b)
}

// nextSID is the SID of the entry that is added next.
func (d *directory) nextSID() string { return sid(uint32(firstRID + len(d.entries))) }

// fileTime writes a time as Active Directory keeps it (MS-DTYP section 2.3.3).
func fileTime(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixNano()/100+until1970, 10)
}

// shown is an entry with what is counted of its account.
func (d *directory) shown(e *entry) *entry {
	if e.account == nil {
		return e
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	a := e.account
	s := &entry{dn: e.dn, parsed: e.parsed, attrs: maps.Clone(e.attrs), names: maps.Clone(e.names), order: slices.Clone(e.order)}
	s.add("badPwdCount", strconv.Itoa(a.bad))
	s.add("badPasswordTime", fileTime(a.lastBad))
	locked := a.locked
	if a.State == sallyport.AccountLocked {
		locked = d.cfg.Now()
	}
	s.add("lockoutTime", fileTime(locked))
	return s
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

func (d *directory) dn(commonName, ou string) string {
	where := ",CN=Users,"
	if ou != "" {
		where = ",OU=" + ldap.EscapeDN(ou) + ","
	}
	return "CN=" + ldap.EscapeDN(commonName) + where + d.base
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
	a := &account{User: u, dn: d.dn(u.CommonName, u.OU)}
	e := b.entry(a.dn, "objectClass", "top", "objectClass", "person", "objectClass", "organizationalPerson",
		"objectClass", "user", "objectCategory", "CN=Person,CN=Schema,CN=Configuration,"+d.base, "cn", u.CommonName,
		"sAMAccountName", u.Name, "userPrincipalName", u.UPN, "displayName", u.DisplayName, "mail", u.Mail, "userAccountControl", control,
		"sAMAccountType", userType, "primaryGroupID", strconv.Itoa(primaryGroup), "objectSid", d.nextSID(), "pwdLastSet", strconv.Itoa(passwordSet))
	switch u.State {
	case sallyport.AccountExpired:
		e.add("accountExpires", "130000000000000000")
	case sallyport.AccountLogonHours:
		e.add("logonHours", strings.Repeat("\x00", 21))
	case sallyport.AccountWrongWorkstation:
		e.add("userWorkstations", "NOSUCHWKS")
	}
	e.account = a
	e.allGroups = d.groupsOf(u.Name)
	for _, g := range d.cfg.Groups {
		if slices.ContainsFunc(g.Members, func(m string) bool { return strings.EqualFold(m, u.Name) }) {
			e.add("memberOf", d.dn(g.Name, g.OU))
		}
	}
	d.entries = append(d.entries, e)
	d.accounts = append(d.accounts, a)
}

func (d *directory) addGroup(b *builder, g Group) {
	id := d.nextSID()
	if g.Name == domainUsers {
		id = sid(primaryGroup)
	}
	e := b.entry(d.dn(g.Name, g.OU), "objectClass", "top", "objectClass", "group",
		"objectCategory", "CN=Group,CN=Schema,CN=Configuration,"+d.base, "cn", g.Name, "sAMAccountName", g.Name,
		"sAMAccountType", groupType, "objectSid", id)
	for _, m := range g.Members {
		e.add("member", d.memberDN(m))
	}
	e.allGroups = d.groupsOf(g.Name)
	for _, outer := range d.cfg.Groups {
		if slices.ContainsFunc(outer.Members, func(m string) bool { return strings.EqualFold(m, g.Name) }) {
			e.add("memberOf", d.dn(outer.Name, outer.OU))
		}
	}
	d.entries = append(d.entries, e)
}

// memberDN returns the DN of a user or group by its name.
func (d *directory) memberDN(name string) string {
	for _, a := range d.accounts {
		if strings.EqualFold(a.Name, name) {
			return a.dn
		}
	}
	for _, g := range d.cfg.Groups {
		if strings.EqualFold(g.Name, name) {
			return d.dn(g.Name, g.OU)
		}
	}
	return d.dn(name, "")
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
				dns = append(dns, d.dn(g.Name, g.OU))
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
