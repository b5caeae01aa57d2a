package tunnel

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// A handover passes a request to the replica that holds a stream (api/tunnelpb/handover.proto). What
// must not be done twice has a token in Redis that goes one way only, by one atomic command:
//
//	offered -> taken      by the holder, before it does anything
//	offered -> withdrawn  by the origin, before it turns elsewhere
//
// Whoever comes second, or finds no token (Redis lost it), assumes the other one did it.
const (
	tokenOffered   = "offered"
	tokenTaken     = "taken"
	tokenWithdrawn = "withdrawn"

	// silentBeats is after how many beats unheard a holder is lost.
	silentBeats = 4
	// maxHandover bounds a message between replicas.
	maxHandover = MaxFrame + 4<<10
	maxAddress  = 128
)

func channelOf(address string) string { return "sp:replica:" + address }

func tokenKey(tenant sallyport.TenantID) string {
	return "sp:{" + string(tenant) + "}:handover:" + sallyport.NewID()
}

// handovers holds both ends' state: peers for what this replica handed over, in for what it works on.
type handovers struct {
	mu     sync.Mutex
	lastID uint64
	peers  map[string]*peerReplica
	in     map[inKey]context.CancelFunc
	limit  int
}

// peerReplica is a holder that this replica waits for.
type peerReplica struct {
	heard   time.Time
	waiting map[uint64]*handedOver
}

// handedOver is a request that another replica works on, as its origin sees it.
type handedOver struct {
	signs    chan *tunnelpb.Handover
	lost     chan struct{}
	accepted time.Time // zero before
}

type inKey struct {
	from string
	id   uint64
}

func (o *handovers) init(limit int) {
	o.peers, o.in, o.limit = map[string]*peerReplica{}, map[inKey]context.CancelFunc{}, limit
	o.lastID = rand.Uint64()
}

func (o *handovers) open() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.in)
}

func (o *handovers) begin(address string) (uint64, *handedOver) {
	w := &handedOver{signs: make(chan *tunnelpb.Handover, 8), lost: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastID++
	p := o.peers[address]
	if p == nil {
		p = &peerReplica{waiting: map[uint64]*handedOver{}}
		o.peers[address] = p
	}
	p.waiting[o.lastID] = w
	return o.lastID, w
}

func (o *handovers) finish(address string, id uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.peers[address]
	if p == nil {
		return // given up on, and the last to leave was another
	}
	delete(p.waiting, id)
	if len(p.waiting) == 0 {
		delete(o.peers, address)
	}
}

func (o *handovers) accept(w *handedOver, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.accepted = now
}

// hear takes a sign of life of a holder to whoever waits for it.
func (o *handovers) hear(m *tunnelpb.Handover, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.peers[m.GetFrom()]
	if p == nil {
		return
	}
	p.heard = now
	if w := p.waiting[m.GetId()]; w != nil {
		select {
		case w.signs <- m:
		default: // more signs than the protocol has: repetitions
		}
	}
}

// loseSilent gives up on accepted handovers whose holder was not heard for patience.
func (o *handovers) loseSilent(now time.Time, patience time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.peers {
		if now.Sub(p.heard) <= patience {
			continue
		}
		for id, w := range p.waiting {
			if !w.accepted.IsZero() && now.Sub(w.accepted) > patience {
				close(w.lost)
				delete(p.waiting, id)
			}
		}
	}
}

// askRemote offers the request to an appliance at another replica and waits for what becomes of it.
func (h *Hub) askRemote(ctx context.Context, e *errand, o offer) ending {
	e.triedReplicas[o], e.triedAppliances[o.appliance] = true, true
	token := ""
	if !e.repeatable {
		token = tokenKey(e.tenant)
	}
	id, w := h.handovers.begin(o.address)
	defer h.handovers.finish(o.address, id)
	there, err := h.publishOffer(ctx, id, token, e, o)
	r := &remote{h: h, w: w, id: id, token: token, offer: o, tenant: e.tenant}
	if err != nil && neverSent(err) {
		return ending{kind: tunnelpb.Ending_ENDING_NOT_DONE}
	}
	if err != nil || !there {
		if end, over := r.unheard(ctx); over {
			return end
		}
	}
	end := r.wait(ctx)
	if end.unheard {
		e.unheard = append(e.unheard, o)
	}
	return end
}

// neverSent reports whether a command cannot have reached Redis.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// remote is one handover as its origin follows it.
type remote struct {
	h        *Hub
	w        *handedOver
	id       uint64
	token    string
	offer    offer
	tenant   sallyport.TenantID
	accepted bool
	bind     bool
}

func (r *remote) wait(ctx context.Context) ending {
	patience := time.NewTimer(r.h.cfg.Timing.Accept)
	defer patience.Stop()
	for {
		select {
		case m := <-r.w.signs:
			if end, over := r.sign(m); over {
				return end
			}
		case <-patience.C:
			if r.accepted {
				continue
			}
			if end, over := r.unheard(ctx); over {
				end.unheard = true
				return end
			}
		case <-r.w.lost:
			r.h.log.Warn("replica lost during handover", "tenant", r.tenant, "replica", r.offer.address)
			r.h.presence.forget(r.tenant)
			return ending{kind: tunnelpb.Ending_ENDING_UNCERTAIN, bind: true}
		case <-ctx.Done():
			return r.leave()
		}
	}
}

func (r *remote) sign(m *tunnelpb.Handover) (ending, bool) {
	switch body := m.GetBody().(type) {
	case *tunnelpb.Handover_Accepted:
		r.accept()
	case *tunnelpb.Handover_BindStarted:
		r.accept()
		r.bind = true
	case *tunnelpb.Handover_Outcome:
		r.bind = r.bind || body.Outcome.GetBindStarted()
		return r.outcome(body.Outcome), true
	}
	return ending{}, false
}

func (r *remote) outcome(o *tunnelpb.Outcome) ending {
	switch kind := o.GetEnding(); kind {
	case tunnelpb.Ending_ENDING_ANSWERED:
		if o.GetResponse() == nil {
			return ending{kind: tunnelpb.Ending_ENDING_UNCERTAIN, bind: true}
		}
		return ending{kind: kind, resp: o.GetResponse(), bind: r.bind}
	case tunnelpb.Ending_ENDING_NOT_DONE:
		r.h.presence.forget(r.tenant)
		return ending{kind: kind}
	case tunnelpb.Ending_ENDING_EXPIRED:
		return ending{kind: kind, bind: r.bind}
	default: // uncertain, or an ending of a newer release
		return ending{kind: tunnelpb.Ending_ENDING_UNCERTAIN, bind: true}
	}
}

func (r *remote) accept() {
	if !r.accepted {
		r.accepted = true
		r.h.handovers.accept(r.w, r.h.cfg.Now())
	}
}

// unheard deals with an offer that nobody has accepted: it is withdrawn, or, when that comes too
// late, treated as accepted from now on.
func (r *remote) unheard(ctx context.Context) (ending, bool) {
	r.h.presence.forget(r.tenant)
	if r.token == "" {
		return ending{kind: tunnelpb.Ending_ENDING_NOT_DONE}, true
	}
	withdrawn, err := r.h.turnToken(ctx, r.token, tokenWithdrawn)
	if err != nil && ctx.Err() == nil {
		r.h.log.Warn("handover not withdrawn", "tenant", r.tenant, "error", err)
	}
	if withdrawn {
		return ending{kind: tunnelpb.Ending_ENDING_NOT_DONE}, true
	}
	r.accept()
	return ending{}, false
}

// leave gives up because the asker has gone or the time is over.
func (r *remote) leave() ending {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if !r.accepted && r.token != "" {
		if withdrawn, err := r.h.turnToken(ctx, r.token, tokenWithdrawn); err == nil && withdrawn {
			return ending{kind: tunnelpb.Ending_ENDING_EXPIRED}
		}
	}
	_, _ = r.h.publish(ctx, r.offer.address, &tunnelpb.Handover{Id: r.id, Body: &tunnelpb.Handover_Withdrawn{Withdrawn: &tunnelpb.Withdrawn{}}})
	return ending{kind: tunnelpb.Ending_ENDING_EXPIRED, bind: r.bind}
}

// turnToken moves a token out of "offered". False: it was not there, or not in that state.
func (h *Hub) turnToken(ctx context.Context, token, to string) (bool, error) {
	old, err := h.cfg.Redis.SetArgs(ctx, token, to, redis.SetArgs{Mode: "XX", Get: true, KeepTTL: true}).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil && old == tokenOffered, err
}

// publishOffer puts the token down and sends the offer. there is false when nobody listens.
func (h *Hub) publishOffer(ctx context.Context, id uint64, token string, e *errand, o offer) (there bool, err error) {
	m := &tunnelpb.Handover{Id: id, From: h.address, Body: &tunnelpb.Handover_Offer{Offer: &tunnelpb.Offer{
		TenantId: string(e.tenant), ApplianceId: string(o.appliance), Token: token,
		Request: &tunnelpb.Request{TimeoutMs: timeLeft(ctx), Trace: e.req.GetTrace(), Body: e.req.GetBody()},
	}}}
	if token == "" {
		return h.publish(ctx, o.address, m)
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		return false, err
	}
	put := redis.SetArgs{Mode: "NX", TTL: maxTimeout + time.Minute}
	if h.clustered() {
		// Token and channel are on different nodes: in one pipeline the offer might come first.
		if err := h.cfg.Redis.SetArgs(ctx, token, tokenOffered, put).Err(); err != nil {
			return false, err
		}
		return true, h.cfg.Redis.Publish(ctx, channelOf(o.address), raw).Err()
	}
	var sent *redis.IntCmd
	_, err = h.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.SetArgs(ctx, token, tokenOffered, put)
		sent = p.Publish(ctx, channelOf(o.address), raw)
		return nil
	})
	return sent.Val() > 0, err
}

func (h *Hub) clustered() bool {
	_, yes := h.cfg.Redis.(*redis.ClusterClient)
	return yes
}

// publish sends a message to another replica. there is false when nobody listens; in a Cluster that
// cannot be known.
func (h *Hub) publish(ctx context.Context, address string, m *tunnelpb.Handover) (there bool, err error) {
	m.From = h.address
	raw, err := proto.Marshal(m)
	if err != nil {
		return false, err
	}
	n, err := h.cfg.Redis.Publish(ctx, channelOf(address), raw).Result()
	return err == nil && (n > 0 || h.clustered()), err
}
