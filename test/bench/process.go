package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTime = 3 * time.Minute // 10,000 handshakes on a busy machine take a while
	stopTime  = 15 * time.Second
)

// child is a process that this program has started.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   string // file
	done  chan struct{}
	err   error // of Wait; valid once done is closed
}

// launch starts a program; its output goes to a file in dir, or its standard output to stdout.
func launch(dir, name string, stdout io.Writer, program string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(program, args...), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Dir = log, log, dir
	if stdout != nil {
		c.cmd.Stdout = stdout
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig follows the thread
		defer runtime.UnlockOSThread()
		defer func() { _ = log.Close() }()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.err = c.cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the process to end, and waits for it.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(stopTime):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// tail is the end of what the process has said.
func (c *child) tail() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// rss is the resident memory of a process, in octets.
func (c *child) rss() (int64, error) {
	text := field(fmt.Sprintf("/proc/%d/status", c.pid()), "VmRSS")
	kb, err := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", c.name, err)
	}
	return kb << 10, nil
}

// role starts this program in a role and waits until it is ready; settings go to its standard input.
// What it prints after that goes, line by line, to hear.
func (b *bench) role(ctx context.Context, dir, name, role string, settings any, hear func(string)) (*child, ready, error) {
	var at ready
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, at, fmt.Errorf("start %s: %w", name, err)
	}
	pr, pw := io.Pipe()
	c, err := launch(dir, name, pw, b.self, "role", role, b.profile)
	if err != nil {
		return nil, at, err
	}
	go func() { <-c.done; _ = pw.Close() }()
	if _, err := c.stdin.Write(append(text, '\n')); err != nil {
		c.stop()
		return nil, at, fmt.Errorf("start %s: %w\n%s", name, err, c.tail())
	}
	first := make(chan ready, 1)
	go func() { // ends with the process
		lines := bufio.NewScanner(pr)
		if lines.Scan() && json.Unmarshal(lines.Bytes(), &at) == nil {
			first <- at
		}
		for lines.Scan() {
			if hear != nil {
				hear(lines.Text())
			}
		}
	}()
	select {
	case at := <-first:
		return c, at, nil
	case <-c.done:
		return nil, at, fmt.Errorf("start %s: it ended: %w\n%s", name, c.err, c.tail())
	case <-time.After(startTime):
	case <-ctx.Done():
	}
	c.stop()
	return nil, at, fmt.Errorf("start %s: not ready in time\n%s", name, c.tail())
}

// openFiles is how many files, connections included, a process may have open.
func openFiles() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 1024
	}
	return int(min(r.Max, 1<<30)) // Go raises its own limit to the hard one; so do the roles
}
