package store

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sallyport/sallyport"
)

func TestMigrationsAreNumberedWithoutGap(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"gap":       {"migrations/0001_a.sql": {}, "migrations/0003_b.sql": {}},
		"twice":     {"migrations/0001_a.sql": {}, "migrations/0001_b.sql": {}},
		"no number": {"migrations/first.sql": {}},
		"short":     {"migrations/1.sql": {}},
	} {
		if steps, err := readMigrations(files); err == nil {
			t.Errorf("%s: read %v", name, steps)
		}
	}
	steps, err := readMigrations(migrations)
	if err != nil || len(steps) == 0 {
		t.Fatalf("our own: %d, %v", len(steps), err)
	}
}

// A migration that fails leaves the schema as it was, and can be run again.
func TestMigrationThatFailsChangesNothing(t *testing.T) {
	ctx := t.Context()
	e, err := openSQLite(ctx, t.TempDir()+"/store.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	run := func(steps ...migration) error {
		return inTx(ctx, e.write, nil, func(tx *sql.Tx) error {
			_, err := migrateOne(ctx, e, tx, steps)
			return err
		})
	}
	if err := run(migration{1, "broken", `CREATE TABLE a (b BIGINT); CREATE TABLE a (b BIGINT);`}); err == nil {
		t.Fatal("the broken migration ran")
	}
	if err := run(migration{1, "mended", `CREATE TABLE a (b BIGINT);`}); err != nil {
		t.Fatalf("after a broken one: %v", err)
	}
}

func TestBackgroundSweepRunsByTheStoresClock(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(t.Context(), t.TempDir()+"/store.db", make(sallyport.Key, masterSize), WithNow(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.sweepUntil(ctx, time.Millisecond) }()
	for _, expires := range []time.Time{now.Add(-time.Hour), now} {
		if _, err := s.Claim(ctx, []byte(expires.String()), expires, expires); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		n, err := s.engine.number(ctx, s.engine.read, `SELECT COUNT(*) FROM claims`)
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			break
		}
		if n == 0 || time.Now().After(deadline) {
			t.Fatalf("%d claims are left, want 1", n)
		}
	}
	cancel()
	<-done
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

var origins = map[string]bool{
	"https://vpn.example.org":       true,
	"http://vpn.example.org":        true,
	"https://vpn.example.org:8443":  true,
	"https://vpn.example.org:80":    true,
	"https://xn--bcher-kva.example": true,
	"https://localhost:1":           true,
	"https://192.0.2.1":             true,
	"https://[2001:db8::1]:444":     true,
	"":                              false,
	"null":                          false,
	"https://":                      false,
	"https://vpn.example.org/":      false,
	"https://vpn.example.org?":      false,
	"https://vpn.example.org#":      false,
	"https://vpn.example.org:443":   false,
	"http://vpn.example.org:80":     false,
	"https://vpn.example.org:":      false,
	"https://vpn.example.org:08443": false,
	"https://vpn.example.org:65536": false,
	"https://vpn.example.org.:0":    false,
	"https://VPN.example.org":       false,
	"HTTPS://vpn.example.org":       false,
	"https://bücher.example":        false,
	"https://a b":                   false,
	"https://a..b":                  false,
	"https://u@vpn.example.org":     false,
	"https://vpn.example.org\x00":   false,
	"https://192.0.2.01":            false,
	"https://1":                     false,
	"https://[2001:DB8::1]":         false,
	"https://[::ffff:192.0.2.1]":    false,
	"https://[fe80::1%25eth0]":      false,
	"https://*.example.org":         false,
	"ftp://vpn.example.org":         false,
	"javascript:alert(1)":           false,
	"https:vpn.example.org":         false,
	"//vpn.example.org":             false,
}

func TestCanonicalOrigin(t *testing.T) {
	for origin, want := range origins {
		if CanonicalOrigin(origin) != want {
			t.Errorf("%q: want %v", origin, want)
		}
	}
}

// Whatever is taken for an origin is one: scheme and host alone, that read back as the same text.
func FuzzCanonicalOrigin(f *testing.F) {
	for origin := range origins {
		f.Add(origin)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !CanonicalOrigin(s) {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme+"://"+u.Host != s || strings.ToLower(s) != s || strings.ContainsAny(u.Host, "/?#@ \x00%*") {
			t.Errorf("%q is taken for an origin: %+v, %v", s, u, err)
		}
	})
}
