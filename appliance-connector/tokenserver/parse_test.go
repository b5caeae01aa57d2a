package tokenserver

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"testing"

	"github.com/sallyport/sallyport"
)

// sign makes a packet the answer to x, as far as it can be one: identifier, length, the first Message-Authenticator,
// authenticator.
func (x *exchanged) sign(p []byte) {
	p[1] = x.packet[1]
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[4:headerSize], x.packet[4:headerSize])
	for at := headerSize; at+2 <= len(p) && p[at+1] >= 2 && at+int(p[at+1]) <= len(p); at += int(p[at+1]) {
		if p[at] == attrMessageAuthenticator && p[at+1] == 2+md5.Size {
			clear(p[at+2 : at+2+md5.Size])
			m := hmac.New(md5.New, []byte(x.secret))
			m.Write(p)
			m.Sum(p[at+2 : at+2])
			break
		}
	}
	sum := md5.Sum(append(bytes.Clone(p), x.secret...))
	copy(p[4:headerSize], sum[:])
}

// FuzzAnswer: nothing that a server sends breaks the client, nothing is taken that is not signed, and what is taken holds
// what it promises.
func FuzzAnswer(f *testing.F) {
	r, err := newRequest(sallyport.TokenUserShort, "appliance-1", Query{Account: `hospital\alice`, Passcode: "123456"})
	if err != nil {
		f.Fatal(err)
	}
	x, err := r.seal("shared-with-the-token-server")
	if err != nil {
		f.Fatal(err)
	}
	signature := append([]byte{attrMessageAuthenticator, 18}, make([]byte, 16)...)
	for _, code := range []byte{codeAccessAccept, codeAccessReject, codeAccessChallenge, 5} {
		p := append([]byte{code}, make([]byte, headerSize-1)...)
		f.Add(append(p, signature...))
		f.Add(append(append(p, attrReplyMessage, 5, 'a', '\n', 'b', attrState, 3, 1), signature...))
		f.Add(append(append(p, attrState, 3, 1, attrState, 3, 2), signature...))
	}
	f.Add([]byte{2, 7, 0, 20})
	f.Fuzz(func(t *testing.T, p []byte) {
		if a, err := x.open(p, true); err == nil {
			t.Fatalf("taken without a signature: %+v", a)
		}
		if len(p) < headerSize || len(p) > maxPacket {
			return
		}
		p = bytes.Clone(p)
		x.sign(p)
		a, err := x.open(p, true)
		if err != nil {
			if a.Outcome != "" {
				t.Errorf("refused, and an outcome: %+v", a)
			}
			return
		}
		if legible(a.Message) != a.Message || len(a.State) > maxAttribute || a.State != nil && a.Outcome != Challenged {
			t.Errorf("%+v", a)
		}
	})
}

// FuzzState: a state is refused, or comes back.
func FuzzState(f *testing.F) {
	f.Add(sealState("one", []byte("state")))
	f.Add(sealState("one", nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		mark, state, err := openState(b)
		if err != nil {
			return
		}
		if again := append(append([]byte{stateVersion}, mark[:]...), state...); !bytes.Equal(again, b) {
			t.Errorf("%x came back as %x", b, again)
		}
	})
}
