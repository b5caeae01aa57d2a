// Package standing reads what a login needs to know of an account: one query for the account, and the
// policies, which are the same for all, out of memory as long as the store's revision stays.
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

// maxKept bounds the accounts that are kept.
const maxKept = 16 << 10

// Source is the store.
type Source interface {
	// AccountStanding reads the account's own part: user, authenticators, devices; and the revision.
	AccountStanding(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, int64, error)
	// LoginPolicies reads what all logins have in common, as of one revision.
	LoginPolicies(ctx context.Context) (sallyport.LoginPolicies, int64, error)
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
	away     bool // the database does not answer
}

type policies struct {
	sallyport.LoginPolicies
	revision int64
}

type kept struct {
	standing sallyport.Standing
	until    time.Time
}

// New makes a Reader.
func New(source Source, now func() time.Time, log *slog.Logger) *Reader {
	return &Reader{source: source, now: now, log: log, reading: make(chan struct{}, 1), kept: map[sallyport.AccountName]kept{}}
}

// Standing tells what is known of an account, as of one moment.
func (r *Reader) Standing(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, error) {
	s, err := r.read(ctx, account)
	if err != nil {
		return r.fallBack(account, err)
	}
	r.keep(account, s)
	return s, nil
}

// Devices are the devices of an account, the newest first.
func (r *Reader) Devices(ctx context.Context, account sallyport.AccountName) ([]sallyport.Device, error) {
	s, err := r.Standing(ctx, account)
	return s.Devices, err
}

func (r *Reader) read(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, error) {
	s, revision, err := r.source.AccountStanding(ctx, account)
	if err != nil {
		return s, fmt.Errorf("read account: %w", err)
	}
	p, err := r.policiesAt(ctx, revision)
	if err != nil {
		return s, err
	}
	p.Apply(&s)
	return s, nil
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

func (r *Reader) keep(account sallyport.AccountName, s sallyport.Standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		r.away = false
		r.log.Info("database answers again; logins are decided by what it holds")
	}
	if _, known := r.kept[account]; !known && len(r.kept) >= maxKept {
		// Any one will do: the order of a map is random, and a miss costs somebody a login only while the
		// database is away.
		for a := range r.kept {
			delete(r.kept, a)
			break
		}
	}
	s.Stale = true
	r.kept[account] = kept{s, r.now().Add(KeptFor)}
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
