package claims

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

const (
	batchSize   = 256                    // claims in one call
	batchDelay  = 200 * time.Microsecond // how long the first claim waits for company
	batchFlight = 32                     // calls on their way at once
	batchQueue  = 64 << 10               // claims waiting for a call
)

// batcher joins the claims of many goroutines to few calls. While nothing is on its way a claim
// leaves at once; otherwise it waits for company, until the batch is full or batchDelay has passed.
type batcher struct {
	cloud   Cloud
	timeout time.Duration
	queue   chan *ticket
	done    chan struct{} // closed when no more claims are taken
	back    chan struct{} // a call has come back
	base    context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	once    sync.Once
}

// errStopped says that the process is ending. Nothing is decided any more: what looks like an outage
// is none.
var errStopped = sallyport.Errorf(sallyport.CodeUnavailable, "The service is restarting. Please try again.", errors.New("claims: stopped"))

type ticket struct {
	claim  *tunnelpb.Claim
	result chan outcome // has room for one
}

type outcome struct {
	first bool
	err   error
}

func newBatcher(cloud Cloud, timeout time.Duration) *batcher {
	b := &batcher{
		cloud: cloud, timeout: timeout,
		queue: make(chan *ticket, batchQueue),
		done:  make(chan struct{}),
		back:  make(chan struct{}, batchFlight),
	}
	b.base, b.stop = context.WithCancel(context.Background())
	b.wg.Go(b.run)
	return b
}

func (b *batcher) close() {
	b.once.Do(func() { close(b.done); b.stop() })
	b.wg.Wait()
}

func (b *batcher) claim(ctx context.Context, key, owner id, ttl time.Duration) (bool, error) {
	t := &ticket{
		claim:  &tunnelpb.Claim{Key: key[:], Owner: owner[:], TtlMs: uint32(ttl.Milliseconds())},
		result: make(chan outcome, 1),
	}
	select {
	case <-b.done:
		return false, errStopped
	default:
	}
	select {
	case b.queue <- t:
	default:
		return false, ErrFull
	}
	timer := time.NewTimer(b.timeout)
	defer timer.Stop()
	select {
	case o := <-t.result:
		return o.first, o.err
	case <-timer.C:
		return false, fmt.Errorf("claim through the tunnel: no answer in %v", b.timeout)
	case <-ctx.Done():
		return false, ctx.Err()
	case <-b.done:
		return false, errStopped
	}
}

// run collects and sends until close.
func (b *batcher) run() {
	flying := 0
	for {
		var batch []*ticket
		select {
		case t := <-b.queue:
			batch = append(make([]*ticket, 0, 16), t)
		case <-b.back:
			flying--
			continue
		case <-b.done:
			return
		}
		batch = b.drain(batch)
		if flying > 0 && len(batch) < batchSize {
			batch, flying = b.wait(batch, flying)
		}
		for flying >= batchFlight {
			select {
			case <-b.back:
				flying--
			case <-b.done:
				return
			}
		}
		flying++
		b.wg.Go(func() { b.send(batch) })
	}
}

// drain adds what waits already.
func (b *batcher) drain(batch []*ticket) []*ticket {
	for len(batch) < batchSize {
		select {
		case t := <-b.queue:
			batch = append(batch, t)
		default:
			return batch
		}
	}
	return batch
}

// wait adds what comes within batchDelay, or until no call is on its way any more.
func (b *batcher) wait(batch []*ticket, flying int) ([]*ticket, int) {
	timer := time.NewTimer(batchDelay)
	defer timer.Stop()
	for len(batch) < batchSize && flying > 0 {
		select {
		case t := <-b.queue:
			batch = append(batch, t)
		case <-b.back:
			flying--
		case <-timer.C:
			return batch, flying
		case <-b.done:
			return batch, flying
		}
	}
	return batch, flying
}

func (b *batcher) send(batch []*ticket) {
	defer func() { b.back <- struct{}{} }()
	ctx, cancel := context.WithTimeout(b.base, b.timeout)
	defer cancel()
	claims := make([]*tunnelpb.Claim, len(batch))
	for i, t := range batch {
		claims[i] = t.claim
	}
	first, err := b.cloud.Claim(ctx, claims)
	if err == nil && len(first) != len(batch) {
		err = fmt.Errorf("claim through the tunnel: %d answers to %d claims", len(first), len(batch))
	}
	if err != nil && b.base.Err() != nil {
		err = errStopped
	}
	for i, t := range batch {
		o := outcome{err: err}
		if err == nil {
			o.first = first[i]
		}
		t.result <- o
	}
}
