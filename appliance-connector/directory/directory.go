// Package directory asks the enterprise's Active Directory domains, over TLS, who somebody is and
// whether a password is right. It finds the user with the domain's service account, then binds as the
// user, on connections that are kept, pooled and checked. A password is sent at most once, to one
// domain: what happened before the bind may be repeated on another server, the bind never. It keeps
// no password, keeps attempts from outside from locking accounts, and never says more about an
// account to anybody than its caller asks for.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
)

// Options are how the domains are asked.
type Options struct {
	// MaxConns bounds the connections to one server for each of the two pools; 0: 16.
	MaxConns int
	// Timeout bounds each exchange with a directory; 0: 5 s. Establishing a connection may take half of it.
	Timeout time.Duration
	// Leave is how many wrong passwords attempts from outside leave to the inside before the account
	// would lock; 0: 2, below 0: accounts are not guarded.
	Leave int
	Log   *slog.Logger
	Now   func() time.Time
}

const (
	defaultConns   = 16
	maxConns       = 256
	defaultTimeout = 5 * time.Second
	defaultLeave   = 2
	maxDomains     = 64
)

// Directory is the domains of the enterprise. It is safe for concurrent use.
type Directory struct {
	opts     Options
	refusals *refusals
	turns    *turns
	salt     []byte // of choices that must not be foreseen

	current atomic.Pointer[domains]
	mu      sync.Mutex // guards uses and retired of every realm, and the change of current
	closed  bool
}

// domains are the domains at one time, in the order in which they are asked.
type domains struct {
	realms []*realm
	names  *nameCache
}

// New returns a directory without domains; Set gives it some.
func New(opts Options) (*Directory, error) {
	if opts.Log == nil || opts.Now == nil {
		return nil, errors.New("configure directory: a log and a clock are needed")
	}
	if opts.MaxConns == 0 {
		opts.MaxConns = defaultConns
	}
	if opts.MaxConns < 1 || opts.MaxConns > maxConns {
		return nil, fmt.Errorf("configure directory: allow 1 to %d connections, not %d", maxConns, opts.MaxConns)
	}
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Timeout < 0 {
		return nil, fmt.Errorf("configure directory: timeout %v is negative", opts.Timeout)
	}
	if opts.Leave == 0 {
		opts.Leave = defaultLeave
	}
	d := &Directory{opts: opts, refusals: newRefusals(opts.Now), turns: newTurns(), salt: randomKey()}
	d.current.Store(&domains{names: newNameCache(opts.Now)})
	return d, nil
}

// Set replaces the domains. Those that stay as they were keep their connections; logins under way end
// on the domains they began on, whose connections close when the last of them is done. A domain that
// cannot be used is left out, or kept as it was before, and named in the error; the others count all
// the same.
func (d *Directory) Set(list []sallyport.Domain) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	before := d.current.Load()
	next := &domains{names: newNameCache(d.opts.Now)}
	var errs []error
	if len(list) > maxDomains {
		errs = append(errs, fmt.Errorf("%d domains are more than %d; the rest is left out", len(list), maxDomains))
		list = list[:maxDomains]
	}
	for _, dom := range list {
		r, err := d.realmFor(before, next, dom)
		if err != nil {
			errs = append(errs, fmt.Errorf("domain %s: %w", dom.Name, err))
		}
		if r != nil {
			next.realms = append(next.realms, r)
		}
	}
	d.replace(before, next)
	return errors.Join(errs...)
}

// realmFor returns the realm for a domain: the one there is, or a new one.
func (d *Directory) realmFor(before, next *domains, dom sallyport.Domain) (*realm, error) {
	old := before.byID(dom.ID)
	if old != nil && old.sameAs(dom) {
		return old, nil
	}
	for _, other := range next.realms {
		if other.own(dom.NetBIOS) || other.own(dom.Name) {
			return nil, fmt.Errorf("its name is that of domain %s too", other.cfg.Name)
		}
	}
	r, err := newRealm(dom, d.opts)
	if err != nil {
		return old, err
	}
	return r, nil
}

// replace makes next the domains. The caller holds the lock.
func (d *Directory) replace(before, next *domains) {
	stays := map[*realm]bool{}
	for _, r := range next.realms {
		stays[r] = true
	}
	d.current.Store(next)
	for _, r := range before.realms {
		if !stays[r] {
			r.retired = true
			r.closeWhenIdle()
		}
	}
}

// hold returns the domains as they are now, whose connections stay until release is called.
func (d *Directory) hold() (now *domains, release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now = d.current.Load()
	for _, r := range now.realms {
		r.uses++
	}
	return now, func() { d.release(now.realms...) }
}

// holdOne is hold for one domain.
func (d *Directory) holdOne(id sallyport.DomainID) (r *realm, release func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r = d.current.Load().byID(id)
	if r == nil {
		return nil, nil, sallyport.Errorf(sallyport.CodeNotFound, "This domain is not there, or is not configured rightly.", nil)
	}
	r.uses++
	return r, func() { d.release(r) }, nil
}

func (d *Directory) release(realms ...*realm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range realms {
		r.uses--
		r.closeWhenIdle()
	}
}

// Close closes every connection. Whoever is asking meanwhile gets an error.
func (d *Directory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	now := d.current.Load()
	d.current.Store(&domains{names: newNameCache(d.opts.Now)})
	for _, r := range now.realms {
		r.close()
	}
}

// Health returns nil when at least one domain answers and takes its service account. Its error says
// what to look at. Domains that do not answer while others do are in States.
func (d *Directory) Health(ctx context.Context) error {
	states := d.States(ctx)
	if len(states) == 0 {
		return errors.New("no domain is configured")
	}
	var errs []error
	for _, s := range states {
		if s.Err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("domain %s: %w", s.Name, s.Err))
	}
	return errors.Join(errs...)
}

// State is whether a domain answers.
type State struct {
	Domain sallyport.DomainID
	Name   string
	Err    error // why it does not; nil: it does
}

// States asks every domain whether it answers and takes its service account.
func (d *Directory) States(ctx context.Context) []State {
	now, release := d.hold()
	defer release()
	states := make([]State, len(now.realms))
	var wg sync.WaitGroup
	for i, r := range now.realms {
		wg.Go(func() {
			_, err := r.search(ctx, rootDSE("supportedLDAPVersion"))
			states[i] = State{r.cfg.ID, r.cfg.Name, err}
		})
	}
	wg.Wait()
	return states
}

func (d *domains) byID(id sallyport.DomainID) *realm {
	for _, r := range d.realms {
		if r.cfg.ID == id {
			return r
		}
	}
	return nil
}

func unavailable(err error) error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "The directory does not answer. Please try again in a moment.", err)
}

func uncertain(err error) error {
	return sallyport.Errorf(sallyport.CodeUncertain, "The directory was lost while it checked the password. Please try again.", err)
}
