package harness

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Program is a server program that a test runs by its command line, and that can be
// killed and started again.
type Program struct {
	tb    testing.TB
	name  string
	path  string
	args  []string
	ready func(context.Context) error
	log   *transcript
	clock *Clock
	proc  *process
}

// NewProgram describes a program without starting it; ready says whether it serves.
func NewProgram(tb testing.TB, name, path string, ready func(context.Context) error, args ...string) *Program {
	p := &Program{tb: tb, name: name, path: path, args: args, ready: ready, log: &transcript{}}
	tb.Cleanup(func() {
		if p.proc != nil {
			p.proc.stop(syscall.SIGTERM)
		}
	})
	return p
}

// Launch starts the program and does not wait for it.
func (p *Program) Launch() error {
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout = p.log
	p.clock.on(cmd)
	var err error
	p.proc, err = startProcess(cmd)
	return err
}

// Await waits until the program is ready.
func (p *Program) Await() error { return p.proc.await(p.name, p.ready) }

// Start starts the program, for the first time or again, and waits until it is ready.
func (p *Program) Start() {
	p.tb.Helper()
	if err := p.Launch(); err != nil {
		p.tb.Fatal(err)
	}
	if err := p.Await(); err != nil {
		p.tb.Fatal(err)
	}
}

// SetArgs replaces the command line for the next Start.
func (p *Program) SetArgs(args ...string) { p.args = args }

// SetClock has the program go by a clock from the next Start on.
func (p *Program) SetClock(c *Clock) { p.clock = c }

// Args returns the command line.
func (p *Program) Args() []string { return append([]string(nil), p.args...) }

// Name returns what the program is called in messages.
func (p *Program) Name() string { return p.name }

// Kill ends the program the way a power cut does.
func (p *Program) Kill() { p.proc.kill() }

// Stop ends the program the way an operator does.
func (p *Program) Stop() { p.proc.stop(syscall.SIGTERM) }

// Running reports whether the program has not ended.
func (p *Program) Running() bool { return p.proc != nil && p.proc.running() }

// Log returns everything that the program has written, over all its starts.
func (p *Program) Log() string { return p.log.String() }

// LogSize marks a place in the log, for LogSince.
func (p *Program) LogSize() int { return p.log.size() }

// LogSince returns what was written after a mark.
func (p *Program) LogSince(mark int) string {
	s := p.log.String()
	return s[min(mark, len(s)):]
}

// transcript keeps all that is written to it, up to a bound.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxTranscript = 256 << 20

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf.Len()+len(b) > maxTranscript {
		return 0, fmt.Errorf("the program wrote more than %d octets", maxTranscript)
	}
	return t.buf.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

func (t *transcript) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Len()
}

// Blocks of ports lie below those from which the kernel takes ports for connections that
// are dialled, so that a program which was killed finds its ports free again.
const (
	firstBlock = 24000
	lastBlock  = 31900
	// BlockSize is how many ports a block has.
	BlockSize = 32
)

// PortBlock takes BlockSize ports in a row that no other test process has and that are
// free for TCP and UDP, until tb ends; it returns the first.
func PortBlock(tb testing.TB) int {
	tb.Helper()
	cache, err := cacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	for base := firstBlock; base+BlockSize <= lastBlock; base += BlockSize {
		unlock, err := lockFile(filepath.Join(cache, fmt.Sprintf("ports-%d.lock", base)), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		if blockFree(base) {
			tb.Cleanup(unlock)
			return base
		}
		unlock()
	}
	tb.Fatal("find free ports: all blocks are taken")
	return 0
}

func blockFree(base int) bool {
	for port := base; port < base+BlockSize; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return false
		}
		_ = l.Close()
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			return false
		}
		_ = c.Close()
	}
	return true
}

// unwatched are the packages that the race detector leaves alone: those of the Makefile, so that what was compiled
// for the tests serves the programs that they start as well.
var unwatched = [...]string{"modernc.org/sqlite/lib", "modernc.org/libc", "golang.org/x/crypto/argon2", "golang.org/x/crypto/blake2b"}

// Build builds a program of this module with the race detector and returns a copy of it
// that stays as it is for as long as tb lasts. Test processes that run at the same time
// build it once.
func Build(tb testing.TB, pkg string) string {
	tb.Helper()
	cache, err := cacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	shared := filepath.Join(cache, "race-"+strings.ReplaceAll(pkg, "/", "-"))
	unlock, err := lockFile(shared+".lock", syscall.LOCK_EX)
	if err != nil {
		tb.Fatal(err)
	}
	defer unlock()
	args := []string{"build", "-race", "-o", shared}
	for _, p := range unwatched {
		args = append(args, "-gcflags="+p+"=-race=false")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	own := filepath.Join(dir(tb, "bin"), filepath.Base(pkg))
	b, err := os.ReadFile(shared)
	if err == nil {
		err = os.WriteFile(own, b, 0o755)
	}
	if err != nil {
		tb.Fatalf("copy %s: %v", pkg, err)
	}
	return own
}
