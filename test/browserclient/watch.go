package browserclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
)

// Poll asks once for a newer view, by long polling; changed says whether there was one.
func (l *Login) Poll(ctx context.Context) (changed bool, err error) {
	before := l.Version
	var v View
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	path := fmt.Sprintf("/%s/events?after=%d", l.ID, before)
	if err := l.c.poll(ctx, path, l.Session, &v); err != nil {
		return false, err
	}
	return v.Version > before, l.accept(v)
}

func (c *Client) poll(ctx context.Context, path, session string, v *View) error {
	resp, err := c.do(ctx, http.MethodGet, path, session, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNetwork, err)
	case resp.StatusCode == http.StatusNoContent:
		return nil
	case resp.StatusCode != http.StatusOK:
		return failure(text)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", ErrNetwork, err)
	}
	return nil
}

// errSilent: nothing was heard on a stream, as behind a proxy that holds answers back.
var errSilent = fmt.Errorf("%w: the stream is silent", ErrNetwork)

// Stream listens to server-sent events until a view was taken for which until is true, or the stream
// ends. heard says whether anything arrived.
func (l *Login) Stream(ctx context.Context, until func(Prompt) bool) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var quiet atomic.Bool
	alarm := time.AfterFunc(firstView, func() { quiet.Store(true); cancel() })
	defer alarm.Stop()
	defer func() {
		if quiet.Load() && !heard {
			err = errSilent
		}
	}()
	resp, err := l.c.do(ctx, http.MethodGet, "/"+string(l.ID)+"/events", l.Session, "text/event-stream", nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // an answer cut short is no answer of the cloud
		return false, failure(text)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		return false, fmt.Errorf("%w: not an event stream but %q", ErrNetwork, kind)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxAnswer)
	var name, data string
	for lines.Scan() {
		heard = true
		alarm.Reset(silence)
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch value = strings.TrimPrefix(value, " "); {
		case key == "event":
			name = value
		case key == "data":
			data += value
		case key == "" && value == "" && lines.Text() == "":
			if err := l.event(name, data); err != nil || until(l.Prompt) {
				return true, err
			}
			name, data = "", ""
		}
	}
	return heard, fmt.Errorf("%w: the stream ended (%v)", ErrNetwork, lines.Err())
}

func (l *Login) event(name, data string) error {
	switch name {
	case "view":
		var v View
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		return l.accept(v)
	case "error":
		return failure([]byte(data))
	}
	return nil
}

// Await watches until a prompt is there for which until is true, or the login is over. It tries again
// and gives up as the overlay does: a break is repaired, a login that is gone is not, and after 20 s
// without a sign of life the page says so.
func (l *Login) Await(ctx context.Context, until func(Prompt) bool) (Prompt, error) {
	done := func(p Prompt) bool { return p.Over() || until(p) }
	var lost time.Time
	streaming := true
	for fails := 0; ; {
		if done(l.Prompt) {
			return l.Prompt, nil
		}
		heard, err := false, error(nil)
		if streaming {
			heard, err = l.Stream(ctx, done)
		} else {
			_, err = l.Poll(ctx)
			heard = err == nil
		}
		if done(l.Prompt) {
			return l.Prompt, nil
		}
		if heard {
			fails, lost = 0, time.Time{}
		}
		if errors.Is(err, errSilent) {
			streaming = false
			continue
		}
		if err == nil {
			continue
		}
		switch sallyport.ErrorCode(err) {
		case sallyport.CodeDenied, sallyport.CodeNotFound, sallyport.CodeExpired:
			return l.Prompt, err
		}
		if errors.As(err, new(*endedError)) {
			return l.Prompt, err
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		if ctx.Err() != nil || time.Since(lost) > giveUp {
			return l.Prompt, err
		}
		streaming = streaming && (heard || fails < 2)
		pause(ctx, min(8*time.Second, 400*time.Millisecond<<fails)*3/4)
		fails++
	}
}

// AwaitPush waits for the number.
func (l *Login) AwaitPush(ctx context.Context) (Prompt, error) {
	return l.Await(ctx, func(p Prompt) bool { return p.Kind == sallyport.PromptPush })
}

// AwaitEnd waits for the end of the login.
func (l *Login) AwaitEnd(ctx context.Context) (Prompt, error) {
	return l.Await(ctx, func(Prompt) bool { return false })
}
