// Package radiusload measures RADIUS servers: how many log-ins a second they answer, and how long an
// answer takes at a set rate. It sends Access-Requests with PAP and Message-Authenticator from several
// sockets, each with a fresh authenticator, and checks every answer. Packets are made before the
// measurement and answers are checked after it, so that one core of load keeps one core of server busy.
//
// It also starts the servers that are compared: FreeRADIUS (freeradius.go) and ours (sallyport.go).
package radiusload

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// Login is what one request asks: a user name and a password or passcode.
type Login struct {
	User     string
	Password sallyport.Secret
}

const (
	maxPacket   = 4096
	headerSize  = 20
	macAttrSize = 18
	macType     = 80
	keptAnswer  = 128 // octets of an answer that are kept to be checked; longer ones are wrong here
)

// packets are requests one after the other, each with its authenticator, and the answers to them.
type packets struct {
	secret  []byte
	octets  []byte
	ends    []int
	answers []byte // keptAnswer for each request
	sizes   []uint8
}

// build makes one packet for each login. The identifier is set when it is sent: Message-Authenticator
// covers it, so there is one for each; see stamp.
func build(logins []Login, secret sallyport.Secret) (*packets, error) {
	p := &packets{
		secret: []byte(secret), ends: make([]int, 0, len(logins)),
		answers: make([]byte, len(logins)*keptAnswer), sizes: make([]uint8, len(logins)),
	}
	mac := hmac.New(md5.New, p.secret)
	for i, l := range logins {
		b, err := request(l, p.secret, byte(i))
		if err != nil {
			return nil, fmt.Errorf("make request %d: %w", i, err)
		}
		sign(b, mac)
		p.octets = append(p.octets, b...)
		p.ends = append(p.ends, len(p.octets))
	}
	return p, nil
}

func (p *packets) len() int { return len(p.ends) }

func (p *packets) at(i int) []byte {
	from := 0
	if i > 0 {
		from = p.ends[i-1]
	}
	return p.octets[from:p.ends[i]]
}

// keep stores an answer for check.
func (p *packets) keep(i int, answer []byte) {
	p.sizes[i] = uint8(min(len(answer), keptAnswer+1))
	copy(p.answers[i*keptAnswer:(i+1)*keptAnswer], answer)
}

// request makes an unsigned packet with room for Message-Authenticator in front.
func request(l Login, secret []byte, identifier byte) ([]byte, error) {
	var auth [16]byte
	rand.Read(auth[:])
	hidden, err := radius.NewUserPassword([]byte(l.Password), secret, auth[:])
	if err != nil {
		return nil, err
	}
	if len(l.User) == 0 || len(l.User) > 253 {
		return nil, fmt.Errorf("user name has %d octets", len(l.User))
	}
	b := append([]byte{byte(radius.CodeAccessRequest), identifier, 0, 0}, auth[:]...)
	b = append(b, macType, macAttrSize)
	b = append(b, make([]byte, 16)...)
	b = attribute(b, rfc2865.UserName_Type, []byte(l.User))
	b = attribute(b, rfc2865.UserPassword_Type, hidden)
	b = attribute(b, rfc2865.NASIPAddress_Type, []byte{192, 0, 2, 1})
	b = attribute(b, rfc2865.CallingStationID_Type, []byte("203.0.113.7"))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b, nil
}

func attribute(b []byte, kind radius.Type, value []byte) []byte {
	return append(append(b, byte(kind), byte(2+len(value))), value...)
}

func sign(b []byte, mac hash.Hash) {
	mac.Reset()
	mac.Write(b)
	mac.Sum(b[headerSize+2 : headerSize+2])
}

// tally is what check finds.
type tally struct{ accepted, rejected, wrong, withoutMAC int }

// check verifies every answer: identifier, Response Authenticator, and Message-Authenticator if there.
func (p *packets) check() (t tally) {
	mac := hmac.New(md5.New, p.secret)
	for i, size := range p.sizes {
		if size == 0 {
			continue
		}
		if int(size) > keptAnswer {
			t.wrong++
			continue
		}
		answer, req := p.answers[i*keptAnswer:i*keptAnswer+int(size)], p.at(i)
		hasMAC := len(answer) >= headerSize+macAttrSize && answer[headerSize] == macType
		switch {
		case len(answer) < headerSize || answer[1] != req[1] || !radius.IsAuthenticResponse(answer, req, p.secret):
			t.wrong++
			continue
		case hasMAC && !goodMAC(answer, req, mac):
			t.wrong++
			continue
		case !hasMAC:
			t.withoutMAC++
		}
		if radius.Code(answer[0]) == radius.CodeAccessAccept {
			t.accepted++
		} else {
			t.rejected++
		}
	}
	return t
}

func goodMAC(answer, req []byte, mac hash.Hash) bool {
	b := append([]byte(nil), answer...)
	copy(b[4:headerSize], req[4:headerSize])
	clear(b[headerSize+2 : headerSize+macAttrSize])
	mac.Reset()
	mac.Write(b)
	return hmac.Equal(mac.Sum(nil), answer[headerSize+2:headerSize+macAttrSize])
}
