package login

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/cloud/internal/redistest"
)

// BenchmarkWaiting opens b.N logins that wait for the phone, each with its event stream and its
// driver, and reports what one of them takes of the replica's memory, and how long a new login takes
// while they wait. Run it with -benchtime 100000x; the pages are bare connections of this process,
// which count against the replica here.
func BenchmarkWaiting(b *testing.B) {
	rdb := redistest.Start(b).Client(b)
	a := &quiet{}
	s, err := New(Config{
		Redis: rdb, Appliances: a, Enterprises: enterprises{}, Key: testKey, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Limits: Limits{PerAddress: edge.Rate{PerSecond: 1e9, Burst: 1e9}, PerEnterprise: edge.Rate{PerSecond: 1e9, Burst: 1e9}, Streams: b.N + 1000},
	})
	if err != nil {
		b.Fatal(err)
	}
	e := echo.New()
	e.HTTPErrorHandler = edge.ErrorHandler(s.cfg.Log)
	e.Use(edge.Tracing)
	s.Routes(e)
	lis, err := net.Listen("tcp", ":0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	p := &pages{b: b, s: s, port: lis.Addr().(*net.TCPAddr).Port}
	idle := p.newLogins(50)
	before := memory()
	b.ResetTimer()
	for i := range b.N {
		p.wait(i)
	}
	b.StopTimer()
	eventually(b, "all wait", func() bool {
		s.drivers.mu.Lock()
		defer s.drivers.mu.Unlock()
		return len(s.drivers.logins) >= b.N
	})
	b.ReportMetric(float64(memory()-before)/float64(b.N), "B/login")
	b.ReportMetric(float64(runtime.NumGoroutine())/float64(b.N), "goroutines/login")
	b.ReportMetric(float64(idle.Microseconds()), "idle-µs/new")
	b.ReportMetric(float64(p.newLogins(50).Microseconds()), "busy-µs/new")
	cancel()
	if err := <-ran; err != nil {
		b.Error(err)
	}
	_ = srv.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		b.Error(err)
	}
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// quiet is appliances on which every login waits for ever. It keeps nothing.
type quiet struct{ appliances }

func (*quiet) Do(ctx context.Context, _ sallyport.TenantID, r *tunnelpb.Request) (*tunnelpb.Response, error) {
	if isWait(r.GetLoginStep()) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	v := waiting(1, 10*time.Minute)
	v.State, v.Sealed = make([]byte, 300), make([]byte, 540)
	return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: v}}, nil
}

// memory is what the process holds after a collection: heap and stacks.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse + m.OtherSys + m.GCSys)
}

// pages are browsers, as small as can be.
type pages struct {
	b     *testing.B
	s     *Service
	port  int
	conns []net.Conn
}

// dial spreads the connections over loopback addresses: each has 28,000 ports.
func (p *pages) dial(i int) (net.Conn, *bufio.Reader) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.%d:%d", 1+i/20_000, p.port))
	if err != nil {
		p.b.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// send sends credentials for a fresh login id over c and returns id and bearer.
func (p *pages) send(c net.Conn, r *bufio.Reader) (id, bearer string) {
	id = string(p.s.keys.newID(tenant, time.Now()))
	body, err := json.Marshal(credentialsBody("alice"))
	if err != nil {
		p.b.Fatal(err)
	}
	req, err := http.NewRequest("POST", "http://cloud/v1/logins/"+id+"/credentials", bytes.NewReader(body))
	if err != nil {
		p.b.Fatal(err)
	}
	if err := req.Write(c); err != nil {
		p.b.Fatal(err)
	}
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		p.b.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		p.b.Fatalf("%d %s %v", resp.StatusCode, data, err)
	}
	_, rest, _ := strings.Cut(string(data), `"session":"`)
	bearer, _, _ = strings.Cut(rest, `"`)
	return id, bearer
}

// watch opens the event stream on the connection and reads until the first view.
func (p *pages) watch(c net.Conn, r *bufio.Reader, id, bearer string) {
	if _, err := fmt.Fprintf(c, "GET /v1/logins/%s/events HTTP/1.1\r\nHost: cloud\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", id, bearer); err != nil {
		p.b.Fatal(err)
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			p.b.Fatal(err)
		}
		if strings.HasPrefix(line, "data: ") {
			return
		}
	}
}

func (p *pages) wait(i int) {
	c, r := p.dial(i)
	id, bearer := p.send(c, r)
	p.watch(c, r, id, bearer)
	p.conns = append(p.conns, c)
}

// newLogins is the median time from credentials to the first view.
func (p *pages) newLogins(n int) time.Duration {
	var took []time.Duration
	for range n {
		c, r := p.dial(0)
		begun := time.Now()
		id, bearer := p.send(c, r)
		p.watch(c, r, id, bearer)
		took = append(took, time.Since(begun))
		_ = c.Close()
	}
	slices.Sort(took)
	return took[len(took)/2]
}
