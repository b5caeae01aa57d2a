package radius

import "sync/atomic"

// counters is what a Server counts while it runs.
type counters struct {
	received, accepted, rejected, repeated, status          atomic.Uint64
	unknownSource, malformed, unauthentic, overload, forgot atomic.Uint64
	unsupported, late, challenged, handedOn                 atomic.Uint64
	tlsAccepted, tlsRefused, accounting, accountingFailed   atomic.Uint64
}

// Stats is what a Server has counted since it started.
type Stats struct {
	Received      uint64 // datagrams
	Accepted      uint64 // Access-Accept, repetitions not counted
	Rejected      uint64 // Access-Reject, repetitions not counted
	Repeated      uint64 // repetitions of a request
	Status        uint64 // Status-Server answered
	UnknownSource uint64 // dropped: no integration has the source address
	Malformed     uint64 // dropped: not RADIUS
	Unauthentic   uint64 // dropped: Message-Authenticator wrong or missing
	Unsupported   uint64 // dropped: neither Access-Request nor Status-Server
	Overload      uint64 // dropped: too many being verified
	Forgotten     uint64 // answers forgotten before the reply window was over, for want of room
	Late          uint64 // answers after the deadline
	Challenged    uint64 // Access-Challenge, repetitions not counted
	HandedOn      uint64 // not answered, for another appliance to go on with
	Accounting    uint64 // accounting recorded and answered
	// AccountingFailed counts what could not be recorded, and was not answered.
	AccountingFailed uint64
	TLSAccepted      uint64 // connections over TLS from gateways that are known
	TLSRefused       uint64 // connections over TLS that were closed: no or a wrong certificate, too many, or no TLS at all
}

// Stats returns the counters as they stand.
func (s *Server) Stats() Stats {
	c := &s.count
	return Stats{
		Received: c.received.Load(), Accepted: c.accepted.Load(), Rejected: c.rejected.Load(),
		Repeated: c.repeated.Load(), Status: c.status.Load(), UnknownSource: c.unknownSource.Load(),
		Malformed: c.malformed.Load(), Unauthentic: c.unauthentic.Load(), Unsupported: c.unsupported.Load(),
		Overload: c.overload.Load(), Forgotten: c.forgot.Load(), Late: c.late.Load(),
		Challenged: c.challenged.Load(), HandedOn: c.handedOn.Load(),
		TLSAccepted: c.tlsAccepted.Load(), TLSRefused: c.tlsRefused.Load(),
		Accounting: c.accounting.Load(), AccountingFailed: c.accountingFailed.Load(),
	}
}
