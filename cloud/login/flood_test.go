package login

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/cloud/edge"
)

// visit is a browser that opens a page of an enterprise and leaves it.
type visit struct {
	address string
	at      sallyport.TenantID
}

// body is what the page sends to begin a login.
func (v visit) body() string { return `{"accessToken":"` + accessTokenOf(v.at) + `"}` }

// flood begins logins that nobody goes on with.
type flood struct {
	t    *testing.T
	n    *node
	from func(i int) visit
	want func(i, status int) bool // whether that is the answer for visit i

	begun atomic.Int64
	mu    sync.Mutex
	next  int
	ids   map[sallyport.LoginID]bool // one of floodSample
}

const (
	floodBatch  = 50
	floodSample = 1000
	// floodBeat is after how many logins of the flood somebody else logs in.
	floodBeat = 10_000
)

// run has workers begin logins until there were upTo, and calls meanwhile beside them again and again.
func (f *flood) run(upTo, workers int, work func(upTo int), meanwhile func()) {
	f.t.Helper()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { work(upTo) })
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	for last := f.begun.Load(); ; last += floodBeat {
		for f.begun.Load() < last {
			select {
			case <-over:
				return
			default:
				pause(f.t.Context(), backOffFirst)
			}
		}
		meanwhile()
	}
}

// batch takes the next visits; none: there were enough, or something is wrong.
func (f *flood) batch(upTo int) (first, n int) {
	if f.t.Failed() {
		return 0, 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	first, n = f.next, min(floodBatch, upTo-f.next)
	f.next += n
	return first, n
}

func (f *flood) answered(i, status int, body []byte) bool {
	if !f.want(i, status) {
		f.t.Errorf("visit %d: %d %s", i, status, body)
		return false
	}
	if status != http.StatusOK {
		return true
	}
	var b struct{ LoginID sallyport.LoginID }
	if i%floodSample == 0 {
		if err := json.Unmarshal(body, &b); err != nil || b.LoginID == "" {
			f.t.Errorf("visit %d: %s", i, body)
			return false
		}
	}
	f.given(i, b.LoginID)
	return true
}

// given counts a login that was given out for visit i, and keeps the id of some.
func (f *flood) given(i int, id sallyport.LoginID) {
	f.begun.Add(1)
	if i%floodSample == 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ids[id] = true
	}
}

// overHTTP sends requests over one connection that is kept, a batch at a time, by way of a proxy that
// names the browsers.
func (f *flood) overHTTP(upTo int) {
	c, err := net.Dial("tcp", f.n.Listener.Addr().String())
	if err != nil {
		f.t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for first, n := f.batch(upTo); n > 0; first, n = f.batch(upTo) {
		var out bytes.Buffer
		for i := first; i < first+n; i++ {
			v := f.from(i)
			body := v.body()
			fmt.Fprintf(&out, "POST /v1/logins HTTP/1.1\r\nHost: cloud\r\nX-Forwarded-For: %s\r\nOrigin: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				v.address, origin, len(body), body)
		}
		if _, err := c.Write(out.Bytes()); err != nil {
			f.t.Error(err)
			return
		}
		for i := first; i < first+n; i++ {
			if !f.readAnswer(i, in) {
				return
			}
		}
	}
}

func (f *flood) readAnswer(i int, in *bufio.Reader) bool {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		f.t.Errorf("visit %d: %v", i, err)
		return false
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Errorf("visit %d: %v", i, err)
		return false
	}
	return f.answered(i, resp.StatusCode, body)
}

// byHandler hands requests to the handler of the HTTP server without a connection.
func (f *flood) byHandler(upTo int) {
	page, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "/v1/logins", nil)
	if err != nil {
		f.t.Error(err)
		return
	}
	page.Header.Set("Origin", origin)
	page.Header.Set("Content-Type", "application/json")
	var w answerSink
	for first, n := f.batch(upTo); n > 0; first, n = f.batch(upTo) {
		for i := first; i < first+n; i++ {
			v := f.from(i)
			body := v.body()
			r := page.WithContext(f.t.Context())
			r.RemoteAddr, r.Body, r.ContentLength = v.address+":443", io.NopCloser(strings.NewReader(body)), int64(len(body))
			w.reset()
			f.n.Server.Config.Handler.ServeHTTP(&w, r)
			if !f.answered(i, w.status, w.body.Bytes()) {
				return
			}
		}
	}
}

// byService has logins given out as the handler does it once a request is read.
func (f *flood) byService(upTo int) {
	for first, n := f.batch(upTo); n > 0; first, n = f.batch(upTo) {
		for i := first; i < first+n; i++ {
			v := f.from(i)
			if !f.n.address.Allow("begin " + v.address) {
				f.t.Errorf("visit %d: limited by address", i)
				return
			}
			login, err := f.n.give(f.t.Context(), v.at)
			if err != nil {
				f.t.Errorf("visit %d: %v", i, err)
				return
			}
			f.given(i, login.LoginID)
		}
	}
}

// answerSink is an http.ResponseWriter that is used again.
type answerSink struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerSink) reset()                      { w.header, w.status = http.Header{}, 0; w.body.Reset() }
func (w *answerSink) Header() http.Header         { return w.header }
func (w *answerSink) WriteHeader(status int)      { w.status = status }
func (w *answerSink) Write(b []byte) (int, error) { return w.body.Write(b) }

// asShipped has a replica keep the limits that it is shipped with, behind a proxy on this machine, for the
// hospital and for the enterprises of the flood.
func asShipped(c *Config) {
	c.Limits, c.Enterprises, c.Log = Limits{}, town{}, slog.New(slog.DiscardHandler)
	c.Proxies, _ = edge.ParseProxies([]string{"127.0.0.1"})
}
