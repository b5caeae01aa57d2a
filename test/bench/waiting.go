package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	wantedLogins   = 100_000
	stubAppliances = 8 // a stream takes 16,384 requests at a time, an appliance has two
	batchOfNew     = 100
)

// measureWaiting opens logins that wait for the phone, each with its event stream, on one replica,
// and reads what the replica's resident memory grew by; and how long a new login takes to its first
// view before and after. It is HTTP/1.1 without TLS, as behind a proxy that does TLS.
func measureWaiting(ctx context.Context, b *bench) ([]row, error) {
	w, err := b.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	replica, at, err := w.startCloud(ctx, "cloud", false, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	defer w.stop(replica) // before its appliances: a profile of it should not show how it looks for others
	tenant, _, err := w.newEnterprise(ctx)
	if err != nil {
		return nil, err
	}
	if _, _, err := w.start(ctx, "stubs", "stubs", stubSettings{w.file("keys"), identities(tenant, stubAppliances), []string{at.Tunnel}}, nil); err != nil {
		return nil, err
	}
	p := &pages{addr: at.Addr, token: accessToken(tenant, "gateway"), dial: dialFrom(at.Addr)}
	defer p.close()
	n := min(pick(b, wantedLogins, 5000), openFiles()-1000)
	what := fmt.Sprintf("%s on one replica, over TCP", count(n))
	if n < wantedLogins && !b.quick {
		what += fmt.Sprintf(" (this machine allows a process %s open files)", count(openFiles()))
	}
	return p.measure(ctx, b, what, n, replica)
}

// measure opens n logins at a replica.
func (p *pages) measure(ctx context.Context, b *bench, what string, n int, replica *child) ([]row, error) {
	if _, err := p.newLogins(ctx, 2*batchOfNew); err != nil { // warms the process up
		return nil, err
	}
	idle, err := p.batches(ctx)
	if err != nil {
		return nil, err
	}
	before, err := replica.collected(ctx)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := p.openAll(ctx, n); err != nil {
		return nil, err
	}
	b.say("%s logins wait after %.0f s", count(n), time.Since(begun).Seconds())
	pause(ctx, settle)
	busy, err := p.batches(ctx)
	if err != nil {
		return nil, err
	}
	each, err := replica.grown(ctx, before, n)
	if err != nil {
		return nil, err
	}
	if lost := p.lost(); lost > 0 {
		return nil, fmt.Errorf("%d of %d waiting logins ended", lost, n)
	}
	b.say("new logins, medians of batches: idle %v, busy %v", idle, busy)
	return []row{
		{what: "Waiting logins: " + what + ", resident memory each", ours: each.String(), target: "100,000, ≤ 24 KiB", met: each.resident <= 24 && n >= wantedLogins},
		{what: "A new login beside them, to its first view", ours: micros(median(busy)), peer: fmt.Sprintf("idle replica: %s (batches up to %s)", micros(median(idle)), micros(slices.Max(idle))),
			ratio: fmt.Sprintf("%.2f", float64(median(busy))/float64(median(idle))), target: "no slower than the slowest batch on the idle replica", met: median(busy) <= slices.Max(idle)},
	}, nil
}

// pages are browsers, as small as can be.
type pages struct {
	addr, token string
	dial        func(i int) (conn, error)
	conns       []conn
}

func (p *pages) close() {
	for _, c := range p.conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// lost counts the streams that were ended: all that may have come since the first view are signs of life.
func (p *pages) lost() int {
	n, buf := 0, make([]byte, 4096)
	for _, c := range p.conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || bytes.Contains(buf, []byte("event:")) {
			n++
		}
		clear(buf)
	}
	return n
}

// openAll opens n logins and leaves them waiting.
func (p *pages) openAll(ctx context.Context, n int) error {
	p.conns = make([]conn, n)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			pg, err := p.wait(i)
			if err == nil {
				p.conns[i] = pg.conn
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("open waiting logins: %w", err)
	}
	return ctx.Err()
}

// batches times new logins, one at a time: the medians of five batches.
func (p *pages) batches(ctx context.Context) ([]time.Duration, error) {
	var out []time.Duration
	for range 5 {
		took, err := p.newLogins(ctx, batchOfNew)
		if err != nil {
			return nil, err
		}
		out = append(out, took)
	}
	return out, nil
}

// newLogins is the median time from the credentials to the first view on the event stream.
func (p *pages) newLogins(ctx context.Context, n int) (time.Duration, error) {
	times := make([]time.Duration, 0, n)
	for range n {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		pg, err := p.wait(0)
		if err != nil {
			return 0, err
		}
		times = append(times, pg.took)
		_ = pg.conn.Close()
	}
	return median(times), nil
}
