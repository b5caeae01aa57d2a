package store_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
)

// freshFile names a database file that does not exist yet; its name has what addresses stumble over.
func freshFile(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "a store?#%41.db")
}

func TestSQLite(t *testing.T) {
	conformance.Run(t, conformance.Engine{Fresh: freshFile, Dump: dumpFile, Exec: execFile, Block: blockFile})
}

func dumpFile(t testing.TB, address string) (dump []byte) {
	path := strings.TrimPrefix(address, "sqlite:")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		dump = append(dump, b...)
	}
	return dump
}

// openFile opens the file past the store.
func openFile(t testing.TB, address string) *sql.DB {
	u := url.URL{Scheme: "file", Path: strings.TrimPrefix(address, "sqlite:"), RawQuery: "_txlock=immediate&_busy_timeout=10000"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func execFile(t testing.TB, address, statement string) {
	db := openFile(t, address)
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func blockFile(t testing.TB, address string) func() {
	db := openFile(t, address)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}

// The file is for its owner only, however loose the folder, and so are the files beside it.
func TestSQLiteFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	conformance.Open(t, filepath.Join(dir, "plain-path.db"))
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestSQLiteAddressesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	notOurs := filepath.Join(dir, "letter.txt")
	if err := os.WriteFile(notOurs, []byte(strings.Repeat("Dear Sir or Madam, ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]sallyport.Code{
		"":                                 sallyport.CodeInvalid,
		"sqlite:":                          sallyport.CodeInvalid,
		":memory:":                         sallyport.CodeInvalid,
		"nul\x00":                          sallyport.CodeInvalid,
		dir:                                sallyport.CodeInvalid,
		filepath.Join(dir, "no", "folder"): sallyport.CodeInvalid,
		notOurs:                            sallyport.CodeInternal,
	} {
		_, err := store.Open(t.Context(), address, conformance.Master())
		if sallyport.ErrorCode(err) != want {
			t.Errorf("%q: got %v, want %s", address, err, want)
		}
	}
}
