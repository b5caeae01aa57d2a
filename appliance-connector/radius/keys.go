package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"hash"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// keys is one shared secret, ready to be used. While a gateway's secret is being changed it has two: each
// request is answered under the one that it used.
type keys struct {
	secret []byte
	macs   sync.Pool // *mac
}

// mac makes Message-Authenticators; setting one up costs more than using it.
type mac struct {
	hash.Hash
	sum [md5.Size]byte
}

func newKeys(secret sallyport.Secret) *keys {
	k := &keys{secret: []byte(secret)}
	k.macs.New = func() any { return &mac{Hash: hmac.New(md5.New, k.secret)} }
	return k
}

// authenticate finds the secret that a request was made with, or says why it cannot have come from the
// gateway.
func (s *Server) authenticate(c *client, r *request, now time.Time) (*keys, *complaint) {
	previous := c.previousAt(now)
	switch {
	case r.mac != 0 && c.keys.authentic(r):
		s.sawMessageAuthenticator(c, now)
		return c.keys, nil
	case r.mac != 0 && previous != nil && previous.authentic(r):
		s.sawMessageAuthenticator(c, now)
		c.memory.oldSecret.at(now)
		return previous, nil
	case r.mac != 0:
		return nil, &wrongSecret
	case r.protocol == "EAP":
		return nil, &missingMACForEAP
	case c.MessageAuthenticator == sallyport.MessageAuthenticatorAlways:
		return nil, &missingMAC
	case c.MessageAuthenticator != sallyport.MessageAuthenticatorNever && c.memory.seen.Load():
		return nil, &missingMACOnceSeen
	case previous != nil && !c.fits(c.keys, r) && c.fits(previous, r):
		c.memory.oldSecret.at(now)
		return previous, nil
	}
	return c.keys, nil
}

// previousAt is the secret that is being replaced, as long as it is taken.
func (c *client) previousAt(now time.Time) *keys {
	if c.previous == nil || !now.Before(c.PreviousUntil) {
		return nil
	}
	return c.previous
}

// fits reports whether the password comes out as text under this secret: all there is to tell two secrets
// apart by when a request is not signed.
func (c *client) fits(k *keys, r *request) bool {
	var room [maxPassword]byte
	if r.password == nil {
		return false
	}
	_, ok := decode(c.PasswordEncoding, k.reveal(r, &room))
	return ok
}

// sawMessageAuthenticator demands the attribute from now on, where it is demanded once it was seen.
func (s *Server) sawMessageAuthenticator(c *client, now time.Time) {
	if c.MessageAuthenticator != sallyport.MessageAuthenticatorOnceSeen || c.memory.seen.Load() {
		return
	}
	if c.memory.seen.CompareAndSwap(false, true) {
		c.memory.firstSeen.at(now)
		s.opts.Log.Info("gateway sends Message-Authenticator; it is demanded from now on", "integration", string(c.ID), "gateway", c.Nickname)
	}
}
