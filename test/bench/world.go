package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/cloud/enterprise"
	"github.com/sallyport/sallyport/cloud/login"
	"github.com/sallyport/sallyport/internal/redisconn"
)

// world is a Redis with what runs on it, in a directory of its own, for one measurement.
type world struct {
	*bench
	dir      string
	redisURL string
	redis    redis.UniversalClient
	keys     *cloud.Keys
	children []*child
}

func (b *bench) newWorld(ctx context.Context) (w *world, err error) {
	w = &world{bench: b}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
		return w, fmt.Errorf("make directory: %w", err)
	}
	if err = w.startRedis(ctx); err != nil {
		return w, err
	}
	if err = cloud.InitKeys(w.file("keys")); err != nil {
		return w, err
	}
	if w.keys, err = cloud.LoadKeys(w.file("keys")); err != nil {
		return w, err
	}
	return w, w.keys.IssueServer(time.Now(), w.file("server.crt"), w.file("server.key"), "localhost", "127.0.0.1")
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) close() {
	for _, c := range slices.Backward(w.children) {
		c.stop()
	}
	if w.redis != nil {
		_ = w.redis.Close()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}

// startRedis starts a Redis with an append-only file, as a cloud has it.
func (w *world) startRedis(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	c, err := launch(w.dir, "redis", nil, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--dir", w.dir, "--save", "", "--appendonly", "yes", "--maxclients", "5000")
	if err != nil {
		return err
	}
	w.children = append(w.children, c)
	w.redisURL = fmt.Sprintf("redis://127.0.0.1:%d", port)
	for end := time.Now().Add(startTime); ; pause(ctx, 20*time.Millisecond) {
		if w.redis, err = redisconn.Open(ctx, w.redisURL); err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%w\n%s", err, c.tail())
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// roots are the authority of every listener here.
func (w *world) roots() *x509.CertPool { return w.keys.CA.Pool() }

// start starts a role and keeps it until the world ends.
func (w *world) start(ctx context.Context, name, role string, settings any, hear func(string)) (*child, ready, error) {
	c, at, err := w.role(ctx, w.dir, name, role, settings, hear)
	if err == nil {
		w.children = append(w.children, c)
	}
	return c, at, err
}

// stop ends one child before the world ends.
func (w *world) stop(c *child) {
	w.children = slices.DeleteFunc(w.children, func(other *child) bool { return other == c })
	c.stop()
}

// startCloud starts a replica of the cloud that limits nobody: all browsers here have one address.
func (w *world) startCloud(ctx context.Context, name string, https bool, tokens string) (*child, ready, error) {
	cfg := cloud.Config{
		Listen: "127.0.0.1:0", TunnelListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Redis: w.redisURL, KeyDir: w.file("keys"),
		Replica: name, TokenServiceAddress: tokens, TrustedProxies: []string{"127.0.0.1"}, Grace: time.Second,
		ProvisionRate: edge.Rate{PerSecond: -1},
		Limits:        login.Limits{PerAddress: edge.Rate{PerSecond: -1}, PerEnterprise: edge.Rate{PerSecond: -1}},
	}
	if https {
		cfg.TLSCert, cfg.TLSKey = w.file("server.crt"), w.file("server.key")
	}
	return w.start(ctx, name, "cloud", cfg, nil)
}

// collected has a replica of the cloud collect its garbage, and returns its resident memory then: what
// is in use. A Go process keeps about as much again for what it will throw away next.
func (c *child) collected(ctx context.Context) (int64, error) {
	if err := c.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return 0, fmt.Errorf("ask %s to collect garbage: %w", c.name, err)
	}
	pause(ctx, 3*time.Second)
	return c.rss()
}

func collectWhenTold(ctx context.Context) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	defer signal.Stop(told)
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			debug.FreeOSMemory()
		}
	}
}

// runCloud is a replica of the cloud, as 'sallyport cloud' runs it.
func runCloud(ctx context.Context, settings []byte, log *slog.Logger, say func(ready) error) error {
	var cfg cloud.Config
	if err := json.Unmarshal(settings, &cfg); err != nil {
		return err
	}
	s, err := cloud.New(ctx, cfg, cloud.Deps{Log: log})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { collectWhenTold(ctx) })
	if err := say(ready{Addr: s.Addr(), Tunnel: s.TunnelAddr()}); err != nil {
		return err
	}
	return s.Run(ctx)
}

// newEnterprise makes an enterprise at the cloud.
func (w *world) newEnterprise(ctx context.Context) (sallyport.TenantID, sallyport.Secret, error) {
	e, code, err := enterprise.New(w.redis, time.Now).Create(ctx, "Benchmark Hospital")
	return e.ID, code, err
}

// until waits for something that happens elsewhere.
func until(ctx context.Context, longest time.Duration, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for {
		done, err := ok()
		if done {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("wait until %s: %w", what, ctx.Err()), err)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// memory is what a process holds for each of many alike things.
type memory struct{ resident, inUse float64 }

// grown measures what n things cost the process, for which before was the resident memory without them.
func (c *child) grown(ctx context.Context, before int64, n int) (m memory, err error) {
	for _, part := range []struct {
		read func() (int64, error)
		to   *float64
	}{{c.rss, &m.resident}, {func() (int64, error) { return c.collected(ctx) }, &m.inUse}} {
		v, err := part.read()
		if err != nil {
			return m, err
		}
		*part.to = float64(v-before) / float64(n) / 1024
	}
	return m, nil
}

func (m memory) String() string {
	return fmt.Sprintf("%.1f KiB (%.1f KiB right after a collection)", m.resident, m.inUse)
}
