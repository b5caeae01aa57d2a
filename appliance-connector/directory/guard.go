package directory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
)

const (
	// countTimeout bounds how long servers are waited for that count wrong passwords, once one has said its count.
	countTimeout = time.Second
	// clockSkew is by how much longer than the policy says a wrong password is taken to count: our clock
	// and the controllers' are not the same.
	clockSkew = time.Minute
)

// guard decides whether an attempt from outside is refused without asking the directory, and as what;
// "" is no. left is how many wrong passwords are left to the outside then.
//
// Every controller counts for itself, and tells the PDC emulator; the largest count of those that are
// configured and answer is taken.
func (d *Directory) guard(ctx context.Context, h *hit, account sallyport.Account, a attempt) (left int, refused sallyport.AccountState, err error) {
	if d.refusals.known(account, h.entry.GetAttributeValue("pwdLastSet"), a.password) {
		return 0, sallyport.AccountWrongPassword, nil
	}
	counts, err := h.realm.counts(ctx, h.entry.DN)
	if err != nil {
		return 0, "", err
	}
	if len(counts) == 0 {
		return maxCounted, "", nil // moved or deleted since it was found: the bind will tell
	}
	policy, err := h.realm.policyOf(ctx, counts[0].GetAttributeValue("msDS-ResultantPSO"))
	if err != nil {
		return 0, "", err
	}
	wrong, locked := d.wrong(h.realm, account, policy, counts)
	if policy.Threshold == 0 || locked {
		return maxCounted, "", nil // of one that is locked none counts, and the directory says that it is
	}
	if left = max(policy.Threshold-a.leave, 1) - wrong; left > 0 {
		return left, "", nil
	}
	h.realm.log.WarnContext(ctx, "attempt from outside refused before it could lock the account", "account", account.Name,
		"wrong_passwords", wrong, "threshold", policy.Threshold, "left_to_the_inside", a.leave)
	return 0, sallyport.AccountGuarded, nil
}

// maxCounted is more wrong passwords than any policy counts.
const maxCounted = 1 << 20

// wrong returns how many wrong passwords of an account count now, and whether it is locked.
func (d *Directory) wrong(r *realm, account sallyport.Account, policy Lockout, counts []*ldap.Entry) (wrong int, isLocked bool) {
	now := r.now()
	readable := false
	for _, e := range counts {
		if locked(e, policy, now) {
			return 0, true
		}
		n, counted := effective(e, policy, now)
		wrong, readable = max(wrong, n), readable || counted
	}
	if !readable { // never a wrong password, or the service account may not read the count
		wrong = d.refusals.tried(account, now.Add(-policy.window()))
	}
	return wrong, false
}

// atOnce is how many attempts may be under way at one appliance on an account without wrong passwords.
func (l Lockout) atOnce(leave int) int {
	if l.Threshold == 0 {
		return maxAtOnce
	}
	return atOnce(l.Threshold - leave)
}

// window is how long a wrong password counts, with something for the clocks.
func (l Lockout) window() time.Duration {
	if l.Window == 0 {
		return triedFor
	}
	return l.Window + clockSkew
}

// effective returns how many wrong passwords of an entry still count, and whether any was ever noted.
func effective(e *ldap.Entry, l Lockout, now time.Time) (n int, noted bool) {
	last := fileTime(e.GetAttributeValue("badPasswordTime"))
	if last.IsZero() {
		return 0, false
	}
	n, err := strconv.Atoi(e.GetAttributeValue("badPwdCount"))
	if err != nil || n < 0 {
		return 0, true
	}
	if l.Window != 0 && now.Sub(last) > l.window() {
		return 0, true
	}
	return n, true
}

// locked reports whether an entry's account is locked.
func locked(e *ldap.Entry, l Lockout, now time.Time) bool {
	since := fileTime(e.GetAttributeValue("lockoutTime"))
	return !since.IsZero() && (l.Duration == 0 || now.Sub(since) < l.Duration)
}

// fileTime reads a time as Active Directory keeps it: 100 ns since 1601 (MS-DTYP section 2.3.3); "0", no
// value and what cannot be read are the zero time.
func fileTime(s string) time.Time {
	const until1970 = 116444736000000000
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	n -= until1970
	return time.Unix(n/1e7, n%1e7*100)
}

var countAttributes = []string{"badPwdCount", "badPasswordTime", "lockoutTime", "msDS-ResultantPSO"}

// counts returns the entry of dn on every server that answers, with what it counted. Servers that
// failed lately are not waited for, the others a second at most once one has answered.
func (r *realm) counts(ctx context.Context, dn string) ([]*ldap.Entry, error) {
	inTime, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		entry *ldap.Entry
		err   error
	}
	asked := r.counting()
	answers := make(chan answer, len(asked))
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range asked {
		wg.Go(func() {
			e, err := r.countAt(inTime, s, dn)
			if failed(err) && blames(ctx, err) {
				r.note(ctx, s, err)
			}
			answers <- answer{e, err}
		})
	}
	var entries []*ldap.Entry
	var errs []error
	var late <-chan time.Time
	for range asked {
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				errs = append(errs, a.err)
			case a.entry != nil:
				entries = append(entries, a.entry)
			}
			if a.err == nil && late == nil {
				t := time.NewTimer(countTimeout)
				defer t.Stop()
				late = t.C
			}
		case <-late:
			cancel()
			return entries, nil
		}
	}
	if len(errs) == len(asked) {
		return nil, errors.Join(errs...)
	}
	return entries, nil
}

// counting returns the servers whose counts are asked for: those that did not fail lately, or all.
func (r *realm) counting() []*server {
	var well []*server
	for _, s := range r.servers {
		if s.health.well() {
			well = append(well, s)
		}
	}
	if len(well) == 0 {
		return r.servers
	}
	return well
}

func (r *realm) countAt(ctx context.Context, s *server, dn string) (*ldap.Entry, error) {
	res, err := r.searchAt(ctx, s, entryAt(dn, countAttributes...))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read count of wrong passwords: %w", err)
	case len(res.Entries) != 1:
		return nil, nil
	}
	return res.Entries[0], nil
}
