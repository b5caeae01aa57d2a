package tokenserver_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/rfc2869"
)

// sum is the Message-Authenticator of an answer that gets it as its last attribute.
func sum(t *testing.T, p *radius.Packet) radius.Attribute {
	unsigned := *p
	unsigned.Attributes = append(radius.Attributes{}, p.Attributes...)
	unsigned.Add(rfc2869.MessageAuthenticator_Type, make(radius.Attribute, md5.Size))
	b, err := unsigned.Encode()
	if err != nil {
		t.Error(err)
		return nil
	}
	copy(b[4:20], p.Authenticator[:]) // the request's: what Encode put there is the answer's
	m := hmac.New(md5.New, p.Secret)
	m.Write(b)
	return m.Sum(nil)
}

// signedRight checks the Message-Authenticator of a request, which has to be the first attribute.
func signedRight(b []byte, secret string) bool {
	if b[20] != byte(rfc2869.MessageAuthenticator_Type) || b[21] != 18 {
		return false
	}
	m := hmac.New(md5.New, []byte(secret))
	m.Write(b[:22])
	m.Write(make([]byte, md5.Size))
	m.Write(b[38:])
	return bytes.Equal(m.Sum(nil), b[22:38])
}
