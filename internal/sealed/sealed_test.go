package sealed

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

func TestFieldsOfDifferentListsDiffer(t *testing.T) {
	seen := map[string][]string{}
	for _, list := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab"}, {"a", "b"}, {"\x00\x01a"}, {"a\x00\x01b"}} {
		key := string(Fields(list...))
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q give the same octets", list, other)
		}
		seen[key] = list
	}
}

func TestOpenTakesOnlyWhatWasSealed(t *testing.T) {
	key, other := bytes.Repeat([]byte{1}, KeySize), bytes.Repeat([]byte{2}, KeySize)
	box := Seal(key, []byte("hello"), []byte("aad"))
	if out, err := Open(key, box, []byte("aad")); err != nil || string(out) != "hello" {
		t.Fatalf("%q, %v", out, err)
	}
	if bytes.Equal(box, Seal(key, []byte("hello"), []byte("aad"))) {
		t.Error("two seals of one value are the same")
	}
	flip := func(i int) []byte { b := bytes.Clone(box); b[i] ^= 1; return b }
	for name, c := range map[string]struct{ key, box, aad []byte }{
		"another key": {other, box, []byte("aad")}, "another aad": {key, box, []byte("aae")}, "nonce": {key, flip(0), []byte("aad")},
		"text": {key, flip(13), []byte("aad")}, "tag": {key, flip(len(box) - 1), []byte("aad")}, "cut": {key, box[:len(box)-1], []byte("aad")},
		"short": {key, box[:Overhead-1], []byte("aad")}, "empty": {key, nil, []byte("aad")},
	} {
		if _, err := Open(c.key, c.box, c.aad); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func binding() Binding {
	return Binding{Tenant: "t", Integration: "i", Login: "l", UserName: "alice", Origin: "https://vpn.test", KeyID: "k", StatementIAT: 7}
}

func TestPasswordsOfEveryLengthTravelAndLookAlike(t *testing.T) {
	key, err := NewBrowserKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"x", "Passw0rd.1", "пароль №1 🔑", strings.Repeat("x", MaxPassword)} {
		enc, ct, sent, err := SealCredentials(key.PublicKey(), sallyport.Secret(password), binding())
		if err != nil {
			t.Fatal(err)
		}
		if len(enc) != EncSize || len(ct) != CiphertextSize {
			t.Errorf("lengths %d and %d tell about the password", len(enc), len(ct))
		}
		got, err := OpenCredentials(key, enc, ct, binding())
		if err != nil || string(got.Password) != password {
			t.Fatalf("%v", err)
		}
		if !bytes.Equal(got.Channel.Up, sent.Up) || !bytes.Equal(got.Channel.Down, sent.Down) || bytes.Equal(sent.Up, sent.Down) {
			t.Error("the two ends have other keys")
		}
	}
	for _, password := range []sallyport.Secret{"", sallyport.Secret(strings.Repeat("x", MaxPassword+1))} {
		if _, _, _, err := SealCredentials(key.PublicKey(), password, binding()); err == nil {
			t.Errorf("a password of %d octets was sealed", len(password))
		}
	}
}

func FuzzOpenCredentials(f *testing.F) {
	key, err := NewBrowserKey()
	if err != nil {
		f.Fatal(err)
	}
	enc, ct, _, err := SealCredentials(key.PublicKey(), "pw", binding())
	if err != nil {
		f.Fatal(err)
	}
	junk := make([]byte, CiphertextSize)
	rand.Read(junk)
	f.Add(enc, junk)
	f.Add(enc[:64], ct)
	f.Add(bytes.Repeat([]byte{4}, EncSize), ct)
	f.Fuzz(func(t *testing.T, e, c []byte) {
		if bytes.Equal(e, enc) && bytes.Equal(c, ct) {
			return
		}
		if _, err := OpenCredentials(key, e, c, binding()); !errors.Is(err, ErrOpen) {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	key := bytes.Repeat([]byte{1}, KeySize)
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, Overhead), []byte("aad"))
	f.Fuzz(func(t *testing.T, box, aad []byte) {
		if _, err := Open(key, box, aad); !errors.Is(err, ErrOpen) {
			t.Errorf("got %v", err)
		}
	})
}
