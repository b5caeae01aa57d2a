package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sallyport/sallyport"
)

const (
	// sqliteReaders is how many reads run at once.
	sqliteReaders = 8
	// sqliteBusy is how long, in milliseconds, a writer waits for another process; a shorter
	// deadline of the call ends the wait.
	sqliteBusy = "10000"
	// How much of the file the writer and each reader may keep in memory, in KiB: a batch of users changes
	// pages all over the file, and 100,000 users are listed by about 8 MiB.
	sqliteWriterCache = "cache_size=-32768"
	sqliteReaderCache = "cache_size=-8192"
	// After how many pages the writer copies its log into the file. Records of logins change the same pages
	// again and again: the longer the log, the fewer are copied. It takes 16 MiB.
	sqliteCheckpoint = "wal_autocheckpoint=4000"
)

// openSQLite opens or makes the database file at path. WAL with synchronous NORMAL survives the end
// of the process at any moment; when the power fails, the last transactions may be missing, which
// for one-time claims is harmless because the machine takes longer to start than they live.
func openSQLite(ctx context.Context, path string) (*engine, error) {
	full, err := makeFile(path)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf("The database file %q cannot be opened.", path), err)
	}
	e := &engine{
		schema: strings.NewReplacer(` COLLATE "C"`, "", "BYTEA", "BLOB", "BIGINT", "INTEGER", "\n);", "\n) STRICT;",
			"\n) /* in the order of its key */;", "\n) STRICT, WITHOUT ROWID;").Replace,
		classify: classifySQLite,
		prepare:  true,
	}
	if e.write, err = sql.Open("sqlite", sqliteDSN(full, url.Values{"_txlock": {"immediate"}, "_journal_mode": {"WAL"}, "_pragma": {sqliteWriterCache, sqliteCheckpoint}})); err != nil {
		return nil, fmt.Errorf("open writer: %w", err)
	}
	// One connection: in-process writers queue here, in order and with their deadlines, and only
	// processes compete for the file's lock.
	e.write.SetMaxOpenConns(1)
	if e.read, err = sql.Open("sqlite", sqliteDSN(full, url.Values{"_query_only": {"1"}, "_pragma": {sqliteReaderCache}})); err != nil {
		return nil, closeAfter(fmt.Errorf("open readers: %w", err), e.write.Close)
	}
	e.read.SetMaxOpenConns(sqliteReaders)
	e.read.SetMaxIdleConns(sqliteReaders)
	// The writer first: it puts the file into WAL mode.
	if err := e.write.PingContext(ctx); err != nil {
		return nil, closeAfter(e.failure("open database file", err), e.close)
	}
	return e, nil
}

// makeFile makes the file, if need be, readable by its owner only; SQLite gives the files beside
// it the same mode.
func makeFile(path string) (string, error) {
	if path == "" || strings.Contains(path, ":memory:") || strings.ContainsRune(path, 0) {
		return "", errors.New("not the path of a file")
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find absolute path: %w", err)
	}
	f, err := os.OpenFile(full, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the folder is missing: %w", err)
	}
	if err != nil {
		return "", err
	}
	return full, f.Close()
}

func sqliteDSN(path string, extra url.Values) string {
	extra.Set("_busy_timeout", sqliteBusy)
	extra.Add("_pragma", "temp_store=MEMORY") // also what a statement of many rows may have to undo
	extra.Set("_synchronous", "NORMAL")
	extra.Set("_foreign_keys", "1")
	extra.Set("_dqs", "0")
	extra.Set("_defensive", "1")
	return (&url.URL{Scheme: "file", Path: path, RawQuery: extra.Encode()}).String()
}

func classifySQLite(err error) fault {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return faultUnavailable
	}
	switch code := e.Code(); code {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return faultUnique
	case sqlite3.SQLITE_BUSY_SNAPSHOT:
		return faultRetry
	default:
		switch code & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
			return faultUnavailable
		}
		return faultInternal
	}
}
