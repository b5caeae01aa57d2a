package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxWaiting bounds the attempts that wait for one account.
const maxWaiting = 16

// turns lets one attempt at a time work on an account. It holds no more than there are attempts under way.
type turns struct {
	mu sync.Mutex
	m  map[string]*turn
}

type turn struct {
	free    chan struct{} // holds one token while nobody has the turn
	waiting int           // for the turn, or in it
}

func newTurns() *turns { return &turns{m: map[string]*turn{}} }

// take waits for the turn of key; done gives it back.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	t.mu.Lock()
	u := t.m[key]
	if u == nil {
		u = &turn{free: make(chan struct{}, 1)}
		u.free <- struct{}{}
		t.m[key] = u
	}
	if u.waiting > maxWaiting {
		t.mu.Unlock()
		return nil, errors.New("too many attempts on the account at once")
	}
	u.waiting++
	t.mu.Unlock()
	select {
	case <-u.free:
		return func() { u.free <- struct{}{}; t.leave(key, u) }, nil
	case <-ctx.Done():
		t.leave(key, u)
		return nil, fmt.Errorf("wait for another attempt on the account: %w", ctx.Err())
	}
}

func (t *turns) leave(key string, u *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.waiting--
	if u.waiting == 0 {
		delete(t.m, key)
	}
}
