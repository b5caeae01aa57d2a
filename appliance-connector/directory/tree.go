package directory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// MaxBranches is how many objects Tree lists at most.
const MaxBranches = 5000

// Branch is an OU, a container or a group below another object.
type Branch struct {
	sallyport.DirectoryObject // a container counts as an OU: users are below it
	Name                      string
	Description               string
}

// Tree lists what is directly below a DN (empty: the domain itself): OUs and containers first, then
// groups, by name. more tells that there are others beyond MaxBranches. CodeNotFound when the DN is not there.
func (d *Directory) Tree(ctx context.Context, domain sallyport.DomainID, parent string) (list []Branch, more bool, err error) {
	r, release, err := d.holdOne(domain)
	if err != nil {
		return nil, false, err
	}
	defer release()
	names, err := r.learn(ctx)
	if err != nil {
		return nil, false, unavailable(err)
	}
	if parent == "" {
		parent = names.domain
	}
	if !sallyport.BelowDN(parent, names.domain) {
		return nil, false, sallyport.Errorf(sallyport.CodeNotFound, "This is not in the domain.", nil)
	}
	req := ldap.NewSearchRequest(parent, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false,
		"(&(|(objectClass=organizationalUnit)(objectClass=container)(objectClass=builtinDomain)(objectClass=group))(!(showInAdvancedViewOnly=TRUE)))",
		[]string{"objectClass", "name", "description"}, nil)
	err = r.paged(ctx, req, func(e *ldap.Entry) error {
		if len(list) >= MaxBranches {
			more = true
			return errDone
		}
		list = append(list, branch(e))
		return nil
	})
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) {
		return nil, false, sallyport.Errorf(sallyport.CodeNotFound, "This is not in the domain any more.", err)
	}
	if err != nil {
		return nil, false, unavailable(err)
	}
	slices.SortStableFunc(list, func(a, b Branch) int {
		if a.Kind != b.Kind {
			return strings.Compare(string(b.Kind), string(a.Kind)) // "ou" before "group"
		}
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list, more, nil
}

// FindGroups returns up to most groups of the domain whose name begins with text.
func (d *Directory) FindGroups(ctx context.Context, domain sallyport.DomainID, text string, most int) (list []Branch, err error) {
	r, release, err := d.holdOne(domain)
	if err != nil {
		return nil, err
	}
	defer release()
	names, err := r.learn(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	text = ldap.EscapeFilter(strings.TrimSpace(text))
	err = r.paged(ctx, subtree(names.domain, "(&(objectClass=group)(|(cn="+text+"*)(sAMAccountName="+text+"*)))", "objectClass", "name", "description"),
		func(e *ldap.Entry) error {
			if len(list) >= most {
				return errDone
			}
			list = append(list, branch(e))
			return nil
		})
	if err != nil {
		return nil, unavailable(err)
	}
	return list, nil
}

func branch(e *ldap.Entry) Branch {
	b := Branch{DirectoryObject: sallyport.DirectoryObject{Kind: sallyport.ObjectOU, DN: e.DN},
		Name: e.GetAttributeValue("name"), Description: e.GetAttributeValue("description")}
	if slices.ContainsFunc(e.GetAttributeValues("objectClass"), func(c string) bool { return strings.EqualFold(c, "group") }) {
		b.Kind = sallyport.ObjectGroup
	}
	return b
}

// Object looks an OU, container or group up by its DN, and returns it as the directory writes it.
// CodeNotFound when it is not there, CodeInvalid when it is something else.
func (d *Directory) Object(ctx context.Context, domain sallyport.DomainID, dn string) (sallyport.DirectoryObject, error) {
	r, release, err := d.holdOne(domain)
	if err != nil {
		return sallyport.DirectoryObject{}, err
	}
	defer release()
	res, err := r.search(ctx, entryAt(dn, "objectClass", "name"))
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) || err == nil && len(res.Entries) != 1 {
		return sallyport.DirectoryObject{}, sallyport.Errorf(sallyport.CodeNotFound, "There is no such OU or group in the domain.", err)
	}
	if err != nil {
		return sallyport.DirectoryObject{}, unavailable(err)
	}
	classes := strings.ToLower(strings.Join(res.Entries[0].GetAttributeValues("objectClass"), " "))
	for _, c := range strings.Fields(classes) {
		switch c {
		case "organizationalunit", "container", "builtindomain", "domaindns", "group":
			return branch(res.Entries[0]).DirectoryObject, nil
		}
	}
	return sallyport.DirectoryObject{}, sallyport.Errorf(sallyport.CodeInvalid, "This is neither an OU nor a group.", errors.New(classes))
}
