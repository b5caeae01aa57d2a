package harness

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is a running redis-server. Its address stays the same over Kill, Stop and Start.
type Redis struct {
	tb    testing.TB
	addr  string
	dir   string
	args  []string
	clock *Clock
	proc  *process
	cl    *redis.Client
}

// RedisOption changes how StartRedis starts the server.
type RedisOption func(*Redis)

// RedisAppendOnly makes Redis write every change to disk before it answers
// (appendfsync always), so that what it answered survives Kill.
func RedisAppendOnly() RedisOption {
	return func(r *Redis) { r.args = append(r.args, "--appendonly", "yes", "--appendfsync", "always") }
}

// RedisSetting gives the server one more line of configuration, such as "maxmemory", "1mb".
func RedisSetting(name, value string) RedisOption {
	return func(r *Redis) { r.args = append(r.args, "--"+name, value) }
}

// RedisClock has the server go by a clock: put ahead, it lets everything run out that has a time to live.
func RedisClock(c *Clock) RedisOption { return func(r *Redis) { r.clock = c } }

// StartRedis starts an empty redis-server.
func StartRedis(tb testing.TB, opts ...RedisOption) *Redis {
	tb.Helper()
	port := FreePort(tb)
	r := &Redis{tb: tb, addr: fmt.Sprintf("127.0.0.1:%d", port), dir: dir(tb, "redis")}
	r.args = []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", r.dir,
		"--save", "", "--daemonize", "no", "--timeout", "0"}
	for _, o := range opts {
		o(r)
	}
	r.cl = redis.NewClient(&redis.Options{Addr: r.addr, DisableIdentity: true, MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	tb.Cleanup(func() {
		_ = r.cl.Close()
		if r.proc != nil {
			r.proc.kill()
		}
	})
	r.Start()
	return r
}

// Addr returns host:port.
func (r *Redis) Addr() string { return r.addr }

// URL returns the address as the services take it.
func (r *Redis) URL() string { return "redis://" + r.addr + "/0" }

// Start starts the server again after Stop or Kill, on the same address and, with
// RedisAppendOnly, with the same data.
func (r *Redis) Start() {
	r.tb.Helper()
	path, err := tool("redis-server")
	if err != nil {
		r.tb.Fatal(err)
	}
	cmd := exec.Command(path, r.args...)
	r.clock.on(cmd)
	if r.proc, err = startProcess(cmd); err != nil {
		r.tb.Fatal(err)
	}
	if err := r.proc.await("redis", func(ctx context.Context) error { return r.cl.Ping(ctx).Err() }); err != nil {
		r.tb.Fatal(err)
	}
}

// Stop ends the server the way an operator does.
func (r *Redis) Stop() { r.proc.stop(syscall.SIGTERM) }

// Kill ends the server the way a power cut does.
func (r *Redis) Kill() { r.proc.kill() }

// Pause stops the server from answering while its connections stay open; Resume lets it go on.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(sig syscall.Signal) {
	r.tb.Helper()
	if err := r.proc.cmd.Process.Signal(sig); err != nil {
		r.tb.Fatalf("signal redis: %v", err)
	}
}

// Client returns a client of the server; it is closed with the test.
func (r *Redis) Client() *redis.Client { return r.cl }

// Dump returns every key and every value now in the server, one a line, and what
// stands in its append-only file: a secret that was ever written there is found in it.
func (r *Redis) Dump() []byte {
	r.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	var out bytes.Buffer
	it := r.cl.Scan(ctx, 0, "*", 1000).Iterator()
	for it.Next(ctx) {
		fmt.Fprintf(&out, "%s", it.Val())
		for _, v := range r.values(ctx, it.Val()) {
			fmt.Fprintf(&out, "\t%s", v)
		}
		out.WriteByte('\n')
	}
	if err := it.Err(); err != nil {
		r.tb.Fatalf("scan redis: %v", err)
	}
	r.appendFiles(&out)
	return out.Bytes()
}

// values returns what one key holds, whatever its type.
func (r *Redis) values(ctx context.Context, key string) []string {
	r.tb.Helper()
	kind, err := r.cl.Type(ctx, key).Result()
	if err != nil {
		r.tb.Fatalf("ask type of %q: %v", key, err)
	}
	var vals []string
	switch kind {
	case "none": // expired meanwhile
	case "string":
		var v string
		if v, err = r.cl.Get(ctx, key).Result(); err == redis.Nil {
			err = nil
		}
		vals = []string{v}
	case "hash":
		var m map[string]string
		m, err = r.cl.HGetAll(ctx, key).Result()
		for k, v := range m {
			vals = append(vals, k, v)
		}
	case "list":
		vals, err = r.cl.LRange(ctx, key, 0, -1).Result()
	case "set":
		vals, err = r.cl.SMembers(ctx, key).Result()
	case "zset":
		vals, err = r.cl.ZRange(ctx, key, 0, -1).Result()
	case "stream":
		var ms []redis.XMessage
		ms, err = r.cl.XRange(ctx, key, "-", "+").Result()
		for _, m := range ms {
			for k, v := range m.Values {
				vals = append(vals, k, fmt.Sprint(v))
			}
		}
	default:
		r.tb.Fatalf("key %q has the unknown type %q", key, kind)
	}
	if err != nil {
		r.tb.Fatalf("read %s %q: %v", kind, key, err)
	}
	return vals
}

func (r *Redis) appendFiles(out *bytes.Buffer) {
	r.tb.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "appendonlydir", "*.aof"))
	if err != nil {
		r.tb.Fatalf("list append-only files: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			r.tb.Fatalf("read append-only file: %v", err)
		}
		out.Write(b)
	}
}

// Monitor records every command the server gets from now on, published messages
// included, as redis-cli's MONITOR shows them: printable ASCII as it stands. The
// function returned gives what was recorded so far.
func (r *Redis) Monitor() func() []byte {
	r.tb.Helper()
	c, err := net.DialTimeout("tcp", r.addr, 5*time.Second)
	if err != nil {
		r.tb.Fatalf("dial redis: %v", err)
	}
	if _, err := c.Write([]byte("MONITOR\r\n")); err != nil {
		r.tb.Fatalf("ask redis to monitor: %v", err)
	}
	in := bufio.NewReader(c)
	if ok, err := in.ReadString('\n'); err != nil || ok != "+OK\r\n" {
		r.tb.Fatalf("start monitor: %q, %v", ok, err)
	}
	var mu sync.Mutex
	var seen bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			line, err := in.ReadBytes('\n')
			mu.Lock()
			seen.Write(line)
			mu.Unlock()
			if err != nil {
				return // closed by the cleanup, or the server ended
			}
		}
	}()
	r.tb.Cleanup(func() { _ = c.Close(); <-done })
	return func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(seen.Bytes())
	}
}
