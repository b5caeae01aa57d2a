// Command bench measures Sallyport on this machine and writes the figures into docs/performance.md,
// beside the targets and, where a peer runs here, beside what the peer does in the same run.
//
//	go run ./test/bench [-out docs/performance.md] [-only name,...] [-quick] [-rate N] [-profile DIR]
//
// Every service is a process of its own, started by this program as "bench role NAME" from the same
// packages that the product's program is made of; Redis, FreeRADIUS and Chromium are the real ones.
// Everything is on loopback, and whatever was started is ended by its process id, or by the end of
// its standard input should this program die. Each measurement is a file of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// limit bounds everything together.
const limit = 20 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "role":
			return runRole(ctx, args[1:])
		case "serve", "compare":
			return runRADIUS(ctx, args)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return measureAll(ctx, args)
}

// bench is one run of the program.
type bench struct {
	self    string // the path of this program
	quick   bool   // short runs, for who works on this program
	rate    int    // of whole logins, a second; 0: the one wanted
	profile string // directory for the processor profiles of the roles; empty: none
	out     io.Writer
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, "          "+format+"\n", args...)
}

// pick returns the second value in a quick run.
func pick[T any](b *bench, full, quick T) T {
	if b.quick {
		return quick
	}
	return full
}

// measurement is one file's part.
type measurement struct {
	name, what string
	run        func(context.Context, *bench) ([]row, error)
}

var measurements = []measurement{
	{"radius", "RADIUS check of gateway tokens, beside FreeRADIUS", measureRADIUS},
	{"browser", "a browser's request to the appliance and back, beside plain HTTPS", measureBrowser},
	{"waiting", "logins that wait on one replica", measureWaiting},
	{"tunnels", "idle tunnels on one replica", measureTunnels},
	{"login", "whole logins", measureLogins},
	{"held", "logins that RADIUS holds for their phones, beside FreeRADIUS", measureHeld},
	{"overlay", "the overlay in a page", measureOverlay},
	{"administration", "100,000 users in store, directory and lists", measureAdministration},
}

func measureAll(ctx context.Context, args []string) error {
	b := &bench{out: os.Stdout}
	var only, out string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&out, "out", "", "file with the table (docs/performance.md); empty: print it only")
	f.StringVar(&only, "only", "", "measurements to make, with commas between (default: all)")
	f.BoolVar(&b.quick, "quick", false, "short runs: the figures mean little")
	f.IntVar(&b.rate, "rate", 0, "whole logins a second, instead of those wanted: one run at this rate, for profiles")
	f.StringVar(&b.profile, "profile", "", "directory for processor profiles of the services (they cost a little)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if out != "" && (only != "" || b.quick || b.rate != 0 || b.profile != "") {
		return errors.New("-out wants a whole run, without -only, -quick, -rate and -profile")
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	rep := report{machine: describeMachine(ctx), begun: time.Now()}
	var failures error
	for _, m := range measurements {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.name) {
			continue
		}
		_, _ = fmt.Fprintf(b.out, "%s  %s: %s\n", time.Now().Format("15:04:05"), m.name, m.what)
		rows, err := m.run(ctx, b)
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("measure %s: %w", m.name, err))
			rows = []row{{what: m.what, ours: "could not be measured"}}
		}
		rep.rows = append(rep.rows, rows...)
		for _, r := range rows {
			_, _ = fmt.Fprintln(b.out, "       =>", r.line())
		}
	}
	rep.took = time.Since(rep.begun)
	if out == "" {
		_, err := fmt.Fprintln(b.out, "\n"+rep.markdown())
		return errors.Join(failures, err)
	}
	return errors.Join(failures, rep.write(out))
}
