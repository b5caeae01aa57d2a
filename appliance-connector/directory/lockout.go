package directory

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Lockout is when a domain locks an account.
type Lockout struct {
	// Threshold is the number of wrong passwords that locks; 0: none does.
	Threshold int
	// Duration is for how long; 0: until an administrator unlocks it.
	Duration time.Duration
	// Window is how long after a wrong password it still counts; 0: for ever.
	Window time.Duration
}

// assumedLockout is taken for a policy that the service account may not read.
var assumedLockout = Lockout{Threshold: 5, Duration: time.Hour, Window: time.Hour}

// policyFor is how long a policy is taken as read.
const policyFor = 5 * time.Minute

// policyCache keeps the lockout policies of a domain: its own and the fine-grained ones, by DN.
type policyCache struct {
	until time.Time
	own   Lockout
	fine  map[string]Lockout
}

var lockoutAttributes = []string{"lockoutThreshold", "lockoutDuration", "lockOutObservationWindow"}

// policies returns the domain's lockout policies, reading them anew now and then. Reading the
// fine-grained ones takes rights that a service account does not have by itself; users who have one
// that cannot be read are in nobody's list.
func (r *realm) policies(ctx context.Context) (*policyCache, error) {
	if p := r.lockout.Load(); p != nil && r.now().Before(p.until) {
		return p, nil
	}
	names, err := r.learn(ctx)
	if err != nil {
		return nil, err
	}
	res, err := r.search(ctx, entryAt(names.domain, lockoutAttributes...))
	if err != nil {
		return nil, fmt.Errorf("read lockout policy: %w", err)
	}
	p := &policyCache{until: r.now().Add(policyFor), own: assumedLockout, fine: map[string]Lockout{}}
	if l, ok := readLockout(res, lockoutAttributes); ok {
		p.own = l
	} else {
		r.log.WarnContext(ctx, "the service account may not read the domain's lockout policy: a strict one is assumed", "threshold", p.own.Threshold)
	}
	r.lockout.Store(p)
	return p, nil
}

// readLockout reads a policy out of the attributes named: threshold, duration and window.
func readLockout(res *ldap.SearchResult, attributes []string) (Lockout, bool) {
	if len(res.Entries) != 1 {
		return Lockout{}, false
	}
	e := res.Entries[0]
	threshold, err := strconv.Atoi(e.GetAttributeValue(attributes[0]))
	if err != nil || threshold < 0 {
		return Lockout{}, false
	}
	return Lockout{threshold, interval(e.GetAttributeValue(attributes[1])), interval(e.GetAttributeValue(attributes[2]))}, true
}

// interval reads a length of time as Active Directory keeps it: a negative number of 100 ns (MS-ADTS
// section 3.1.1.3.2); "for ever", zero and what cannot be read are 0.
func interval(s string) time.Duration {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n >= 0 || n < -(1<<63-1)/100 {
		return 0
	}
	return time.Duration(-n * 100)
}

var fineAttributes = []string{"msDS-LockoutThreshold", "msDS-LockoutDuration", "msDS-LockoutObservationWindow"}

// policyOf returns the policy of a user whose msDS-ResultantPSO is pso; empty: the domain's.
func (r *realm) policyOf(ctx context.Context, pso string) (Lockout, error) {
	p, err := r.policies(ctx)
	if err != nil || pso == "" {
		if err != nil {
			return Lockout{}, err
		}
		return p.own, nil
	}
	r.fine.Lock()
	l, known := p.fine[pso]
	r.fine.Unlock()
	if known {
		return l, nil
	}
	res, err := r.search(ctx, entryAt(pso, fineAttributes...))
	if err != nil && !ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInsufficientAccessRights) {
		return Lockout{}, fmt.Errorf("read fine-grained lockout policy: %w", err)
	}
	l, ok := Lockout{}, false
	if err == nil {
		l, ok = readLockout(res, fineAttributes)
	}
	if !ok {
		l = stricter(p.own, assumedLockout)
		r.log.WarnContext(ctx, "the service account may not read a fine-grained password policy: a strict one is assumed; let it read the objects in the Password Settings Container",
			"policy", pso, "threshold", l.Threshold)
	}
	r.fine.Lock()
	defer r.fine.Unlock()
	p.fine[pso] = l
	return l, nil
}

// stricter returns the policy that locks earlier.
func stricter(a, b Lockout) Lockout {
	if a.Threshold == 0 || b.Threshold != 0 && b.Threshold < a.Threshold {
		return b
	}
	return a
}
