package main

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/test/harness"
)

// withPostgres has f use an empty database of a PostgreSQL server on this machine, which lasts as long as f does and
// waits for the disk as a server does that people rely on.
func withPostgres(f func(address string) error) (err error) {
	l := &life{}
	defer func() {
		if r := recover(); r != nil {
			failed, ours := r.(fatal)
			if !ours {
				panic(r)
			}
			err = errors.Join(err, error(failed))
		}
		err = errors.Join(err, l.end())
	}()
	return f(harness.StartPostgres(l, harness.PostgresDurable()).Database())
}

// fatal is what life.Fatal ends with.
type fatal struct{ error }

// life is the test that the harness's servers belong to, in a program that is none.
type life struct {
	testing.TB // nil: what is not defined below is not to be used

	mu       sync.Mutex
	cleanups []func()
	wrong    []error
}

func (*life) Helper() {}

func (l *life) Cleanup(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleanups = append(l.cleanups, f)
}

func (l *life) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Errorf(format, args...))
}

func (l *life) Fatal(args ...any)                 { panic(fatal{errors.New(fmt.Sprint(args...))}) }
func (l *life) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

// end undoes everything, the last first.
func (l *life) end() error {
	for i := len(l.cleanups) - 1; i >= 0; i-- {
		l.cleanups[i]()
	}
	return errors.Join(l.wrong...)
}
