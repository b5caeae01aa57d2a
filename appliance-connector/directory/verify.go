package directory

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

// maxPasswordSize bounds a password, in octets.
const maxPasswordSize = 1024

// Result is what the directory says about a log-in.
type Result struct {
	State sallyport.AccountState
	// Account is the account that was found, also when the password is wrong; its Name is
	// empty when there is none.
	Account sallyport.Account
}

// Verify checks a name and a password with one bind, so that a wrong password counts
// once. The result is about the account; an error means that the directory could not
// be asked: CodeUnavailable when the password was not checked, CodeUncertain when it
// may have been. onBind (nil: nothing) is called just before the bind is sent; from
// then on nobody may repeat the log-in by himself. An empty password, which a
// directory may take for "nobody" and let in, never reaches it.
//
// A name that nobody has costs a bind too, of a name that does not exist, and takes as
// long as a wrong password took lately. The same holds for what is refused without asking: a password
// that was refused a short while ago (it is not counted again), and attempts on an account that one
// more wrong password could lock (AccountGuarded). Verify is for logins from outside.
func (d *Directory) Verify(ctx context.Context, typed string, password sallyport.Secret, onBind func()) (Result, error) {
	return d.verify(ctx, typed, password, onBind, d.opts.Leave)
}

// VerifyOnSite is Verify for somebody inside the network, who may use up all attempts.
func (d *Directory) VerifyOnSite(ctx context.Context, typed string, password sallyport.Secret) (Result, error) {
	return d.verify(ctx, typed, password, nil, -1)
}

func (d *Directory) verify(ctx context.Context, typed string, password sallyport.Secret, onBind func(), leave int) (Result, error) {
	// A NUL ends a password early for servers written in C: what follows would not count.
	if password == "" || len(password) > maxPasswordSize || strings.ContainsRune(string(password), 0) {
		return Result{State: sallyport.AccountWrongPassword}, nil
	}
	if onBind == nil {
		onBind = func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*d.opts.Timeout)
	defer cancel()
	now, release := d.hold()
	defer release()
	n, err := parseName(typed)
	if err != nil {
		n = nameless()
	}
	h, err := d.findEvenly(ctx, now, n)
	if err != nil {
		return Result{}, unavailable(err)
	}
	attempt := attempt{password: password, onBind: onBind, leave: leave}
	if h == nil {
		state, err := d.refuseUnknown(ctx, d.standIn(now, n), n, attempt)
		return Result{State: state}, err
	}
	account := h.account()
	state, err := d.check(ctx, h, account, attempt)
	if err != nil {
		return Result{}, err
	}
	return Result{State: state, Account: account}, nil
}

// attempt is one password to check.
type attempt struct {
	password sallyport.Secret
	onBind   func()
	leave    int // wrong passwords to leave to the inside; below 0: no guard
}

// nameless is a name that nobody has.
func nameless() name { return name{user: strings.ToLower(rand.Text())} }

// findEvenly is find, which searches also for names that are of no domain.
func (d *Directory) findEvenly(ctx context.Context, now *domains, n name) (*hit, error) {
	if len(now.realms) == 0 {
		return nil, errNoDomain
	}
	if first, then := now.route(n); len(first)+len(then) == 0 {
		_, err := d.standIn(now, n).find(ctx, nameless())
		return nil, err
	}
	h, _, err := d.find(ctx, now, n)
	return h, err
}

// check decides about the password of somebody who exists.
func (d *Directory) check(ctx context.Context, h *hit, account sallyport.Account, a attempt) (sallyport.AccountState, error) {
	r := h.realm
	if a.leave < 0 {
		start := time.Now()
		state, err := r.check(ctx, h.entry.DN, a.password, a.onBind)
		if err == nil {
			r.pace.took(time.Since(start), state)
		}
		return state, err
	}
	start, refused, done, err := d.admit(ctx, h, account, a)
	if err != nil {
		return "", unavailable(err)
	}
	defer done()
	if refused != "" {
		return refused, r.refuse(ctx, start, a.onBind)
	}
	state, err := r.check(ctx, h.entry.DN, a.password, a.onBind)
	if err != nil {
		return "", err
	}
	d.refusals.note(account, h.entry.GetAttributeValue("pwdLastSet"), a.password, state)
	r.pace.took(time.Since(start), state)
	return state, nil
}

// admit waits until an attempt may be made, because those under way could not lock the account together,
// and says as what it is refused without being made; "": it is not. It was begun at start, and done ends it.
func (d *Directory) admit(ctx context.Context, h *hit, account sallyport.Account, a attempt) (start time.Time, refused sallyport.AccountState, done func(), err error) {
	policies, err := h.realm.policies(ctx)
	if err != nil {
		return start, "", nil, err
	}
	most := policies.own.atOnce(a.leave)
	for {
		in, done, err := d.turns.take(ctx, string(account.Domain)+"/"+account.GUID, most)
		if err != nil {
			return start, "", nil, err
		}
		start = time.Now()
		left, refused, err := d.guard(ctx, h, account, a)
		if err != nil {
			done()
			return start, "", nil, err
		}
		if most = atOnce(left); refused != "" || in <= most {
			return start, refused, done, nil
		}
		done() // fewer are left than was thought: wait, and look again
	}
}

// check binds once and reads the answer.
func (r *realm) check(ctx context.Context, dn string, password sallyport.Secret, onBind func()) (sallyport.AccountState, error) {
	sent, err := r.bind(ctx, dn, string(password), onBind)
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

// refuseUnknown refuses a name that nobody has as if somebody had it.
func (d *Directory) refuseUnknown(ctx context.Context, r *realm, n name, a attempt) (sallyport.AccountState, error) {
	if a.leave >= 0 {
		policies, err := r.policies(ctx)
		if err != nil {
			return "", unavailable(err)
		}
		_, done, err := d.turns.take(ctx, "?"+strings.ToLower(n.user), policies.own.atOnce(a.leave))
		if err != nil {
			return "", unavailable(err)
		}
		defer done()
	}
	return sallyport.AccountUnknown, r.refuse(ctx, time.Now(), a.onBind)
}

// refuse takes as long as a wrong password, from start on, and asks the directory as much, about a name
// that does not exist.
func (r *realm) refuse(ctx context.Context, start time.Time, onBind func()) error {
	names, err := r.learn(ctx)
	if err != nil {
		return unavailable(err)
	}
	if _, err := r.check(ctx, nobody(names.base), sallyport.Secret(rand.Text()), onBind); err != nil {
		return err
	}
	if err := r.pace.wait(ctx, start); err != nil {
		return uncertain(err)
	}
	return nil
}

// entry is a user's entry in the directory.
type entry struct{ *ldap.Entry }

// account returns who was found.
func (h *hit) account() sallyport.Account {
	e := h.entry
	return sallyport.Account{
		Name:        sallyport.NewAccountName(h.realm.cfg.NetBIOS, e.GetAttributeValue("sAMAccountName")),
		Domain:      h.realm.cfg.ID,
		GUID:        hex.EncodeToString(e.GetRawAttributeValue("objectGUID")),
		UPN:         e.GetAttributeValue("userPrincipalName"),
		DN:          e.DN,
		DisplayName: e.GetAttributeValue("displayName"),
		Mail:        e.GetAttributeValue("mail"),
	}
}

// find returns the one user of the domain that a name means, nil when there is none.
func (r *realm) find(ctx context.Context, n name) (*entry, error) {
	names, err := r.learn(ctx)
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", r.cfg.Name, err)
	}
	res, err := r.search(ctx, ldap.NewSearchRequest(names.base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 3, 0, false,
		"(&(objectCategory=person)(objectClass=user)"+r.nameFilter(n)+")",
		[]string{"sAMAccountName", "userPrincipalName", "displayName", "mail", "objectGUID", "pwdLastSet"}, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		r.log.WarnContext(ctx, "log-in name is not unique in the directory", "name", n.user, "suffix", n.suffix)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", r.cfg.Name, err)
	}
	return r.pick(ctx, n, res.Entries), nil
}

func (r *realm) nameFilter(n name) string {
	sam := "(sAMAccountName=" + ldap.EscapeFilter(n.user) + ")"
	if n.suffix == "" {
		return sam
	}
	upn := "(userPrincipalName=" + ldap.EscapeFilter(n.upn()) + ")"
	if r.takes(n.suffix) {
		return "(|" + upn + sam + ")"
	}
	return upn
}

// pick chooses among the entries: a UPN as it stands in the directory comes before one
// made of a sAMAccountName and the domain. Several alike mean nobody.
func (r *realm) pick(ctx context.Context, n name, entries []*ldap.Entry) *entry {
	var byUPN, bySAM []*entry
	for _, e := range entries {
		sam := e.GetAttributeValue("sAMAccountName")
		switch {
		case sam == "":
		case n.suffix != "" && strings.EqualFold(e.GetAttributeValue("userPrincipalName"), n.upn()):
			byUPN = append(byUPN, &entry{e})
		case n.plain() && !strings.EqualFold(sam, n.user):
			// Active Directory finds "müller" by "muller". Who is identified without the directory, by
			// a plain name, is not: one account must have one name.
			r.log.WarnContext(ctx, "log-in name refused: type it as the directory spells it", "name", n.user, "account", sam)
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
	r.log.WarnContext(ctx, "log-in name is not unique in the directory", "name", n.user, "suffix", n.suffix)
	return nil
}
