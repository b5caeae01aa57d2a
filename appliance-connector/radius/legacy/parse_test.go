package legacy

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

func TestPasswordsWithTheSeparatorInThem(t *testing.T) {
	for field, want := range map[string]typed{
		"garden":                        {password: "garden"},
		"garden,123456":                 {password: "garden", code: "123456"},
		"garden,push":                   {password: "garden", push: true},
		"garden,PUSH":                   {password: "garden", push: true},
		"gar,den":                       {password: "gar,den"},
		"gar,den,123456":                {password: "gar,den", code: "123456"},
		"garden,":                       {password: "garden,"},
		"garden,,123456":                {password: "garden,", code: "123456"},
		"garden,12345":                  {password: "garden,12345"}, // too short for a code
		"garden,12345x":                 {password: "garden,12345x"},
		"garden,123 456":                {password: "garden,123 456"},
		"garden,12345678901234567":      {password: "garden,12345678901234567"},
		"garden,123456,push":            {password: "garden,123456", push: true}, // a password that ends like a code
		"garden,push,push":              {password: "garden,push", push: true},
		",123456":                       {password: ",123456"}, // nothing before it: no password is empty
		",push":                         {password: ",push"},
		"push":                          {password: "push"},
		"123456":                        {password: "123456"},
		"garden\u060c123456":            {password: "garden\u060c123456"},
		strings.Repeat(",", 9) + "push": {password: sallyport.Secret(strings.Repeat(",", 8)), push: true},
	} {
		if got := split(sallyport.Secret(field), ","); got != want {
			t.Errorf("%q: %q, %q, %v", field, string(got.password), string(got.code), got.push)
		}
		if got := split(sallyport.Secret(field), ""); got != (typed{password: sallyport.Secret(field)}) {
			t.Errorf("%q is taken apart though that is off", field)
		}
	}
}

// FuzzSplit: nothing is lost or made up, and no password becomes empty.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"garden,123456", "a,push", ",", ",,", "x,١٢٣٤٥٦", "\xff,123456", "a,b,c,12345678"} {
		f.Add(s, ",")
	}
	f.Fuzz(func(t *testing.T, field, separator string) {
		got := split(sallyport.Secret(field), separator)
		whole := string(got.password)
		switch {
		case got.push && got.code != "":
			t.Fatal("a code and a push")
		case got.push:
			whole += separator + field[len(field)-len(wordPush):]
		case got.code != "":
			whole += separator + string(got.code)
			if !sallyport.LooksLikePasscode(got.code) {
				t.Fatalf("%q is taken for a code", string(got.code))
			}
		}
		if whole != field {
			t.Fatalf("%q became %q", field, whole)
		}
		if got.password == "" && field != "" {
			t.Fatal("an empty password")
		}
	})
}

// FuzzShown: whatever a gateway says of itself is fit for a phone.
func FuzzShown(f *testing.F) {
	f.Add("big-ip-1")
	f.Add("\x00\u202ehidden\xff")
	f.Add(strings.Repeat("ж", 200))
	f.Fuzz(func(t *testing.T, s string) {
		got := shown(s)
		if n := len([]rune(got)); n > maxShown || strings.ContainsAny(got, "\x00\n\r\u202e\u200b") || strings.ToValidUTF8(got, "!") != got {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
