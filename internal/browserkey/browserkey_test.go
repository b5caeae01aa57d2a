package browserkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/sallyport/sallyport"
)

func claim() Claim {
	return Claim{Tenant: "t", Integration: "i", Login: "l", UserName: "Alice", ID: "AAAAAAAAAAAAAAAAAAAAAA", Uses: 7}
}

func sign(t testing.TB, key *ecdsa.PrivateKey, c Claim) []byte {
	t.Helper()
	sum := sha256.Sum256(c.Text())
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, SignatureSize)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

func newKey(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return key, point
}

func TestASignatureIsForItsClaimAndKeyAlone(t *testing.T) {
	key, point := newKey(t)
	_, other := newKey(t)
	good := sign(t, key, claim())
	if !claim().SignedBy(point, good) {
		t.Fatal("the right signature is refused")
	}
	for name, edit := range map[string]func(*Claim){
		"another enterprise":  func(c *Claim) { c.Tenant = "u" },
		"another integration": func(c *Claim) { c.Integration = "j" },
		"another login":       func(c *Claim) { c.Login = "m" },
		"another user":        func(c *Claim) { c.UserName = "alice" },
		"another device":      func(c *Claim) { c.ID = "BAAAAAAAAAAAAAAAAAAAAA" },
		"another use":         func(c *Claim) { c.Uses++ },
		"moved borders":       func(c *Claim) { c.Integration, c.Login = "il", "" },
	} {
		c := claim()
		if edit(&c); c.SignedBy(point, good) {
			t.Errorf("%s: the signature is taken", name)
		}
	}
	short, zero := good[:SignatureSize-1], make([]byte, SignatureSize)
	for name, c := range map[string]struct{ key, signature []byte }{
		"another key": {other, good}, "no key": {nil, good}, "compressed": {point[:33], good}, "off the curve": {bytes.Repeat([]byte{4}, KeySize), good},
		"no signature": {point, nil}, "short": {point, short}, "zero": {point, zero}, "long": {point, append(bytes.Clone(good), 0)},
	} {
		if claim().SignedBy(c.key, c.signature) {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestIDsAreSixteenOctets(t *testing.T) {
	id, ok := NewID(make([]byte, IDSize))
	if !ok || len(id) != 22 || !sallyport.ValidID(string(id)) {
		t.Errorf("%q, %v", id, ok)
	}
	if b, ok := Octets(id); !ok || !bytes.Equal(b, make([]byte, IDSize)) {
		t.Errorf("%x, %v", b, ok)
	}
	if _, ok := NewID(make([]byte, IDSize-1)); ok {
		t.Error("15 octets are an id")
	}
	for _, bad := range []sallyport.RememberedID{"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAA=", id + "AA"} {
		if _, ok := Octets(bad); ok {
			t.Errorf("%q is an id", bad)
		}
	}
}

func FuzzSignedBy(f *testing.F) {
	key, point := newKey(f)
	good := sign(f, key, claim())
	f.Add(point, good)
	f.Add(point[:64], good)
	f.Add(point, good[:63])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, k, signature []byte) {
		if bytes.Equal(k, point) && bytes.Equal(signature, good) {
			return
		}
		// (r, n-s) is the only other signature that holds, and nobody gains by it: it is for the same claim.
		if claim().SignedBy(k, signature) && !bytes.Equal(signature[:32], good[:32]) {
			t.Errorf("%x signed by %x", signature, k)
		}
	})
}
