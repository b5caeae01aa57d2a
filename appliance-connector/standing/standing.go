// Package standing reads what a login needs to know of an account and of its gateway. All of it comes out of
// memory as long as the store's revision stays, which is asked for each time: so the next login, and the next
// step of this one, sees every change, made by whomever. What an account did last is no part of the revision,
// and is asked for each time too.
//
// What was read is kept for a while, so that logins go on while the database moves to its standby. What
// comes from there is marked: it may miss what was enrolled or removed in the last minutes, and policy
// lets nobody in on the password alone by it. It never outlives KeptFor.
package standing

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// KeptFor is how long what was read of an account can stand in for the database.
const KeptFor = 5 * time.Minute

const (
	// maxKept bounds the accounts that are kept, and maxIntegrations the gateways.
	maxKept         = 16 << 10
	maxIntegrations = 1 << 10
	// heldFor is how long what was read is taken for what the database holds, while its revision is the same. A
	// standby that took over a little behind may come to the same revision by another change.
	heldFor = time.Minute
)

// Source is the store.
type Source interface {
	// AccountStanding reads the account's own part: user, authenticators, devices; and the revision.
	AccountStanding(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, int64, error)
	// AccountNow reads what changes without the revision: the method of the account's last login. And the revision.
	AccountNow(ctx context.Context, account sallyport.AccountName) (last sallyport.Method, revision int64, err error)
	// LoginPolicies reads what all logins have in common, as of one revision.
	LoginPolicies(ctx context.Context) (sallyport.LoginPolicies, int64, error)
	Integration(ctx context.Context, id sallyport.IntegrationID) (sallyport.Integration, error)
	Revision(ctx context.Context) (int64, error)
}

// Reader reads standings. It is safe for concurrent use; make it with New.
type Reader struct {
	source Source
	now    func() time.Time
	log    *slog.Logger

	reading  chan struct{} // held by the one who reads the policies
	mu       sync.Mutex
	policies *policies // nil: not read yet
	kept     map[sallyport.AccountName]kept
	gateways map[sallyport.IntegrationID]gateway
	away     bool // the database does not answer
}

type policies struct {
	sallyport.LoginPolicies
	revision int64
}

type kept struct {
	standing sallyport.Standing
	revision int64
	read     time.Time // when, from the database
	until    time.Time
}

type gateway struct {
	sallyport.Integration
	revision int64
	read     time.Time
}

// New makes a Reader.
func New(source Source, now func() time.Time, log *slog.Logger) *Reader {
	return &Reader{source: source, now: now, log: log, reading: make(chan struct{}, 1), kept: map[sallyport.AccountName]kept{},
		gateways: map[sallyport.IntegrationID]gateway{}}
}

// Standing tells what is known of an account, as of one moment. What it returns is shared, and only read.
func (r *Reader) Standing(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, error) {
	k, err := r.read(ctx, account)
	if err != nil {
		return r.fallBack(account, err)
	}
	r.keep(account, k)
	return k.standing, nil
}

// Integration returns a gateway as it is configured now, or not_found, without its RADIUS secrets: no login needs them, and they
// are not to be kept for it. What it returns is shared, and only read.
func (r *Reader) Integration(ctx context.Context, id sallyport.IntegrationID) (sallyport.Integration, error) {
	revision, err := r.source.Revision(ctx)
	if err != nil {
		return sallyport.Integration{}, fmt.Errorf("read revision: %w", err)
	}
	now := r.now()
	r.mu.Lock()
	g, ok := r.gateways[id]
	r.mu.Unlock()
	if ok && g.revision == revision && now.Sub(g.read) < heldFor {
		return g.Integration, nil
	}
	in, err := r.source.Integration(ctx, id)
	in.Secret, in.PreviousSecret = "", ""
	if err != nil {
		return in, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	makeRoom(r.gateways, id, maxIntegrations)
	r.gateways[id] = gateway{in, revision, now}
	return in, nil
}

// Devices are the devices of an account, the newest first.
func (r *Reader) Devices(ctx context.Context, account sallyport.AccountName) ([]sallyport.Device, error) {
	s, err := r.Standing(ctx, account)
	return s.Devices, err
}

func (r *Reader) read(ctx context.Context, account sallyport.AccountName) (kept, error) {
	k, err := r.account(ctx, account)
	if err != nil {
		return k, fmt.Errorf("read account: %w", err)
	}
	p, err := r.policiesAt(ctx, k.revision)
	if err != nil {
		return k, err
	}
	p.Apply(&k.standing)
	return k, nil
}

// account returns the account's own part, out of memory if it is as it was.
func (r *Reader) account(ctx context.Context, account sallyport.AccountName) (kept, error) {
	now := r.now()
	r.mu.Lock()
	k, ok := r.kept[account]
	r.mu.Unlock()
	if ok && now.Sub(k.read) < heldFor {
		last, revision, err := r.source.AccountNow(ctx, account)
		if err != nil {
			return k, err
		}
		if revision == k.revision {
			k.standing.Has.Last, k.standing.Stale = last, false
			return k, nil
		}
	}
	s, revision, err := r.source.AccountStanding(ctx, account)
	return kept{standing: s, revision: revision, read: now}, err
}

// policiesAt returns the policies of a revision, or of a later one. They are read by one caller, and the
// others wait for it.
func (r *Reader) policiesAt(ctx context.Context, revision int64) (*policies, error) {
	if p := r.current(); p != nil && p.revision == revision {
		return p, nil
	}
	select {
	case r.reading <- struct{}{}:
		defer func() { <-r.reading }()
	case <-ctx.Done():
		return nil, sallyport.Errorf(sallyport.CodeUnavailable, "Sign-in is not available right now. Please try again.", ctx.Err())
	}
	if p := r.current(); p != nil && p.revision == revision {
		return p, nil
	}
	list, at, err := r.source.LoginPolicies(ctx)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	p := &policies{list, at}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.policies = p
	return p, nil
}

func (r *Reader) current() *policies {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policies
}

func (r *Reader) keep(account sallyport.AccountName, k kept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		r.away = false
		r.log.Info("database answers again; logins are decided by what it holds")
	}
	makeRoom(r.kept, account, maxKept)
	k.standing.Stale, k.until = true, r.now().Add(KeptFor)
	r.kept[account] = k
}

// makeRoom drops one entry when there is no room for a new one. Any one will do: the order of a map is random, and
// a miss costs somebody a login only while the database is away.
func makeRoom[K comparable, V any](m map[K]V, key K, most int) {
	if _, known := m[key]; known || len(m) < most {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}

// fallBack returns what is kept of the account, when it is the database that does not answer.
func (r *Reader) fallBack(account sallyport.AccountName, cause error) (sallyport.Standing, error) {
	if sallyport.ErrorCode(cause) != sallyport.CodeUnavailable {
		return sallyport.Standing{}, cause
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.away {
		r.away = true
		r.log.Warn("database does not answer; logins are decided by what was read in the last minutes", "err", cause)
	}
	k, ok := r.kept[account]
	if !ok || !r.now().Before(k.until) {
		delete(r.kept, account)
		return sallyport.Standing{}, cause
	}
	return k.standing, nil
}
