package sallyport_test

import (
	"testing"

	"github.com/sallyport/sallyport"
)

func TestPasscodesHoweverPeopleGroupThem(t *testing.T) {
	for typed, want := range map[sallyport.Secret]bool{
		"123456": true, "-\t123456": true, " 123 456 ": true, "1234-5678": true, "1234567890123456": true,
		"": false, "12345": false, "12345678901234567": false, "12345x": false, "١٢٣٤٥٦": false, "Correct-Horse-7": false,
	} {
		if got := sallyport.LooksLikePasscode(sallyport.CanonicalPasscode(typed)); got != want {
			t.Errorf("%q: %v", string(typed), got)
		}
	}
	code := sallyport.NewTemporaryCode()
	if c := sallyport.CanonicalPasscode(code); len(code) != 9 || code[4] != '-' || len(c) != 8 || !sallyport.LooksLikePasscode(c) || code == sallyport.NewTemporaryCode() {
		t.Errorf("%q: a temporary code is eight random digits in two groups", string(code))
	}
}

func FuzzPasscode(f *testing.F) {
	for _, s := range []string{"123456", "1234-5678", "-\t123456", " 1 2 3 4 5 6 ", "", "-", "12345\x006", "１２３４５６"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := sallyport.CanonicalPasscode(sallyport.Secret(s))
		if sallyport.CanonicalPasscode(c) != c {
			t.Errorf("%q is canonical at the second time only", s)
		}
		if !sallyport.LooksLikePasscode(c) {
			return
		}
		if len(c) > 16 {
			t.Errorf("%q is too long", s)
		}
		for _, b := range []byte(c) {
			if b < '0' || b > '9' {
				t.Errorf("%q has more than digits", s)
			}
		}
	})
}
