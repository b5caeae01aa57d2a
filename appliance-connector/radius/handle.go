package radius

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// rejected is what the gateway hears of every refusal that has no message of its own.
const rejected = "Login failed."

// worker handles packets one after the other; it belongs to one reader.
type worker struct {
	*Server
	work context.Context
	out  []byte
	link *link        // the connection that packets come over; nil: a UDP socket
	conn *net.UDPConn // that socket
	port port
	// later is set when the last packet is answered by somebody else, later.
	later bool
}

// port is what may come to a socket.
type port int

const (
	anything port = iota
	logins
	accounts
)

// handle takes one datagram. It returns the answer, good until the next call, or nil when there is
// none, or none yet.
func (w *worker) handle(datagram []byte, source netip.AddrPort) []byte {
	w.count.received.Add(1)
	now := w.opts.Now()
	c := w.clients.Load().find(source.Addr())
	if c == nil {
		w.count.unknownSource.Add(1)
		w.dropped(unknownSource, nil, source, now)
		return nil
	}
	return w.from(c, datagram, source, now)
}

// from is handle for a packet of a client that is known.
func (w *worker) from(c *client, datagram []byte, source netip.AddrPort, now time.Time) []byte {
	r, err := parse(datagram)
	if err != nil {
		w.count.malformed.Add(1)
		w.dropped(malformed(err), c, source, now)
		return nil
	}
	bad := complaint{"neither a login nor accounting: " + r.code().String(), "send other requests elsewhere"}
	switch code := r.code(); {
	case code == radius.CodeStatusServer:
		return w.status(c, &r, source, now)
	case code == radius.CodeAccessRequest && w.port != accounts:
		return w.access(c, &r, source, now)
	case code == radius.CodeAccountingRequest && w.port != logins:
		return w.accounting(c, &r, source, now)
	case code == radius.CodeAccessRequest:
		bad = loginPort
	case code == radius.CodeAccountingRequest:
		bad = accountingPort
	}
	w.count.unsupported.Add(1)
	w.dropped(bad, c, source, now)
	return nil
}

// inquiry is an Access-Request on its way to an answer.
type inquiry struct {
	client *client
	keys   *keys // of the secret that it was made with, and that the answer is made with
	q      *Query
	at     place
	now    time.Time // when it came
}

func (w *worker) access(c *client, r *request, source netip.AddrPort, now time.Time) []byte {
	// Before anything is remembered: a flood of forged packets must not drive out real answers.
	k, bad := w.authenticate(c, r, now)
	if bad != nil {
		w.count.unauthentic.Add(1)
		w.dropped(*bad, c, source, now)
		return nil
	}
	c.memory.heard.at(now)
	key := w.cache.key(source, r)
	what, answer, at, early := w.cache.begin(key, now, w.out[:0])
	if what != seenNever {
		w.count.repeated.Add(1)
		if what == seenWaiting {
			return nil // the first one's answer goes to the same address and fits this one too
		}
		return answer
	}
	if early {
		w.count.forgot.Add(1)
	}
	q, bad := k.query(c, r, source)
	x := inquiry{client: c, keys: k, q: q, at: at, now: now}
	if bad != nil {
		return w.finish(&x, r, Verdict{Reason: bad.cause, Cure: bad.cure}, nil)
	}
	if w.instant != nil && !c.attributes.AsksGroups() {
		if v, decided := w.instant.VerifyNow(q); decided {
			return w.finish(&x, r, v, c.attributes.Everybody())
		}
	}
	w.verifyLater(x, r)
	return nil
}

// query takes out of the packet what the Verifier needs, or says why it cannot be asked.
func (k *keys) query(c *client, r *request, source netip.AddrPort) (*Query, *complaint) {
	name, ok := decode(c.PasswordEncoding, r.user)
	if !ok {
		name = string(r.user) // for the directory to refuse
	}
	q := &Query{
		Integration: &c.Integration, UserName: name, Source: source, Request: r.id(),
		NASIdentifier: string(r.nas), CallingStation: string(r.calling), CalledStation: string(r.called), State: r.state,
	}
	switch {
	case r.password == nil && r.protocol != "":
		bad := wrongProtocol(r.protocol)
		return q, &bad
	case r.password == nil:
		return q, &missingPassword
	case len(r.user) == 0:
		return q, &missingName
	}
	var room [maxPassword]byte
	password, ok := decode(c.PasswordEncoding, k.reveal(r, &room))
	if !ok {
		return q, &garbledPassword
	}
	q.Passcode = sallyport.Secret(password)
	return q, nil
}

// verifyLater verifies on a goroutine of its own, so that any number of requests can wait for cloud
// and directory while others are answered.
func (w *worker) verifyLater(x inquiry, r *request) {
	select {
	case w.waiting <- struct{}{}:
	default:
		x.at.drop()
		w.count.overload.Add(1)
		w.dropped(overloaded, x.client, x.q.Source, x.now)
		return
	}
	kept := r.clone()
	x.q.State = kept.state
	s, work, reply := w.Server, w.work, w.reply(x.q.Source)
	w.later = true
	limit := s.opts.Deadline
	if s.patient != nil {
		limit = max(limit, s.patient.Patience(x.q))
	}
	s.wg.Go(func() {
		defer reply(nil)
		defer func() { <-s.waiting }()
		ctx, cancel := context.WithTimeout(work, limit)
		defer cancel()
		v := s.opts.Verifier.Verify(ctx, *x.q)
		if v.Drop {
			x.at.drop()
			s.count.handedOn.Add(1)
			s.opts.Log.Info("RADIUS request left to another appliance", "user", x.q.UserName, "source", x.q.Source.String())
			return
		}
		attributes, bad := s.attributes(ctx, &x, v)
		if bad != nil {
			v = Verdict{Reason: bad.cause, Cure: bad.cure}
		}
		if work.Err() == nil && ctx.Err() != nil {
			s.count.late.Add(1)
			s.drops.write(gaveUp, x.client, x.q.Source, s.opts.Now(), "user", x.q.UserName, "after", s.opts.Now().Sub(x.now))
		}
		late := worker{Server: s, out: make([]byte, 0, 256)}
		if answer := late.finish(&x, &kept, v, attributes); answer != nil {
			reply(answer)
		}
	})
}

// reply returns what sends an answer later. It is called once more, with nil, when there is nothing to send any more.
func (w *worker) reply(to netip.AddrPort) func(answer []byte) {
	if l := w.link; l != nil {
		return l.reply
	}
	s, conn := w.Server, w.conn
	return func(answer []byte) {
		if answer != nil {
			s.send(conn, answer, to)
		}
	}
}

// attributes returns what the answer to an accepted request carries. Who is accepted and whose groups
// cannot be told is refused: the gateway would take them for somebody else's.
func (s *Server) attributes(ctx context.Context, x *inquiry, v Verdict) ([]byte, *complaint) {
	set := x.client.attributes
	switch {
	case !v.Accept:
		return nil, nil
	case !set.AsksGroups():
		return set.Everybody(), nil
	case s.opts.Groups == nil || v.Account == "":
		return nil, &noGroups
	}
	groups, err := s.opts.Groups.Groups(ctx, v.Account)
	if err != nil {
		bad := groupsFailed(err)
		return nil, &bad
	}
	return set.For(groups), nil
}

// finish makes the answer, remembers it, counts and logs it.
func (w *worker) finish(x *inquiry, r *request, v Verdict, attributes []byte) []byte {
	var answer []byte
	switch {
	case v.Accept:
		answer = x.keys.answer(w.out[:0], r, radius.CodeAccessAccept, v.Message, attributes)
	case len(v.Challenge) > 0:
		attributes = stateAttribute(v.Challenge)
		answer = x.keys.answer(w.out[:0], r, radius.CodeAccessChallenge, v.Message, attributes)
	}
	if answer == nil && len(attributes) > 0 {
		v = Verdict{Reason: tooLong.cause, Cure: tooLong.cure}
	}
	switch {
	case v.Accept:
		w.count.accepted.Add(1)
		x.client.memory.accepted.at(x.now)
		if w.opts.Log.Enabled(context.Background(), slog.LevelDebug) {
			w.opts.Log.Debug("RADIUS request accepted", "user", x.q.UserName, "integration", string(x.q.Integration.ID), "source", x.q.Source.String())
		}
	case len(v.Challenge) > 0:
		w.count.challenged.Add(1)
	default:
		w.count.rejected.Add(1)
		x.client.memory.refused(complaint{v.Reason, v.Cure}, x.now)
		w.refused(x.q, v)
		answer = x.keys.answer(w.out[:0], r, radius.CodeAccessReject, cmp.Or(v.Message, rejected), nil)
	}
	w.observe(x.q, v, x.now)
	if answer == nil {
		x.at.drop()
		return nil
	}
	x.at.finish(answer)
	return answer
}

// stateAttribute is the State that an Access-Challenge carries; whoever decides keeps it to 253 octets.
func stateAttribute(state []byte) []byte {
	return append([]byte{byte(rfc2865.State_Type), byte(2 + len(state))}, state...)
}

// status answers a health check (RFC 5997).
func (w *worker) status(c *client, r *request, source netip.AddrPort, now time.Time) []byte {
	k, bad := (*keys)(nil), &missingMACForStatus
	if r.mac != 0 {
		k, bad = w.authenticate(c, r, now)
	}
	if bad != nil {
		w.count.unauthentic.Add(1)
		w.dropped(*bad, c, source, now)
		return nil
	}
	c.memory.heard.at(now)
	w.count.status.Add(1)
	code := radius.CodeAccessAccept
	if w.port == accounts {
		code = radius.CodeAccountingResponse // RFC 5997 section 3
	}
	return k.answer(w.out[:0], r, code, "", nil)
}
