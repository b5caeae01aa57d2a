package ldapsim

import (
	"cmp"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// query is a search request (RFC 4511 section 4.5.1).
type query struct {
	base       *ldap.DN
	root       bool // the base is "", the directory's entry about itself
	scope      int64
	sizeLimit  int64
	filter     *ber.Packet
	attributes []string
}

// search answers a search: the entries, and the result.
func (s *session) search(m message) ([]*ber.Packet, result) {
	if m.critical {
		return nil, result{ldap.LDAPResultUnavailableCriticalExtension, ""}
	}
	q, ok := parseQuery(m.op)
	if !ok {
		return nil, result{ldap.LDAPResultProtocolError, ""}
	}
	if q.root && q.scope == ldap.ScopeBaseObject {
		found, _, r := q.pick([]*entry{s.dir.root}, nil, s.dir.shown)
		return found, r
	}
	if !s.bound {
		return nil, result{ldap.LDAPResultOperationsError, "000004DC: LdapErr: DSID-0C090A5C, comment: " +
			"In order to perform this operation a successful bind must be completed on the connection., data 0, v4563"}
	}
	if !s.dir.has(q.base) {
		return nil, result{ldap.LDAPResultNoSuchObject, "0000208D: NameErr: DSID-0310028B, problem 2001 (NO_OBJECT), data 0"}
	}
	found, next, r := q.pick(s.dir.entries, m.page, s.dir.shown)
	if m.page != nil && r.code == ldap.LDAPResultSuccess {
		s.control = m.page.answer(next)
	}
	return found, r
}

// pick returns those entries of a page that the query asks for, as shown shows them, and where the next page
// begins, -1 for nowhere. Without a page as many come as at once.
func (q query) pick(entries []*entry, p *page, shown func(*entry) *entry) (found []*ber.Packet, next int, r result) {
	from := min(p.first(), len(entries))
	for i, e := range entries[from:] {
		if !q.inScope(e) || !matches(q.filter, e) {
			continue
		}
		if q.sizeLimit > 0 && int64(len(found)) >= q.sizeLimit {
			return found, -1, result{ldap.LDAPResultSizeLimitExceeded, ""}
		}
		if len(found) >= p.most() {
			if p == nil {
				return found, -1, result{ldap.LDAPResultSizeLimitExceeded, ""}
			}
			return found, from + i, result{ldap.LDAPResultSuccess, ""}
		}
		found = append(found, shown(e).packet(q.attributes))
	}
	return found, -1, result{ldap.LDAPResultSuccess, ""}
}

func parseQuery(op *ber.Packet) (query, bool) {
	if len(op.Children) < 8 {
		return query{}, false
	}
	base, err := ldap.ParseDN(text(op.Children[0]))
	if err != nil {
		return query{}, false
	}
	q := query{base: base, root: len(base.RDNs) == 0, filter: op.Children[6]}
	var ok1, ok2 bool
	q.scope, ok1 = op.Children[1].Value.(int64)
	q.sizeLimit, ok2 = op.Children[3].Value.(int64)
	for _, a := range op.Children[7].Children {
		q.attributes = append(q.attributes, text(a))
	}
	return q, ok1 && ok2
}

func (q query) inScope(e *entry) bool {
	if q.root {
		return e.parsed == nil || len(e.parsed.RDNs) == 0
	}
	switch q.scope {
	case ldap.ScopeBaseObject:
		return q.base.EqualFold(e.parsed)
	case ldap.ScopeSingleLevel:
		return len(e.parsed.RDNs) == len(q.base.RDNs)+1 && q.base.AncestorOfFold(e.parsed)
	default:
		return q.base.EqualFold(e.parsed) || q.base.AncestorOfFold(e.parsed)
	}
}

// matches evaluates a filter (RFC 4511 section 4.5.1.7). What it does not understand
// matches nothing.
func matches(f *ber.Packet, e *entry) bool {
	if f.ClassType != ber.ClassContext {
		return false
	}
	switch f.Tag {
	case ldap.FilterAnd:
		for _, c := range f.Children {
			if !matches(c, e) {
				return false
			}
		}
		return true
	case ldap.FilterOr:
		for _, c := range f.Children {
			if matches(c, e) {
				return true
			}
		}
		return false
	case ldap.FilterNot:
		return len(f.Children) == 1 && !matches(f.Children[0], e)
	case ldap.FilterPresent:
		return len(e.values(text(f))) > 0
	case ldap.FilterSubstrings:
		return matchesSubstrings(f, e)
	case ldap.FilterExtensibleMatch:
		return matchesRule(f, e)
	case ldap.FilterEqualityMatch, ldap.FilterApproxMatch, ldap.FilterGreaterOrEqual, ldap.FilterLessOrEqual:
		return matchesValue(f, e)
	}
	return false
}

func matchesValue(f *ber.Packet, e *entry) bool {
	if len(f.Children) != 2 {
		return false
	}
	name, want := text(f.Children[0]), text(f.Children[1])
	for _, v := range e.values(name) {
		c := compare(v, want)
		switch {
		case equal(name, v, want) && f.Tag != ldap.FilterGreaterOrEqual && f.Tag != ldap.FilterLessOrEqual,
			f.Tag == ldap.FilterGreaterOrEqual && c >= 0,
			f.Tag == ldap.FilterLessOrEqual && c <= 0:
			return true
		}
	}
	return false
}

// compare orders numbers by their value and everything else by its letters, without case.
func compare(a, b string) int {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}

// equal compares as Active Directory does: without case, DNs by their parts, and a
// category also by its short name.
func equal(attribute, have, want string) bool {
	switch strings.ToLower(attribute) {
	case "objectguid", "objectsid":
		return have == want
	case "objectcategory":
		short, _, _ := strings.Cut(strings.TrimPrefix(have, "CN="), ",")
		return strings.EqualFold(have, want) || strings.EqualFold(short, want)
	case "memberof", "member", "distinguishedname", "ncname":
		return sameDN(have, want)
	}
	return strings.EqualFold(have, want)
}

func sameDN(a, b string) bool {
	x, err := ldap.ParseDN(a)
	if err != nil {
		return false
	}
	y, err := ldap.ParseDN(b)
	return err == nil && x.EqualFold(y)
}

func matchesSubstrings(f *ber.Packet, e *entry) bool {
	if len(f.Children) != 2 {
		return false
	}
	for _, v := range e.values(text(f.Children[0])) {
		if hasParts(strings.ToLower(v), f.Children[1].Children) {
			return true
		}
	}
	return false
}

func hasParts(v string, parts []*ber.Packet) bool {
	for _, p := range parts {
		want := strings.ToLower(text(p))
		switch p.Tag {
		case ldap.FilterSubstringsInitial:
			if !strings.HasPrefix(v, want) {
				return false
			}
			v = v[len(want):]
		case ldap.FilterSubstringsAny:
			i := strings.Index(v, want)
			if i < 0 {
				return false
			}
			v = v[i+len(want):]
		case ldap.FilterSubstringsFinal:
			return strings.HasSuffix(v, want)
		default:
			return false
		}
	}
	return true
}

// inChain is LDAP_MATCHING_RULE_IN_CHAIN (MS-ADTS section 3.1.1.3.4.4.3): member of a
// group by whatever way.
const inChain = "1.2.840.113556.1.4.1941"

func matchesRule(f *ber.Packet, e *entry) bool {
	var rule, name, want string
	for _, c := range f.Children {
		switch c.Tag {
		case 1:
			rule = text(c)
		case 2:
			name = text(c)
		case 3:
			want = text(c)
		}
	}
	if rule != inChain {
		return false
	}
	var chain []string
	switch strings.ToLower(name) {
	case "memberof":
		chain = e.allGroups
	case "member":
		chain = e.allMembers
	}
	for _, g := range chain {
		if sameDN(g, want) {
			return true
		}
	}
	return false
}
