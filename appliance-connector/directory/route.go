package directory

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// randomKey returns a key that lives as long as the process.
func randomKey() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand aborts the program instead
	return key
}

// hit is somebody found.
type hit struct {
	realm *realm
	entry *entry
}

// route says where a name is looked for: in the domains of first, and where none of them has it in
// those of then. A name that names a domain is of that domain alone; a UPN whose suffix is a domain's
// may all the same be another domain's (a suffix is an attribute of the user, not of the domain).
func (d *domains) route(n name) (first, then []*realm) {
	for _, r := range d.realms {
		switch {
		case n.domain != "":
			if r.own(n.domain) {
				first = append(first, r)
			}
		case n.suffix == "" || r.takes(n.suffix):
			first = append(first, r)
		default:
			then = append(then, r)
		}
	}
	return first, then
}

// find returns who a typed name means, nil when nobody or more than one. certain is false when a domain
// that may have the name did not answer: that is no reason to refuse the others' users, and none to
// tell an unknown name from a known one.
func (d *Directory) find(ctx context.Context, now *domains, n name) (h *hit, certain bool, err error) {
	first, then := now.route(n)
	certain = true
	for i, group := range [][]*realm{first, then} {
		if len(group) == 0 {
			continue
		}
		hits, errs := search(ctx, group, n)
		if len(errs) == len(group) && (i == 0 || len(first) == 0) {
			return nil, false, errors.Join(errs...)
		}
		if len(errs) > 0 {
			certain = false
			d.opts.Log.WarnContext(ctx, "log-in name looked for without a domain that does not answer", "err", errors.Join(errs...))
		}
		switch len(hits) {
		case 0:
			continue
		case 1:
			return &hits[0], certain, nil
		}
		d.opts.Log.WarnContext(ctx, "log-in name is in several domains: type it with the domain, DOMAIN\\name or name@domain",
			"name", n.user, "first", hits[0].realm.cfg.Name, "second", hits[1].realm.cfg.Name)
		return nil, certain, nil
	}
	return nil, certain, nil
}

// search looks for a name in several domains at once. A domain that failed lately is not waited for,
// unless it is the only one.
func search(ctx context.Context, realms []*realm, n name) (hits []hit, errs []error) {
	found := make([]*entry, len(realms))
	failed := make([]error, len(realms))
	var wg sync.WaitGroup
	for i, r := range realms {
		if len(realms) > 1 && r.resting() {
			failed[i] = fmt.Errorf("domain %s: did not answer lately", r.cfg.Name)
			continue
		}
		wg.Go(func() { found[i], failed[i] = r.find(ctx, n) })
	}
	wg.Wait()
	for i, r := range realms {
		if failed[i] != nil {
			errs = append(errs, failed[i])
		} else if found[i] != nil {
			hits = append(hits, hit{r, found[i]})
		}
	}
	return hits, errs
}

// standIn returns the domain that a name nobody has is refused by: one where it was looked for, always
// the same one for the same name, so that its time is like that of somebody there; nil without domains.
func (d *Directory) standIn(now *domains, n name) *realm {
	first, then := now.route(n)
	group := append(first, then...)
	if len(group) == 0 {
		group = now.realms
	}
	var up []*realm
	for _, r := range group {
		if !r.resting() {
			up = append(up, r)
		}
	}
	if len(up) > 0 {
		group = up
	}
	if len(group) == 0 {
		return nil
	}
	return group[binary.BigEndian.Uint64(d.digest(strings.ToLower(n.user)))%uint64(len(group))]
}

// digest is a keyed hash that nobody outside the process can compute.
func (d *Directory) digest(text string) []byte {
	m := hmac.New(sha256.New, d.salt)
	m.Write([]byte(text))
	return m.Sum(nil)
}
