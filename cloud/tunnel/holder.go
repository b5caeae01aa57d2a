package tunnel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

const (
	// acceptAfter is when a holder says that it has accepted. Quick answers need no such message.
	acceptAfter = 20 * time.Millisecond
	// outcomeTries is how often an outcome is sent when nobody seems to listen.
	outcomeTries = 5
)

// keepHandovers receives messages of other replicas, shows them that this one lives, and gives up on
// those that do not, until ctx ends.
func (h *Hub) keepHandovers(ctx context.Context) error {
	sub := h.cfg.Redis.Subscribe(ctx, channelOf(h.address))
	defer func() { _ = sub.Close() }()
	messages := sub.Channel(redis.WithChannelSize(4096), redis.WithChannelHealthCheckInterval(time.Second))
	beat := time.NewTicker(h.cfg.Timing.Beat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-messages:
			if !ok {
				return errors.New("subscription for handovers closed")
			}
			h.message(ctx, []byte(m.Payload))
		case <-beat.C:
			h.handovers.loseSilent(h.cfg.Now(), silentBeats*h.cfg.Timing.Beat)
			h.work.Go(func() { h.beatOrigins(ctx) })
		}
	}
}

// message works on one message of another replica. Whatever is malformed is ignored.
func (h *Hub) message(ctx context.Context, raw []byte) {
	if len(raw) > maxHandover {
		return
	}
	m := &tunnelpb.Handover{}
	if err := proto.Unmarshal(raw, m); err != nil || !validAddress(m.GetFrom()) {
		return
	}
	switch body := m.GetBody().(type) {
	case *tunnelpb.Handover_Offer:
		h.takeIn(ctx, m, body.Offer)
	case *tunnelpb.Handover_Withdrawn:
		h.handovers.cancelIn(inKey{m.GetFrom(), m.GetId()})
	default:
		h.handovers.hear(m, h.cfg.Now())
	}
}

func validAddress(a string) bool {
	name, process, ok := strings.Cut(a, ".")
	return ok && len(a) <= maxAddress && sallyport.ValidID(name) && sallyport.ValidID(process)
}

// beatOrigins tells every replica that waits for this one that it is alive.
func (h *Hub) beatOrigins(ctx context.Context) {
	origins := h.handovers.origins()
	if len(origins) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, silentBeats*h.cfg.Timing.Beat)
	defer cancel()
	for _, origin := range origins {
		if _, err := h.publish(ctx, origin, &tunnelpb.Handover{Body: &tunnelpb.Handover_Beat{Beat: &tunnelpb.Beat{}}}); err != nil {
			h.log.Debug("beat not sent", "replica", origin, "error", err)
		}
	}
}

func (o *handovers) origins() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for k := range o.in {
		if !slices.Contains(out, k.from) {
			out = append(out, k.from)
		}
	}
	return out
}

// enter notes a handover that this replica works on; false when it does already, or has too many.
func (o *handovers) enter(k inKey, cancel context.CancelFunc) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, twice := o.in[k]; twice || len(o.in) >= o.limit {
		return false
	}
	o.in[k] = cancel
	return true
}

func (o *handovers) exit(k inKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.in, k)
}

func (o *handovers) cancelIn(k inKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cancel := o.in[k]; cancel != nil {
		cancel()
	}
}

// takeIn begins to work on an offer. One that cannot be taken now is left to be withdrawn.
func (h *Hub) takeIn(ctx context.Context, m *tunnelpb.Handover, o *tunnelpb.Offer) {
	tenant, appliance := sallyport.TenantID(o.GetTenantId()), sallyport.ApplianceID(o.GetApplianceId())
	own := strings.HasPrefix(o.GetToken(), "sp:{"+o.GetTenantId()+"}:handover:")
	if !sallyport.ValidID(o.GetTenantId()) || !sallyport.ValidID(o.GetApplianceId()) || o.GetRequest() == nil ||
		(o.GetToken() != "" && !own) || (o.GetToken() == "" && !repeatable(o.GetRequest())) {
		return
	}
	timeout := min(time.Duration(o.GetRequest().GetTimeoutMs())*time.Millisecond, maxTimeout)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	k := inKey{m.GetFrom(), m.GetId()}
	if !h.handovers.enter(k, cancel) {
		cancel()
		return
	}
	h.work.Go(func() {
		defer cancel()
		defer h.handovers.exit(k)
		if o.GetToken() != "" {
			if taken, err := h.turnToken(ctx, o.GetToken(), tokenTaken); err != nil || !taken {
				return // the origin turned elsewhere, or will find out that nobody speaks to it
			}
		}
		end := h.hold(ctx, k, tenant, appliance, o.GetRequest())
		h.sendOutcome(context.WithoutCancel(ctx), k, end)
	})
}

// hold asks a stream of this replica on behalf of another.
func (h *Hub) hold(ctx context.Context, k inKey, tenant sallyport.TenantID, appliance sallyport.ApplianceID, req *tunnelpb.Request) ending {
	_, join := req.GetBody().(*tunnelpb.Request_Join)
	s := h.streamTo(tenant, appliance, join)
	if s == nil {
		return ending{kind: tunnelpb.Ending_ENDING_NOT_DONE}
	}
	tell := func(m *tunnelpb.Handover) {
		m.Id = k.id
		if _, err := h.publish(ctx, k.from, m); err != nil && ctx.Err() == nil {
			h.log.Debug("handover message not sent", "replica", k.from, "error", err)
		}
	}
	h.work.Add(1)
	accepted := time.AfterFunc(acceptAfter, func() {
		defer h.work.Done()
		tell(&tunnelpb.Handover{Body: &tunnelpb.Handover_Accepted{Accepted: &tunnelpb.Accepted{}}})
	})
	defer func() {
		if accepted.Stop() {
			h.work.Done()
		}
	}()
	return askStream(ctx, s, req, func() {
		tell(&tunnelpb.Handover{Body: &tunnelpb.Handover_BindStarted{BindStarted: &tunnelpb.BindStarted{}}})
	})
}

// streamTo picks the least busy stream of an appliance, a draining one only when there is no other.
func (h *Hub) streamTo(tenant sallyport.TenantID, appliance sallyport.ApplianceID, join bool) *stream {
	e := &errand{tenant: tenant, join: join}
	var best *stream
	for _, s := range h.streamsOf(tenant) {
		open, last := s.open()
		if !open || s.id.Appliance != appliance || !e.suits(s.id.Appliance, s.joining, s.has(featureJoin)) {
			continue
		}
		if best == nil || (best.draining.Load() && !last) || (best.draining.Load() == last && s.load() < best.load()) {
			best = s
		}
	}
	return best
}

// sendOutcome ends a handover. It is sent again when nobody listens: the origin may be on its way
// back to Redis.
func (h *Hub) sendOutcome(ctx context.Context, k inKey, end ending) {
	m := &tunnelpb.Handover{Id: k.id, Body: &tunnelpb.Handover_Outcome{Outcome: &tunnelpb.Outcome{
		Ending: end.kind, Response: end.resp, BindStarted: end.bind,
	}}}
	for try := range outcomeTries {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		there, err := h.publish(ctx, k.from, m)
		cancel()
		if err == nil && there {
			return
		}
		if try+1 < outcomeTries {
			time.Sleep(h.cfg.Timing.Beat / 2)
		}
	}
	h.log.Warn("handover outcome not delivered", "replica", k.from)
}
