// Package harness starts the real parts that tests run against: a Samba Active
// Directory domain controller, Redis, PostgreSQL, Chromium, and a TCP proxy that
// misbehaves on demand. Every Start function listens on loopback at a port that was
// free, keeps its files in a directory of its own, and ends what it started, by
// process id, when the test ends or when the test process dies. A part that cannot be
// started fails the test: nothing is skipped.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startDeadline bounds how long a part may take until it answers. It is generous:
// the machine may be busy with other tests.
const startDeadline = 90 * time.Second

// stopDeadline bounds how long a part may take to end when asked, before it is killed.
const stopDeadline = 10 * time.Second

// process is one program started by a test, with its own process group, dying with
// the thread that started it, and so with the test process.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *tail
	done  chan struct{}
	err   error // of Wait; valid once done is closed
}

// startProcess starts cmd. Its standard input is a pipe that stays open until the
// process is to end; the end of its output is kept for messages, and all of it goes to
// cmd.Stdout if that is set.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, out: &tail{}, done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open standard input: %w", err)
	}
	p.stdin = stdin
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	} else {
		cmd.Stdout = io.MultiWriter(cmd.Stdout, p.out)
	}
	cmd.Stderr = cmd.Stdout // comparable, so that one copier serves both
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL

	started := make(chan error, 1)
	go func() {
		// Pdeathsig follows the thread, so the thread has to live as long as the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// running reports whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process and its children at once, as a power cut would.
func (p *process) kill() {
	if p.running() {
		// The group is ours: Setpgid made the process its leader.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.done
	_ = p.stdin.Close()
}

// stop asks the process to end with sig and kills it when it does not.
func (p *process) stop(sig os.Signal) {
	if p.running() {
		_ = p.cmd.Process.Signal(sig)
		_ = p.stdin.Close()
	}
	select {
	case <-p.done:
	case <-time.After(stopDeadline):
		p.kill()
	}
}

// await polls ready until it succeeds, the process ends, or the deadline passes.
func (p *process) await(what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	err := poll(ctx, func(ctx context.Context) error {
		if !p.running() {
			return &endedError{fmt.Errorf("%s ended: %w\n%s", what, p.err, p.out)}
		}
		return ready(ctx)
	})
	if err != nil {
		return fmt.Errorf("await %s: %w\n%s", what, err, p.out)
	}
	return nil
}

// endedError says that waiting on is of no use.
type endedError struct{ error }

// poll calls f every few milliseconds until it returns nil, an *endedError, or ctx ends.
func poll(ctx context.Context, f func(context.Context) error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		var ended *endedError
		if errors.As(err, &ended) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// tail keeps the last 16 KiB that were written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// FreePort returns a TCP port on loopback that was free a moment ago.
func FreePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// dir makes a directory with a short name (a Unix socket's path has 107 octets) that
// other users may enter, and removes it when the test ends.
func dir(tb testing.TB, pattern string) string {
	tb.Helper()
	d, err := os.MkdirTemp("/tmp", "sp-"+pattern+"-")
	if err != nil {
		tb.Fatalf("make directory: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(d); err != nil {
			tb.Errorf("remove %s: %v", d, err)
		}
	})
	if err := os.Chmod(d, 0o755); err != nil {
		tb.Fatalf("open directory for others: %v", err)
	}
	return d
}

// tool finds a program by name, also in the folders that are not on everybody's path.
func tool(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, d := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if p, err := exec.LookPath(d + "/" + name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("find %s: not installed; run test/install.sh", name)
}
