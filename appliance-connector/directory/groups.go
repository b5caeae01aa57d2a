package directory

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// inChain is LDAP_MATCHING_RULE_IN_CHAIN (MS-ADTS section 3.1.1.3.4.4.3): by whatever way.
const inChain = ":1.2.840.113556.1.4.1941:="

// maxGroups bounds the groups of one account.
const maxGroups = 10_000

// Groups returns the DNs of the groups that an account is in, its primary group included: those it is a
// member of itself, and with nested those that these are members of, by whatever way. Groups of other
// domains are not seen. CodeNotFound when there is no such account.
func (d *Directory) Groups(ctx context.Context, domain sallyport.DomainID, dn string, nested bool) ([]string, error) {
	r, release, err := d.holdOne(domain)
	if err != nil {
		return nil, err
	}
	defer release()
	res, err := r.search(ctx, entryAt(dn, "memberOf", "primaryGroupID", "objectSid"))
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) || err == nil && len(res.Entries) != 1:
		return nil, sallyport.Errorf(sallyport.CodeNotFound, "The account is not in the directory any more.", err)
	case err != nil:
		return nil, unavailable(err)
	}
	e := res.Entries[0]
	primary, err := r.primaryGroup(ctx, e)
	if err != nil {
		return nil, unavailable(err)
	}
	groups := primary
	var more []string
	if nested {
		more, err = r.above(ctx, append([]string{e.DN}, primary...))
	} else {
		more, err = r.whole(ctx, e, "memberOf")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	for _, g := range more {
		if len(primary) == 0 || !strings.EqualFold(g, primary[0]) {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// above returns the groups that any of the members is in, by whatever way.
func (r *realm) above(ctx context.Context, members []string) ([]string, error) {
	names, err := r.learn(ctx)
	if err != nil {
		return nil, err
	}
	var any strings.Builder
	for _, m := range members {
		any.WriteString("(member" + inChain + ldap.EscapeFilter(m) + ")")
	}
	var groups []string
	err = r.paged(ctx, subtree(names.domain, "(&(objectClass=group)(|"+any.String()+"))", "1.1"), func(e *ldap.Entry) error {
		groups = append(groups, e.DN)
		if len(groups) > maxGroups {
			return fmt.Errorf("the account is in more than %d groups", maxGroups)
		}
		return nil
	})
	return groups, err
}

// primaryGroup returns the DN of the group that an account is in without being among its members
// (MS-ADTS section 3.1.1.8.2); none when it cannot be told.
func (r *realm) primaryGroup(ctx context.Context, account *ldap.Entry) ([]string, error) {
	sid := withRID(account.GetRawAttributeValue("objectSid"), account.GetAttributeValue("primaryGroupID"))
	if sid == nil {
		return nil, nil
	}
	names, err := r.learn(ctx)
	if err != nil {
		return nil, err
	}
	res, err := r.search(ctx, subtree(names.domain, "(objectSid="+binaryFilter(sid)+")", "1.1"))
	if err != nil || len(res.Entries) != 1 {
		return nil, err
	}
	return []string{res.Entries[0].DN}, nil
}

// withRID makes the SID of another object of the same domain (MS-DTYP section 2.4.2.2); nil when sid or
// rid is none.
func withRID(sid []byte, rid string) []byte {
	n, err := strconv.ParseUint(rid, 10, 32)
	if err != nil || len(sid) < 12 || len(sid) != 8+4*int(sid[1]) {
		return nil
	}
	out := append([]byte(nil), sid...)
	binary.LittleEndian.PutUint32(out[len(out)-4:], uint32(n))
	return out
}

// ridOf returns the last part of a SID.
func ridOf(sid []byte) (uint32, bool) {
	if len(sid) < 12 || len(sid) != 8+4*int(sid[1]) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(sid[len(sid)-4:]), true
}

// binaryFilter writes octets as a filter takes them (RFC 4515 section 3).
func binaryFilter(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		_, _ = fmt.Fprintf(&s, "\\%02x", c)
	}
	return s.String()
}

// subtree is the search for everything below base.
func subtree(base, filter string, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil)
}
