package gatewaytoken

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	vpn   = sallyport.IntegrationID("vpn")
	alice = sallyport.AccountName(`hospital\alice`)
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	nonce = [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
)

func key(id uint8) Key {
	return Key{ID: id, Secret: sallyport.Key(fmt.Sprintf("secret of key %02d, 32 octets long", id))}
}

func ring(t testing.TB, current uint8, older ...uint8) Ring {
	t.Helper()
	var old []Key
	for _, id := range older {
		old = append(old, key(id))
	}
	r, err := NewRing(key(current), old...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTokenIsGoodForItsUserAtItsGateway(t *testing.T) {
	r := ring(t, 7)
	token := r.Mint(vpn, alice, nonce, noon.Add(Lifetime))
	if len(token) != Size || !LooksLike(string(token)) {
		t.Fatalf("token has %d characters", len(token))
	}
	c, err := r.Check(token, vpn, alice, noon)
	if err != nil {
		t.Fatal(err)
	}
	if c.Nonce != nonce || !c.Expires.Equal(noon.Add(Lifetime)) {
		t.Errorf("claim %+v", c)
	}
}

func TestCheckRefuses(t *testing.T) {
	r := ring(t, 7)
	good := string(r.Mint(vpn, alice, nonce, noon.Add(Lifetime)))
	elsewhere, err := NewRing(Key{ID: 7, Secret: sallyport.Key("another enterprise's secret")})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token   string
		gateway sallyport.IntegrationID
		account sallyport.AccountName
		want    error
	}{
		"empty":                  {"", vpn, alice, ErrMalformed},
		"short":                  {good[:47], vpn, alice, ErrMalformed},
		"long":                   {good + "A", vpn, alice, ErrMalformed},
		"standard alphabet":      {"+" + good[1:], vpn, alice, ErrMalformed},
		"other version":          {"A" + good[1:], vpn, alice, ErrMalformed},
		"line break inside":      {good[:20] + "\n" + good[21:], vpn, alice, ErrMalformed},
		"unknown key":            {string(ring(t, 8).Mint(vpn, alice, nonce, noon)), vpn, alice, ErrUnknownKey},
		"another enterprise":     {string(elsewhere.Mint(vpn, alice, nonce, noon)), vpn, alice, ErrBadMAC},
		"another user":           {good, vpn, `hospital\bob`, ErrWrongUser},
		"another gateway":        {good, "vpn2", alice, ErrWrongUser},
		"boundary moved":         {good, vpn + "h", alice[1:], ErrWrongUser},
		"expired":                {string(r.Mint(vpn, alice, nonce, noon.Add(-Skew-time.Second))), vpn, alice, ErrExpired},
		"lives too long":         {string(r.Mint(vpn, alice, nonce, noon.Add(Lifetime+Skew+time.Second))), vpn, alice, ErrTooEarly},
		"kept until round":       {string(r.Mint(vpn, alice, nonce, noon.Add(-(1<<24)*time.Second))), vpn, alice, ErrBadMAC},
		"wrong user and expired": {string(r.Mint(vpn, alice, nonce, noon.Add(-time.Hour))), vpn, `hospital\bob`, ErrWrongUser},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.Check(sallyport.Secret(c.token), c.gateway, c.account, noon); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestEveryEditedCharacterIsNoticed(t *testing.T) {
	r := ring(t, 7)
	good := string(r.Mint(vpn, alice, nonce, noon.Add(Lifetime)))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range good {
		for _, c := range alphabet {
			if edited := good[:i] + string(c) + good[i+1:]; edited != good {
				if _, err := r.Check(sallyport.Secret(edited), vpn, alice, noon); err == nil {
					t.Fatalf("character %d as %q is accepted", i, c)
				}
			}
		}
	}
}

func TestClocksAMinuteApartStillWork(t *testing.T) {
	r := ring(t, 1)
	for _, skew := range []time.Duration{-Skew, 0, Skew} {
		minter := noon.Add(skew)
		token := r.Mint(vpn, alice, nonce, minter.Add(Lifetime))
		for _, age := range []time.Duration{0, 5 * time.Second, Lifetime} {
			if _, err := r.Check(token, vpn, alice, noon.Add(age)); err != nil {
				t.Errorf("minter's clock off by %v, token %v old: %v", skew, age, err)
			}
		}
	}
}

func TestExpiryIsReadRightAcrossTheWrap(t *testing.T) {
	r := ring(t, 1)
	wrap := time.Unix(200<<24, 0)
	for s := -130; s <= 130; s++ {
		now := wrap.Add(time.Duration(s) * time.Second)
		expires := now.Add(Lifetime)
		c, err := r.Check(r.Mint(vpn, alice, nonce, expires), vpn, alice, now)
		if err != nil || !c.Expires.Equal(expires) {
			t.Fatalf("%d s from the wrap: %v, %v", s, c.Expires, err)
		}
	}
}

func TestOlderKeysStillCheck(t *testing.T) {
	before, after := ring(t, 1), ring(t, 2, 1)
	token := before.Mint(vpn, alice, nonce, noon.Add(Lifetime))
	a, err := before.Check(token, vpn, alice, noon)
	if err != nil {
		t.Fatal(err)
	}
	b, err := after.Check(token, vpn, alice, noon)
	if err != nil {
		t.Fatalf("after rotation: %v", err)
	}
	if a.Key() != b.Key() {
		t.Error("the key to claim changed with the ring")
	}
	if _, err := before.Check(after.Mint(vpn, alice, nonce, noon), vpn, alice, noon); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("token of the next key: %v", err)
	}
}

func TestTokensOfOneLoginAreClaimedAsOne(t *testing.T) {
	r := ring(t, 1)
	keyOf := func(account sallyport.AccountName, nonce [8]byte, expires time.Time) [16]byte {
		c, err := r.Check(r.Mint(vpn, account, nonce, expires), vpn, account, noon)
		if err != nil {
			t.Fatal(err)
		}
		return c.Key()
	}
	first := keyOf(alice, nonce, noon.Add(Lifetime))
	if again := keyOf(alice, nonce, noon.Add(Lifetime-5*time.Second)); again != first {
		t.Error("minting twice for one login gives two uses")
	}
	if other := keyOf(alice, [8]byte{9}, noon.Add(Lifetime)); other == first {
		t.Error("two logins share a claim")
	}
	if other := keyOf(`hospital\bob`, nonce, noon.Add(Lifetime)); other == first {
		t.Error("two users share a claim")
	}
}

func TestRingRefusesBadKeys(t *testing.T) {
	for name, keys := range map[string][]Key{
		"id too high": {key(64)},
		"short":       {{ID: 1, Secret: sallyport.Key("short")}},
		"twice":       {key(1), key(1)},
	} {
		if _, err := NewRing(keys[0], keys[1:]...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestErrorsAndTokensTellNothing(t *testing.T) {
	r := ring(t, 1)
	token := r.Mint(vpn, alice, nonce, noon.Add(Lifetime))
	_, err := r.Check(token, vpn, `hospital\bob`, noon)
	if s := fmt.Sprint(token, err); strings.Contains(s, string(token)) {
		t.Error("the token is printed")
	}
}

func FuzzCheck(f *testing.F) {
	r := ring(f, 7, 3)
	f.Add(string(r.Mint(vpn, alice, nonce, noon.Add(Lifetime))), string(vpn), string(alice))
	f.Add("", "", "")
	f.Add(strings.Repeat("Q", Size), "vpn", `hospital\alice`)
	good := string(r.Mint(vpn, alice, nonce, noon.Add(Lifetime)))
	f.Fuzz(func(t *testing.T, token, gateway, account string) {
		_, err := r.Check(sallyport.Secret(token), sallyport.IntegrationID(gateway), sallyport.AccountName(account), noon)
		if err == nil && (token != good || gateway != string(vpn) || account != string(alice)) {
			t.Fatalf("accepted %q for %q at %q", token, account, gateway)
		}
		if errors.Is(err, ErrMalformed) == LooksLike(token) {
			t.Fatalf("LooksLike(%q) disagrees with Check: %v", token, err)
		}
	})
}

func BenchmarkMint(b *testing.B) {
	r := ring(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		r.Mint(vpn, alice, nonce, noon)
	}
}

func BenchmarkCheck(b *testing.B) {
	r := ring(b, 1)
	token := r.Mint(vpn, alice, nonce, noon.Add(Lifetime))
	b.ReportAllocs()
	for b.Loop() {
		c, err := r.Check(token, vpn, alice, noon)
		if err != nil {
			b.Fatal(err)
		}
		c.Key()
	}
}
