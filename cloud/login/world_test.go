package login

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/cloud/internal/apitest"
	"github.com/sallyport/sallyport/cloud/internal/redistest"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	tenant = sallyport.TenantID("hospital")
	origin = "https://vpn.hospital.example"
	phone  = 20 * time.Second
)

// appliances is an enterprise's appliances, scripted: do answers every request.
type appliances struct {
	mu    sync.Mutex
	asked []*tunnelpb.LoginStep
	trace []string
	do    func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error)
	none  bool
}

func (a *appliances) Do(ctx context.Context, t sallyport.TenantID, r *tunnelpb.Request) (*tunnelpb.Response, error) {
	a.mu.Lock()
	a.asked = append(a.asked, r.GetLoginStep())
	a.trace = append(a.trace, r.GetTrace())
	do := a.do
	a.mu.Unlock()
	v, err := do(ctx, r.GetLoginStep())
	if err != nil {
		return nil, err
	}
	return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: v}}, nil
}

func (a *appliances) Statement(context.Context, sallyport.TenantID) (*tunnelpb.KeyStatement, error) {
	if a.none {
		return nil, sallyport.Errorf(sallyport.CodeUnavailable, "Nobody there.", nil)
	}
	return &tunnelpb.KeyStatement{Statement: []byte(`{"v":1}`), Signature: bytes.Repeat([]byte{7}, 64)}, nil
}

func (a *appliances) script(do func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.do = do
}

func (a *appliances) count(want func(*tunnelpb.LoginStep) bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, s := range a.asked {
		if want(s) {
			n++
		}
	}
	return n
}

func isCredentials(s *tunnelpb.LoginStep) bool { return s.GetCredentials() != nil }
func isWait(s *tunnelpb.LoginStep) bool        { return s.GetWait() != nil }
func isMessage(s *tunnelpb.LoginStep) bool     { return s.GetMessage() != nil }

type enterprises struct{}

func (enterprises) Exists(_ context.Context, t sallyport.TenantID) (bool, error) {
	return t == tenant, nil
}

func waiting(version uint32, wait time.Duration) *tunnelpb.LoginView {
	return aView(version, tunnelpb.Phase_PHASE_WAITING, wait)
}

func aView(version uint32, phase tunnelpb.Phase, wait time.Duration) *tunnelpb.LoginView {
	return &tunnelpb.LoginView{
		Version: version, Phase: phase, State: fmt.Appendf(nil, "state %d", version),
		Sealed: fmt.Appendf(nil, "sealed %d", version), WaitMs: uint32(wait.Milliseconds()),
	}
}

// node is one replica, over real HTTP.
type node struct {
	*Service
	*httptest.Server
	stop func()
	log  *syncBuffer
	spec *apitest.Spec
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var testKey = sallyport.Key(bytes.Repeat([]byte{9}, 32))

func startNode(t testing.TB, rdb redis.UniversalClient, a Appliances, change ...func(*Config)) *node {
	t.Helper()
	logs := &syncBuffer{}
	cfg := Config{
		Redis: rdb, Appliances: a, Enterprises: enterprises{}, Key: testKey, Now: time.Now,
		Log:     slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics: prometheus.NewRegistry(),
		Limits:  Limits{PerAddress: edge.Rate{PerSecond: 1e6, Burst: 1e6}, PerEnterprise: edge.Rate{PerSecond: 1e6, Burst: 1e6}},
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.pollTimeout, s.watch.every = 300*time.Millisecond, 320*time.Millisecond
	e := echo.New()
	e.HTTPErrorHandler = edge.ErrorHandler(cfg.Log)
	e.Use(edge.Tracing)
	s.Routes(e)
	n := &node{Service: s, Server: httptest.NewServer(e), log: logs, spec: apitest.Load(t, "../../api/openapi/browser.yaml")}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		n.Server.CloseClientConnections()
		n.Server.Close()
	})
	t.Cleanup(n.stop)
	eventually(t, "replica is announced", func() bool { return rdb.Exists(ctx, aliveKey(s.replica.instance)).Val() == 1 })
	return n
}

func newWorld(t testing.TB, replicas int, change ...func(*Config)) (*appliances, redis.UniversalClient, []*node) {
	t.Helper()
	rdb := redistest.Start(t).Client(t)
	a := &appliances{}
	nodes := make([]*node, replicas)
	for i := range nodes {
		nodes[i] = startNode(t, rdb, a, change...)
	}
	return a, rdb, nodes
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func accessTokenOf(t sallyport.TenantID) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil,
		`{"tenantId":%q,"contextData":{"authAppId":"f5-big-ip","authInstanceId":"gate-1"}}`, t))
}

// call sends JSON and reads JSON.
func (n *node) call(t testing.TB, method, path, bearer string, body, into any) (status int) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, n.URL+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	n.spec.Check(t, req, data, resp.StatusCode, resp.Header, got)
	if into != nil && len(got) > 0 {
		if err := json.Unmarshal(got, into); err != nil {
			t.Fatalf("%s %s: %d %q", method, path, resp.StatusCode, got)
		}
	}
	return resp.StatusCode
}

func (n *node) begin(t testing.TB) string {
	t.Helper()
	var b struct{ LoginID string }
	if status := n.call(t, "POST", "/v1/logins", "", map[string]string{"accessToken": accessTokenOf(tenant)}, &b); status != 200 {
		t.Fatalf("begin: status %d", status)
	}
	return b.LoginID
}

func credentialsBody(user string) map[string]any {
	return map[string]any{
		"accessToken": accessTokenOf(tenant), "userName": user, "kid": "k1", "iat": 1700000000,
		"enc": octets(bytes.Repeat([]byte{4}, sealed.EncSize)), "ciphertext": octets(bytes.Repeat([]byte{5}, sealed.CiphertextSize)),
	}
}

type answer struct {
	Session string
	View    view
	edge.Body
}

func (n *node) send(t testing.TB, login, user string) (answer, int) {
	t.Helper()
	var a answer
	status := n.call(t, "POST", "/v1/logins/"+login+"/credentials", "", credentialsBody(user), &a)
	return a, status
}

// sse is an open event stream.
type sse struct {
	resp   *http.Response
	spec   *apitest.Spec
	events chan sseEvent
}

type sseEvent struct {
	name, data string
}

func (n *node) open(t testing.TB, login, bearer string) *sse {
	t.Helper()
	req, err := http.NewRequest("GET", n.URL+"/v1/logins/"+login+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	s := &sse{resp: resp, spec: n.spec, events: make(chan sseEvent, 64)}
	go func() {
		defer close(s.events)
		var e sseEvent
		for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
			line := sc.Text()
			switch {
			case strings.HasPrefix(line, ":"):
				s.events <- sseEvent{name: "comment"}
			case strings.HasPrefix(line, "event: "):
				e.name = line[7:]
			case strings.HasPrefix(line, "data: "):
				e.data = line[6:]
			case line == "" && e.name != "":
				s.events <- e
				e = sseEvent{}
			}
		}
	}()
	return s
}

// next waits for the next event that is not a comment; the zero event means the stream has ended.
func (s *sse) next(t testing.TB) sseEvent {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-s.events:
			if e.name == "comment" {
				continue
			}
			if e.name != "" {
				s.check(t, e)
			}
			return e
		case <-timeout:
			t.Fatal("no event")
		}
	}
}

func (s *sse) view(t testing.TB) view {
	t.Helper()
	e := s.next(t)
	var v view
	if err := json.Unmarshal([]byte(e.data), &v); e.name != "view" || err != nil {
		t.Fatalf("event %q %q (%v), want a view", e.name, e.data, err)
	}
	return v
}

// check holds an event against the description of the API.
func (s *sse) check(t testing.TB, e sseEvent) {
	t.Helper()
	var data any
	if err := json.Unmarshal([]byte(e.data), &data); err != nil {
		t.Errorf("event %+v: %v", e, err)
		return
	}
	s.spec.CheckSchema(t, map[string]string{"view": "View", "error": "Error"}[e.name], data)
}
