// Package redistest gives a test of the cloud a Redis server of its own: the real one, on a unix
// socket, gone with the test.
package redistest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Server is a running redis-server.
type Server struct {
	Socket string
	URL    string
}

// Start starts redis-server (Debian package redis-server) and waits until it answers.
func Start(t testing.TB) *Server {
	t.Helper()
	// A socket's path is short: the test's own directory may be too deep.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Socket: filepath.Join(dir, "s")}
	s.URL = "unix://" + s.Socket
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", s.Socket, "--save", "", "--appendonly", "no", "--dir", dir, "--databases", "1")
	if err := cmd.Start(); err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	c := s.Client(t)
	for deadline := time.Now().Add(20 * time.Second); ; {
		if c.Ping(context.Background()).Err() == nil {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Client connects to the server, for as long as the test runs.
func (s *Server) Client(t testing.TB) redis.UniversalClient {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Network: "unix", Addr: s.Socket, DisableIdentity: true, ContextTimeoutEnabled: true, PoolSize: 64,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
