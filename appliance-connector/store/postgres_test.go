package store_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
)

func TestPostgres(t *testing.T) {
	server := shared.get(t)
	conformance.Run(t, conformance.Engine{
		Fresh: server.fresh,
		Dump: func(t testing.TB, address string) []byte {
			out, err := server.command(postgresBin+"pg_dump", address).Output()
			if err != nil {
				t.Fatalf("pg_dump: %v", err)
			}
			return out
		},
		Exec: func(t testing.TB, address, statement string) {
			server.exec(t, database(address), statement)
		},
		Block: func(t testing.TB, address string) func() {
			ctx := context.Background()
			conn := server.connect(t, address)
			if _, err := conn.Exec(ctx, `BEGIN; LOCK TABLE claims, settings IN ACCESS EXCLUSIVE MODE`); err != nil {
				t.Fatal(err)
			}
			release := sync.OnceFunc(func() {
				if err := conn.Close(ctx); err != nil {
					t.Error(err)
				}
			})
			t.Cleanup(release)
			return release
		},
	})
}

// A server that crashes and comes back costs errors with the code unavailable, and nothing else:
// what was claimed stays claimed, and the same store goes on.
func TestPostgresCrashesAndComesBack(t *testing.T) {
	t.Parallel()
	server := own(t, newPostgres)
	s := conformance.Open(t, server.fresh(t))
	now := time.Now()
	watching, heard := watch(t, s)
	<-heard
	claim(t, s, "before", now, true)
	for _, signal := range []string{"QUIT", "INT"} {
		if err := server.end(signal); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := s.Claim(t.Context(), []byte("down"), now, now)
		if sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
			t.Errorf("with the server down: %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the error took %v", took)
		}
		if err := server.start(); err != nil {
			t.Fatal(err)
		}
		claim(t, s, "before", now, false)
		claim(t, s, "after "+signal, now, true)
	}
	if err := s.SetSetting(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-heard: // the watcher lived through it
	case <-time.After(30 * time.Second):
		t.Error("the watcher heard nothing after the server came back")
	}
	watching()
}

// own starts a server for one test.
func own(t *testing.T, make func() (*postgres, error)) *postgres {
	t.Helper()
	server, err := make()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.remove(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// With a primary and a standby in the host list, in whatever order, the primary is used; when it
// crashes and the standby is promoted, the same store goes on there.
func TestPostgresFailsOverToTheStandby(t *testing.T) {
	t.Parallel()
	primary := own(t, newPostgres)
	name := database(primary.fresh(t))
	standby := own(t, primary.standby)
	s := conformance.Open(t, "postgres://postgres@/"+name+"?host="+standby.dir+","+primary.dir)
	now := time.Now()
	claim(t, s, "before", now, true)
	eventually(t, "the standby has the claim", func(ctx context.Context) bool {
		conn, err := pgx.Connect(ctx, standby.address(name))
		if err != nil {
			return false
		}
		var n int
		err = conn.QueryRow(ctx, `SELECT COUNT(*) FROM claims`).Scan(&n)
		return conn.Close(ctx) == nil && err == nil && n == 1
	})
	if err := primary.end("QUIT"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Claim(t.Context(), []byte("nobody there"), now, now)
	if sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("with the standby alone: %v", err)
	}
	standby.exec(t, "postgres", `SELECT pg_promote()`)
	eventually(t, "the store goes on", func(ctx context.Context) bool { return s.Ping(ctx) == nil })
	claim(t, s, "before", now, false)
	claim(t, s, "after", now, true)
}

func eventually(t *testing.T, what string, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// watch watches s until the returned function is called.
func watch(t *testing.T, s *store.Store) (stop func(), heard chan int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	heard = make(chan int64, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Watch(ctx, 20*time.Millisecond, func(r int64) { heard <- r }); ctx.Err() == nil {
			t.Errorf("watch: %v", err)
		}
	}()
	return func() { cancel(); <-done }, heard
}

func claim(t *testing.T, s *store.Store, key string, now time.Time, want bool) {
	t.Helper()
	if first, err := s.Claim(t.Context(), []byte(key), now.Add(time.Hour), now); err != nil || first != want {
		t.Errorf("claim %q: %v, %v; want %v", key, first, err, want)
	}
}

// A list of hosts works when its first host is gone, or takes connections and never answers.
func TestPostgresHostList(t *testing.T) {
	t.Parallel()
	server := shared.get(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := silent.Close(); err != nil {
			t.Error(err)
		}
	})
	port := silent.Addr().(*net.TCPAddr).Port
	for name, hosts := range map[string]string{
		"gone":   fmt.Sprintf("?host=/nonexistent,%s", server.dir),
		"silent": fmt.Sprintf("?host=127.0.0.1,%s&port=%d,5432", server.dir, port),
	} {
		address, _, _ := strings.Cut(server.fresh(t), "?")
		s := conformance.Open(t, address+hosts)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("first host %s: %v", name, err)
		}
	}
}

// A standby, which takes no writes, is not used.
func TestPostgresReadOnlyServerIsNotUsed(t *testing.T) {
	t.Parallel()
	server := shared.get(t)
	address := server.fresh(t)
	server.exec(t, "postgres", `ALTER DATABASE `+database(address)+` SET default_transaction_read_only = on`)
	_, err := store.Open(t.Context(), address, conformance.Master())
	if sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
}

// An address with a mistake is refused without its password in the error.
func TestPostgresAddressWithMistakeHidesPassword(t *testing.T) {
	for _, address := range []string{"postgres://u:hunter2@host:notaport/db", "postgres://u:hunter2@/db?host=/nonexistent"} {
		_, err := store.Open(t.Context(), address, conformance.Master())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

// database returns the name in an address of the server.
func database(address string) string {
	before, _, _ := strings.Cut(address, "?")
	return strings.TrimPrefix(before, "postgres://postgres@/")
}
