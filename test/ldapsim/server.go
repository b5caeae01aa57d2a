// Package ldapsim is a small directory in the same process that answers LDAP the way
// Active Directory does, as far as logins need it: simple binds with the account states
// in their errors, wrong passwords counted, searches with filters, the entries about
// the domain itself. The demo runs on it, and tests that need no real directory. It
// holds passwords in the clear and must never serve anything else.
//
// It speaks LDAP itself (RFC 4511) over the ber and filter code of go-ldap: the server
// library at hand (gldap) cannot stop while a client keeps a connection open, nor tell
// the port it got.
package ldapsim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

const (
	// maxMessage bounds one request, in octets.
	maxMessage = 64 << 10
	// maxDepth bounds how deep filters nest.
	maxDepth = 32
	// maxSessions bounds the connections at one time; further ones are closed.
	maxSessions = 1024
	idleTimeout = 15 * time.Minute
)

// Server serves one directory on any number of listeners.
type Server struct {
	dir *directory

	mu     sync.Mutex
	open   map[io.Closer]struct{} // listeners and connections
	closed bool
	wg     sync.WaitGroup
}

// New returns a server for the domain that cfg describes.
func New(cfg Config) (*Server, error) {
	d, err := newDirectory(cfg)
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	return &Server{dir: d, open: map[io.Closer]struct{}{}}, nil
}

// Serve takes connections until Close; it then returns nil. LDAPS is a listener of
// crypto/tls.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		return nil
	}
	defer s.forget(l)
	for {
		c, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		if !s.track(c) {
			continue
		}
		go func() {
			defer s.forget(c)
			(&session{dir: s.dir}).serve(c)
		}()
	}
}

// Close ends every listener and connection, and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// BadPwdCount returns how many wrong passwords were counted for a sAMAccountName.
func (s *Server) BadPwdCount(user string) int { return s.dir.badPwdCount(user) }

func (s *Server) track(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.open) >= maxSessions {
		_ = c.Close()
		return false
	}
	s.open[c] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *Server) forget(c io.Closer) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.wg.Done()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// session is one connection: requests are answered one after the other.
type session struct {
	dir   *directory
	bound bool // as somebody, not anonymously
	// control goes with the last packet of the next answer.
	control *ber.Packet
}

func (s *session) serve(c net.Conn) {
	in, out := bufio.NewReader(c), bufio.NewWriter(c)
	for {
		if err := c.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return
		}
		if err := s.exchange(in, out); err != nil {
			return
		}
	}
}

var errUnbind = errors.New("client says goodbye")

// exchange reads one request and writes its answers.
func (s *session) exchange(in *bufio.Reader, out *bufio.Writer) error {
	msg, err := readMessage(in)
	if err != nil {
		return err
	}
	answers, err := s.handle(msg)
	if err != nil {
		return err
	}
	for i, a := range answers {
		packet := envelope(msg.id, a)
		if i == len(answers)-1 && s.control != nil {
			packet.AppendChild(s.control)
			s.control = nil
		}
		if _, err := out.Write(packet.Bytes()); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// message is a request (RFC 4511 section 4.1.1).
type message struct {
	id       int64
	op       *ber.Packet
	page     *page // of results that is asked for; nil: none in particular
	critical bool  // there is a control that must be understood and is not
}

var errProtocol = errors.New("not an LDAP message")

// readMessage reads one request. It reads the length itself, so that nothing is
// allocated on the word of the client.
func readMessage(in *bufio.Reader) (message, error) {
	head, err := in.Peek(2)
	if err != nil {
		return message{}, fmt.Errorf("read message: %w", err)
	}
	length, more := int(head[1]), 0
	if length&0x80 != 0 {
		more = length & 0x7f
		if more == 0 || more > 4 {
			return message{}, errProtocol
		}
		if head, err = in.Peek(2 + more); err != nil {
			return message{}, fmt.Errorf("read message: %w", err)
		}
		length = 0
		for _, b := range head[2:] {
			length = length<<8 | int(b)
		}
	}
	if head[0] != 0x30 || length > maxMessage {
		return message{}, errProtocol
	}
	buf := make([]byte, 2+more+length)
	if _, err := io.ReadFull(in, buf); err != nil {
		return message{}, fmt.Errorf("read message: %w", err)
	}
	return parseMessage(buf)
}

func parseMessage(buf []byte) (message, error) {
	p, err := ber.DecodePacketErr(buf)
	if err != nil {
		return message{}, fmt.Errorf("%w: %w", errProtocol, err)
	}
	if len(p.Children) < 2 || p.Children[1].ClassType != ber.ClassApplication || depth(p) > maxDepth {
		return message{}, errProtocol
	}
	id, ok := p.Children[0].Value.(int64)
	if !ok || id < 0 {
		return message{}, errProtocol
	}
	m := message{id: id, op: p.Children[1]}
	m.page, m.critical = controls(p)
	return m, nil
}

func depth(p *ber.Packet) int {
	d := 0
	for _, c := range p.Children {
		d = max(d, depth(c))
	}
	return d + 1
}

// handle answers one request.
func (s *session) handle(m message) ([]*ber.Packet, error) {
	answer := func(tag ber.Tag, r result) []*ber.Packet { return []*ber.Packet{r.packet(tag)} }
	switch m.op.Tag {
	case ldap.ApplicationUnbindRequest:
		return nil, errUnbind
	case ldap.ApplicationAbandonRequest:
		return nil, nil
	case ldap.ApplicationBindRequest:
		return answer(ldap.ApplicationBindResponse, s.bind(m)), nil
	case ldap.ApplicationSearchRequest:
		entries, r := s.search(m)
		return append(entries, r.packet(ldap.ApplicationSearchResultDone)), nil
	case ldap.ApplicationExtendedRequest:
		return answer(ldap.ApplicationExtendedResponse, result{ldap.LDAPResultProtocolError, "no extended operation is known here"}), nil
	case ldap.ApplicationModifyRequest, ldap.ApplicationAddRequest, ldap.ApplicationDelRequest, ldap.ApplicationModifyDNRequest, ldap.ApplicationCompareRequest:
		// The answer's tag is the request's plus one.
		return answer(m.op.Tag+1, result{ldap.LDAPResultUnwillingToPerform, "this directory does not change"}), nil
	}
	return nil, errProtocol
}

// result ends every answer (RFC 4511 section 4.1.9).
type result struct {
	code    int
	message string
}

func (r result) packet(tag ber.Tag) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(r.code), ""))
	p.AppendChild(octets(""))
	p.AppendChild(octets(r.message))
	return p
}

func envelope(id int64, op *ber.Packet) *ber.Packet {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// text returns the octets of a primitive value.
func text(p *ber.Packet) string { return p.Data.String() }

// bind answers a simple bind (RFC 4511 section 4.2).
func (s *session) bind(m message) result {
	s.bound = false
	if m.critical {
		return result{ldap.LDAPResultUnavailableCriticalExtension, ""}
	}
	if len(m.op.Children) < 3 {
		return result{ldap.LDAPResultProtocolError, ""}
	}
	name, auth := text(m.op.Children[1]), m.op.Children[2]
	if auth.ClassType != ber.ClassContext || auth.Tag != 0 {
		return result{ldap.LDAPResultAuthMethodNotSupported, "simple binds only"}
	}
	// As Active Directory does: without a password nobody in particular is let in, and
	// told so with success, whatever the name (RFC 4513 section 5.1.2).
	if text(auth) == "" {
		return result{ldap.LDAPResultSuccess, ""}
	}
	r := s.dir.bind(name, text(auth))
	s.bound = r.code == ldap.LDAPResultSuccess
	return r
}
