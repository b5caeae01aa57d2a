package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// ready is what a role prints first: where it listens.
type ready struct {
	Addr, Tunnel, Service, Device, RADIUS string
}

// part is what a role does: it says ready once it answers, and runs until ctx ends.
type part func(ctx context.Context, settings []byte, log *slog.Logger, say func(ready) error) error

var roles = map[string]part{
	"cloud":     runCloud,
	"tokens":    runTokens,
	"appliance": runAppliance,
	"stubs":     runStubs,
	"streams":   runStreams,
	"https":     runHTTPS,
	"engine":    runEngine,
	"legacy":    runLegacy,
}

// runRole runs a role until its standard input ends, or it is told to stop.
func runRole(ctx context.Context, args []string) (err error) {
	if len(args) != 2 || roles[args[0]] == nil {
		return errors.New("a role and a directory for its profile are needed")
	}
	in := bufio.NewReader(os.Stdin)
	settings, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	if args[1] != "" {
		f, err := os.Create(filepath.Join(args[1], fmt.Sprintf("%s-%d.pprof", args[0], os.Getpid())))
		if err != nil {
			return fmt.Errorf("make profile: %w", err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("start profile: %w", err)
		}
		defer func() { pprof.StopCPUProfile(); err = errors.Join(err, f.Close()) }()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err = roles[args[0]](ctx, settings, log, func(r ready) error { return json.NewEncoder(os.Stdout).Encode(r) })
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
