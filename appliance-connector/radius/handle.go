package radius

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
)

// rejected is what the gateway hears of every refusal that has no message of its own.
const rejected = "Login failed."

// worker handles packets one after the other; it belongs to one reader.
type worker struct {
	*Server
	work context.Context
	out  []byte
}

// handle takes one datagram. It returns the answer, good until the next call, or nil when there is
// none, or none yet.
func (w *worker) handle(datagram []byte, source netip.AddrPort) []byte {
	w.count.received.Add(1)
	now := w.opts.Now()
	c := w.clients.Load().find(source.Addr())
	if c == nil {
		w.count.unknownSource.Add(1)
		w.drops.write(unknownSource, nil, source, now)
		return nil
	}
	r, err := parse(datagram)
	if err != nil {
		w.count.malformed.Add(1)
		w.drops.write(malformed(err), c, source, now)
		return nil
	}
	switch r.code() {
	case radius.CodeAccessRequest:
		return w.access(c, &r, source, now)
	case radius.CodeStatusServer:
		return w.status(c, &r, source, now)
	}
	w.count.unsupported.Add(1)
	w.drops.write(complaint{"not an authentication request: " + r.code().String(),
		"send accounting and other requests elsewhere"}, c, source, now)
	return nil
}

func (w *worker) access(c *client, r *request, source netip.AddrPort, now time.Time) []byte {
	// Before anything is remembered: a flood of forged packets must not drive out real answers.
	if bad := w.unauthentic(c, r); bad != nil {
		w.count.unauthentic.Add(1)
		w.drops.write(*bad, c, source, now)
		return nil
	}
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
	q, bad := w.query(c, r, source)
	if bad != nil {
		return w.finish(c, r, &q, at, Verdict{Reason: bad.cause, Cure: bad.cure})
	}
	if w.instant != nil {
		if v, decided := w.instant.VerifyNow(&q); decided {
			return w.finish(c, r, &q, at, v)
		}
	}
	w.verifyLater(c, r, q, at, now)
	return nil
}

// unauthentic says why the packet cannot have come from the gateway, or nil.
func (s *Server) unauthentic(c *client, r *request) *complaint {
	switch {
	case r.mac != 0 && !c.authentic(r):
		return &wrongSecret
	case r.mac != 0:
		return nil
	case r.protocol == "EAP":
		return &missingMACForEAP
	case c.RequireMessageAuthenticator:
		return &missingMAC
	}
	return nil
}

// query takes out of the packet what the Verifier needs, or says why it cannot be asked.
func (s *Server) query(c *client, r *request, source netip.AddrPort) (Query, *complaint) {
	q := Query{
		Integration: c.Integration, UserName: string(r.user), Source: source, Request: r.id(),
		NASIdentifier: string(r.nas), CallingStation: string(r.calling),
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
	password := c.reveal(r, &room)
	if !legible(password) {
		return q, &garbledPassword
	}
	q.Passcode = sallyport.Secret(password)
	return q, nil
}

// verifyLater verifies on a goroutine of its own, so that any number of requests can wait for cloud
// and directory while others are answered.
func (w *worker) verifyLater(c *client, r *request, q Query, at place, now time.Time) {
	select {
	case w.waiting <- struct{}{}:
	default:
		at.drop()
		w.count.overload.Add(1)
		w.drops.write(overloaded, c, q.Source, now)
		return
	}
	kept := r.clone()
	s, work := w.Server, w.work
	s.wg.Go(func() {
		defer func() { <-s.waiting }()
		ctx, cancel := context.WithTimeout(work, s.opts.Deadline)
		defer cancel()
		v := s.opts.Verifier.Verify(ctx, q)
		if ctx.Err() != nil {
			s.count.late.Add(1)
			s.drops.write(gaveUp, c, q.Source, s.opts.Now(), "user", q.UserName, "after", s.opts.Now().Sub(now))
		}
		late := worker{Server: s, out: make([]byte, 0, 256)}
		if answer := late.finish(c, &kept, &q, at, v); answer != nil {
			s.send(answer, q.Source)
		}
	})
}

// finish makes the answer, remembers it, counts and logs it.
func (w *worker) finish(c *client, r *request, q *Query, at place, v Verdict) []byte {
	code, message := radius.CodeAccessAccept, v.Message
	if v.Accept {
		w.count.accepted.Add(1)
		if w.opts.Log.Enabled(context.Background(), slog.LevelDebug) {
			w.opts.Log.Debug("RADIUS request accepted", "user", q.UserName, "integration", string(q.Integration.ID), "source", q.Source.String())
		}
	} else {
		w.count.rejected.Add(1)
		w.refused(q, v)
		code = radius.CodeAccessReject
		if message == "" {
			message = rejected
		}
	}
	answer := c.answer(w.out[:0], r, code, message)
	if answer == nil {
		at.drop()
		return nil
	}
	at.finish(answer)
	return answer
}

// status answers a health check (RFC 5997).
func (w *worker) status(c *client, r *request, source netip.AddrPort, now time.Time) []byte {
	bad := &missingMACForStatus
	if r.mac != 0 {
		bad = w.unauthentic(c, r)
	}
	if bad != nil {
		w.count.unauthentic.Add(1)
		w.drops.write(*bad, c, source, now)
		return nil
	}
	w.count.status.Add(1)
	return c.answer(w.out[:0], r, radius.CodeAccessAccept, "")
}
