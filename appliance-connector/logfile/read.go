package logfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
)

// Bounds of reading.
const (
	usualLines = 200
	mostLines  = 1000
	// maxLine is how much of a line is shown, in octets.
	maxLine = 32 << 10
	// maxRead is after how many octets of log one call ends, at the end of a file.
	maxRead = 48 << 20
	// maxUnpacked bounds what is read of one file: more than a file that was put aside can hold.
	maxUnpacked = 4 * maxFile << 20
	// checkEvery is after how many lines it is asked whether somebody still waits.
	checkEvery = 1024
)

// Page returns lines from the end of the log.
func (f *Files) Page(ctx context.Context, q sallyport.LogQuery) (sallyport.LogPage, error) {
	if q.Most == 0 {
		q.Most = usualLines
	}
	m, err := newMatcher(q)
	if err != nil {
		return sallyport.LogPage{}, err
	}
	files, before, err := f.from(q)
	if err != nil {
		return sallyport.LogPage{}, err
	}
	var page sallyport.LogPage
	var read int64
	for i, file := range files {
		lines, n, err := f.last(ctx, file.Name, before, q.Most-len(page.Entries), m)
		if err != nil {
			return sallyport.LogPage{}, err
		}
		for _, l := range lines {
			page.Entries = append(page.Entries, l.entry)
		}
		older := i+1 < len(files)
		if read += n; len(page.Entries) == q.Most && lines[len(lines)-1].at > 0 {
			page.Next = place(file.Name, lines[len(lines)-1].at)
		} else if older && (len(page.Entries) == q.Most || read >= maxRead) {
			page.Next = place(files[i+1].Name, -1)
		}
		if page.Next != "" || len(page.Entries) == q.Most {
			return page, nil
		}
		before = -1
	}
	return page, nil
}

// from returns the files to read, the newest first, and where to end in the first of them; -1: at its end.
func (f *Files) from(q sallyport.LogQuery) ([]sallyport.LogFile, int64, error) {
	files, err := f.List()
	if err != nil {
		return nil, 0, err
	}
	name, before := q.File, int64(-1)
	if q.After != "" {
		if name, before, err = parsePlace(q.After); err != nil {
			return nil, 0, err
		}
	}
	if name == "" {
		return files, before, nil
	}
	for i, file := range files {
		if plain(file.Name) == plain(name) {
			if q.File != "" {
				return files[i : i+1], before, nil
			}
			return files[i:], before, nil
		}
	}
	return nil, 0, noFile(nil)
}

func noFile(cause error) error {
	return sallyport.Errorf(sallyport.CodeNotFound, "There is no such log file; it may have been deleted meanwhile.", cause)
}

// place is what Next of a page holds: a file and how far into it.
func place(name string, at int64) string { return strconv.FormatInt(at, 10) + "." + plain(name) }

func parsePlace(s string) (name string, at int64, err error) {
	number, name, ok := strings.Cut(s, ".")
	at, nerr := strconv.ParseInt(number, 10, 64)
	if !ok || nerr != nil || at < -1 || !ownName.MatchString(name) || place(name, at) != s {
		return "", 0, sallyport.Errorf(sallyport.CodeInvalid, "This page does not exist. Begin at the end of the log.", nil)
	}
	return name, at, nil
}

func plain(name string) string { return strings.TrimSuffix(name, ".gz") }

// found is an entry and where its line begins.
type found struct {
	entry sallyport.LogEntry
	at    int64
}

// last returns the last lines of a file that match, the last first, and how much was read. before, unless it
// is below 0, is where reading ends.
func (f *Files) last(ctx context.Context, name string, before int64, most int, m *matcher) ([]found, int64, error) {
	r, err := f.open(name)
	if err != nil {
		return nil, 0, err
	}
	defer r.close()
	ring := make([]found, 0, most)
	oldest := 0
	for n := 0; before < 0 || r.at < before; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		l, err := r.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read log file: %w", err)
		}
		e, ok := m.match(l.text)
		switch {
		case !ok:
		case len(ring) < most:
			ring = append(ring, found{e, l.at})
		default:
			ring[oldest] = found{e, l.at}
			oldest = (oldest + 1) % most
		}
	}
	out := make([]found, 0, len(ring))
	for i := len(ring) - 1; i >= 0; i-- {
		out = append(out, ring[(oldest+i)%len(ring)])
	}
	return out, r.at, nil
}

// reader reads the lines of a file.
type reader struct {
	file *os.File
	in   *bufio.Reader
	at   int64
}

// open opens one of the files by its name, whatever the name is.
func (f *Files) open(name string) (*reader, error) {
	if !ownName.MatchString(name) {
		return nil, noFile(nil)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, noFile(err)
	}
	r := &reader{file: file}
	var in io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			r.close()
			return nil, fmt.Errorf("read log file: %w", err)
		}
	}
	r.in = bufio.NewReaderSize(io.LimitReader(in, maxUnpacked), maxLine)
	return r, nil
}

func (r *reader) close() { _ = r.file.Close() } // it was only read

// line is one line, cut to maxLine, and where it begins. Text is good until the next one.
type line struct {
	text []byte
	at   int64
}

func (r *reader) line() (line, error) {
	l := line{at: r.at}
	text, err := r.in.ReadSlice('\n')
	r.at += int64(len(text))
	if errors.Is(err, bufio.ErrBufferFull) {
		l.text = bytes.Clone(text)
		for errors.Is(err, bufio.ErrBufferFull) {
			text, err = r.in.ReadSlice('\n')
			r.at += int64(len(text))
		}
	} else {
		l.text = text
	}
	if errors.Is(err, io.EOF) && len(l.text) > 0 {
		err = nil
	}
	l.text = bytes.TrimRight(l.text, "\r\n")
	return l, err
}
