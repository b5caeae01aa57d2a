package tunnel

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

const (
	// maxTimeout bounds a request whatever its context says.
	maxTimeout = 2 * time.Minute
	// maxAttempts bounds how many appliances and streams a request is offered to.
	maxAttempts = 8
)

// Do gives req to an appliance of tenant and waits for its answer. req.id and req.timeout_ms are set
// here, from ctx. It prefers this replica's streams, an appliance at random among them, and the least
// busy stream of that.
//
// When a stream or a replica is lost on the way the request goes to the next appliance, but never
// when the first may have asked the directory: Wait and Ping can be repeated, anything else ends with
// CodeUncertain. An appliance that answers that it cannot do it now (CodeUnavailable) before it asked
// the directory is passed over too.
//
// Errors are *sallyport.Error: CodeUnavailable (no appliance connected, or none that can),
// CodeUncertain (also when the time is over after the directory was asked), CodeExpired (ctx ended
// before), and whatever Failure the appliance answered.
func (h *Hub) Do(ctx context.Context, tenant sallyport.TenantID, req *tunnelpb.Request) (*tunnelpb.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTimeout)
	defer cancel()
	return h.do(ctx, &errand{tenant: tenant, req: req, repeatable: repeatable(req), max: maxAttempts})
}

// repeatable reports whether a request may be worked on twice.
func repeatable(req *tunnelpb.Request) bool {
	switch body := req.GetBody().(type) {
	case *tunnelpb.Request_Ping:
		return true
	case *tunnelpb.Request_LoginStep:
		_, wait := body.LoginStep.GetEvent().(*tunnelpb.LoginStep_Wait)
		return wait
	}
	return false
}

// errand is a request on its way to some appliance.
type errand struct {
	tenant     sallyport.TenantID
	req        *tunnelpb.Request
	repeatable bool
	max        int
	// except is an appliance that must not have it (join: the one that asks).
	except sallyport.ApplianceID
	join   bool

	// unheard holds the offers that a replica which listens did not take in time: it may only be busy,
	// and they are withdrawn or repeatable, so it is asked again when there is nobody else.
	unheard         []offer
	triedStreams    map[*stream]bool
	triedReplicas   map[offer]bool
	triedAppliances map[sallyport.ApplianceID]bool
}

// offer names an appliance at another replica.
type offer struct {
	address   string
	appliance sallyport.ApplianceID
}

// ending is how one attempt ended.
type ending struct {
	kind tunnelpb.Ending
	resp *tunnelpb.Response
	// bind says that the directory may have been asked.
	bind bool
	// unheard says that a holder which listens did not take the offer in time.
	unheard bool
}

func (h *Hub) do(ctx context.Context, e *errand) (*tunnelpb.Response, error) {
	e.triedStreams, e.triedReplicas = map[*stream]bool{}, map[offer]bool{}
	e.triedAppliances = map[sallyport.ApplianceID]bool{}
	var last error
	for range e.max {
		if err := ctx.Err(); err != nil {
			return nil, expired(err)
		}
		end, found, err := h.attempt(ctx, e)
		if err != nil {
			return nil, unavailable(err)
		}
		if !found {
			if !e.again() {
				break
			}
			continue
		}
		resp, err, final := e.settle(end)
		if final {
			return resp, err
		}
		last = err
	}
	if last != nil {
		return nil, last
	}
	return nil, unavailable(nil)
}

// again forgets that unheard offers were made. False: there were none.
func (e *errand) again() bool {
	for _, o := range e.unheard {
		delete(e.triedReplicas, o)
	}
	some := len(e.unheard) > 0
	e.unheard = nil
	return some
}

// settle says what an attempt's ending means: final, or on to the next.
func (e *errand) settle(end ending) (resp *tunnelpb.Response, err error, final bool) {
	switch end.kind {
	case tunnelpb.Ending_ENDING_ANSWERED:
		f := end.resp.GetFailure()
		if f == nil {
			return end.resp, nil, true
		}
		err := failure(f)
		passOver := e.join || err.Code == sallyport.CodeUnavailable && !end.bind
		return nil, err, !passOver
	case tunnelpb.Ending_ENDING_NOT_DONE:
		return nil, unavailable(nil), false
	case tunnelpb.Ending_ENDING_EXPIRED:
		if end.bind && !e.repeatable {
			return nil, uncertain(context.DeadlineExceeded), true
		}
		return nil, expired(context.DeadlineExceeded), true
	default:
		if e.repeatable {
			return nil, unavailable(errBroken), false
		}
		return nil, uncertain(errBroken), true
	}
}

// attempt offers the request to the best stream that had it not yet: local before remote, and
// appliances that had it not before those that lost it once. found is false when there is none left.
func (h *Hub) attempt(ctx context.Context, e *errand) (end ending, found bool, err error) {
	if s := h.localFor(e, false); s != nil {
		return h.askLocal(ctx, e, s), true, nil
	}
	o, ok, lookupErr := h.remoteFor(ctx, e, false)
	if ok {
		return h.askRemote(ctx, e, o), true, nil
	}
	if s := h.localFor(e, true); s != nil {
		return h.askLocal(ctx, e, s), true, nil
	}
	o, ok, againErr := h.remoteFor(ctx, e, true)
	if ok {
		return h.askRemote(ctx, e, o), true, nil
	}
	if len(e.triedAppliances) > 0 {
		return ending{}, false, nil
	}
	return ending{}, false, errors.Join(lookupErr, againErr)
}

// localFor picks a local stream: those of a draining replica only when again is set.
func (h *Hub) localFor(e *errand, again bool) *stream {
	byAppliance := map[sallyport.ApplianceID][]*stream{}
	var appliances []sallyport.ApplianceID
	for _, s := range h.streamsOf(e.tenant) {
		open, last := s.open()
		if !open || e.triedStreams[s] || !e.suits(s.id.Appliance, s.joining, s.has(featureJoin)) {
			continue
		}
		if !again && (last || e.triedAppliances[s.id.Appliance]) {
			continue
		}
		if byAppliance[s.id.Appliance] == nil {
			appliances = append(appliances, s.id.Appliance)
		}
		byAppliance[s.id.Appliance] = append(byAppliance[s.id.Appliance], s)
	}
	if len(appliances) == 0 {
		return nil
	}
	return slices.MinFunc(byAppliance[appliances[rand.N(len(appliances))]], func(a, b *stream) int { return a.load() - b.load() })
}

func (e *errand) suits(a sallyport.ApplianceID, joining, canJoin bool) bool {
	return !joining && a != e.except && (!e.join || canJoin)
}

// remoteFor picks an appliance at another replica. What it read up to a second ago is read again
// before it says that there is none.
func (h *Hub) remoteFor(ctx context.Context, e *errand, again bool) (offer, bool, error) {
	leases, err := h.others(ctx, e.tenant, again)
	if err != nil {
		return offer{}, false, err
	}
	var out []offer
	for _, l := range leases {
		for _, s := range l.Streams {
			o := offer{l.Address, s.Appliance}
			if e.triedReplicas[o] || !e.suits(s.Appliance, s.Joining, s.Join) {
				continue
			}
			if !again && (s.Draining || e.triedAppliances[s.Appliance]) {
				continue
			}
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		return offer{}, false, nil
	}
	return out[rand.N(len(out))], true, nil
}

func (h *Hub) askLocal(ctx context.Context, e *errand, s *stream) ending {
	e.triedStreams[s], e.triedAppliances[s.id.Appliance] = true, true
	return askStream(ctx, s, e.req, func() {})
}

func askStream(ctx context.Context, s *stream, req *tunnelpb.Request, onBind func()) ending {
	resp, bind, err := s.ask(ctx, req, onBind)
	switch {
	case err == nil:
		return ending{kind: tunnelpb.Ending_ENDING_ANSWERED, resp: resp, bind: bind}
	case errors.Is(err, errNotSent), errors.Is(err, errBroken) && !bind:
		return ending{kind: tunnelpb.Ending_ENDING_NOT_DONE}
	case errors.Is(err, errBroken):
		return ending{kind: tunnelpb.Ending_ENDING_UNCERTAIN, bind: true}
	default:
		return ending{kind: tunnelpb.Ending_ENDING_EXPIRED, bind: bind}
	}
}

func unavailable(cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "Your organisation's sign-in service cannot be reached now. Please try again.", cause)
}

func uncertain(cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeUncertain, "The connection was lost while your sign-in was being checked. Please try again.", cause)
}

func expired(cause error) *sallyport.Error {
	return sallyport.Errorf(sallyport.CodeExpired, "Your organisation's sign-in service did not answer in time. Please try again.", cause)
}

// Bounds of what an appliance's failure may say.
const maxMessage = 512

func failure(f *tunnelpb.Failure) *sallyport.Error {
	code := sallyport.Code(f.GetCode())
	if !sallyport.ValidID(f.GetCode()) {
		code = sallyport.CodeInternal
	}
	e := sallyport.Errorf(code, f.GetMessage()[:min(len(f.GetMessage()), maxMessage)], nil)
	if sallyport.ValidID(f.GetSupportCode()) {
		e.SupportCode = f.GetSupportCode()
	}
	return e
}

func spread(d time.Duration) time.Duration { return rand.N(max(d, 1)) }
