package directory

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// userFilter is everybody who can be a user: no computers, no trusts, not the key distribution's accounts.
const userFilter = "(&(sAMAccountType=805306368)(!(sAMAccountName=krbtgt*)))"

const (
	showDeleted = "1.2.840.113556.1.4.417" // MS-ADTS section 3.1.1.3.4.1.14
	// deletedObjects is the well-known GUID of the container of deleted objects (MS-ADTS section 6.1.1.4.2).
	deletedObjects = "18E2EA80684F11D2B9AA00C04F79F805"
	maxNesting     = 10_000 // groups in one
)

// Reader reads a domain on one connection to one controller, so that what it reads is of one piece.
// It is for one goroutine; its methods must not be called from within each other's callbacks.
type Reader struct {
	realm *realm
	names naming
	conn  *conn
}

// Read calls f with a reader of the domain. Its connection is taken until f returns.
func (d *Directory) Read(ctx context.Context, domain sallyport.DomainID, f func(*Reader) error) error {
	r, release, err := d.holdOne(domain)
	if err != nil {
		return err
	}
	defer release()
	names, err := r.learn(ctx)
	if err != nil {
		return unavailable(err)
	}
	var inner error // what f says is nothing against the server
	err = r.on(ctx, func(s *server) (bool, error) {
		begun := false
		err := s.searches.with(ctx, func(c *conn) error {
			begun = true
			inner = f(&Reader{r, names, c})
			return nil
		})
		return begun, err
	})
	if inner != nil {
		return inner
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Position returns which copy of the directory the controller has (its invocationId, in hexadecimal),
// and the highest number of a change in it. Numbers of different copies have nothing to do with each other.
func (r *Reader) Position(ctx context.Context) (invocation string, usn int64, err error) {
	e, err := r.one(ctx, "", "dsServiceName", "highestCommittedUSN")
	if err != nil {
		return "", 0, err
	}
	usn, err = strconv.ParseInt(e.GetAttributeValue("highestCommittedUSN"), 10, 64)
	if err != nil {
		return "", 0, unavailable(fmt.Errorf("read number of the last change: %w", err))
	}
	e, err = r.one(ctx, e.GetAttributeValue("dsServiceName"), "invocationId")
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(e.GetRawAttributeValue("invocationId")), usn, nil
}

func (r *Reader) one(ctx context.Context, dn string, attributes ...string) (*ldap.Entry, error) {
	var res *ldap.SearchResult
	err := r.conn.within(ctx, r.conn.timeout, func() (err error) {
		res, err = r.conn.Search(entryAt(dn, attributes...))
		return err
	})
	if err != nil {
		return nil, unavailable(fmt.Errorf("read %q: %w", dn, err))
	}
	if len(res.Entries) != 1 {
		return nil, unavailable(fmt.Errorf("read %q: %d entries", dn, len(res.Entries)))
	}
	return res.Entries[0], nil
}

// userAttributes are what is known of a user besides the DN.
var userAttributes = []string{"objectGUID", "sAMAccountName", "userPrincipalName", "displayName", "name", "mail", "userAccountControl"}

// Users calls each with everybody below the domain's base.
func (r *Reader) Users(ctx context.Context, each func(sallyport.User) error) error {
	return r.users(ctx, r.names.base, userFilter, each)
}

// ChangedUsers calls each with everybody of the whole domain whose entry was changed after usn: also with
// those who went out of the base.
func (r *Reader) ChangedUsers(ctx context.Context, usn int64, each func(sallyport.User) error) error {
	return r.users(ctx, r.names.domain, fmt.Sprintf("(&(uSNChanged>=%d)%s)", usn+1, userFilter), each)
}

// UsersByGUID calls each with those of the GUIDs who are below the base. More than 100 at once are
// asked for in several searches.
func (r *Reader) UsersByGUID(ctx context.Context, guids []string, each func(sallyport.User) error) error {
	const atOnce = 100
	for len(guids) > 0 {
		some := guids[:min(atOnce, len(guids))]
		guids = guids[len(some):]
		var any strings.Builder
		for _, g := range some {
			raw, err := hex.DecodeString(g)
			if err != nil || len(raw) != 16 {
				return invalid("This is not an objectGUID.")
			}
			any.WriteString("(objectGUID=" + binaryFilter(raw) + ")")
		}
		if err := r.users(ctx, r.names.base, "(&"+userFilter+"(|"+any.String()+"))", each); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) users(ctx context.Context, base, filter string, each func(sallyport.User) error) error {
	return r.read(ctx, subtree(base, filter, userAttributes...), func(e *ldap.Entry) error {
		u, ok := r.realm.user(e)
		if !ok {
			return nil
		}
		return each(u)
	})
}

// read is paged, with the errors of the directory as such.
func (r *Reader) read(ctx context.Context, req *ldap.SearchRequest, each func(*ldap.Entry) error) error {
	var inner error
	err := r.conn.paged(ctx, req, func(e *ldap.Entry) error {
		inner = each(e)
		return inner
	})
	switch {
	case inner != nil:
		return inner
	case err != nil:
		return unavailable(err)
	}
	return nil
}

// accountDisabled is the bit of userAccountControl (MS-ADTS section 2.2.16).
const accountDisabled = 0x2

// user reads an entry; ok is false when it is no user's.
func (r *realm) user(e *ldap.Entry) (u sallyport.User, ok bool) {
	guid, sam := e.GetRawAttributeValue("objectGUID"), e.GetAttributeValue("sAMAccountName")
	if len(guid) != 16 || sam == "" {
		return u, false
	}
	u = sallyport.User{
		Domain: r.cfg.ID, GUID: hex.EncodeToString(guid), Account: sallyport.NewAccountName(r.cfg.NetBIOS, sam),
		UPN: e.GetAttributeValue("userPrincipalName"), DN: e.DN, Mail: e.GetAttributeValue("mail"),
		DisplayName: cmp.Or(e.GetAttributeValue("displayName"), e.GetAttributeValue("name"), sam), State: sallyport.UserActive,
	}
	control, err := strconv.ParseInt(e.GetAttributeValue("userAccountControl"), 10, 64)
	if err == nil && control&accountDisabled != 0 {
		u.State = sallyport.UserDisabled
	}
	return u, true
}

// Present calls each with the GUID and the DN of everybody below the domain's base: much less than Users.
func (r *Reader) Present(ctx context.Context, each func(guid, dn string) error) error {
	return r.read(ctx, subtree(r.names.base, userFilter, "objectGUID"), func(e *ldap.Entry) error {
		if guid := e.GetRawAttributeValue("objectGUID"); len(guid) == 16 {
			return each(hex.EncodeToString(guid), e.DN)
		}
		return nil
	})
}

// ContainersChanged reports whether an OU or container was changed after usn: when one is renamed or
// moved, the names of all below it are others, without their entries being changed.
func (r *Reader) ContainersChanged(ctx context.Context, usn int64) (changed bool, err error) {
	filter := fmt.Sprintf("(&(|(objectClass=organizationalUnit)(objectClass=container))(uSNChanged>=%d))", usn+1)
	err = r.conn.paged(ctx, subtree(r.names.domain, filter, "1.1"), func(*ldap.Entry) error {
		changed = true
		return nil
	})
	if err != nil {
		return false, unavailable(err)
	}
	return changed, nil
}

// Deleted calls each with the GUIDs of what was deleted after usn. visible is false when the service
// account may not see deleted users, as it does not unless given the right, or when there are none.
func (r *Reader) Deleted(ctx context.Context, usn int64, each func(guid string) error) (visible bool, err error) {
	container := "<WKGUID=" + deletedObjects + "," + r.names.domain + ">"
	deleted := func(filter string) *ldap.SearchRequest {
		return ldap.NewSearchRequest(container, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false,
			"(&(isDeleted=TRUE)(objectClass=user)"+filter+")", []string{"objectGUID"}, []ldap.Control{ldap.NewControlString(showDeleted, true, "")})
	}
	// Whoever sees one sees all.
	one := deleted("")
	one.SizeLimit = 1
	var res *ldap.SearchResult
	err = r.conn.within(ctx, max(pageTimeout, r.conn.timeout), func() (err error) {
		res, err = r.conn.Search(one)
		return err
	})
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		if broken(err) {
			return false, unavailable(err)
		}
		return false, nil // the container is not there for us
	}
	if len(res.Entries) == 0 {
		return false, nil
	}
	return true, r.read(ctx, deleted(fmt.Sprintf("(uSNChanged>=%d)", usn+1)), func(e *ldap.Entry) error {
		if guid := e.GetRawAttributeValue("objectGUID"); len(guid) == 16 {
			return each(hex.EncodeToString(guid))
		}
		return nil
	})
}

// Members calls each with the GUID of every user who is in a group, by whatever way, those included
// whose primary group it is; of users in several of its groups more than once. A group that is not there has none:
// found is then false. Members of other domains are not seen.
func (r *Reader) Members(ctx context.Context, group string, each func(guid string) error) (found bool, err error) {
	seen := map[string]bool{}
	for todo := []string{group}; len(todo) > 0; todo = todo[1:] {
		key := strings.ToLower(todo[0])
		if seen[key] {
			continue
		}
		seen[key] = true
		if len(seen) > maxNesting {
			return found, unavailable(fmt.Errorf("group %q holds more than %d groups", group, maxNesting))
		}
		there, inner, err := r.membersOf(ctx, todo[0], each)
		if err != nil {
			return found, err
		}
		found = found || there
		todo = append(todo, inner...)
	}
	return found, nil
}

// membersOf calls each with the direct members of a group that are users, and returns those that are
// groups. Both come by the members' back link, which the directory has an index for.
func (r *Reader) membersOf(ctx context.Context, group string, each func(string) error) (found bool, groups []string, err error) {
	var rid string
	err = r.conn.paged(ctx, entryAt(group, "objectSid"), func(e *ldap.Entry) error {
		found = true
		if n, ok := ridOf(e.GetRawAttributeValue("objectSid")); ok {
			rid = fmt.Sprintf("(primaryGroupID=%d)", n)
		}
		return nil
	})
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) || err == nil && !found:
		return false, nil, nil
	case err != nil:
		return false, nil, unavailable(err)
	}
	link := "(memberOf=" + ldap.EscapeFilter(group) + ")"
	filter := "(|(&" + userFilter + "(|" + link + rid + "))(&(objectClass=group)" + link + "))"
	err = r.read(ctx, subtree(r.names.domain, filter, "objectGUID", "sAMAccountType"), func(e *ldap.Entry) error {
		guid := e.GetRawAttributeValue("objectGUID")
		switch {
		case e.GetAttributeValue("sAMAccountType") != userAccountType:
			groups = append(groups, e.DN)
		case len(guid) == 16:
			return each(hex.EncodeToString(guid))
		}
		return nil
	})
	return true, groups, err
}

// userAccountType is a user's sAMAccountType (MS-ADTS section 2.2.11).
const userAccountType = "805306368"
