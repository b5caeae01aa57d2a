package deviceapi

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// seeds are registrations as an app sends them, and as nobody should.
func seeds(f *testing.F) {
	key, err := deviceproto.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	jwk, err := deviceproto.NewJWK(&key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(deviceproto.Registration{
		JWK: jwk, Name: "Alice's iPhone", Platform: "ios", AppVersion: "1.0",
		Push: deviceproto.Push{Provider: deviceproto.ProviderAPNs, Token: "00ff"}, Proof: deviceproto.Encode(make([]byte, 32)),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"jwk":{"kty":"EC","crv":"P-256","x":"","y":""}}`))
	f.Add([]byte(`[[[[[[`))
	f.Add([]byte(`{"name":"` + "\xff" + `"}`))
}

func FuzzParseRegistration(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseRegistration(body)
		if err != nil {
			if sallyport.ErrorCode(err) != sallyport.CodeInvalid {
				t.Fatalf("code %s", sallyport.ErrorCode(err))
			}
			return
		}
		pub, err := deviceproto.ParsePublicKey(r.PublicKey)
		if err != nil || deviceproto.Thumbprint(pub) != r.Device {
			t.Fatalf("key and device differ: %v", err)
		}
		if !utf8.ValidString(r.Name) || utf8.RuneCountInString(r.Name) > 64 || len(r.Push.Token) > 4096 || len(r.Proof) != 32 {
			t.Fatalf("out of bounds: %+v", r)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"sealed":"AAAA"}`))
	f.Add([]byte(`{"sealed":"A\nAA"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		sealed, err := parseAnswer(body)
		if err == nil && (len(sealed) == 0 || len(sealed) > deviceproto.MaxSealedAnswer) {
			t.Fatalf("%d octets accepted", len(sealed))
		}
	})
}

func FuzzParseUnclaimed(f *testing.F) {
	key, err := deviceproto.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	jwk, err := deviceproto.NewJWK(&key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(deviceproto.UnclaimedApp{JWK: jwk, Box: jwk})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, string(deviceproto.SerialOf(&key.PublicKey, &key.PublicKey)))
	f.Add([]byte(`{"jwk":{"kty":"EC","crv":"P-256","x":"","y":""}}`), "")
	f.Add([]byte(`[[[[[[`), "000000000000000000")
	f.Fuzz(func(t *testing.T, body []byte, serial string) {
		u, sign, err := parseUnclaimed(body, deviceproto.Serial(serial))
		if err != nil {
			if sallyport.ErrorCode(err) != sallyport.CodeInvalid {
				t.Fatalf("code %s", sallyport.ErrorCode(err))
			}
			return
		}
		box, err := deviceproto.ParsePublicKey(u.BoxKey)
		if err != nil || deviceproto.SerialOf(sign, box) != deviceproto.Serial(serial) || deviceproto.Thumbprint(sign) != u.Device {
			t.Fatalf("keys, device and serial number differ: %v", err)
		}
	})
}

func FuzzParseVerdict(f *testing.F) {
	f.Add([]byte(`{"sealed":"AAAA"}`))
	f.Add([]byte(`{"sealed":"A\nAA"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		sealed, err := parseVerdict(body)
		if err == nil && (len(sealed) == 0 || len(sealed) > deviceproto.MaxSealedVerdict) {
			t.Fatalf("%d octets accepted", len(sealed))
		}
	})
}

func TestLimitersForgetInsteadOfGrowing(t *testing.T) {
	l := newLimiters(Rate{PerSecond: 1, Burst: 1})
	for i := range 3 * generation {
		l.of(string(rune(i)) + "x")
	}
	if n := len(l.now) + len(l.old); n > 2*generation {
		t.Errorf("%d names are remembered", n)
	}
}
