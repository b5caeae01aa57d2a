package radiusload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// Comparison says how to measure our server beside FreeRADIUS, each on the same one core.
type Comparison struct {
	Program    string // what runs our server; see StartSallyport
	Core       string // for the servers, as taskset names it
	Runs       int    // of each server, alternating
	Requests   int    // in each run
	Users      int
	HalfLoad   bool // also measure the times at half of the rate reached
	ResultLine io.Writer
}

// Line is one line of the output.
type Line struct {
	Bench  string `json:"bench"` // radius_throughput, radius_half_load, radius_ratio
	Server string `json:"server,omitempty"`
	Run    int    `json:"run,omitempty"`
	*Result
	CPU float64 `json:"cpu_us_per_request,omitempty"`
	// Ours divided by FreeRADIUS, medians: requests a second, and requests for each second of processor time.
	Ratio    float64 `json:"ratio,omitempty"`
	CPURatio float64 `json:"cpu_ratio,omitempty"`
}

// contestant is a server and the logins for its next run.
type contestant struct {
	*Process
	logins func(n int) []Login
	rates  []float64
	costs  []float64
}

// Compare measures and writes JSON lines.
func Compare(ctx context.Context, c Comparison) error {
	secret := sallyport.Secret("radius load secret 22c")
	list, clean, err := c.start(ctx, secret)
	defer clean()
	if err != nil {
		return err
	}
	for run := 1; run <= c.Runs; run++ {
		for _, server := range list {
			r, cost, err := c.measure(ctx, server, secret, 0)
			if err != nil {
				return err
			}
			server.rates, server.costs = append(server.rates, r.PerSecond), append(server.costs, cost)
			c.write(Line{Bench: "radius_throughput", Server: server.Name, Run: run, Result: &r, CPU: cost})
		}
	}
	ours, theirs := list[0], list[1]
	c.write(Line{Bench: "radius_ratio", Ratio: median(ours.rates) / median(theirs.rates),
		CPURatio: median(theirs.costs) / median(ours.costs)})
	if !c.HalfLoad {
		return nil
	}
	for _, server := range list {
		r, cost, err := c.measure(ctx, server, secret, median(server.rates)/2)
		if err != nil {
			return err
		}
		c.write(Line{Bench: "radius_half_load", Server: server.Name, Result: &r, CPU: cost})
	}
	return nil
}

func (c Comparison) start(ctx context.Context, secret sallyport.Secret) (list []*contestant, clean func(), err error) {
	var undo []func()
	clean = func() {
		for _, u := range slices.Backward(undo) {
			u()
		}
	}
	dir, err := os.MkdirTemp("", "radiusload")
	if err != nil {
		return nil, clean, fmt.Errorf("compare RADIUS servers: %w", err)
	}
	undo = append(undo, func() { _ = os.RemoveAll(dir) })
	ours, ring, err := StartSallyport(ctx, dir, c.Core, c.Program, secret)
	if err != nil {
		return nil, clean, err
	}
	undo = append(undo, ours.Stop)
	fixed := Passwords(ring, c.Users)
	theirs, err := StartFreeRADIUS(ctx, dir, c.Core, secret, fixed)
	if err != nil {
		return nil, clean, err
	}
	undo = append(undo, theirs.Stop)
	return []*contestant{
		{Process: ours, logins: func(n int) []Login { return Mint(ring, Integration, n, c.Users, time.Now()) }},
		{Process: theirs, logins: func(n int) []Login { return repeat(fixed, n) }},
	}, clean, nil
}

// Passwords gives each user a password that has the length and the look of a token.
func Passwords(ring gatewaytoken.Ring, users int) []Login {
	return Mint(ring, Integration, users, users, time.Now())
}

func repeat(list []Login, n int) []Login {
	out := make([]Login, n)
	for i := range out {
		out[i] = list[i%len(list)]
	}
	return out
}

// measure runs a server once. A request that is not accepted makes the measurement worthless.
func (c Comparison) measure(ctx context.Context, s *contestant, secret sallyport.Secret, rate float64) (Result, float64, error) {
	p, err := Prepare(Load{Address: s.Address, Secret: secret, Logins: s.logins(c.Requests), Rate: rate})
	if err != nil {
		return Result{}, 0, err
	}
	before, err := CPU(s.PID())
	if err != nil {
		return Result{}, 0, err
	}
	r, err := p.Run(ctx)
	if err != nil {
		return Result{}, 0, err
	}
	after, err := CPU(s.PID())
	if err != nil {
		return Result{}, 0, err
	}
	if r.Accepted != r.Requests {
		return r, 0, fmt.Errorf("measure %s: %d of %d requests accepted, %d answers wrong, %d lost", s.Name, r.Accepted, r.Requests, r.Wrong, r.Lost)
	}
	return r, (after - before) / float64(r.Requests) * 1e6, nil
}

func (c Comparison) write(l Line) {
	_ = json.NewEncoder(c.ResultLine).Encode(l)
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
