package tunnel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/api/tunnelpb"
)

// The features of both ends (tunnel.proto).
const featureProgressAck = "progress_ack"

func applianceFeatures() []string {
	return []string{"progress", featureProgressAck, "cancel", "drain", "join"}
}

// Bounds of what the cloud's Welcome may ask for.
const (
	minHeartbeat = 50 * time.Millisecond
	maxHeartbeat = time.Minute
)

var errBroken = errors.New("stream broke")

// connection is the part of the gRPC stream that is used.
type connection interface {
	Send(*tunnelpb.ApplianceFrame) error
	Recv() (*tunnelpb.CloudFrame, error)
	CloseSend() error
}

// stream is one open stream.
type stream struct {
	c         *Client
	conn      connection
	cc        *grpc.ClientConn
	cancel    context.CancelFunc // of ctx: ends the stream at once
	ctx       context.Context    // of the stream and of its requests
	remote    string             // address dialled
	welcome   *tunnelpb.Welcome
	features  map[string]struct{}
	heartbeat time.Duration
	since     time.Time

	heard   atomic.Int64  // ns after since
	done    chan struct{} // closed when nothing is received any more
	drained chan struct{} // closed by Drain
	owned   sync.WaitGroup

	sendMu    sync.Mutex
	sendOver  bool
	sendingAt atomic.Int64 // ns after since; 0: not sending

	mu       sync.Mutex
	requests map[uint64]*request
	idle     chan struct{} // closed when closing and requests is empty
	closing  bool
	calls    map[uint64]chan *tunnelpb.Result
	callRoom chan struct{}
}

func newStream(c *Client, ctx context.Context, cancel context.CancelFunc, conn connection) *stream {
	return &stream{
		c: c, conn: conn, ctx: ctx, cancel: cancel, since: time.Now(),
		done: make(chan struct{}), drained: make(chan struct{}), idle: make(chan struct{}),
		requests: map[uint64]*request{}, calls: map[uint64]chan *tunnelpb.Result{},
		callRoom: make(chan struct{}, maxCalls),
	}
}

// greet exchanges Hello and Welcome.
func (s *stream) greet() error {
	c := s.c
	hello := &tunnelpb.Hello{
		Version: c.cfg.Version, Features: applianceFeatures(), Instance: c.instance, Joining: c.cfg.Joining(),
	}
	if !hello.Joining {
		hello.Keys = c.cfg.Statement()
	}
	if err := s.send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Hello{Hello: hello}}); err != nil {
		// The reason is in what is received.
		_, recvErr := s.conn.Recv()
		return fmt.Errorf("greet cloud: %w", errors.Join(err, recvErr))
	}
	first, err := s.conn.Recv()
	if err != nil {
		return fmt.Errorf("greet cloud: %w", err)
	}
	s.welcome = first.GetWelcome()
	if s.welcome == nil {
		return errors.New("greet cloud: the first frame is no welcome")
	}
	s.heartbeat = min(max(time.Duration(s.welcome.GetHeartbeatMs())*time.Millisecond, minHeartbeat), maxHeartbeat)
	s.features = map[string]struct{}{}
	for _, f := range s.welcome.GetFeatures() {
		s.features[f] = struct{}{}
	}
	return nil
}

func (s *stream) has(feature string) bool {
	_, ok := s.features[feature]
	return ok
}

// start begins to receive and to send heartbeats.
func (s *stream) start() {
	s.alive()
	s.owned.Go(s.receive)
	s.owned.Go(s.beat)
}

func (s *stream) alive() { s.heard.Store(int64(time.Since(s.since))) }

func (s *stream) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *stream) isDraining() bool {
	select {
	case <-s.drained:
		return true
	default:
		return false
	}
}

// send gives a frame to gRPC. It blocks while the cloud takes nothing in; the watchdog ends that.
func (s *stream) send(f *tunnelpb.ApplianceFrame) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.sendOver {
		return errBroken
	}
	s.sendingAt.Store(int64(time.Since(s.since)))
	defer s.sendingAt.Store(0)
	return s.conn.Send(f)
}

// receive works on frames until the stream ends.
func (s *stream) receive() {
	var err error
	for {
		var frame *tunnelpb.CloudFrame
		if frame, err = s.conn.Recv(); err != nil {
			break
		}
		s.alive()
		s.dispatch(frame)
	}
	s.end()
	s.c.log.Info("tunnel stream ended", "replica", s.welcome.GetReplica(), "reason", err)
}

// dispatch works on one frame; what is unknown is ignored.
func (s *stream) dispatch(frame *tunnelpb.CloudFrame) {
	switch body := frame.GetBody().(type) {
	case *tunnelpb.CloudFrame_Request:
		s.take(body.Request)
	case *tunnelpb.CloudFrame_Cancel:
		s.cancelRequest(body.Cancel.GetId())
	case *tunnelpb.CloudFrame_ProgressAck:
		s.confirmed(body.ProgressAck.GetId())
	case *tunnelpb.CloudFrame_Result:
		s.result(body.Result)
	case *tunnelpb.CloudFrame_Drain:
		if !s.isDraining() {
			s.c.log.Info("replica drains", "replica", s.welcome.GetReplica(), "reason", body.Drain.GetReason())
			close(s.drained)
		}
	}
}

// end fails what waits for this stream.
func (s *stream) end() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.done)
	s.calls = nil
}

// beat sends heartbeats and the key statement, and ends a stream that is silent or stuck.
func (s *stream) beat() {
	tick := time.NewTicker(s.heartbeat)
	defer tick.Stop()
	watch := time.NewTicker(s.heartbeat / 4)
	defer watch.Stop()
	statement := time.NewTicker(s.c.cfg.Timing.Statement)
	defer statement.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	for {
		select {
		case <-s.done:
			return
		case <-watch.C:
			s.watch()
		case <-tick.C:
			if s.sendingAt.Load() == 0 { // otherwise frames go out anyway, or the stream is stuck
				sending.Go(s.sendHeartbeat)
			}
		case <-statement.C:
			sending.Go(s.sendStatement)
		}
	}
}

func (s *stream) watch() {
	now, patience := time.Since(s.since), 3*s.heartbeat
	at := time.Duration(s.sendingAt.Load())
	if now-time.Duration(s.heard.Load()) > patience || (at != 0 && now-at > patience) {
		s.c.log.Warn("tunnel stream silent", "replica", s.welcome.GetReplica())
		s.cancel()
	}
}

func (s *stream) sendHeartbeat() {
	_ = s.send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Heartbeat{
		Heartbeat: &tunnelpb.Heartbeat{SentUnixMs: time.Now().UnixMilli()},
	}})
}

func (s *stream) sendStatement() {
	keys := s.c.cfg.Statement()
	if keys == nil || s.c.cfg.Joining() || !s.has("keys") {
		return
	}
	// Nobody waits for the result: the next one comes soon.
	_ = s.send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Call{Call: &tunnelpb.Call{
		Id: s.c.lastCall.Add(1), Body: &tunnelpb.Call_Keys{Keys: keys},
	}}})
}

// settle is how long requests that the cloud sent before it read Leaving may take to arrive.
const settle = 100 * time.Millisecond

// leave tells the cloud to send no more, finishes what is in flight for at most patience, and closes.
func (s *stream) leave(patience time.Duration) {
	defer s.close()
	if s.over() {
		return
	}
	err := s.send(&tunnelpb.ApplianceFrame{Body: &tunnelpb.ApplianceFrame_Leaving{Leaving: &tunnelpb.Leaving{Reason: "moves or stops"}}})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	sleep(ctx, settle)
	s.mu.Lock()
	s.closing = true
	if len(s.requests) == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
	case <-ctx.Done():
	}
	s.closeSend()
	select {
	case <-s.done:
	case <-time.After(time.Second):
	}
}

func (s *stream) closeSend() {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.sendOver = true
	_ = s.conn.CloseSend()
}

func (s *stream) close() {
	s.cancel()
	_ = s.cc.Close()
	s.owned.Wait()
}
