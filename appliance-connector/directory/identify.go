package directory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// Identify returns the one name of the account that a typed log-in name means, without
// a password: for counters and for what a code belongs to. It does not say that
// DOMAIN\name, or a plain name where there is one domain, exists; a name that has to be looked up (a
// UPN, one with spaces or letters beyond ASCII, a bare name where there are several domains) and is not
// there, or is in two domains, is CodeNotFound.
func (d *Directory) Identify(ctx context.Context, typed string) (sallyport.AccountName, error) {
	n, err := parseName(typed)
	if err != nil {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "This is not a log-in name.", err)
	}
	now, release := d.hold()
	defer release()
	if name, ok := now.identify(n); ok { // also while the directory is down
		return name, nil
	}
	if len(now.realms) == 0 {
		return "", unavailable(errNoDomain)
	}
	if first, _ := now.route(n); n.domain != "" && len(first) == 0 {
		return sallyport.NewAccountName(n.domain, n.user), nil // of another domain, whose spelling is not ours to know
	}
	ctx, cancel := context.WithTimeout(ctx, 2*d.opts.Timeout)
	defer cancel()
	return d.lookUp(ctx, now, n, typed)
}

// IdentifyNow is Identify for names that it knows without asking the directory.
func (d *Directory) IdentifyNow(typed string) (sallyport.AccountName, bool) {
	n, err := parseName(typed)
	if err != nil {
		return "", false
	}
	now := d.current.Load()
	if name, ok := now.identify(n); ok {
		return name, true
	}
	if n.domain != "" || n.suffix != "" {
		return "", false
	}
	name, cached := now.names.get(cacheKey(typed))
	return name, cached && name != ""
}

var errNoDomain = errors.New("no domain is configured")

// identify knows the names that need no search.
func (d *domains) identify(n name) (sallyport.AccountName, bool) {
	if n.suffix != "" || !n.plain() || n.domain == "" && len(d.realms) != 1 {
		return "", false
	}
	for _, r := range d.realms {
		if n.domain == "" || r.own(n.domain) {
			return sallyport.NewAccountName(r.cfg.NetBIOS, n.user), true
		}
	}
	return "", false
}

func cacheKey(typed string) string { return strings.ToLower(strings.TrimSpace(typed)) }

func (d *Directory) lookUp(ctx context.Context, now *domains, n name, typed string) (sallyport.AccountName, error) {
	found, cached := now.names.get(cacheKey(typed))
	if !cached {
		h, certain, err := d.find(ctx, now, n)
		if err != nil {
			return "", unavailable(err)
		}
		if h != nil {
			found = h.account().Name
		}
		if certain {
			now.names.put(cacheKey(typed), found)
		}
	}
	if found == "" {
		return "", sallyport.Errorf(sallyport.CodeNotFound, "Nobody has this log-in name.", nil)
	}
	return found, nil
}

// LookUp returns the account that a typed log-in name means, as the directory has it: for
// administrators. CodeNotFound when there is none.
func (d *Directory) LookUp(ctx context.Context, typed string) (sallyport.Account, error) {
	n, err := parseName(typed)
	if err != nil {
		return sallyport.Account{}, sallyport.Errorf(sallyport.CodeInvalid, "This is not a log-in name.", err)
	}
	now, release := d.hold()
	defer release()
	if len(now.realms) == 0 {
		return sallyport.Account{}, unavailable(errNoDomain)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*d.opts.Timeout)
	defer cancel()
	h, _, err := d.find(ctx, now, n)
	switch {
	case err != nil:
		return sallyport.Account{}, unavailable(err)
	case h == nil:
		return sallyport.Account{}, sallyport.Errorf(sallyport.CodeNotFound, "Nobody has this log-in name, or it is in several domains.", nil)
	}
	return h.account(), nil
}

const (
	cacheSize = 4096
	// foundFor is also how long a user who got another UPN keeps the old one here.
	foundFor   = 5 * time.Minute
	missingFor = 30 * time.Second
)

// nameCache keeps what searches by name found; "" for nobody.
type nameCache struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[string]cachedName
}

type cachedName struct {
	name  sallyport.AccountName
	until time.Time
}

func newNameCache(now func() time.Time) *nameCache {
	return &nameCache{now: now, m: map[string]cachedName{}}
}

func (c *nameCache) get(key string) (sallyport.AccountName, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[key]
	if !ok || !c.now().Before(e.until) {
		delete(c.m, key)
		return "", false
	}
	return e.name, true
}

func (c *nameCache) put(key string, n sallyport.AccountName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= cacheSize {
		// Any one will do: the order of a map is random, and a miss costs one search.
		for k := range c.m {
			delete(c.m, k)
			break
		}
	}
	keep := foundFor
	if n == "" {
		keep = missingFor
	}
	c.m[key] = cachedName{n, c.now().Add(keep)}
}
