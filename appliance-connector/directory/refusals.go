package directory

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	maxRefused = 4096 // accounts remembered
	maxTries   = 16   // refused passwords remembered of each
	// refusedFor is how long a refused password is known again.
	refusedFor = 10 * time.Minute
	// triedFor is how long an attempt is counted at most.
	triedFor = 24 * time.Hour
)

// refusals remembers, for a short while and in memory only, which passwords were refused, as hashes
// under a key that dies with the process: the same wrong password, sent again by a person or by a
// program that does not know better, then costs no attempt.
type refusals struct {
	key []byte
	now func() time.Time
	mu  sync.Mutex
	m   map[accountKey]*refused
}

// accountKey is an account, whatever it is called.
type accountKey struct {
	domain sallyport.DomainID
	guid   string
}

// refused is what was refused of one account since its password was last set.
type refused struct {
	passwordSet string // pwdLastSet as it was
	tries       []try
	last        time.Time
}

type try struct {
	at   time.Time
	hash [sha256.Size]byte
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{key: randomKey(), now: now, m: map[accountKey]*refused{}}
}

func keyOf(a sallyport.Account) accountKey { return accountKey{a.Domain, a.GUID} }

func (r *refusals) hash(a sallyport.Account, password sallyport.Secret) (h [sha256.Size]byte) {
	m := hmac.New(sha256.New, r.key)
	m.Write([]byte(a.Domain))
	m.Write([]byte{0})
	m.Write([]byte(a.GUID))
	m.Write([]byte{0})
	m.Write([]byte(password))
	return [sha256.Size]byte(m.Sum(nil))
}

// known reports whether this password was refused lately; passwordSet is the account's pwdLastSet now.
func (r *refusals) known(a sallyport.Account, passwordSet string, password sallyport.Secret) bool {
	h := r.hash(a, password)
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.m[keyOf(a)]
	if e == nil || e.passwordSet != passwordSet {
		return false
	}
	found := false
	for _, t := range e.tries {
		if hmac.Equal(t.hash[:], h[:]) && r.now().Sub(t.at) < refusedFor {
			found = true
		}
	}
	return found
}

// tried returns how many passwords were refused here since a time.
func (r *refusals) tried(a sallyport.Account, since time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.m[keyOf(a)]
	if e == nil {
		return 0
	}
	n := 0
	for _, t := range e.tries {
		if t.at.After(since) {
			n++
		}
	}
	return n
}

// note remembers what the directory said to a password.
func (r *refusals) note(a sallyport.Account, passwordSet string, password sallyport.Secret, said sallyport.AccountState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch said {
	case sallyport.AccountWrongPassword:
	case sallyport.AccountLocked:
		return // says nothing about the password
	default:
		delete(r.m, keyOf(a)) // the password was right
		return
	}
	now := r.now()
	e := r.m[keyOf(a)]
	if e == nil || e.passwordSet != passwordSet {
		r.makeRoom(now)
		e = &refused{passwordSet: passwordSet}
		r.m[keyOf(a)] = e
	}
	if len(e.tries) >= maxTries {
		e.tries = e.tries[1:]
	}
	e.tries = append(e.tries, try{now, r.hash(a, password)})
	e.last = now
}

// makeRoom forgets what is old, and when that is nothing any one account: that costs it an attempt.
func (r *refusals) makeRoom(now time.Time) {
	if len(r.m) < maxRefused {
		return
	}
	for k, e := range r.m {
		if now.Sub(e.last) > triedFor {
			delete(r.m, k)
		}
	}
	for k := range r.m {
		if len(r.m) < maxRefused {
			return
		}
		delete(r.m, k)
	}
}
