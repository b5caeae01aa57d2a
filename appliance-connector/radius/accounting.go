package radius

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
)

// AccountingOptions are how accounting (RFC 2866) is served. Over TLS it comes by the same connections as logins.
type AccountingOptions struct {
	Address  string // ":1813"
	Recorder AccountingRecorder
}

// AccountingRecorder keeps what gateways tell of sessions. What has the Key of something kept before changes nothing.
type AccountingRecorder interface {
	RecordRADIUS(ctx context.Context, requests []sallyport.RADIUSActivity) error
}

// Bounds of accounting: packets that wait to be recorded, and those that are recorded together.
const (
	accountingWaiting = 4096
	accountingBatch   = 500
	accountingTime    = 4 * time.Second // for one write; a gateway asks again after it
)

var (
	noAccounting    = complaint{"accounting is not kept here", "take this server out of the gateway's accounting servers, or set the appliance's radius-accounting-listen"}
	accountingPort  = complaint{"accounting at the port of logins", "let the gateway send accounting to port 1813"}
	loginPort       = complaint{"a login at the port of accounting", "let the gateway send logins to port 1812"}
	wrongAccounting = complaint{"wrong shared secret: the request's authenticator does not match", "enter the same secret at the gateway, for accounting as well, and in the integration"}
	noStatusType    = complaint{"accounting without Acct-Status-Type", "check that a RADIUS client, and a current one, is sending"}
	accountingFull  = complaint{"too much accounting at a time", "look at what keeps the appliance's database, or let the gateway send interim updates less often"}
)

func accountingFailed(err error) complaint {
	return complaint{fmt.Sprintf("accounting could not be kept: %v", err), "look at the appliance's database; the gateway sends it again"}
}

// account is one Accounting-Request on its way to an answer.
type account struct {
	client *client
	keys   *keys
	r      request
	at     place
	what   sallyport.RADIUSActivity
	source netip.AddrPort
	now    time.Time
	reply  func([]byte)
}

// accounting takes an Accounting-Request. The answer comes when it is recorded: until then the gateway keeps it.
func (w *worker) accounting(c *client, r *request, source netip.AddrPort, now time.Time) []byte {
	k, bad := c.keys.accountingKeys(r), (*complaint)(nil)
	if previous := c.previousAt(now); k == nil && previous != nil {
		if k = previous.accountingKeys(r); k != nil {
			c.memory.oldSecret.at(now)
		}
	}
	what, ok := accountingOf(c, r, source, now)
	switch {
	case k == nil:
		w.count.unauthentic.Add(1)
		bad = &wrongAccounting
	case w.opts.Accounting == nil:
		w.count.unsupported.Add(1)
		bad = &noAccounting
	case !ok:
		w.count.malformed.Add(1)
		bad = &noStatusType
	}
	if bad != nil {
		w.dropped(*bad, c, source, now)
		return nil
	}
	c.memory.heard.at(now)
	seen, answer, at, _ := w.cache.begin(w.cache.key(source, r), now, w.out[:0])
	if seen != seenNever {
		w.count.repeated.Add(1)
		if seen == seenWaiting {
			return nil
		}
		return answer
	}
	what.Appliance = w.opts.Appliance
	select {
	case w.accounts <- account{client: c, keys: k, r: r.clone(), at: at, what: what, source: source, now: now, reply: w.reply(source)}:
		w.later = true
	default:
		at.drop()
		w.count.overload.Add(1)
		w.dropped(accountingFull, c, source, now)
	}
	return nil
}

// accountingKeys returns k when a request was made with it: its authenticator is the MD5 of the packet with that zero,
// and the secret (RFC 2866 section 3).
func (k *keys) accountingKeys(r *request) *keys {
	h := md5.New()
	h.Write(r.raw[:4])
	h.Write(noMAC[:])
	h.Write(r.attributes())
	h.Write(k.secret)
	if !hmac.Equal(h.Sum(nil), r.authenticator()) {
		return nil
	}
	return k
}

// accountingAnswer is an Accounting-Response: the request's Proxy-States, and the authenticator.
func (k *keys) accountingAnswer(out []byte, r *request) []byte {
	out = append(out, byte(radius.CodeAccountingResponse), r.raw[1], 0, 0)
	out = append(out, r.authenticator()...)
	out = r.appendProxyStates(out)
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	h := md5.New()
	h.Write(out)
	h.Write(k.secret)
	h.Sum(out[4:4])
	return out
}

// keepAccounts records what comes and then answers it, many at a time, until ctx ends and nothing is left.
func (s *Server) keepAccounts(ctx context.Context) {
	for {
		var batch []account
		select {
		case a := <-s.accounts:
			batch = append(batch, a)
		case <-ctx.Done():
			select {
			case a := <-s.accounts:
				batch = append(batch, a)
			default:
				return
			}
		}
	more:
		for len(batch) < accountingBatch {
			select {
			case a := <-s.accounts:
				batch = append(batch, a)
			default:
				break more
			}
		}
		s.record(context.WithoutCancel(ctx), batch)
	}
}

func (s *Server) record(ctx context.Context, batch []account) {
	ctx, cancel := context.WithTimeout(ctx, accountingTime)
	defer cancel()
	list := make([]sallyport.RADIUSActivity, len(batch))
	for i, a := range batch {
		list[i] = a.what
	}
	err := s.opts.Accounting.Recorder.RecordRADIUS(ctx, list)
	for _, a := range batch {
		if err != nil { // the gateway sends it again, here or elsewhere
			a.at.drop()
			s.count.accountingFailed.Add(1)
			s.drops.write(accountingFailed(err), a.client, a.source, a.now)
		} else {
			answer := a.keys.accountingAnswer(nil, &a.r)
			a.at.finish(answer)
			s.count.accounting.Add(1)
			a.reply(answer)
		}
		a.reply(nil)
	}
}

// accountingOf is what a request tells, in words, and whether it tells anything. Its Key is the same for a repetition, also in
// a new packet with another Acct-Delay-Time, and on every appliance; sessions of another day are others.
func accountingOf(c *client, r *request, source netip.AddrPort, now time.Time) (a sallyport.RADIUSActivity, ok bool) {
	var s session
	h := sha256.New()
	for rest := r.attributes(); len(rest) > 0; rest = rest[rest[1]:] {
		value := rest[2:rest[1]]
		switch kind := radius.Type(rest[0]); kind {
		case rfc2866.AcctDelayTime_Type:
			s.delay = number(value)
			continue
		case rfc2869.MessageAuthenticator_Type, rfc2865.ProxyState_Type:
			continue
		default:
			s.take(kind, value)
		}
		h.Write(rest[:rest[1]])
	}
	began := now.Add(-time.Duration(min(s.delay, maxDelay)) * time.Second)
	_, _ = fmt.Fprintf(h, "%s %s", c.ID, began.UTC().Format(time.DateOnly))
	name, text := decode(c.PasswordEncoding, r.user)
	if !text {
		name = strings.ToValidUTF8(string(r.user), "?")
	}
	return sallyport.RADIUSActivity{
		Time: began, Integration: c.ID, Source: source.String(), UserName: name, Outcome: sallyport.RADIUSAccounting, Reason: s.words(),
		NASIdentifier: string(r.nas), CallingStation: string(r.calling), CalledStation: string(r.called), Key: hex.EncodeToString(h.Sum(nil)),
	}, s.status != 0
}

// maxDelay bounds Acct-Delay-Time, in seconds: a gateway that could not reach anybody for a day.
const maxDelay = 24 * 60 * 60

// session is what a request tells of one.
type session struct {
	status, delay, seconds, cause uint32
	in, out                       uint64 // octets
	id                            string
	address                       netip.Addr
}

func (s *session) take(kind radius.Type, value []byte) {
	switch kind {
	case rfc2866.AcctStatusType_Type:
		s.status = number(value)
	case rfc2866.AcctSessionID_Type:
		s.id = strings.ToValidUTF8(string(value), "?")
	case rfc2866.AcctSessionTime_Type:
		s.seconds = number(value)
	case rfc2866.AcctTerminateCause_Type:
		s.cause = number(value)
	case rfc2866.AcctInputOctets_Type:
		s.in += uint64(number(value))
	case rfc2866.AcctOutputOctets_Type:
		s.out += uint64(number(value))
	case rfc2869.AcctInputGigawords_Type:
		s.in += uint64(number(value)) << 32
	case rfc2869.AcctOutputGigawords_Type:
		s.out += uint64(number(value)) << 32
	case rfc2865.FramedIPAddress_Type:
		if a, ok := netip.AddrFromSlice(value); ok && a.Is4() {
			s.address = a
		}
	}
}

// number reads an integer attribute; 0 for what is none.
func number(value []byte) uint32 {
	if len(value) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

// words say what a session does, for the report.
func (s *session) words() string {
	var b strings.Builder
	switch status := rfc2866.AcctStatusType(s.status); status {
	case rfc2866.AcctStatusType_Value_Start:
		b.WriteString("session began")
	case rfc2866.AcctStatusType_Value_Stop:
		b.WriteString("session ended")
	case rfc2866.AcctStatusType_Value_InterimUpdate:
		b.WriteString("session goes on")
	case rfc2866.AcctStatusType_Value_AccountingOn:
		b.WriteString("gateway started")
	case rfc2866.AcctStatusType_Value_AccountingOff:
		b.WriteString("gateway stops")
	default:
		fmt.Fprintf(&b, "accounting of kind %s", status)
	}
	if s.seconds > 0 {
		fmt.Fprintf(&b, " after %s", time.Duration(s.seconds)*time.Second)
	}
	if s.cause > 0 {
		fmt.Fprintf(&b, ": %s", rfc2866.AcctTerminateCause(s.cause))
	}
	if s.in > 0 || s.out > 0 {
		fmt.Fprintf(&b, ", %d octets from and %d to the user", s.in, s.out)
	}
	if s.address.IsValid() {
		fmt.Fprintf(&b, ", address %s", s.address)
	}
	if s.id != "" {
		fmt.Fprintf(&b, ", session %s", s.id)
	}
	return b.String()
}

// listenAccounting opens the socket of accounting.
func listenAccounting(address string) (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr("udp", orText(address, ":1813"))
	if err != nil {
		return nil, fmt.Errorf("listen for RADIUS accounting on %s: %w", address, err)
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for RADIUS accounting on %s: %w", address, err)
	}
	return conn, nil
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
