package deviceproto

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

func TestWhatADeviceSaysOfItsAppIsItsOwn(t *testing.T) {
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	id := Thumbprint(&key.PublicKey)
	keys := DeriveKeys(make([]byte, SecretSize), id)
	der, err := MarshalPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []sallyport.App{{Version: "1.0"}, {Version: "0.9", WithoutNumberMatching: true}, {}} {
		box, err := SealApp(key, keys.Details, want, time.Unix(1_700_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenApp(keys.Details, der, id, box); err != nil || got != want {
			t.Errorf("%+v is heard as %+v, %v", want, got, err)
		}
		box[20] ^= 1
		if _, err := OpenApp(keys.Details, der, id, box); err == nil {
			t.Error("edited, it holds")
		}
	}
	// Another key that somehow has the details key.
	box, err := SealApp(other, keys.Details, sallyport.App{Version: "1.0"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenApp(keys.Details, der, id, box); err == nil {
		t.Error("said by another device, it holds")
	}
}

// An app of before there were capabilities says none, and can.
func TestAnAppThatSaysNothingMatchesNumbers(t *testing.T) {
	for _, c := range []struct {
		said    Capabilities
		without bool
	}{{nil, false}, {Capabilities{}, true}, {Capabilities{NumberMatching}, false}, {Capabilities{"x"}, true}, {Capabilities{"x", NumberMatching}, false}} {
		if got := c.said.App("1"); got.WithoutNumberMatching != c.without {
			t.Errorf("%v: %+v", c.said, got)
		}
	}
}

func FuzzParseApp(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	id := Thumbprint(&key.PublicKey)
	keys := DeriveKeys(make([]byte, SecretSize), id)
	der, err := MarshalPublicKey(&key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	box, err := SealApp(key, keys.Details, sallyport.App{Version: "1.0"}, time.Unix(1_700_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	plain, err := sealed.Open(keys.Details, box, appAAD(id))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte("eyJhbGciOiJub25lIn0.e30."))
	f.Fuzz(func(t *testing.T, inside []byte) {
		// The seal is intact; what is inside comes from a device nobody controls.
		a, err := OpenApp(keys.Details, der, id, sealed.Seal(keys.Details, inside, appAAD(id)))
		if err == nil && a != (sallyport.App{Version: "1.0"}) {
			t.Fatalf("accepted %+v", a)
		}
	})
}
