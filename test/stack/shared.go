package stack

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Shared is a stack that many tests of a package use: the first one that asks starts it,
// and Close, called from TestMain, ends it.
type Shared struct {
	Options Options

	once sync.Once
	life *life
	s    *Stack
}

// Get returns the stack and starts it if nobody has before.
func (s *Shared) Get(tb testing.TB) *Stack {
	tb.Helper()
	s.once.Do(func() {
		s.life = &life{}
		defer func() {
			if s.s == nil {
				s.life.end()
			}
		}()
		s.s = Start(s.life, s.Options)
	})
	if s.s == nil {
		tb.Fatal("the shared stack did not start; see the first test that asked for it")
	}
	return s.s
}

// Close ends the stack. It returns the exit code of the test process: code, or 1 when
// something was found wrong with the stack at its end.
func (s *Shared) Close(code int) int {
	if s.life == nil {
		return code
	}
	s.life.end()
	if s.life.Failed() && code == 0 {
		return 1
	}
	return code
}

// life is a testing.TB that lasts as long as its owner wants, not as long as one test.
type life struct {
	testing.TB // nil: what is not defined below is not to be used

	mu       sync.Mutex
	cleanups []func()
	failed   bool
}

func (*life) Helper()      {}
func (*life) Name() string { return "shared" }

func (l *life) Cleanup(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleanups = append(l.cleanups, f)
}

func (l *life) Failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *life) Logf(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "shared stack: "+format+"\n", args...)
}

func (l *life) Error(args ...any) { l.Errorf("%s", fmt.Sprint(args...)) }

func (l *life) Errorf(format string, args ...any) {
	l.Logf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = true
}

func (l *life) Fatal(args ...any) { l.Fatalf("%s", fmt.Sprint(args...)) }

func (l *life) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	panic("shared stack: " + fmt.Sprintf(format, args...))
}

func (l *life) FailNow() { panic("shared stack: failed") }

func (l *life) end() {
	for {
		l.mu.Lock()
		n := len(l.cleanups)
		if n == 0 {
			l.mu.Unlock()
			return
		}
		f := l.cleanups[n-1]
		l.cleanups = l.cleanups[:n-1]
		l.mu.Unlock()
		f()
	}
}
