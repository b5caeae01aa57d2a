package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
)

// writeTimeout is how long a page may take to take an event; one that is slower is cut.
const writeTimeout = 5 * time.Second

// lookTimeout bounds how long a stream looks for news.
const lookTimeout = 5 * time.Second

// stream is a page's connection for server-sent events, taken out of the HTTP server: while nothing
// happens it has no goroutine, no timer and no buffer.
type stream struct {
	s       *Service
	k       key
	conn    net.Conn
	chunked bool

	// todo counts what is left to do; whoever raises it from 0 starts the one goroutine that works
	// it off.
	todo        atomic.Int32
	news, beats atomic.Bool
	stopped     atomic.Bool

	// Only for the goroutine that works.
	shown    uint32 // version, once begun
	begun    bool
	lookNext time.Time // when to look even if nobody told us to
}

func (s *Service) stream(c echo.Context, k key) error {
	r := c.Request()
	conn, _, err := c.Response().Hijack()
	if err != nil {
		return sallyport.Errorf(sallyport.CodeUnsupported, "Events cannot be streamed over this connection.", err)
	}
	c.Response().Committed = true
	st := &stream{s: s, k: k.clone(),
		conn: conn, chunked: r.ProtoAtLeast(1, 1)}
	if err := st.write(st.head(edge.TraceOf(r.Context()))); err != nil {
		_ = conn.Close()
		return nil
	}
	if !s.watch.add(st.k.login, st) {
		_ = st.write(st.tail()) // the page goes on elsewhere
		_ = conn.Close()
		return nil
	}
	s.metrics.streams.Inc()
	st.wake()
	return nil
}

func (st *stream) head(trace edge.Trace) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n" +
		"X-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: *\r\nVary: Origin\r\nConnection: close\r\n")
	if st.chunked {
		b.WriteString("Transfer-Encoding: chunked\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// frame puts data into a chunk (RFC 9112 section 7.1), for peers that speak HTTP/1.1.
func (st *stream) frame(data []byte) []byte {
	if !st.chunked {
		return data
	}
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(data), data)
}

func (st *stream) tail() []byte {
	if !st.chunked {
		return nil
	}
	return []byte("0\r\n\r\n")
}

func event(name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		data = []byte("{}") // views and error bodies always marshal
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data)
}

func (st *stream) wake() {
	st.news.Store(true)
	st.start()
}

func (st *stream) beat() {
	st.beats.Store(true)
	st.start()
}

func (st *stream) start() {
	if st.todo.Add(1) == 1 {
		st.s.background(st.work)
	}
}

func (st *stream) work() {
	for {
		n := st.todo.Load()
		if err := st.turn(); err != nil {
			st.end()
			return // todo stays above 0: nothing starts any more
		}
		if st.todo.CompareAndSwap(n, 0) {
			return
		}
	}
}

// turn shows what is new, or a sign of life.
func (st *stream) turn() error {
	news, beat := st.news.Swap(false), st.beats.Swap(false)
	if beat && st.s.replica.blind() {
		// The page asks anew, hears that the service is not available, and tells its user so.
		return errors.Join(st.write(st.tail()), errStreamOver)
	}
	var data []byte
	if news || st.lookNext.Before(time.Now()) {
		var last bool
		if data, last = st.look(); last {
			return errors.Join(st.write(st.frame(data), st.tail()), errStreamOver)
		}
	}
	if data == nil && beat {
		data = []byte(":\n\n")
	}
	if data == nil {
		return nil
	}
	return st.write(st.frame(data))
}

var errStreamOver = errors.New("stream is over")

// look returns what the page does not know yet, nil for nothing, and whether it is the last there is.
func (st *stream) look() (data []byte, last bool) {
	ctx, cancel := context.WithTimeout(st.s.ctx, lookTimeout)
	defer cancel()
	sess, err := st.s.look(ctx, st.k)
	switch {
	case errors.Is(err, errGone):
		return event("error", edge.BodyOf(ended(errLoginExpired()))), true
	case err != nil:
		// Redis is away. The page keeps what it has; the next look is soon.
		st.lookNext = time.Now()
		return nil, false
	case sess.failure != nil:
		return event("error", edge.BodyOf(ended(sess.failure))), true
	}
	// A driver that could not say that the wait is over, a session whose time is over.
	st.lookNext = time.Now().Add(lifetime)
	if sess.view.Phase == phaseWaiting {
		st.lookNext = time.Now().Add(sess.waitLeft + time.Second)
	}
	if st.begun && sess.view.Version <= st.shown {
		return nil, false
	}
	st.begun, st.shown = true, sess.view.Version
	return event("view", sess.view), sess.view.ended()
}

func (st *stream) write(parts ...[]byte) error {
	if err := st.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := st.conn.Write(bytes.Join(parts, nil))
	return err
}

// end closes the stream; the page opens another one or goes over to polling.
func (st *stream) end() {
	if st.stopped.Swap(true) {
		return
	}
	st.s.watch.remove(st.k.login, st)
	st.s.metrics.streams.Dec()
	_ = st.conn.Close()
}
