package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

const (
	reasonRevoked = "certificate revoked"
	reasonSilent  = "no heartbeat"
	reasonStuck   = "takes nothing in"
	reasonFull    = "send queue full"
	reasonExpired = "certificate ended"
)

// drainBeforeEnd is how long before its certificate ends a stream is asked to come back with a new one.
const drainBeforeEnd = 2 * time.Minute

var (
	errNotSent = errors.New("stream takes no request")
	errBroken  = errors.New("stream broke")
)

// sender is the part of a gRPC stream that sends.
type sender interface {
	Send(*tunnelpb.CloudFrame) error
}

// stream is one stream of an appliance. Frames are queued by whoever has one and sent by a goroutine
// that lives only while there are any, so that an idle stream costs its receiving goroutine alone.
type stream struct {
	id       pki.Identity
	instance string
	version  string
	features map[string]struct{}
	joining  bool
	since    time.Time
	certEnds time.Time

	limits    Limits
	heartbeat time.Duration
	out       sender
	conn      net.Conn

	epoch    time.Time    // heard counts from here, so that a clock that is set cuts nobody
	heard    atomic.Int64 // when the last frame came
	calls    atomic.Int32 // calls of the appliance under way
	draining atomic.Bool
	leaving  atomic.Bool
	moved    func() // tells the presence that draining or leaving changed

	mu        sync.Mutex
	queue     []*tunnelpb.CloudFrame
	queued    int // octets
	sending   bool
	sendingAt time.Time
	inFlight  map[uint64]*inFlight
	lastID    uint64
	ended     bool
	cutReason string
	nextBeat  time.Time
	now       func() time.Time
	flushed   sync.WaitGroup
}

// inFlight is a request that waits for its answer.
type inFlight struct {
	done  chan struct{} // closed when answer is set or the stream broke
	bound chan struct{} // closed when the bind has started

	answer *tunnelpb.Response
	bind   bool
}

func (s *stream) has(feature string) bool {
	_, ok := s.features[feature]
	return ok
}

func (s *stream) load() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inFlight)
}

// open reports whether the stream takes new requests, and whether it should be the last choice.
func (s *stream) open() (ok, last bool) {
	return !s.leaving.Load(), s.draining.Load()
}

// ask sends a request and waits for its end. The error is errNotSent, errBroken, or the
// context's. bindMaybe says that the directory may have been asked.
func (s *stream) ask(ctx context.Context, req *tunnelpb.Request, onBind func()) (resp *tunnelpb.Response, bindMaybe bool, err error) {
	f, id, err := s.start(ctx, req)
	if err != nil {
		return nil, false, err
	}
	bound := f.bound
	for {
		select {
		case <-f.done:
			if f.answer == nil {
				return nil, f.bind || !s.has(featureProgress), errBroken
			}
			return f.answer, f.bind, nil
		case <-bound:
			bound = nil
			onBind()
		case <-ctx.Done():
			if answer, bind, answered := s.forget(id, f); answered {
				return answer, bind, nil
			}
			if s.has(featureCancel) {
				s.send(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Cancel{Cancel: &tunnelpb.Cancel{Id: id}}})
			}
			return nil, f.bind, ctx.Err()
		}
	}
}

func (s *stream) start(ctx context.Context, req *tunnelpb.Request) (*inFlight, uint64, error) {
	f := &inFlight{done: make(chan struct{}), bound: make(chan struct{})}
	s.mu.Lock()
	if s.ended || s.cutReason != "" || len(s.inFlight) >= s.limits.InFlight {
		s.mu.Unlock()
		return nil, 0, errNotSent
	}
	if s.inFlight == nil {
		s.inFlight = map[uint64]*inFlight{}
	}
	s.lastID++
	id := s.lastID
	s.inFlight[id] = f
	s.mu.Unlock()
	s.send(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Request{Request: &tunnelpb.Request{
		Id: id, TimeoutMs: timeLeft(ctx), Trace: req.GetTrace(), Body: req.GetBody(),
	}}})
	return f, id, nil
}

func (s *stream) forget(id uint64, f *inFlight) (answer *tunnelpb.Response, bind, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, id)
	return f.answer, f.bind, f.answer != nil
}

// answered takes a Response in. One that nobody waits for (any more) is ignored.
func (s *stream) answered(resp *tunnelpb.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.inFlight[resp.GetId()]
	if f == nil {
		return
	}
	delete(s.inFlight, resp.GetId())
	f.answer = resp
	close(f.done)
}

// progressed takes a Progress in and confirms it, if somebody still waits for the request. After the
// confirmation the appliance may ask the directory; without it, never.
func (s *stream) progressed(p *tunnelpb.Progress) {
	if !p.GetBindStarted() {
		return
	}
	s.mu.Lock()
	f := s.inFlight[p.GetId()]
	if f != nil && !f.bind {
		f.bind = true
		close(f.bound)
	}
	s.mu.Unlock()
	if f != nil && s.has(featureProgressAck) {
		s.send(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_ProgressAck{ProgressAck: &tunnelpb.ProgressAck{Id: p.GetId()}}})
	}
}

// send queues a frame. A stream whose queue is full is cut.
func (s *stream) send(frame *tunnelpb.CloudFrame) {
	size := proto.Size(frame)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.queued+size > s.limits.Queue {
		s.cutLocked(reasonFull)
		return
	}
	s.queue = append(s.queue, frame)
	s.queued += size
	if s.sending {
		return
	}
	s.sending, s.sendingAt = true, s.now()
	s.flushed.Add(1)
	go s.flush()
}

// flush sends what is queued and ends when nothing is.
func (s *stream) flush() {
	defer s.flushed.Done()
	for {
		s.mu.Lock()
		batch := s.queue
		s.queue = nil
		if len(batch) == 0 || s.ended {
			s.sending = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, frame := range batch {
			err := s.out.Send(frame)
			s.mu.Lock()
			s.queued -= proto.Size(frame)
			s.sendingAt = s.now()
			if err != nil {
				s.sending = false
				s.cutLocked("send: " + err.Error())
				s.mu.Unlock()
				return
			}
			s.mu.Unlock()
		}
	}
}

// cut closes the connection below the stream; its handler then ends.
func (s *stream) cut(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutLocked(reason)
}

func (s *stream) cutLocked(reason string) {
	if s.cutReason != "" || s.ended {
		return
	}
	s.cutReason = reason
	_ = s.conn.Close()
}

// end fails what is in flight. It returns why the stream was cut, "" if it was not.
func (s *stream) end() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for id, f := range s.inFlight {
		delete(s.inFlight, id)
		close(f.done)
	}
	s.queue, s.queued = nil, 0
	return s.cutReason
}

// drain asks the appliance to move, once.
func (s *stream) drain(reason string) {
	if s.draining.Swap(true) {
		return
	}
	s.moved()
	if s.has(featureDrain) {
		s.send(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Drain{Drain: &tunnelpb.Drain{Reason: reason}}})
	}
}

// watch sends the heartbeat when it is due and cuts a stream that is silent or stuck.
func (s *stream) watch(now time.Time) {
	patience := 3 * s.heartbeat
	if now.Sub(s.epoch)-time.Duration(s.heard.Load()) > patience {
		s.cut(reasonSilent)
		return
	}
	if now.After(s.certEnds) {
		s.cut(reasonExpired)
		return
	}
	if now.After(s.certEnds.Add(-drainBeforeEnd)) {
		s.drain("the certificate ends soon")
	}
	s.mu.Lock()
	stuck := s.sending && now.Sub(s.sendingAt) > patience
	due := !now.Before(s.nextBeat)
	if due {
		s.nextBeat = now.Add(s.heartbeat)
	}
	s.mu.Unlock()
	switch {
	case stuck:
		s.cut(reasonStuck)
	case due:
		s.send(&tunnelpb.CloudFrame{Body: &tunnelpb.CloudFrame_Heartbeat{Heartbeat: &tunnelpb.Heartbeat{SentUnixMs: now.UnixMilli()}}})
	}
}

// timeLeft is what Request.timeout_ms says: at least 1 ms, at most maxTimeout.
func timeLeft(ctx context.Context) uint32 {
	left := maxTimeout
	if d, ok := ctx.Deadline(); ok {
		left = min(max(time.Until(d), time.Millisecond), maxTimeout)
	}
	return uint32(left / time.Millisecond)
}
