package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// line is a connection whose cloud is the test.
type line struct {
	mu   sync.Mutex
	sent []*tunnelpb.ApplianceFrame
}

func (l *line) Send(f *tunnelpb.ApplianceFrame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, f)
	return nil
}
func (l *line) Recv() (*tunnelpb.CloudFrame, error) { return nil, io.EOF }
func (l *line) CloseSend() error                    { return nil }

func (l *line) responses() []*tunnelpb.Response {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*tunnelpb.Response
	for _, f := range l.sent {
		if r := f.GetResponse(); r != nil {
			out = append(out, r)
		}
	}
	return out
}

type handlerFunc func(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response

func (f handlerFunc) Handle(ctx context.Context, req *tunnelpb.Request, progress func()) *tunnelpb.Response {
	return f(ctx, req, progress)
}

func testStream(t testing.TB, l *line, h handlerFunc, features ...string) *stream {
	t.Helper()
	c, err := New(Config{
		Addresses: []string{"127.0.0.1:1"}, Handler: h, MaxRequests: 4,
		TLS: func() (*tls.Config, error) { return nil, errors.New("not dialled here") },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := newStream(c, ctx, cancel, l)
	s.welcome, s.features = &tunnelpb.Welcome{Replica: "a"}, map[string]struct{}{}
	for _, f := range features {
		s.features[f] = struct{}{}
	}
	return s
}

func FuzzCloudFrame(f *testing.F) {
	for _, frame := range []*tunnelpb.CloudFrame{
		{},
		{Body: &tunnelpb.CloudFrame_Request{Request: &tunnelpb.Request{Id: 1}}},
		{Body: &tunnelpb.CloudFrame_Request{Request: &tunnelpb.Request{Id: 2, TimeoutMs: 1, Body: &tunnelpb.Request_LoginStep{}}}},
		{Body: &tunnelpb.CloudFrame_Request{Request: &tunnelpb.Request{Body: &tunnelpb.Request_Ping{Ping: &tunnelpb.Ping{Payload: []byte("x")}}}}},
		{Body: &tunnelpb.CloudFrame_Cancel{}},
		{Body: &tunnelpb.CloudFrame_Result{Result: &tunnelpb.Result{Id: 1}}},
		{Body: &tunnelpb.CloudFrame_Drain{Drain: &tunnelpb.Drain{Reason: "r"}}},
		{Body: &tunnelpb.CloudFrame_ProgressAck{ProgressAck: &tunnelpb.ProgressAck{Id: 1}}},
		{Body: &tunnelpb.CloudFrame_Welcome{}},
	} {
		raw, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame := &tunnelpb.CloudFrame{}
		if proto.Unmarshal(raw, frame) != nil {
			return
		}
		l := &line{}
		s := testStream(t, l, func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response { return nil })
		s.dispatch(frame)
		s.dispatch(frame)
		s.owned.Wait()
		answers := len(l.responses())
		if frame.GetRequest() != nil && (answers < 1 || answers > 2) {
			t.Fatalf("a request sent twice was answered %d times", answers)
		}
		if frame.GetRequest() == nil && answers != 0 {
			t.Fatal("something that is no request was answered")
		}
		s.end()
	})
}

func frameOf(id uint64, body *tunnelpb.LoginStep) *tunnelpb.CloudFrame {
	return &tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Request{Request: &tunnelpb.Request{
		Id: id, TimeoutMs: 10_000, Body: &tunnelpb.Request_LoginStep{LoginStep: body},
	}}}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name string
		do   handlerFunc
		want sallyport.Code
	}{
		{"nothing", func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response { return nil }, sallyport.CodeInternal},
		{"panic", func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response { panic("boom") }, sallyport.CodeInternal},
		{"too long", func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response {
			return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: &tunnelpb.LoginView{State: make([]byte, MaxFrame)}}}
		}, sallyport.CodeInternal},
		{"good", func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response {
			return &tunnelpb.Response{Body: &tunnelpb.Response_LoginView{LoginView: &tunnelpb.LoginView{Version: 1}}}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &line{}
			s := testStream(t, l, c.do)
			s.dispatch(frameOf(5, &tunnelpb.LoginStep{}))
			s.owned.Wait()
			got := l.responses()
			if len(got) != 1 || got[0].GetId() != 5 || got[0].GetFailure().GetCode() != string(c.want) {
				t.Fatalf("answers %v, want code %q", got, c.want)
			}
		})
	}
}

func TestUnknownRequestIsUnsupported(t *testing.T) {
	l := &line{}
	s := testStream(t, l, func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response { panic("asked") })
	s.dispatch(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Request{Request: &tunnelpb.Request{Id: 1}}})
	s.owned.Wait()
	if got := l.responses(); len(got) != 1 || got[0].GetFailure().GetCode() != string(sallyport.CodeUnsupported) {
		t.Fatalf("answers %v", got)
	}
}

func TestRequestsAreBoundedAndRepeatedIdsIgnored(t *testing.T) {
	l := &line{}
	release := make(chan struct{})
	s := testStream(t, l, func(context.Context, *tunnelpb.Request, func()) *tunnelpb.Response { <-release; return nil })
	for id := range uint64(4) {
		s.dispatch(frameOf(id, nil))
		s.dispatch(frameOf(id, nil))
	}
	s.dispatch(frameOf(9, nil))
	deadline := time.Now().Add(10 * time.Second)
	for len(l.responses()) == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	got := l.responses()
	if len(got) != 1 || got[0].GetId() != 9 || got[0].GetFailure().GetCode() != string(sallyport.CodeUnavailable) {
		t.Fatalf("answers %v, want 9 refused", got)
	}
	close(release)
	s.owned.Wait()
	if n := len(l.responses()); n != 5 {
		t.Fatalf("%d answers to 5 requests", n)
	}
}

func TestCancelEndsTheHandler(t *testing.T) {
	l := &line{}
	s := testStream(t, l, func(ctx context.Context, _ *tunnelpb.Request, _ func()) *tunnelpb.Response { <-ctx.Done(); return nil })
	s.dispatch(frameOf(1, nil))
	s.dispatch(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Cancel{Cancel: &tunnelpb.Cancel{Id: 1}}})
	s.owned.Wait()
	if got := l.responses(); len(got) != 1 || got[0].GetFailure().GetCode() != string(sallyport.CodeExpired) {
		t.Fatalf("answers %v", got)
	}
}

func TestProgressWaitsForConfirmationOnlyWhenTheCloudGivesOne(t *testing.T) {
	for _, c := range []struct {
		name     string
		features []string
		confirm  bool
		want     error
	}{
		{"older cloud", nil, false, nil},
		{"confirmed", []string{featureProgressAck}, true, nil},
		{"stream breaks first", []string{featureProgressAck}, false, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &line{}
			after := make(chan error, 1)
			s := testStream(t, l, func(ctx context.Context, _ *tunnelpb.Request, progress func()) *tunnelpb.Response {
				progress()
				after <- ctx.Err()
				return nil
			}, c.features...)
			s.dispatch(frameOf(1, nil))
			switch {
			case c.confirm:
				s.dispatch(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_ProgressAck{ProgressAck: &tunnelpb.ProgressAck{Id: 1}}})
			case c.want != nil:
				s.end()
			}
			if got := <-after; !errors.Is(got, c.want) {
				t.Fatalf("context after progress: %v, want %v", got, c.want)
			}
			s.owned.Wait()
		})
	}
}

func TestBackoffGrowsJitteredToItsBound(t *testing.T) {
	b := &backoff{min: 100 * time.Millisecond, max: time.Second}
	for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		want *= time.Millisecond
		if got := b.pause(); got < want/2 || got > want {
			t.Fatalf("pause %d is %v, want half to all of %v", i, got, want)
		}
	}
	b.reset()
	if got := b.pause(); got > 100*time.Millisecond {
		t.Fatalf("pause after reset is %v", got)
	}
}

func TestCandidatesPutTheOneToAvoidLast(t *testing.T) {
	c := &Client{cfg: Config{Addresses: []string{"127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"}, Timing: Timing{Connect: time.Second}}}
	for range 20 {
		got, err := c.candidates(t.Context(), "127.0.0.2:1")
		if err != nil || len(got) != 3 || got[2].target != "127.0.0.2:1" {
			t.Fatalf("%v, %v", got, err)
		}
	}
}

func FuzzProxyAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\n\r\nearly")
	f.Add("HTTP/1.0 407 No\r\nContent-Length: 5\r\n\r\nnever")
	f.Add("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxProxyAnswer))
	f.Fuzz(func(t *testing.T, answer string) {
		near, far := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, far) })
		wg.Go(func() { _, _ = io.WriteString(far, answer); _ = far.Close() })
		conn, err := connectThrough(near, &url.URL{Scheme: "http", User: url.UserPassword("u", "p")}, "cloud:443")
		if err == nil {
			rest, _ := io.ReadAll(conn)
			if !strings.HasSuffix(answer, string(rest)) {
				t.Fatalf("after %q the tunnel begins with %q", answer, rest)
			}
		}
		_ = near.Close()
		wg.Wait()
	})
}
