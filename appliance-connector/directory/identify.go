package directory

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// Identify returns the one name of the account that a typed log-in name means, without
// a password: for counters and for what a code belongs to. It does not say that a
// plain name or DOMAIN\name exists; a name that has to be looked up (a UPN, or one with
// spaces or letters beyond ASCII) and is not there is CodeNotFound.
func (d *Directory) Identify(ctx context.Context, typed string) (sallyport.AccountName, error) {
	n, err := parseName(typed)
	if err != nil {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "This is not a log-in name.", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*d.cfg.Timeout)
	defer cancel()
	if n.suffix == "" && n.plain() && d.cfg.NetBIOSName != "" && (n.domain == "" || strings.EqualFold(n.domain, d.cfg.NetBIOSName)) {
		return sallyport.NewAccountName(d.cfg.NetBIOSName, n.user), nil // also while the directory is down
	}
	dom, err := d.learn(ctx)
	if err != nil {
		return "", unavailable(err)
	}
	switch {
	case n.domain != "" && !dom.own(n.domain):
		return sallyport.NewAccountName(n.domain, n.user), nil // of another domain, whose spelling is not ours to know
	case n.suffix == "" && n.plain():
		return sallyport.NewAccountName(dom.netbios, n.user), nil
	}
	return d.lookUp(ctx, dom, typed)
}

// IdentifyNow is Identify for names that it knows without asking the directory.
func (d *Directory) IdentifyNow(typed string) (sallyport.AccountName, bool) {
	n, err := parseName(typed)
	if err != nil || n.suffix != "" || !n.plain() {
		return "", false
	}
	own := domain{netbios: d.cfg.NetBIOSName}
	if known := d.domain.Load(); known != nil {
		own = *known
	}
	if own.netbios == "" || n.domain != "" && !strings.EqualFold(n.domain, own.netbios) {
		return "", false
	}
	return sallyport.NewAccountName(own.netbios, n.user), true
}

func (d *Directory) lookUp(ctx context.Context, dom domain, typed string) (sallyport.AccountName, error) {
	key := strings.ToLower(strings.TrimSpace(typed))
	found, cached := d.upns.get(key)
	if !cached {
		user, err := d.find(ctx, dom, typed)
		if err != nil {
			return "", unavailable(err)
		}
		if user != nil {
			found = user.name(dom)
		}
		d.upns.put(key, found)
	}
	if found == "" {
		return "", sallyport.Errorf(sallyport.CodeNotFound, "Nobody has this log-in name.", nil)
	}
	return found, nil
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
