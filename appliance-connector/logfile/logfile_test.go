package logfile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

func open(t testing.TB) (*Files, *slog.Logger, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "logs")
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, slog.New(f.Handler(slog.NewTextHandler(io.Discard, nil))), dir
}

func page(t testing.TB, f *Files, q sallyport.LogQuery) sallyport.LogPage {
	t.Helper()
	p, err := f.Page(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return p
}

func messages(p sallyport.LogPage) string {
	var out []string
	for _, e := range p.Entries {
		out = append(out, e.Message)
	}
	return strings.Join(out, " ")
}

func TestLinesComeBackTheNewestFirstPageByPage(t *testing.T) {
	f, log, _ := open(t)
	for n := range 7 {
		log.Info(fmt.Sprint("m", n), "n", n)
	}
	log.Debug("too quiet")
	first := page(t, f, sallyport.LogQuery{Most: 3})
	second := page(t, f, sallyport.LogQuery{Most: 3, After: first.Next})
	third := page(t, f, sallyport.LogQuery{Most: 3, After: second.Next})
	if got := messages(first) + "|" + messages(second) + "|" + messages(third); got != "m6 m5 m4|m3 m2 m1|m0" || third.Next != "" {
		t.Errorf("%s, then %q", got, third.Next)
	}
	if e := first.Entries[0]; e.Level != "INFO" || e.Time.IsZero() || len(e.Fields) != 1 || e.Fields[0] != (sallyport.LogField{Name: "n", Value: "6"}) {
		t.Errorf("%+v", e)
	}
	log.Warn("newer")
	if got := messages(page(t, f, sallyport.LogQuery{Most: 3, After: first.Next})); got != "m3 m2 m1" {
		t.Errorf("a page moved when a line was written: %s", got)
	}
}

func TestLinesAreFoundByLevelTextAndSupportCode(t *testing.T) {
	f, log, _ := open(t)
	log.Info("login begins", "support_code", "7H2K-9QXM")
	log.With("login", "l1").WithGroup("part").Warn("Directory is slow", "support_code", "7H2K-9QXM", "took", time.Second)
	log.Error("database gone", "err", errors.New("dial: refused"))
	if _, err := f.Write([]byte("panic: not JSON\n")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    sallyport.LogQuery
		want string
	}{
		{sallyport.LogQuery{}, "panic: not JSON database gone Directory is slow login begins"},
		{sallyport.LogQuery{Level: "warn"}, "database gone Directory is slow"},
		{sallyport.LogQuery{Text: "REFUSED"}, "database gone"},
		{sallyport.LogQuery{SupportCode: "7h2k 9qxm"}, "Directory is slow login begins"},
		{sallyport.LogQuery{SupportCode: "7h2k9qxm", Level: "warn"}, "Directory is slow"},
		{sallyport.LogQuery{SupportCode: "0000-0000"}, ""},
	} {
		if got := messages(page(t, f, c.q)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
	for _, q := range []sallyport.LogQuery{{Level: "loud"}, {Most: 5000}, {Most: -1}, {Text: strings.Repeat("x", 300)}, {After: "x"}, {After: "5.../etc/passwd"}} {
		if _, err := f.Page(t.Context(), q); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestOldFilesAreCompressedReadAndDeleted(t *testing.T) {
	f, log, dir := open(t)
	log.Info("oldest")
	if err := f.rotated.RotateWithReason("size"); err != nil {
		t.Fatal(err)
	}
	log.Info("newest")
	waitFor(t, func() bool {
		list, err := f.List()
		return err == nil && len(list) == 2 && strings.HasSuffix(list[1].Name, ".log.gz")
	})
	list, err := f.List()
	if err != nil || !list[0].Live || list[1].Live {
		t.Fatalf("%+v %v", list, err)
	}
	if got := messages(page(t, f, sallyport.LogQuery{})); got != "newest oldest" {
		t.Errorf("all: %s", got)
	}
	p := page(t, f, sallyport.LogQuery{Most: 1})
	if got := messages(page(t, f, sallyport.LogQuery{Most: 1, After: p.Next})); got != "oldest" {
		t.Errorf("over the end of a file: %s", got)
	}
	if got := messages(page(t, f, sallyport.LogQuery{File: list[1].Name})); got != "oldest" {
		t.Errorf("one file: %s", got)
	}
	var one, all bytes.Buffer
	if err := errors.Join(f.Export(t.Context(), list[0].Name, &one), f.ExportAll(t.Context(), &all)); err != nil {
		t.Fatal(err)
	}
	if got := unzip(t, &one); !strings.Contains(got, "newest") {
		t.Errorf("export: %s", got)
	}
	if got := names(t, &all); got != "sallyport-logs/appliance.log sallyport-logs/"+list[1].Name {
		t.Errorf("archive: %s", got)
	}
	now := time.Now()
	if err := os.Chtimes(filepath.Join(dir, list[1].Name), now, now.Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n, err := f.DeleteBefore(now.Add(-72*time.Hour), now); n != 0 || err != nil {
		t.Errorf("too early: %d %v", n, err)
	}
	if n, err := f.DeleteBefore(now.Add(-24*time.Hour), now); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	// A day later the live file is put aside, so that it can be deleted in its turn.
	if _, err := f.DeleteBefore(now.Add(-time.Hour), now.Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if list, err := f.List(); err != nil || len(list) != 2 || !strings.Contains(list[1].Name, "-day.log") {
		t.Errorf("%+v %v", list, err)
	}
}

func TestFilesStayBoundedAndPrivate(t *testing.T) {
	f, _, dir := open(t)
	row := append(bytes.Repeat([]byte("x"), 1<<20-1), '\n')
	for range maxFile + 2 {
		if _, err := f.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	list, err := f.List()
	if err != nil || len(list) < 2 || list[0].Size > maxFile<<20 {
		t.Errorf("%+v %v", list, err)
	}
	info, err := os.Stat(filepath.Join(dir, liveName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	p := page(t, f, sallyport.LogQuery{Most: 2})
	if len(p.Entries) != 2 || len(p.Entries[0].Message) != maxLine {
		t.Errorf("%d lines, the first of %d octets", len(p.Entries), len(p.Entries[0].Message))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Page(ctx, sallyport.LogQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
}

func TestLinesAreFollowed(t *testing.T) {
	f, log, _ := open(t)
	log.Warn("before")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, got, ended := make(chan struct{}), make(chan string, 10), make(chan error, 1)
	go func() {
		ended <- f.Follow(ctx, sallyport.LogQuery{Level: "warn"}, func() error { close(ready); return nil }, func(e sallyport.LogEntry) error {
			got <- e.Message
			return nil
		})
	}()
	<-ready
	log.Info("quiet")
	log.Warn("loud")
	if m := <-got; m != "loud" {
		t.Errorf("followed %q", m)
	}
	cancel()
	if err := <-ended; err != nil || len(got) != 0 {
		t.Errorf("%v, %d more", err, len(got))
	}
}

func TestASlowFollowerIsToldWhatItMissed(t *testing.T) {
	f, log, _ := open(t)
	var seen []string
	err := f.Follow(t.Context(), sallyport.LogQuery{}, func() error {
		for n := range waiting + 10 {
			log.Info(fmt.Sprint(n))
		}
		return nil
	}, func(e sallyport.LogEntry) error {
		seen = append(seen, e.Message)
		if len(seen) == 3 {
			log.Info("later")
		}
		if e.Message == "later" {
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) || len(seen) != waiting+2 || !strings.HasPrefix(seen[waiting], "10 lines are not shown") {
		t.Errorf("%v, %d: %v", err, len(seen), seen[len(seen)-2:])
	}
}

func TestNothingOutsideTheDirectoryIsOpened(t *testing.T) {
	f, log, dir := open(t)
	log.Info("here")
	secret := filepath.Join(filepath.Dir(dir), "enterprise.key")
	if err := os.WriteFile(secret, []byte("the key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "appliance-2026-01-01T00-00-00.000-size.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "other.log"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../enterprise.key", "..", ".", "/etc/passwd", secret, "appliance.log/../../enterprise.key", "other.log", "appliance.log\x00", "appliance.log\n",
		"appliance-2026-01-01T00-00-00.000-size.log", "appliance-../../enterprise.key-size.log", "APPLIANCE.LOG", " appliance.log", "%2e%2e/enterprise.key", "appliance.log.gz.tmp"} {
		refuses(t, f, name)
	}
	if list, err := f.List(); err != nil || len(list) != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

func refuses(t *testing.T, f *Files, name string) {
	t.Helper()
	var out bytes.Buffer
	if err := f.Export(t.Context(), name, &out); sallyport.ErrorCode(err) != sallyport.CodeNotFound || out.Len() > 0 {
		t.Errorf("export of %q: %v, %q", name, err, out.String())
	}
	if p, err := f.Page(t.Context(), sallyport.LogQuery{File: name}); sallyport.ErrorCode(err) != sallyport.CodeNotFound || len(p.Entries) > 0 {
		t.Errorf("page of %q: %v", name, err)
	}
}

func FuzzNames(fz *testing.F) {
	for _, s := range []string{"../x", "appliance.log", "appliance.log.gz", "5.appliance.log", "-1.appliance-2026-01-01T00-00-00.000-size.log", "appliance-2026-01-01T00-00-00.000-size_3.log.gz"} {
		fz.Add(s)
	}
	f, log, dir := open(fz)
	log.Info("here")
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "outside.log"), []byte("outside"), 0o600); err != nil {
		fz.Fatal(err)
	}
	fz.Fuzz(func(t *testing.T, s string) {
		for _, q := range []sallyport.LogQuery{{File: s}, {After: s}} {
			p, err := f.Page(t.Context(), q)
			if err != nil && sallyport.ErrorCode(err) != sallyport.CodeInvalid && sallyport.ErrorCode(err) != sallyport.CodeNotFound {
				t.Fatalf("%q: %v", s, err)
			}
			if got := messages(p); got != "" && got != "here" {
				t.Fatalf("%q shows %q", s, got)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"m","a":{"b":1},"support_code":"X"}`, `{"level":1}`, `{`, `[]`, "", "\xff", `{"msg":"a","msg":"b"} tail`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if e := parse(text); len(e.Fields) > maxFields {
			t.Fatalf("%d fields", len(e.Fields))
		}
	})
}

// waitFor waits for what another goroutine does.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func unzip(t *testing.T, in io.Reader) string {
	t.Helper()
	r, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func names(t *testing.T, in io.Reader) string {
	t.Helper()
	r, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Name)
	}
}
