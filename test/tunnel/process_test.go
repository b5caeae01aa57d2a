package tunnel_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cloud "github.com/sallyport/sallyport/cloud/tunnel"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/redisconn"
	"github.com/sallyport/sallyport/internal/revocation"
)

// replicaEnv has this test binary be a replica: a process can be killed and stopped, a hub in this
// process cannot.
const replicaEnv = "SALLYPORT_TUNNEL_TEST_REPLICA"

type replicaSettings struct {
	Name, Dir, Redis string
	Timing           cloud.Timing
}

func TestMain(m *testing.M) {
	for env, be := range map[string]func(string) error{replicaEnv: beReplica, idleEnv: beIdle} {
		if raw := os.Getenv(env); raw != "" {
			if err := be(raw); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// beReplica runs until standard input ends.
func beReplica(raw string) error {
	var set replicaSettings
	if err := json.Unmarshal([]byte(raw), &set); err != nil {
		return err
	}
	ca, err := pki.LoadCA(filepath.Join(set.Dir, "ca.crt"), filepath.Join(set.Dir, "ca.key"))
	if err != nil {
		return err
	}
	rdb, err := redisconn.Open(context.Background(), "redis://"+set.Redis)
	if err != nil {
		return err
	}
	hub, err := cloud.NewHub(cloud.Config{
		Replica: set.Name, Version: "test", Redis: rdb, Revocations: revocation.List{Redis: rdb}, Renewer: &world{ca: ca},
		Timing: set.Timing, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	cert, err := ca.ServerCertificate(time.Now(), time.Hour, "localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println(lis.Addr())
	return hub.Serve(ctx, lis, pki.ServerTLS(cert, ca.Pool()), time.Second)
}

// replicaProcess is a replica in a process of its own.
type replicaProcess struct {
	name, addr string
	cmd        *exec.Cmd
	stdin      io.WriteCloser
	killed     sync.Once
}

func (w *world) replicaProcess(name string) *replicaProcess {
	w.t.Helper()
	set, err := json.Marshal(replicaSettings{Name: name, Dir: w.dir, Redis: w.redis.addr(), Timing: w.timing})
	if err != nil {
		w.t.Fatal(err)
	}
	p := &replicaProcess{name: name, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), replicaEnv+"="+string(set))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		w.t.Fatalf("replica %s did not start: %v", name, err)
	}
	p.addr = strings.TrimSpace(line)
	return p
}

func (p *replicaProcess) kill() {
	p.killed.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
}

func (p *replicaProcess) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
