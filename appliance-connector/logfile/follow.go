package logfile

import (
	"bytes"
	"context"
	"strconv"

	"github.com/sallyport/sallyport"
)

const (
	// mostFollowers follow at a time; waiting is how many lines one may be behind.
	mostFollowers = 16
	waiting       = 256
)

// follower is somebody who sees lines as they are written. Its fields are guarded by Files.mu.
type follower struct {
	lines  chan []byte
	missed int
}

// Follow calls each with the lines that are written from now on and are asked for (file, page and number of
// lines do not matter), until ctx ends, each fails, or the files are closed. Who is too slow misses lines, and
// is told how many. ready is called once, as soon as no line is missed.
func (f *Files) Follow(ctx context.Context, q sallyport.LogQuery, ready func() error, each func(sallyport.LogEntry) error) error {
	q.Most = 1
	m, err := newMatcher(q)
	if err != nil {
		return err
	}
	w := &follower{lines: make(chan []byte, waiting)}
	f.mu.Lock()
	if len(f.followers) >= mostFollowers {
		f.mu.Unlock()
		return sallyport.Errorf(sallyport.CodeLimited, "Too many people follow the log at this moment. Look at its pages.", nil)
	}
	f.followers[w] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(w)
	}()
	if err := ready(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case text, more := <-w.lines:
			if !more {
				return nil
			}
			if e, ok := m.match(text); ok {
				if err := each(e); err != nil {
					return err
				}
			}
		}
	}
}

// tell gives a line to all who follow.
func (f *Files) tell(text []byte) {
	if len(f.followers) == 0 {
		return
	}
	text = bytes.TrimRight(bytes.Clone(text[:min(len(text), maxLine)]), "\r\n")
	for w := range f.followers {
		if w.missed > 0 && len(w.lines) < waiting-1 {
			w.lines <- []byte(strconv.Itoa(w.missed) + " lines are not shown here: there were too many at once")
			w.missed = 0
		}
		select {
		case w.lines <- text:
		default:
			w.missed++
		}
	}
}

// drop ends a follower, once.
func (f *Files) drop(w *follower) {
	if _, there := f.followers[w]; there {
		delete(f.followers, w)
		close(w.lines)
	}
}
