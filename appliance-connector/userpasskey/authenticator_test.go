package userpasskey_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
)

var b64 = base64.RawURLEncoding

// authenticator is one of software, with the browser around it: what it says is written octet by octet (WebAuthn
// sections 5.8.1, 6.1 and 6.5, CTAP2's CBOR), so that the library is not held against itself.
type authenticator struct {
	t          testing.TB
	origin     string // of the page that the browser shows
	aaguid     string
	transports []string
	unverified bool // a touch only
	still      bool // does not count
	idSize     int  // 0: 32
	keys       []*key
}

type key struct {
	id, handle []byte
	rp         string
	private    *ecdsa.PrivateKey
	counter    uint32
}

type ceremony struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"user"`
	UserVerification       string           `json:"userVerification"`
	Allow                  []described      `json:"allowCredentials"`
	Exclude                []described      `json:"excludeCredentials"`
	Attestation            string           `json:"attestation"`
	AuthenticatorSelection *json.RawMessage `json:"authenticatorSelection"`
}

type described struct {
	ID string `json:"id"`
}

func read(t testing.TB, options []byte) (c ceremony) {
	t.Helper()
	if err := json.Unmarshal(options, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *authenticator) decode(text string) []byte {
	b, err := b64.DecodeString(text)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func (a *authenticator) clientData(kind, challenge string) []byte {
	text, err := json.Marshal(map[string]any{"type": "webauthn." + kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// data is authenticator data without what is attested.
func (a *authenticator) data(rp string, flags byte, counter uint32) []byte {
	if !a.unverified {
		flags |= 0x04
	}
	sum := sha256.Sum256([]byte(rp))
	return binary.BigEndian.AppendUint32(append(sum[:], flags|0x01), counter)
}

// create does what navigator.credentials.create does.
func (a *authenticator) create(options []byte) []byte {
	a.t.Helper()
	c := read(a.t, options)
	for _, d := range c.Exclude {
		if slices.ContainsFunc(a.keys, func(k *key) bool { return string(k.id) == string(a.decode(d.ID)) }) {
			a.t.Fatal("the authenticator has a passkey of this user already")
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	k := &key{id: make([]byte, cmp.Or(a.idSize, 32)), handle: a.decode(c.User.ID), rp: c.RP.ID, private: private, counter: 1}
	if a.still {
		k.counter = 0
	}
	rand.Read(k.id)
	point, err := private.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	aaguid, err := hex.DecodeString(a.aaguid)
	if err != nil {
		a.t.Fatal(err)
	}
	data := append(a.data(k.rp, 0x40, k.counter), append(make([]byte, 16-len(aaguid)), aaguid...)...)
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(k.id))), k.id...)
	// COSE_Key: kty EC2, alg ES256, crv P-256, x, y.
	data = append(data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32)
	data = append(append(data, point[1:33]...), 0x22, 0x58, 32)
	data = append(data, point[33:]...)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(append(object, 0x64), "none"...), 0x67)
	object = append(append(append(object, "attStmt"...), 0xa0, 0x68), "authData"...)
	object = append(binary.BigEndian.AppendUint16(append(object, 0x59), uint16(len(data))), data...)
	a.keys = append(a.keys, k)
	return a.answer(k, map[string]any{"clientDataJSON": b64.EncodeToString(a.clientData("create", c.Challenge)),
		"attestationObject": b64.EncodeToString(object), "transports": a.transports})
}

// get does what navigator.credentials.get does, with the last of its keys that is asked for.
func (a *authenticator) get(options []byte) []byte {
	a.t.Helper()
	c := read(a.t, options)
	for _, k := range slices.Backward(a.keys) {
		for _, d := range c.Allow {
			if d.ID == b64.EncodeToString(k.id) && k.rp == c.RPID {
				return a.sign(k, c.RPID, c.Challenge)
			}
		}
	}
	a.t.Fatal("the authenticator has none of these passkeys")
	return nil
}

// sign signs a challenge with a key, asked or not.
func (a *authenticator) sign(k *key, rp, challenge string) []byte {
	k.counter++
	client, data := a.clientData("get", challenge), a.data(rp, 0, k.counter)
	clientSum := sha256.Sum256(client)
	sum := sha256.Sum256(append(slices.Clone(data), clientSum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, sum[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(k, map[string]any{"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
		"signature": b64.EncodeToString(signature), "userHandle": b64.EncodeToString(k.handle)})
}

func (a *authenticator) answer(k *key, response map[string]any) []byte {
	id := b64.EncodeToString(k.id)
	text, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "cross-platform",
		"clientExtensionResults": map[string]any{}, "response": response})
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// must is for what the keeper does without error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
