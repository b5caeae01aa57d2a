package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const postgresBin = "/usr/lib/postgresql/15/bin/"

// postgres is a real PostgreSQL server on a socket in its own folder.
type postgres struct {
	dir   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	count atomic.Int64
}

// sharedServer is started by the first test that needs it and ended by TestMain.
type sharedServer struct {
	once   sync.Once
	server *postgres
	err    error
}

var shared sharedServer

func (s *sharedServer) get(t testing.TB) *postgres {
	t.Helper()
	s.once.Do(func() { s.server, s.err = newPostgres() })
	if s.err != nil {
		t.Fatalf("start PostgreSQL: %v", s.err)
	}
	return s.server
}

func (s *sharedServer) stop() error {
	if s.server == nil {
		return nil
	}
	return s.server.remove()
}

func newPostgres() (*postgres, error) {
	return makePostgres(postgresBin+"initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
}

// standby starts a hot standby that follows p.
func (p *postgres) standby() (*postgres, error) {
	return makePostgres(postgresBin+"pg_basebackup", "-h", p.dir, "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync")
}

// makePostgres starts a server on the data that a command makes.
func makePostgres(name string, args ...string) (*postgres, error) {
	dir, err := os.MkdirTemp("", "sallyport-pg")
	if err != nil {
		return nil, err
	}
	p := &postgres{dir: dir}
	if err := p.fill(name, args); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *postgres) fill(name string, args []string) error {
	owner, err := postgresUser()
	if err != nil {
		return err
	}
	if owner != nil {
		if err := os.Chown(p.dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if out, err := p.command(name, append(args, "-D", p.data())...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return p.start()
}

// postgresUser returns whom to run the server as: it refuses to be root.
func postgresUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	if owner, err := postgresUser(); err == nil && owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	}
	return cmd
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

// start starts the server under a shell that ends it when its standard input says so or closes:
// however this process ends, the server ends too.
func (p *postgres) start() (err error) {
	p.cmd = p.command("/bin/sh", "-c", `exec 3<&0; "$@" </dev/null 3<&- & read -r how <&3; kill -"${how:-INT}" $!; wait $!`, "sh",
		postgresBin+"postgres", "-D", p.data(), "-k", p.dir, "-p", "5432", "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "max_connections=400", "-c", "shared_buffers=64MB")
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return p.waitReady()
}

func (p *postgres) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.address("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// end ends the server: signal INT closes its connections and shuts down, QUIT is a crash.
func (p *postgres) end(signal string) error {
	if p.cmd == nil {
		return nil // ended before
	}
	_, err := io.WriteString(p.stdin, signal+"\n")
	err = errors.Join(err, p.stdin.Close())
	var exit *exec.ExitError
	if werr := p.cmd.Wait(); !errors.As(werr, &exit) {
		err = errors.Join(err, werr)
	}
	p.cmd = nil
	return err
}

func (p *postgres) remove() error {
	return errors.Join(p.end("INT"), os.RemoveAll(p.dir))
}

func (p *postgres) address(database string) string {
	return "postgres://postgres@/" + database + "?host=" + p.dir
}

// fresh makes an empty database.
func (p *postgres) fresh(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test", p.count.Add(1))
	p.exec(t, "postgres", `CREATE DATABASE `+name)
	return p.address(name)
}

// exec runs a statement in a database, past the store.
func (p *postgres) exec(t testing.TB, database, statement string) {
	t.Helper()
	conn := p.connect(t, p.address(database))
	if _, err := conn.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if err := conn.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (p *postgres) connect(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	return conn
}
