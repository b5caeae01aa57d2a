package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

const (
	// maxAtOnce bounds the attempts on one account at the same time, where no policy bounds them.
	maxAtOnce = 16
	// maxWaiting bounds those attempts and the ones that wait for them.
	maxWaiting = 32
	// appliances is with how many appliances the attempts that are under way at all of them at the same
	// time, of which none knows of the others', do not lock an account.
	appliances = 4
)

// turns bounds the attempts under way on an account. It holds no more than there are attempts.
type turns struct {
	mu sync.Mutex
	m  map[string]*turn
}

type turn struct {
	in, waiting int
	changed     chan struct{} // closed when somebody leaves
}

func newTurns() *turns { return &turns{m: map[string]*turn{}} }

// take waits until fewer than most attempts are under way on key. in is how many are then, this one
// included; done ends it.
func (t *turns) take(ctx context.Context, key string, most int) (in int, done func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.m[key]
	if u == nil {
		u = &turn{changed: make(chan struct{})}
		t.m[key] = u
	}
	if u.in+u.waiting >= maxWaiting {
		return 0, nil, errors.New("too many attempts on the account at once")
	}
	for u.in >= most {
		if err := t.wait(ctx, u); err != nil {
			t.tidy(key, u)
			return 0, nil, fmt.Errorf("wait for another attempt on the account: %w", err)
		}
	}
	u.in++
	return u.in, sync.OnceFunc(func() { t.leave(key, u) }), nil
}

// wait waits until somebody leaves, without the lock.
func (t *turns) wait(ctx context.Context, u *turn) error {
	u.waiting++
	defer func() { u.waiting-- }()
	changed := u.changed
	t.mu.Unlock()
	defer t.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turns) leave(key string, u *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.in--
	close(u.changed)
	u.changed = make(chan struct{})
	t.tidy(key, u)
}

// tidy forgets an account that nobody works on. The caller holds the lock.
func (t *turns) tidy(key string, u *turn) {
	if u.in == 0 && u.waiting == 0 {
		delete(t.m, key)
	}
}

// atOnce returns how many attempts may be under way at one appliance when so many wrong passwords are
// left to the outside.
func atOnce(left int) int { return min(max(left/appliances, 1), maxAtOnce) }
