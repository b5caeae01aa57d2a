package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/radiusload"
)

// The servers have a core of their own, and so has the load: as taskset names them.
const (
	serverCore = "0"
	loadCore   = "1"
)

const radiusUsers = 1000

// measureRADIUS compares checks of gateway tokens with FreeRADIUS: first with claims in memory, on
// one core each, then in an appliance whose claims go through the tunnel to Redis.
func measureRADIUS(ctx context.Context, b *bench) ([]row, error) {
	theirs, alone, err := compareRADIUS(ctx, b)
	if err != nil {
		return nil, err
	}
	far, err := measureClaims(ctx, b, theirs)
	return append([]row{alone}, far...), err
}

// compareRADIUS returns FreeRADIUS's answers a second as well. The load runs in a process of its own
// on the other core.
func compareRADIUS(ctx context.Context, b *bench) (theirs float64, r row, err error) {
	cmd := exec.CommandContext(ctx, "taskset", "-c", loadCore, b.self, "compare",
		strconv.Itoa(pick(b, 5, 1)), strconv.Itoa(pick(b, 300_000, 50_000)))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, r, fmt.Errorf("compare with FreeRADIUS: %w", err)
	}
	rates := map[string][]float64{}
	var ratio radiusload.Line
	for line := range bytes.Lines(out) {
		var l radiusload.Line
		if err := json.Unmarshal(line, &l); err != nil {
			return 0, r, fmt.Errorf("compare with FreeRADIUS: %w", err)
		}
		switch l.Bench {
		case "radius_throughput":
			rates[l.Server] = append(rates[l.Server], l.PerSecond)
			b.say("%-10s run %d: %s, p99 %.0f µs, %.1f µs of processor a request", l.Server, l.Run, perSecond(l.PerSecond), l.P99, l.CPU)
		case "radius_ratio":
			ratio = l
		}
	}
	ours, theirs := median(rates["sallyport"]), median(rates["freeradius"])
	if ours == 0 || theirs == 0 {
		return 0, r, errors.New("compare with FreeRADIUS: a server is missing in the output")
	}
	return theirs, row{
		what: "RADIUS: gateway tokens checked, claimed on the appliance; one core", ours: perSecond(ours),
		peer: "FreeRADIUS 3.2, files and PAP: " + perSecond(theirs), ratio: fmt.Sprintf("%.2f (processor time a request: %.2f)", ours/theirs, ratio.CPURatio),
		target: "≥ 1.5", met: ours/theirs >= 1.5,
	}, nil
}

// runRADIUS is the part of this program that runs pinned to a core.
func runRADIUS(ctx context.Context, args []string) error {
	switch {
	case args[0] == "compare" && len(args) == 3:
		self, err := os.Executable()
		if err != nil {
			return err
		}
		runs, err1 := strconv.Atoi(args[1])
		requests, err2 := strconv.Atoi(args[2])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		return radiusload.Compare(ctx, radiusload.Comparison{
			Program: self, Core: serverCore, Runs: runs, Requests: requests, Users: radiusUsers, ResultLine: os.Stdout,
		})
	case args[0] == "serve" && len(args) == 4:
		secret, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		ring, err := radiusload.Ring(args[3])
		if err != nil {
			return err
		}
		return radiusload.Serve(ctx, args[1], sallyport.Secret(strings.TrimRight(string(secret), "\r\n")), ring)
	}
	return errors.New("compare RUNS REQUESTS, or serve ADDRESS SECRET-FILE KEY-FILE")
}

// measureClaims runs an appliance, the cloud and Redis, each a process, and has the appliance check
// tokens. They share the machine with the load; FreeRADIUS had a core to itself.
func measureClaims(ctx context.Context, b *bench, theirs float64) ([]row, error) {
	w, err := b.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a, err := w.startWholeAppliance(ctx)
	if err != nil {
		return nil, err
	}
	requests := pick(b, 200_000, 20_000)
	var rates, p99 []float64
	for i := range pick(b, 5, 2) {
		r, err := a.load(ctx, requests, 0)
		if err != nil {
			return nil, err
		}
		rates = append(rates, r.PerSecond)
		b.say("claims through the cloud, run %d: %s, p99 %.0f µs", i+1, perSecond(r.PerSecond), r.P99)
	}
	rate := median(rates)
	for i := range pick(b, 3, 1) {
		r, err := a.load(ctx, requests/2, rate/2)
		if err != nil {
			return nil, err
		}
		p99 = append(p99, r.P99)
		b.say("at half load, run %d: %s, p50 %.0f µs, p99 %.0f µs", i+1, perSecond(r.PerSecond), r.P50, r.P99)
	}
	worst := time.Duration(median(p99) * 1000)
	return []row{
		{what: "RADIUS: the same, claimed through tunnel, cloud and Redis; appliance, cloud, Redis and load share the machine",
			ours: perSecond(rate), peer: "FreeRADIUS on a core of its own: " + perSecond(theirs), ratio: fmt.Sprintf("%.2f", rate/theirs),
			target: "≥ 0.5", met: rate/theirs >= 0.5},
		{what: "RADIUS: the same at half of that load, p99", ours: millis(worst), target: "< 5 ms", met: worst < 5*time.Millisecond},
	}, nil
}
