package harness

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres is a running PostgreSQL server with a cluster of its own. Its addresses
// stay the same over Kill, Stop and Start.
type Postgres struct {
	tb       testing.TB
	bin      string
	dir      string
	port     int
	owner    *syscall.Credential // nil: this process's own user
	password string
	durable  bool
	proc     *process
}

// PostgresOption changes how a server runs.
type PostgresOption func(*Postgres)

// PostgresDurable has the server wait for the disk at every commit, as one that people rely on does: for what is
// measured. Tests end processes, never the machine, and need it not.
func PostgresDurable() PostgresOption { return func(p *Postgres) { p.durable = true } }

// StartPostgres makes an empty cluster and starts it. As root the server runs as the
// user postgres, because it refuses to run as root.
func StartPostgres(tb testing.TB, opts ...PostgresOption) *Postgres {
	tb.Helper()
	bin, err := postgresBin()
	if err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, 16)
	rand.Read(b)
	p := &Postgres{tb: tb, bin: bin, dir: dir(tb, "pg"), port: FreePort(tb), password: hex.EncodeToString(b)}
	for _, o := range opts {
		o(p)
	}
	if err := p.initialise(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if p.proc != nil {
			p.proc.kill()
		}
	})
	p.Start()
	return p
}

// postgresBin returns the folder of the newest server that Debian's packages installed.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("find postgresql: not installed; run test/install.sh")
	}
	sort.Strings(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func (p *Postgres) initialise() error {
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("find user postgres: %w", err)
		}
		uid, uerr := strconv.Atoi(u.Uid)
		gid, gerr := strconv.Atoi(u.Gid)
		if uerr != nil || gerr != nil {
			return fmt.Errorf("read ids of user postgres: %q, %q", u.Uid, u.Gid)
		}
		p.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(p.dir, uid, gid); err != nil {
			return fmt.Errorf("hand directory to postgres: %w", err)
		}
	}
	pw := filepath.Join(p.dir, "password")
	if err := os.WriteFile(pw, []byte(p.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	if p.owner != nil {
		if err := os.Chown(pw, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
			return fmt.Errorf("hand password file to postgres: %w", err)
		}
	}
	cmd := p.command("initdb", "-D", filepath.Join(p.dir, "data"), "-U", "postgres", "--pwfile="+pw,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make cluster: %w\n%s", err, out)
	}
	return nil
}

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	return cmd
}

// Start starts the server again after Stop or Kill, with what it knew.
func (p *Postgres) Start() {
	p.tb.Helper()
	fsync := "off" // what was written is in the page cache, which a killed process leaves as it is
	if p.durable {
		fsync = "on"
	}
	var err error
	p.proc, err = startProcess(p.command("postgres", "-D", filepath.Join(p.dir, "data"), "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprintf("port=%d", p.port),
		"-c", "fsync="+fsync))
	if err != nil {
		p.tb.Fatal(err)
	}
	err = p.proc.await("postgresql", func(ctx context.Context) error {
		c, err := pgx.Connect(ctx, p.dsn("postgres", p.dir))
		if err != nil {
			return err
		}
		return c.Close(ctx)
	})
	if err != nil {
		p.tb.Fatal(err)
	}
}

// Stop ends the server the way an operator does, without waiting for its clients.
func (p *Postgres) Stop() { p.proc.stop(syscall.SIGINT) }

// Kill ends the server the way a power cut does.
func (p *Postgres) Kill() { p.proc.kill() }

// Addr returns host:port.
func (p *Postgres) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// Database makes an empty database and returns the address by which to connect to it
// over TCP.
func (p *Postgres) Database() string {
	p.tb.Helper()
	return p.dsn(p.create(), "127.0.0.1")
}

// SocketDatabase is like Database, over the server's Unix socket.
func (p *Postgres) SocketDatabase() string {
	p.tb.Helper()
	return p.dsn(p.create(), p.dir)
}

func (p *Postgres) create() string {
	p.tb.Helper()
	b := make([]byte, 8)
	rand.Read(b)
	name := "t" + hex.EncodeToString(b)
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	c, err := pgx.Connect(ctx, p.dsn("postgres", p.dir))
	if err != nil {
		p.tb.Fatalf("connect to postgresql: %v", err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		p.tb.Fatalf("create database: %v", err)
	}
	return name
}

func (p *Postgres) dsn(database, host string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", p.password), Path: "/" + database}
	q := url.Values{"port": {strconv.Itoa(p.port)}, "host": {host}, "sslmode": {"disable"}}
	u.RawQuery = q.Encode()
	return u.String()
}
