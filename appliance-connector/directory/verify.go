package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// Result is what the directory says about a log-in.
type Result struct {
	State sallyport.AccountState
	// Account is the account that was found, also when the password is wrong; its Name is
	// empty when there is none.
	Account sallyport.Account
	// MayLogIn reports whether the account is in the group that may log in.
	MayLogIn bool
}

// Verify checks a name and a password with one bind, so that a wrong password counts
// once. The result is about the account; an error means that the directory could not
// be asked: CodeUnavailable when the password was not checked, CodeUncertain when it
// may have been. onBind (nil: nothing) is called just before the bind is sent; from
// then on nobody may repeat the log-in by himself. An empty password, which a
// directory may take for "nobody" and let in, never reaches it.
//
// A name that nobody has costs a bind too, of a name that does not exist, and takes as
// long as a wrong password took lately.
func (d *Directory) Verify(ctx context.Context, typed string, password sallyport.Secret, onBind func()) (Result, error) {
	// A NUL ends a password early for servers written in C: what follows would not count.
	if password == "" || len(password) > maxPasswordSize || strings.ContainsRune(string(password), 0) {
		return Result{State: sallyport.AccountWrongPassword}, nil
	}
	if onBind == nil {
		onBind = func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*d.cfg.Timeout)
	defer cancel()
	dom, err := d.learn(ctx)
	if err != nil {
		return Result{}, unavailable(err)
	}
	user, err := d.find(ctx, dom, typed)
	if err != nil {
		return Result{}, unavailable(err)
	}
	start := time.Now()
	if user == nil {
		return d.refuseUnknown(ctx, dom, start, onBind)
	}
	res := Result{Account: user.account(dom)}
	if res.MayLogIn, err = d.inGroup(ctx, user.DN); err != nil {
		return Result{}, unavailable(err)
	}
	if res.State, err = d.check(ctx, user.DN, password, onBind); err != nil {
		return Result{}, err
	}
	d.pace.took(time.Since(start), res.State)
	return res, nil
}

// check binds once and reads the answer.
func (d *Directory) check(ctx context.Context, dn string, password sallyport.Secret, onBind func()) (sallyport.AccountState, error) {
	sent, err := d.bind(ctx, dn, string(password), onBind)
	if state, ok := stateOf(err); ok {
		return state, nil
	}
	err = fmt.Errorf("bind as user: %w", err)
	// A server that answers with an error has not checked the password.
	if sent && broken(err) {
		return "", uncertain(err)
	}
	return "", unavailable(err)
}

func (d *Directory) refuseUnknown(ctx context.Context, dom domain, start time.Time, onBind func()) (Result, error) {
	if _, err := d.check(ctx, nobody(dom.base), sallyport.Secret(rand.Text()), onBind); err != nil {
		return Result{}, err
	}
	if err := d.pace.wait(ctx, start); err != nil {
		return Result{}, uncertain(err)
	}
	return Result{State: sallyport.AccountUnknown}, nil
}

// entry is a user's entry in the directory.
type entry struct{ *ldap.Entry }

func (e entry) account(dom domain) sallyport.Account {
	return sallyport.Account{
		Name:        e.name(dom),
		DN:          e.DN,
		DisplayName: e.GetAttributeValue("displayName"),
		Mail:        e.GetAttributeValue("mail"),
	}
}

func (e entry) name(dom domain) sallyport.AccountName {
	return sallyport.NewAccountName(dom.netbios, e.GetAttributeValue("sAMAccountName"))
}

// find returns the one user that a typed name means, nil when there is none.
func (d *Directory) find(ctx context.Context, dom domain, typed string) (*entry, error) {
	n, err := parseName(typed)
	if err != nil || n.domain != "" && !dom.own(n.domain) {
		return nil, nil
	}
	res, err := d.search(ctx, ldap.NewSearchRequest(dom.base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 3, 0, false,
		"(&(objectCategory=person)(objectClass=user)"+d.nameFilter(dom, n)+")",
		[]string{"sAMAccountName", "userPrincipalName", "displayName", "mail"}, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		d.log.WarnContext(ctx, "log-in name is not unique in the directory", "name", typed)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return d.pick(ctx, n, res.Entries), nil
}

func (d *Directory) nameFilter(dom domain, n name) string {
	sam := "(sAMAccountName=" + ldap.EscapeFilter(n.user) + ")"
	if n.suffix == "" {
		return sam
	}
	upn := "(userPrincipalName=" + ldap.EscapeFilter(n.upn()) + ")"
	further := func(s string) bool { return strings.EqualFold(s, n.suffix) }
	if dom.own(n.suffix) || slices.ContainsFunc(d.cfg.UPNSuffixes, further) {
		return "(|" + upn + sam + ")"
	}
	return upn
}

// pick chooses among the entries: a UPN as it stands in the directory comes before one
// made of a sAMAccountName and the domain. Several alike mean nobody.
func (d *Directory) pick(ctx context.Context, n name, entries []*ldap.Entry) *entry {
	var byUPN, bySAM []*entry
	for _, e := range entries {
		switch {
		case e.GetAttributeValue("sAMAccountName") == "":
		case n.suffix != "" && strings.EqualFold(e.GetAttributeValue("userPrincipalName"), n.upn()):
			byUPN = append(byUPN, &entry{e})
		default:
			bySAM = append(bySAM, &entry{e})
		}
	}
	found := byUPN
	if len(found) == 0 {
		found = bySAM
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	d.log.WarnContext(ctx, "log-in name is not unique in the directory", "name", n.user, "suffix", n.suffix)
	return nil
}

// inGroup asks whether the entry is in the group that may log in, by whatever way.
func (d *Directory) inGroup(ctx context.Context, dn string) (bool, error) {
	if d.cfg.Group == "" {
		return true, nil
	}
	// LDAP_MATCHING_RULE_IN_CHAIN, MS-ADTS section 3.1.1.3.4.4.3.
	res, err := d.search(ctx, ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		"(memberOf:1.2.840.113556.1.4.1941:="+ldap.EscapeFilter(d.cfg.Group)+")", []string{"1.1"}, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return false, nil // moved or deleted since it was found
	}
	if err != nil {
		return false, errors.Join(errors.New("ask for group"), err)
	}
	return len(res.Entries) == 1, nil
}
