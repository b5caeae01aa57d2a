package directory

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// pace remembers how long refused passwords took lately, so that a name nobody has can
// take as long: directories answer those several times faster.
type pace struct {
	mu     sync.Mutex
	recent [16]time.Duration
	n      int
	right  time.Duration // of the last right password, until there is a refused one
}

// took notes how long a real account took from the search to the answer.
func (p *pace) took(d time.Duration, s sallyport.AccountState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == sallyport.AccountOK {
		p.right = d
		return
	}
	p.recent[p.n%len(p.recent)] = d
	p.n++
}

// wait waits until as long has passed since start as one of those took, drawn at random.
func (p *pace) wait(ctx context.Context, start time.Time) error {
	t := time.NewTimer(p.draw() - time.Since(start))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pace) draw() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return p.right
	}
	return p.recent[rand.IntN(min(p.n, len(p.recent)))]
}
