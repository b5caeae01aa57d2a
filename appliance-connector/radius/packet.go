package radius

import (
	"encoding/binary"
	"errors"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

const (
	headerSize    = 20
	maxPacket     = radius.MaxPacketLength
	macSize       = 16
	macAttrSize   = 2 + macSize
	authSize      = 16
	maxPassword   = 128
	microsoft     = 311 // vendor id (RFC 2548)
	msChapFirst   = 1   // MS-CHAP-Response
	msChapLegacy  = 11  // MS-CHAP-Challenge
	msChapSecond  = 25  // MS-CHAP2-Response
	minVendorSize = 6
)

var (
	errShort     = errors.New("shorter than a RADIUS packet")
	errLength    = errors.New("length field does not fit the datagram")
	errAttribute = errors.New("attribute runs over the end")
	errTwice     = errors.New("attribute that may stand there once stands there twice")
	errMACLength = errors.New("attribute Message-Authenticator has not 16 octets")
	errPassword  = errors.New("attribute User-Password is not 16 to 128 octets in steps of 16")
)

// request is a parsed packet. It points into the datagram, so that a packet costs no memory of its
// own; the library's parser copies every attribute. FuzzParse holds the two together.
type request struct {
	raw      []byte // without what follows the packet in the datagram
	user     []byte
	password []byte // as it came, hidden
	nas      []byte
	calling  []byte
	called   []byte
	state    []byte // of the Access-Challenge that this answers; nil: it begins a login
	mac      int    // where the 16 octets of Message-Authenticator stand; 0: not there
	protocol string // another protocol than PAP, by name
}

func (r *request) code() radius.Code     { return radius.Code(r.raw[0]) }
func (r *request) authenticator() []byte { return r.raw[4:headerSize] }
func (r *request) attributes() []byte    { return r.raw[headerSize:] }
func (r *request) clone() request        { c, _ := parse(append([]byte(nil), r.raw...)); return c }
func (r *request) id() (id RequestID)    { id[0] = r.raw[1]; copy(id[1:], r.authenticator()); return id }

func parse(datagram []byte) (request, error) {
	if len(datagram) < headerSize {
		return request{}, errShort
	}
	size := int(binary.BigEndian.Uint16(datagram[2:4]))
	if size < headerSize || size > maxPacket || size > len(datagram) {
		return request{}, errLength
	}
	r := request{raw: datagram[:size:size]}
	for at := headerSize; at < size; {
		if size-at < 2 || int(datagram[at+1]) < 2 || int(datagram[at+1]) > size-at {
			return request{}, errAttribute
		}
		next := at + int(datagram[at+1])
		if err := r.take(radius.Type(datagram[at]), at+2, next); err != nil {
			return request{}, err
		}
		at = next
	}
	return r, nil
}

// take notes the attribute whose value stands at raw[from:to].
func (r *request) take(kind radius.Type, from, to int) error {
	value := r.raw[from:to:to]
	switch kind {
	case rfc2865.UserName_Type:
		return once(&r.user, value)
	case rfc2865.UserPassword_Type:
		if len(value) < authSize || len(value) > maxPassword || len(value)%authSize != 0 {
			return errPassword
		}
		return once(&r.password, value)
	case rfc2865.NASIdentifier_Type:
		r.nas = value
	case rfc2865.CallingStationID_Type:
		r.calling = value
	case rfc2865.CalledStationID_Type:
		r.called = value
	case rfc2865.State_Type:
		return once(&r.state, value)
	case rfc2865.CHAPPassword_Type:
		r.protocol = "CHAP"
	case rfc2869.EAPMessage_Type:
		r.protocol = "EAP"
	case rfc2865.VendorSpecific_Type:
		if p := msChap(value); p != "" {
			r.protocol = p
		}
	case rfc2869.MessageAuthenticator_Type:
		if len(value) != macSize {
			return errMACLength
		}
		if r.mac != 0 {
			return errTwice
		}
		r.mac = from
	}
	return nil
}

func once(field *[]byte, value []byte) error {
	if *field != nil {
		return errTwice
	}
	*field = value
	return nil
}

// msChap names the protocol that a Microsoft attribute belongs to.
func msChap(value []byte) string {
	if len(value) < minVendorSize || binary.BigEndian.Uint32(value) != microsoft {
		return ""
	}
	switch value[4] {
	case msChapFirst, msChapLegacy:
		return "MS-CHAP"
	case msChapSecond:
		return "MS-CHAPv2"
	}
	return ""
}

// appendProxyStates appends the request's Proxy-State attributes, unchanged and in their order (RFC
// 2865 section 5.33).
func (r *request) appendProxyStates(out []byte) []byte {
	for rest := r.attributes(); len(rest) > 0; rest = rest[rest[1]:] {
		if radius.Type(rest[0]) == rfc2865.ProxyState_Type {
			out = append(out, rest[:rest[1]]...)
		}
	}
	return out
}
