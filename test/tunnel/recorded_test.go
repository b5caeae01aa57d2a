package tunnel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	gcredentials "google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// The recordings hold the frames of one stream, each after its length in four octets, big-endian:
// those of a release that knows neither features nor ProgressAck ("older"), and those of a release
// that has fields, features and bodies which this one does not know ("newer"). They are made once, with
// -record, and then stay: they show what must go on to work, whatever the code becomes.
var record = flag.Bool("record", false, "write the recordings anew")

func recording(t testing.TB, name string, frames ...proto.Message) [][]byte {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *record {
		var out []byte
		for _, f := range frames {
			raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(raw))), raw...)
		}
		if err := os.WriteFile(file, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for r := bytes.NewReader(all); ; {
		var n uint32
		if err := binary.Read(r, binary.BigEndian, &n); errors.Is(err, io.EOF) {
			return out
		}
		raw := make([]byte, n)
		if _, err := io.ReadFull(r, raw); err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
}

// newer adds to a message a field that no release knows yet.
func newer[M proto.Message](m M) M {
	b := protowire.AppendTag(nil, 1999, protowire.BytesType)
	m.ProtoReflect().SetUnknown(protowire.AppendBytes(b, []byte("from a later release")))
	return m
}

func olderConnector() []proto.Message {
	return []proto.Message{
		&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Hello{Hello: &tunnelpb.Hello{Version: "0.0.9", Instance: "older"}}},
		&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{Id: 1, TimeoutMs: 5000, Body: &tunnelpb.Call_Keys{
			Keys: &tunnelpb.KeyStatement{Statement: []byte("statement"), Signature: []byte("signature")},
		}}}},
		&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{Id: 2, TimeoutMs: 5000, Body: &tunnelpb.Call_Claims{
			Claims: &tunnelpb.ClaimBatch{Claims: []*tunnelpb.Claim{{Key: bytes.Repeat([]byte{5}, 16), TtlMs: 60000}}},
		}}}},
		&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Heartbeat{Heartbeat: &tunnelpb.Heartbeat{SentUnixMs: 1700000000000}}},
		&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Response{Response: &tunnelpb.Response{Id: 1, Body: &tunnelpb.Response_LoginView{
			LoginView: &tunnelpb.LoginView{Version: 1, Phase: tunnelpb.Phase_PHASE_WAITING, State: []byte("state"), Sealed: []byte("sealed")},
		}}}},
	}
}

func newerConnector() []proto.Message {
	first := newer(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Hello{Hello: newer(&tunnelpb.Hello{
		Version: "9.9.9", Instance: "newer", Features: []string{"progress", "progress_ack", "cancel", "drain", "join", "time-travel"},
	})}})
	rest := olderConnector()[1:]
	return append([]proto.Message{first, newer(&tunnelpb.ApplianceFrame{})}, rest...)
}

func TestRecordedConnectorsAreServed(t *testing.T) {
	for _, c := range []struct {
		name   string
		frames []proto.Message
		later  bool // knows this release's features
	}{
		{"older-connector.bin", olderConnector(), false},
		{"newer-connector.bin", newerConnector(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.replica("a")
			frames := recording(t, c.name, c.frames...)
			s := w.rawStream("recorded", a.addr)
			last := len(frames) - 1
			for _, raw := range frames[:last] {
				sendRaw(t, s, raw)
			}
			present(t, a, 1)
			claimed := map[uint64]*tunnelpb.Result{}
			done := ask(t, a, credentials())
			var welcome *tunnelpb.Welcome
			asked := false
			for !asked || len(claimed) < 2 {
				f, err := s.Recv()
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case f.GetWelcome() != nil:
					welcome = f.GetWelcome()
				case f.GetResult() != nil:
					claimed[f.GetResult().GetId()] = f.GetResult()
				case f.GetRequest() != nil:
					asked = true
				}
			}
			if welcome.GetReplica() != "a" || claimed[1].GetAck() == nil || !claimed[2].GetClaims().GetFirst()[0] {
				t.Fatalf("welcome %v, results %v", welcome, claimed)
			}
			sendRaw(t, s, frames[last])
			o := await(t, "the request ends", done)
			if o.err != nil || string(o.resp.GetLoginView().GetState()) != "state" {
				t.Fatalf("%v, %v", o.resp, o.err)
			}
			if k, err := a.hub.Statement(context.Background(), tenant); err != nil || string(k.GetStatement()) != "statement" {
				t.Fatalf("%v, %v", k, err)
			}
			silentAboutUnknown(t, a, s, c.later)
		})
	}
}

// silentAboutUnknown checks that a connector is sent nothing that it did not say it knows, and that a
// request which an older connector took with it is not given to another.
func silentAboutUnknown(t *testing.T, a *replica, s tunnelpb.Tunnel_ConnectClient, later bool) {
	t.Helper()
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.hub.Do(short, tenant, wait()); sallyport.ErrorCode(err) != sallyport.CodeExpired {
		t.Fatalf("unanswered wait: %v", err)
	}
	drainCtx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	_ = a.hub.Drain(drainCtx) // the recording does not move
	done := ask(t, a, credentials())
	seen := map[string]bool{}
	for requests := 0; requests < 2; {
		f, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		switch f.GetBody().(type) {
		case *tunnelpb.CloudFrame_Cancel:
			seen["cancel"] = true
		case *tunnelpb.CloudFrame_Drain:
			seen["drain"] = true
		case *tunnelpb.CloudFrame_Request:
			requests++
		}
	}
	if seen["cancel"] != later || seen["drain"] != later {
		t.Fatalf("sent %v to a connector that knows these frames: %v", seen, later)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	want := sallyport.CodeUncertain // without Progress nobody knows how far it came
	if later {
		want = sallyport.CodeUnavailable
	}
	wantCode(t, await(t, "the last request ends", done), want)
}

func sendRaw(t testing.TB, s tunnelpb.Tunnel_ConnectClient, raw []byte) {
	t.Helper()
	f := &tunnelpb.ApplianceFrame{}
	if err := proto.Unmarshal(raw, f); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, f) // what this release does not know is kept and sent as it was
}

func olderCloud() []proto.Message {
	return []proto.Message{
		&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Welcome{Welcome: &tunnelpb.Welcome{Version: "0.0.9", Replica: "older", HeartbeatMs: 1000}}},
		&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Heartbeat{Heartbeat: &tunnelpb.Heartbeat{SentUnixMs: 1700000000000}}},
		&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Request{Request: &tunnelpb.Request{Id: 1, TimeoutMs: 10000, Body: credentials().GetBody()}}},
	}
}

func newerCloud() []proto.Message {
	return []proto.Message{
		newer(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Welcome{Welcome: newer(&tunnelpb.Welcome{
			Version: "9.9.9", Replica: "newer", HeartbeatMs: 1000, Features: []string{"claims", "renew", "keys", "join", "time-travel"},
		})}}),
		newer(&tunnelpb.CloudFrame{}), // a body that this release does not know
		newer(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Request{Request: newer(&tunnelpb.Request{Id: 9, TimeoutMs: 10000})}}),
		newer(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Request{Request: newer(&tunnelpb.Request{Id: 1, TimeoutMs: 10000, Body: credentials().GetBody()})}}),
	}
}

// replayCloud plays a recording to whoever connects and hands on what comes back.
type replayCloud struct {
	tunnelpb.UnimplementedTunnelServer
	frames [][]byte
	got    chan *tunnelpb.ApplianceFrame
}

func (r *replayCloud) Connect(s tunnelpb.Tunnel_ConnectServer) error {
	for {
		f, err := s.Recv()
		if err != nil {
			return err
		}
		if f.GetHello() != nil {
			for _, raw := range r.frames {
				out := &tunnelpb.CloudFrame{}
				if err := proto.Unmarshal(raw, out); err != nil {
					return err
				}
				if err := s.Send(out); err != nil {
					return err
				}
			}
		}
		select {
		case r.got <- f:
		default:
		}
	}
}

func TestRecordedCloudsAreServed(t *testing.T) {
	for _, c := range []struct {
		name   string
		frames []proto.Message
	}{{"older-cloud.bin", olderCloud()}, {"newer-cloud.bin", newerCloud()}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			cert, err := w.ca.ServerCertificate(time.Now(), time.Hour, "127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			srv := grpc.NewServer(grpc.Creds(gcredentials.NewTLS(pki.ServerTLS(cert, w.ca.Pool()))))
			replay := &replayCloud{frames: recording(t, c.name, c.frames...), got: make(chan *tunnelpb.ApplianceFrame, 1000)}
			tunnelpb.RegisterTunnelServer(srv, replay)
			var served sync.WaitGroup
			served.Go(func() { _ = srv.Serve(lis) })
			t.Cleanup(func() { srv.Stop(); served.Wait() })
			one := w.appliance("one", []string{lis.Addr().String()})
			answers, progress := map[uint64]*tunnelpb.Response{}, false
			for answers[1] == nil {
				f := await(t, "the appliance answers", replay.got)
				if r := f.GetResponse(); r != nil {
					answers[r.GetId()] = r
				}
				progress = progress || f.GetProgress() != nil
			}
			if answers[1].GetLoginView().GetVersion() != 1 || !progress {
				t.Fatalf("answers %v, progress %v", answers, progress)
			}
			if u := answers[9]; u != nil && u.GetFailure().GetCode() != string(sallyport.CodeUnsupported) {
				t.Fatalf("unknown request answered with %v", u)
			}
			if !one.client.Connected() {
				t.Fatal("not connected")
			}
		})
	}
}
