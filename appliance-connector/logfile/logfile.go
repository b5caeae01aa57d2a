// Package logfile keeps an appliance's own log also in files of its data directory, so that it can be read
// in the console where nobody has a shell: JSON, a line each, rotated by size, compressed, and bounded in
// number. What it writes is what goes to standard error as well, so nothing secret.
//
// It opens nothing outside its directory: names from outside are held against the pattern of its own files, and
// are opened within the directory only (os.Root).
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"

	"github.com/sallyport/sallyport"
)

const (
	// maxFile is when a file is put aside, in MiB; keptFiles how many of those stay.
	maxFile   = 10
	keptFiles = 40
	liveName  = "appliance.log"
	// dayReason is in the name of a file that was put aside because it holds more than a day.
	dayReason = "day"
)

// ownName is what the files here are called: the live one, those put aside, and those compressed.
var ownName = regexp.MustCompile(`^appliance(-[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}\.[0-9]{3}-[a-z]{1,16}(_[0-9]{1,5})?)?\.log(\.gz)?$`)

// Files are the log files of one appliance. One process writes them. It is safe for concurrent use.
type Files struct {
	root    *os.Root
	rotated *timberjack.Logger

	mu        sync.Mutex
	trouble   error // of the last write
	followers map[*follower]struct{}
}

// Open makes the directory if need be. Nothing is written before the first line.
func Open(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory for logs: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory for logs: %w", err)
	}
	return &Files{root: root, followers: map[*follower]struct{}{}, rotated: &timberjack.Logger{
		Filename: filepath.Join(dir, liveName), MaxSize: maxFile, MaxBackups: keptFiles, Compression: "gzip", FileMode: 0o600,
	}}, nil
}

// Close ends what is written and followed, and waits for a compression under way.
func (f *Files) Close() error {
	f.mu.Lock()
	for w := range f.followers {
		f.drop(w)
	}
	f.mu.Unlock()
	return errors.Join(f.rotated.Close(), f.root.Close())
}

// Write takes one line, as slog's handlers write it.
func (f *Files) Write(line []byte) (int, error) {
	n, err := f.rotated.Write(line)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = err
	f.tell(line)
	return n, err
}

// Health is the error of the last write; nil while lines reach the disk.
func (f *Files) Health() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble
}

// Handler writes to handler, and the same lines to the files.
func (f *Files) Handler(handler slog.Handler) slog.Handler {
	return slog.NewMultiHandler(handler, asLoud{slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}), handler})
}

// List returns the files, the live one first and then the newest first.
func (f *Files) List() ([]sallyport.LogFile, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list log files: %w", err)
	}
	var out []sallyport.LogFile
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !ownName.MatchString(e.Name()) {
			continue // compressed or deleted meanwhile, or not ours
		}
		out = append(out, sallyport.LogFile{Name: e.Name(), Size: info.Size(), Modified: info.ModTime().UTC(), Live: e.Name() == liveName})
	}
	// A file and its compressed copy stand side by side for a moment.
	out = slices.DeleteFunc(out, func(c sallyport.LogFile) bool {
		plain, is := strings.CutSuffix(c.Name, ".gz")
		return is && slices.ContainsFunc(out, func(o sallyport.LogFile) bool { return o.Name == plain })
	})
	slices.SortFunc(out, func(a, b sallyport.LogFile) int {
		if a.Live != b.Live {
			return map[bool]int{true: -1, false: 1}[a.Live]
		}
		return strings.Compare(b.Name, a.Name) // the time is in the name
	})
	return out, nil
}

// DeleteBefore deletes the files that were put aside before t, and returns their number. So that days can be
// told apart, a live file that began a day or more before now is put aside first.
func (f *Files) DeleteBefore(t, now time.Time) (deleted int, err error) {
	if began, ok := f.began(); ok && now.Sub(began) >= 24*time.Hour {
		if err := f.rotated.RotateWithReason(dayReason); err != nil {
			return 0, fmt.Errorf("put log file aside: %w", err)
		}
	}
	old, err := f.OlderThan(t)
	for _, file := range old {
		if err := f.root.Remove(file.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return deleted, fmt.Errorf("delete log file: %w", err)
		}
		deleted++
	}
	return deleted, err
}

// OlderThan returns the files that DeleteBefore would delete.
func (f *Files) OlderThan(t time.Time) ([]sallyport.LogFile, error) {
	list, err := f.List()
	return slices.DeleteFunc(list, func(file sallyport.LogFile) bool { return file.Live || !file.Modified.Before(t) }), err
}

// began is the time of the live file's first line.
func (f *Files) began() (time.Time, bool) {
	r, err := f.open(liveName)
	if err != nil {
		return time.Time{}, false
	}
	defer r.close()
	line, err := r.line()
	if err != nil {
		return time.Time{}, false
	}
	e := parse(line.text)
	return e.Time, !e.Time.IsZero()
}
