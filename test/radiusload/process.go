package radiusload

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// Process is a server under measurement, on one core.
type Process struct {
	Name    string
	Address string
	cmd     *exec.Cmd
	output  *bytes.Buffer
}

// start runs a program on one core; "" is any.
func start(ctx context.Context, name, core, program string, args ...string) (*Process, error) {
	if core != "" {
		args = append([]string{"-c", core, program}, args...)
		program = "taskset"
	}
	p := &Process{Name: name, cmd: exec.CommandContext(ctx, program, args...), output: &bytes.Buffer{}}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { defer close(done); _ = p.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// PID is the server's process; taskset becomes the program it starts.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU is the processor time that a process has used, in seconds.
func CPU(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	_, rest, _ := bytes.Cut(b, []byte(") ")) // the name before may hold spaces
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read processor time: %d fields", len(fields))
	}
	user, err1 := strconv.ParseFloat(string(fields[11]), 64)
	system, err2 := strconv.ParseFloat(string(fields[12]), 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("read processor time: %q %q", fields[11], fields[12])
	}
	const ticks = 100 // USER_HZ, the same on every Linux that Go runs on
	return (user + system) / ticks, nil
}

// ready waits for the server to answer a login, and ends it when it does not.
func (p *Process) ready(ctx context.Context, probe Load) error {
	err := p.await(ctx, probe)
	if err != nil {
		p.Stop()
		return fmt.Errorf("%w; it said:\n%s", err, p.output)
	}
	return nil
}

func (p *Process) await(ctx context.Context, probe Load) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		probe.Address, probe.Patience = p.Address, 200*time.Millisecond
		one, err := Prepare(probe)
		if err != nil {
			return err
		}
		if r, err := one.Run(ctx); err == nil && r.Accepted+r.Rejected > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("start %s: no answer", p.Name)
}

// freePort finds a UDP port of loopback that nobody has.
func freePort() (int, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).Port, nil
}
