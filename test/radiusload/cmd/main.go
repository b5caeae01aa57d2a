// Command cmd measures RADIUS servers; its output is JSON, a line for each measurement.
//
//	cmd compare [-core 0] [-runs 5] [-requests 300000]
//	    our server (gateway tokens, claims in memory) beside FreeRADIUS (files and PAP), on one core each
//	cmd drive -address HOST:PORT -secret-file FILE -logins FILE [-rate N]
//	    a server that runs already; each line of the logins is a user name, a space, and a password
//	cmd serve ADDRESS SECRET-FILE KEY-FILE
//	    our server, for compare
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/radiusload"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "radiusload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to do: compare, drive or serve")
	}
	switch args[0] {
	case "compare":
		return compare(ctx, args[1:])
	case "drive":
		return drive(ctx, args[1:])
	case "serve":
		return serve(ctx, args[1:])
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func compare(ctx context.Context, args []string) error {
	c := radiusload.Comparison{ResultLine: os.Stdout}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.StringVar(&c.Core, "core", "0", "core for the servers")
	f.IntVar(&c.Runs, "runs", 5, "runs of each server")
	f.IntVar(&c.Requests, "requests", 300_000, "requests in each run")
	f.IntVar(&c.Users, "users", 1000, "users")
	f.BoolVar(&c.HalfLoad, "half", true, "measure times at half load as well")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if c.Program, err = os.Executable(); err != nil {
		return err
	}
	return radiusload.Compare(ctx, c)
}

func drive(ctx context.Context, args []string) error {
	var l radiusload.Load
	var logins, secret string
	f := flag.NewFlagSet("drive", flag.ContinueOnError)
	f.StringVar(&l.Address, "address", "127.0.0.1:1812", "of the server")
	f.StringVar(&secret, "secret-file", "", "file with the shared secret")
	f.StringVar(&logins, "logins", "", "file with user names and passwords")
	f.Float64Var(&l.Rate, "rate", 0, "requests a second; 0: as many as are answered")
	f.IntVar(&l.Sockets, "sockets", 4, "to send from")
	f.IntVar(&l.Outstanding, "outstanding", 64, "requests without an answer on each socket")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if l.Secret, err = readSecret(secret); err != nil {
		return err
	}
	if l.Logins, err = readLogins(logins); err != nil {
		return err
	}
	p, err := radiusload.Prepare(l)
	if err != nil {
		return err
	}
	r, err := p.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(radiusload.Line{Bench: "radius_drive", Server: l.Address, Result: &r})
}

func serve(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("serve needs address, secret file and key file")
	}
	secret, err := readSecret(args[1])
	if err != nil {
		return err
	}
	ring, err := radiusload.Ring(args[2])
	if err != nil {
		return err
	}
	return radiusload.Serve(ctx, args[0], secret, ring)
}

func readSecret(file string) (sallyport.Secret, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read shared secret: %w", err)
	}
	return sallyport.Secret(strings.TrimRight(string(b), "\r\n")), nil
}

func readLogins(file string) ([]radiusload.Login, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read logins: %w", err)
	}
	defer func() { _ = f.Close() }()
	var list []radiusload.Login
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		user, password, found := strings.Cut(lines.Text(), " ")
		if !found {
			return nil, fmt.Errorf("read logins: line %d has no password", len(list)+1)
		}
		list = append(list, radiusload.Login{User: user, Password: sallyport.Secret(password)})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read logins: %w", err)
	}
	return list, nil
}
