package tokenserver

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// RADIUS packets and attributes (RFC 2865, RFC 3579).
const (
	codeAccessRequest   = 1
	codeAccessAccept    = 2
	codeAccessReject    = 3
	codeAccessChallenge = 11

	attrUserName             = 1
	attrUserPassword         = 2
	attrReplyMessage         = 18
	attrState                = 24
	attrNASIdentifier        = 32
	attrMessageAuthenticator = 80

	headerSize   = 20
	authSize     = 16
	maxPacket    = 4096
	maxAttribute = 253
	maxPassword  = 128
	maxMessage   = 255 // characters of what users are shown
)

var errSilent = errors.New("no answer")

// oddAnswer is something that came from the server's address and is not its answer.
type oddAnswer struct{ words string }

func (e *oddAnswer) Error() string { return e.words }

var (
	errBroken   = &oddAnswer{"What it sends is not RADIUS. Look at the port."}
	errSecret   = &oddAnswer{"Its answers do not fit the shared secret. Enter the same secret here and at the server."}
	errUnsigned = &oddAnswer{"It answers without Message-Authenticator, which somebody on the way could have changed (CVE-2024-3596). Update the server, or have it send the attribute; else switch on that its unsigned answers are taken."}
	errForeign  = &oddAnswer{"It answers with something else than accept, reject or challenge. Look at the port."}
	errStale    = &oddAnswer{"It answers another request than the one that was sent."}
)

// request is a question, before it is made for one server.
type request struct {
	user, nas string
	passcode  sallyport.Secret
	state     []byte // nil: there is none
}

func newRequest(form sallyport.TokenUserName, nas string, q Query) (request, error) {
	user := q.UserName
	switch {
	case q.Account == "" || form == sallyport.TokenUserTyped:
	case form == sallyport.TokenUserAccount:
		user = string(q.Account)
	default:
		user = q.Account.User()
	}
	if user == "" || len(user) > maxAttribute || !utf8.ValidString(user) {
		return request{}, errors.New("user name is empty, too long or no text")
	}
	if q.Passcode == "" || len(q.Passcode) > maxPassword || strings.ContainsRune(string(q.Passcode), 0) {
		return request{}, errors.New("passcode is empty, too long, or has a NUL in it")
	}
	if len(nas) > maxAttribute {
		nas = nas[:maxAttribute]
	}
	return request{user: user, nas: nas, passcode: q.Passcode}, nil
}

// exchanged is a question as it was made for one server.
type exchanged struct {
	packet []byte
	secret sallyport.Secret
}

// seal makes the packet: Message-Authenticator first.
func (r request) seal(secret sallyport.Secret) (*exchanged, error) {
	p := make([]byte, headerSize, 512)
	p[0] = codeAccessRequest
	rand.Read(p[1:2])
	rand.Read(p[4:headerSize])
	p = append(p, attrMessageAuthenticator, 2+md5.Size)
	mac := len(p)
	p = append(p, make([]byte, md5.Size)...)
	p = appendAttribute(p, attrUserName, []byte(r.user))
	p = appendAttribute(p, attrUserPassword, hide(r.passcode, secret, p[4:headerSize]))
	if r.nas != "" {
		p = appendAttribute(p, attrNASIdentifier, []byte(r.nas))
	}
	if len(r.state) > 0 {
		p = appendAttribute(p, attrState, r.state)
	}
	if len(p) > maxPacket {
		return nil, errors.New("question is longer than a packet can be")
	}
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	m := hmac.New(md5.New, []byte(secret))
	m.Write(p)
	m.Sum(p[mac:mac])
	return &exchanged{p, secret}, nil
}

// appendAttribute takes a value of at most maxAttribute octets.
func appendAttribute(p []byte, kind byte, value []byte) []byte {
	return append(append(p, kind, byte(2+len(value))), value...)
}

// hide hides a password of 1 to 128 octets (RFC 2865 section 5.2).
func hide(password, secret sallyport.Secret, authenticator []byte) []byte {
	out := make([]byte, (len(password)+authSize-1)/authSize*authSize)
	copy(out, password)
	previous := authenticator
	for at := 0; at < len(out); at += authSize {
		key := md5.Sum(append([]byte(secret), previous...))
		for i := range authSize {
			out[at+i] ^= key[i]
		}
		previous = out[at : at+authSize]
	}
	return out
}

// open checks that a datagram is the answer to the question, and reads it.
func (x *exchanged) open(datagram []byte, unsigned bool) (a Answer, err error) {
	if len(datagram) < headerSize {
		return a, errBroken
	}
	size := int(binary.BigEndian.Uint16(datagram[2:]))
	if size < headerSize || size > len(datagram) {
		return a, errBroken
	}
	p := datagram[:size]
	if p[1] != x.packet[1] {
		return a, errStale
	}
	if !x.authentic(p) {
		return a, errSecret
	}
	var signed bool
	var message []string
	for rest := p[headerSize:]; len(rest) > 0; rest = rest[rest[1]:] {
		if len(rest) < 2 || int(rest[1]) < 2 || int(rest[1]) > len(rest) {
			return a, errBroken
		}
		value := rest[2:rest[1]]
		switch rest[0] {
		case attrMessageAuthenticator:
			if signed || len(value) != md5.Size {
				return a, errBroken
			}
			if !x.signed(p, size-len(rest)+2) {
				return a, errSecret
			}
			signed = true
		case attrReplyMessage:
			message = append(message, string(value))
		case attrState:
			if a.State != nil {
				return a, errBroken
			}
			a.State = append([]byte{}, value...)
		}
	}
	if !signed && !unsigned {
		return Answer{}, errUnsigned
	}
	a.Message = legible(strings.Join(message, " "))
	switch p[0] {
	case codeAccessAccept:
		a.Outcome, a.State = Accepted, nil
	case codeAccessReject:
		a.Outcome, a.State = Rejected, nil
	case codeAccessChallenge:
		a.Outcome = Challenged
	default:
		return Answer{}, errForeign
	}
	return a, nil
}

// authentic checks the Response Authenticator (RFC 2865 section 3).
func (x *exchanged) authentic(p []byte) bool {
	h := md5.New()
	h.Write(p[:4])
	h.Write(x.packet[4:headerSize])
	h.Write(p[headerSize:])
	h.Write([]byte(x.secret))
	return hmac.Equal(h.Sum(nil), p[4:headerSize])
}

// signed checks the Message-Authenticator whose value stands at p[at:].
func (x *exchanged) signed(p []byte, at int) bool {
	m := hmac.New(md5.New, []byte(x.secret))
	m.Write(p[:4])
	m.Write(x.packet[4:headerSize])
	m.Write(p[headerSize:at])
	m.Write(make([]byte, md5.Size))
	m.Write(p[at+md5.Size:])
	return hmac.Equal(m.Sum(nil), p[at:at+md5.Size])
}

// legible makes what a server says fit to be shown: text of one line.
func legible(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > maxMessage {
		s = string([]rune(s)[:maxMessage])
	}
	return s
}
