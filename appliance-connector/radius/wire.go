package radius

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"golang.org/x/text/encoding/charmap"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

var noMAC [macSize]byte

// authentic checks a request's Message-Authenticator: HMAC-MD5 over the packet with the attribute's
// value zero (RFC 3579 section 3.2).
func (k *keys) authentic(r *request) bool {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	m.Reset()
	m.Write(r.raw[:r.mac])
	m.Write(noMAC[:])
	m.Write(r.raw[r.mac+macSize:])
	return hmac.Equal(m.Sum(m.sum[:0]), r.raw[r.mac:r.mac+macSize])
}

// reveal undoes the hiding of User-Password (RFC 2865 section 5.2) into out, and cuts the padding.
func (k *keys) reveal(r *request, out *[maxPassword]byte) []byte {
	room := [128]byte{} // spares the heap for secrets of up to 112 octets
	key := append(room[:0], k.secret...)
	previous := r.authenticator()
	for at := 0; at < len(r.password); at += authSize {
		sum := md5.Sum(append(key, previous...))
		previous = r.password[at : at+authSize]
		for i, b := range previous {
			out[at+i] = sum[i] ^ b
		}
	}
	n := len(r.password)
	for n > 0 && out[n-1] == 0 {
		n--
	}
	return out[:n]
}

// decode reads a name or a password as the gateway writes it, and reports whether it is text. A password
// decoded with the wrong secret is not: 16 octets at random have a chance of less than one in ten thousand in
// UTF-8, but of one in thirteen in Windows-1252, where nearly every octet is a letter.
func decode(e sallyport.PasswordEncoding, raw []byte) (string, bool) {
	if e == sallyport.PasswordWindows1252 {
		text, err := charmap.Windows1252.NewDecoder().Bytes(raw)
		return string(text), err == nil && legible(text) && !bytes.ContainsRune(text, utf8.RuneError)
	}
	return string(raw), legible(raw)
}

func legible(text []byte) bool {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			return false
		}
		text = text[n:]
	}
	return true
}

// answer appends the answer to r: Message-Authenticator first, then the message, then attributes, as they
// are sent, then the request's Proxy-States. It returns nil when even without a message it is longer than a
// packet can be.
func (k *keys) answer(out []byte, r *request, code radius.Code, message string, attributes []byte) []byte {
	out = append(out, byte(code), r.raw[1], 0, 0)
	out = append(out, r.authenticator()...)
	out = append(out, byte(rfc2869.MessageAuthenticator_Type), macAttrSize)
	out = append(out, noMAC[:]...)
	if message != "" {
		message = cut(message, 253)
		out = append(out, byte(rfc2865.ReplyMessage_Type), byte(2+len(message)))
		out = append(out, message...)
	}
	out = append(out, attributes...)
	out = r.appendProxyStates(out)
	if len(out) > maxPacket {
		if message == "" {
			return nil
		}
		return k.answer(out[:0], r, code, "", attributes)
	}
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	k.sign(out)
	return out
}

// sign fills in Message-Authenticator, and then the Response Authenticator (RFC 2865 section 3).
func (k *keys) sign(out []byte) {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	m.Reset()
	m.Write(out)
	copy(out[headerSize+2:], m.Sum(m.sum[:0]))
	n := len(out)
	sum := md5.Sum(append(out, k.secret...))
	copy(out[4:headerSize], sum[:])
	clear(out[n : n+min(len(k.secret), cap(out)-n)])
}

// cut shortens s to n octets at most, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
