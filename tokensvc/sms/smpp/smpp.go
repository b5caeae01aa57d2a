// Package smpp sends text messages to a message centre by SMPP 3.4 (Short Message Peer-to-Peer), as a transmitter.
// Each message has a connection of its own:
//
//	bind_transmitter -> bind_transmitter_resp   who we are
//	submit_sm        -> submit_sm_resp          the message; from here on it may have been taken
//	unbind           -> unbind_resp             good manners
//
// An enquire_link of the other side is answered in between. Nothing else is spoken: no messages are received, and
// no receipts are asked for.
package smpp

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/sallyport/sallyport/internal/gsm7"
	"github.com/sallyport/sallyport/tokensvc/sms"
)

const (
	sessionTime = 6 * time.Second
	unbindTime  = 500 * time.Millisecond
	// maxMessage is how many octets a submit_sm carries.
	maxMessage = 254
)

// The longest values, their closing NUL included (SMPP 3.4, section 4.1.1).
const (
	maxSystemID   = 16
	maxPassword   = 9
	maxSystemType = 13
	maxAddress    = 21
)

// Sender implements sms.Sender.
type Sender struct {
	dial                         sms.Dial
	address                      string
	tls                          *tls.Config // nil: in the clear
	system, password, systemType string
	from                         string
}

// New returns a sender for a gateway that was checked.
func New(g sms.Gateway, dial sms.Dial) (*Sender, error) {
	u, err := url.Parse(g.URL)
	if err != nil {
		return nil, fmt.Errorf("configure SMPP: %w", err)
	}
	if len(g.User) >= maxSystemID || len(g.Secret) >= maxPassword || len(g.SystemType) >= maxSystemType || len(g.From) >= maxAddress {
		return nil, errors.New("SMPP takes at most 15 characters of a system id, 8 of a password, 12 of a system type and 20 of a sender")
	}
	if strings.ContainsRune(g.User+string(g.Secret)+g.SystemType+g.From, 0) {
		return nil, errors.New("SMPP takes no NUL in a system id, a password, a system type or a sender")
	}
	s := &Sender{dial: dial, address: u.Host, system: g.User, password: string(g.Secret), systemType: g.SystemType, from: g.From}
	if u.Scheme == "smpps" {
		var roots *x509.CertPool
		if roots, err = g.Roots(); err != nil {
			return nil, fmt.Errorf("configure SMPP: %w", err)
		}
		s.tls = &tls.Config{ServerName: u.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

// Send implements sms.Sender.
func (s *Sender) Send(ctx context.Context, m sms.Message) sms.Result {
	ctx, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	message, err := s.submit(m)
	if err != nil {
		return sms.Result{Outcome: sms.Rejected, Detail: sms.Detail(m, err.Error())}
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return sms.Unreached(m, err)
	}
	defer func() { _ = conn.Close() }() // all is said
	if until, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(until)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err != nil {
		return sms.Unreached(m, err)
	}
	c := &session{conn: conn, in: bufio.NewReader(conn)}
	bound, err := c.ask(pdu{command: bindTransmitter, body: s.bind()})
	if err != nil {
		return sms.Unreached(m, err)
	}
	if bound.status != 0 {
		return refused(m, "bind", bound.status)
	}
	taken, err := c.ask(pdu{command: submitSM, body: message})
	if err != nil {
		return sms.Silent(m, err)
	}
	c.bye()
	if taken.status != 0 {
		return refused(m, "submit", taken.status)
	}
	return sms.Result{Outcome: sms.Sent}
}

func (s *Sender) connect(ctx context.Context) (net.Conn, error) {
	conn, err := s.dial(ctx, "tcp", s.address)
	if err != nil || s.tls == nil {
		return conn, err
	}
	secured := tls.Client(conn, s.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secured, nil
}

func (s *Sender) bind() []byte {
	var b body
	b.text(s.system, maxSystemID)
	b.text(s.password, maxPassword)
	b.text(s.systemType, maxSystemType)
	b.octets(version, 0, 0) // the version, and any type and plan of our own addresses
	b.text("", maxAddress)
	return b.Bytes()
}

// Types of number and numbering plans (section 5.2.5 and 5.2.6).
const (
	tonUnknown       = 0
	tonInternational = 1
	tonAlphanumeric  = 5
	npiUnknown       = 0
	npiISDN          = 1 // E.164
)

// Data codings (section 5.2.19).
const (
	codingDefault = 0
	codingUCS2    = 8
)

// submit writes the parameters of a submit_sm.
func (s *Sender) submit(m sms.Message) ([]byte, error) {
	coding := byte(codingDefault)
	text, ok := gsm7.Encode(m.Text)
	if !ok {
		coding, text = codingUCS2, nil
		for _, unit := range utf16.Encode([]rune(m.Text)) {
			text = binary.BigEndian.AppendUint16(text, unit)
		}
	}
	if len(text) > maxMessage {
		return nil, errors.New("the message is too long for SMPP")
	}
	var b body
	b.text("", 6) // service type
	ton, npi, from := source(s.from)
	b.octets(ton, npi)
	b.text(from, maxAddress)
	b.octets(tonInternational, npiISDN)
	b.text(strings.TrimPrefix(string(m.To), "+"), maxAddress)
	b.octets(0, 0, 0) // class, protocol, priority
	b.text("", 17)    // at once
	b.text(validity(m.Life), 17)
	b.octets(0, 0, coding, 0, byte(len(text)))
	b.Write(text)
	return b.Bytes(), nil
}

// source says what kind of address a sender is: a number with its country, a short code, or a name.
func source(from string) (ton, npi byte, address string) {
	digits := strings.TrimPrefix(from, "+")
	switch {
	case from == "":
		return tonUnknown, npiUnknown, "" // the message centre's own
	case strings.Trim(digits, "0123456789") != "":
		return tonAlphanumeric, npiUnknown, from
	case digits != from:
		return tonInternational, npiISDN, digits
	}
	return tonUnknown, npiUnknown, from
}

// validity is a time from now as SMPP writes it (section 7.1.1): YYMMDDhhmmsstnnR.
func validity(life time.Duration) string {
	life = min(max(life, time.Second), 24*time.Hour-time.Second)
	seconds := int(life / time.Second)
	return fmt.Sprintf("000000%02d%02d%02d000R", seconds/3600, seconds/60%60, seconds%60)
}

// session is one connection.
type session struct {
	conn     net.Conn
	in       *bufio.Reader
	sequence uint32
}

// ask sends a request and waits for its answer.
func (c *session) ask(p pdu) (pdu, error) {
	c.sequence++
	p.sequence = c.sequence
	if _, err := c.conn.Write(p.encode()); err != nil {
		return pdu{}, fmt.Errorf("write SMPP: %w", err)
	}
	for {
		got, err := readPDU(c.in)
		if err != nil {
			return got, err
		}
		switch {
		case got.command == enquireLink:
			if _, err := c.conn.Write(pdu{command: enquireLink | response, sequence: got.sequence}.encode()); err != nil {
				return got, fmt.Errorf("write SMPP: %w", err)
			}
		case got.command == unbind:
			return got, errors.New("the message centre ended the connection")
		case got.sequence == p.sequence && (got.command == p.command|response || got.command == genericNack && got.status != 0):
			return got, nil
		case got.command&response == 0: // what a transmitter is not asked
			if _, err := c.conn.Write(pdu{command: genericNack, status: 0x03, sequence: got.sequence}.encode()); err != nil {
				return got, fmt.Errorf("write SMPP: %w", err)
			}
		}
	}
}

// bye leaves as one should, and does not mind when the other side does not.
func (c *session) bye() {
	if c.conn.SetDeadline(time.Now().Add(unbindTime)) == nil {
		_, _ = c.ask(pdu{command: unbind})
	}
}

// refused takes a status apart (section 5.1.3).
func refused(m sms.Message, what string, status uint32) sms.Result {
	o, known := statuses[status]
	if !known {
		o = sms.Rejected
	}
	return sms.Result{Outcome: o, Detail: sms.Detail(m, fmt.Sprintf("SMPP %s: status 0x%08x", what, status))}
}

var statuses = map[uint32]sms.Outcome{
	0x0b: sms.BadNumber, 0x50: sms.BadNumber, 0x51: sms.BadNumber, // destination address, its type, its plan
	0x0d: sms.Credential, 0x0e: sms.Credential, 0x0f: sms.Credential, 0x53: sms.Credential, // bind, password, system id, system type
	0x14: sms.Throttled, 0x58: sms.Throttled, // queue full, throttled
	0x08: sms.Unavailable, 0x64: sms.Unavailable, // system error, temporary application error
	0x05: sms.Unavailable, // already bound: another of our connections is there still
}
