package harness

import (
	_ "embed" // the source of what is preloaded
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

//go:embed clock/clockshift.c
var clockShift []byte

// Clock is the wall clock of processes, as a test sets it: all that they do, TLS and libraries included,
// goes by it. What they only measure is not touched.
type Clock struct {
	tb    testing.TB
	shift *os.File
	lib   string
}

// NewClock makes a clock that is right.
func NewClock(tb testing.TB) *Clock {
	tb.Helper()
	d := dir(tb, "clock")
	c := &Clock{tb: tb, lib: filepath.Join(d, "clockshift.so")}
	source := filepath.Join(d, "clockshift.c")
	if err := os.WriteFile(source, clockShift, 0o600); err != nil {
		tb.Fatalf("write clockshift: %v", err)
	}
	if out, err := exec.Command("cc", "-O2", "-shared", "-fPIC", "-o", c.lib, source).CombinedOutput(); err != nil {
		tb.Fatalf("compile clockshift: %v\n%s", err, out)
	}
	var err error
	if c.shift, err = os.OpenFile(filepath.Join(d, "shift"), os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		tb.Fatalf("open clock: %v", err)
	}
	tb.Cleanup(func() { _ = c.shift.Close() })
	c.Set(0)
	return c
}

// Set puts the clock ahead by d, or behind, at once and also for processes that run.
func (c *Clock) Set(d time.Duration) {
	c.tb.Helper()
	// In place: the processes have the file mapped.
	if _, err := c.shift.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(d)), 0); err != nil {
		c.tb.Fatalf("set clock: %v", err)
	}
}

// on has a program go by the clock.
func (c *Clock) on(cmd *exec.Cmd) {
	if c != nil {
		cmd.Env = append(cmd.Environ(), "LD_PRELOAD="+c.lib, "CLOCK_SHIFT_FILE="+c.shift.Name())
	}
}
