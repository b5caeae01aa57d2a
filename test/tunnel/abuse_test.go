package tunnel_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	gcredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	cloud "github.com/sallyport/sallyport/cloud/tunnel"
	"github.com/sallyport/sallyport/internal/pki"
)

// rawStream is a stream of an appliance that does not use our client.
func (w *world) rawStream(id sallyport.ApplianceID, addr string, opts ...grpc.CallOption) tunnelpb.Tunnel_ConnectClient {
	w.t.Helper()
	cert := w.certificate(pki.Identity{Tenant: tenant, Appliance: id}, time.Hour)
	config := pki.ClientTLS(func() (*tls.Certificate, error) { return &cert, nil }, w.ca.Pool(), "")
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(gcredentials.NewTLS(config)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cc.Close() })
	s, err := tunnelpb.NewTunnelClient(cc).Connect(context.Background(), opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func hello() *tunnelpb.ApplianceFrame {
	return &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Hello{Hello: &tunnelpb.Hello{
		Version: "raw", Instance: sallyport.NewID(), Features: []string{"progress", "progress_ack", "cancel", "drain"},
	}}}
}

func mustSend(t testing.TB, s tunnelpb.Tunnel_ConnectClient, f *tunnelpb.ApplianceFrame) {
	t.Helper()
	if err := s.Send(f); err != nil {
		t.Fatal(err)
	}
}

// ended reads until the stream ends and returns its code.
func ended(t testing.TB, s tunnelpb.Tunnel_ConnectClient) codes.Code {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := s.Recv(); err != nil {
				done <- err
				return
			}
		}
	}()
	return status.Code(await(t, "the stream ends", done))
}

// junk is a codec that sends octets as they are.
type junk []byte

func (junk) Name() string                         { return "proto" }
func (j junk) Marshal(any) ([]byte, error)        { return j, nil }
func (junk) Unmarshal(data []byte, dst any) error { return nil }

var _ encoding.Codec = junk{}

func TestBadStreamsEndAloneAndHarmNobody(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	good := w.appliance("good", []string{a.addr})
	connected(t, good, a)
	oversize := &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{
		Body: &tunnelpb.Call_Renew{Renew: &tunnelpb.Renew{Csr: make([]byte, cloud.MaxFrame)}},
	}}}
	for _, c := range []struct {
		name  string
		first *tunnelpb.ApplianceFrame
		then  *tunnelpb.ApplianceFrame
		want  codes.Code
	}{
		{"oversize frame", hello(), oversize, codes.ResourceExhausted},
		{"no hello first", &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Heartbeat{}}, nil, codes.InvalidArgument},
		{"empty first frame", &tunnelpb.ApplianceFrame{}, nil, codes.InvalidArgument},
		{"bad instance", &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Hello{Hello: &tunnelpb.Hello{Instance: "a b"}}}, nil, codes.InvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := w.rawStream("bad", a.addr)
			mustSend(t, s, c.first)
			if c.then != nil {
				mustSend(t, s, c.then)
			}
			if got := ended(t, s); got != c.want {
				t.Fatalf("ended with %v, want %v", got, c.want)
			}
		})
	}
	t.Run("rubbish", func(t *testing.T) {
		s := w.rawStream("bad", a.addr, grpc.ForceCodec(junk{0xff, 0xff, 0xff, 0xff, 0xff}))
		mustSend(t, s, hello())
		if got := ended(t, s); got != codes.InvalidArgument && got != codes.Internal { // ours or gRPC's
			t.Fatalf("ended with %v", got)
		}
	})
	t.Run("silent from the start", func(t *testing.T) {
		s := w.rawStream("bad", a.addr)
		if err := s.Send(&tunnelpb.ApplianceFrame{}); err != nil {
			t.Fatal(err)
		}
		ended(t, s)
	})
	wantCode(t, await(t, "a good appliance's request ends", ask(t, a, credentials())), "")
	// The second stream may not have been open yet when the bad ones came: it comes all the same.
	eventually(t, "the good appliance has both streams", func() bool { return len(good.client.Status().Streams) == 2 })
}

func TestUnknownAnswersAreIgnored(t *testing.T) {
	w := newWorld(t)
	a := w.replica("a")
	s := w.rawStream("odd", a.addr)
	mustSend(t, s, hello())
	for _, f := range []*tunnelpb.ApplianceFrame{
		{},
		{Body: &tunnelpb.ApplianceFrame_Response{Response: &tunnelpb.Response{Id: 77}}},
		{Body: &tunnelpb.ApplianceFrame_Progress{Progress: &tunnelpb.Progress{Id: 77, BindStarted: true}}},
		hello(),
	} {
		mustSend(t, s, f)
	}
	present(t, a, 1)
	done := ask(t, a, ping([]byte("x")))
	for {
		f, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if f.GetProgressAck() != nil {
			t.Fatal("a progress of nothing was confirmed")
		}
		if r := f.GetRequest(); r != nil {
			mustSend(t, s, &tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Response{Response: &tunnelpb.Response{
				Id: r.GetId(), Body: &tunnelpb.Response_Pong{Pong: &tunnelpb.Pong{Payload: []byte("x")}},
			}}})
			break
		}
	}
	wantCode(t, await(t, "the request ends", done), "")
}

func TestStreamsPerApplianceAreBounded(t *testing.T) {
	w := newWorld(t)
	w.limits.Streams = 2
	a := w.replica("a")
	for range 2 {
		mustSend(t, w.rawStream("greedy", a.addr), hello())
	}
	present(t, a, 2)
	third := w.rawStream("greedy", a.addr)
	mustSend(t, third, hello())
	if got := ended(t, third); got != codes.ResourceExhausted {
		t.Fatalf("ended with %v", got)
	}
}

func TestApplianceThatReadsNothingIsCut(t *testing.T) {
	w := newWorld(t)
	w.limits.Queue = 256 << 10
	a := w.replica("a")
	s := w.rawStream("slow", a.addr)
	mustSend(t, s, hello())
	present(t, a, 1)
	ctx := within(t, 15*time.Second)
	for range 64 {
		go func() { _, _ = a.hub.Do(ctx, tenant, ping(make([]byte, 32<<10))) }()
	}
	eventually(t, "the stream is cut", func() bool { return a.hub.Stats().Streams == 0 })
}
