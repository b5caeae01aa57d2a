package texts_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/texts"
)

func TestNumbersAreReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typed, region string
		want          sallyport.PhoneNumber
	}{
		{"07400 123456", "GB", "+447400123456"},
		{" +44 (0)7400 123456 ", "US", "+447400123456"},
		{"0044 7400 123456", "DE", "+447400123456"},
		{"0044 7400 123456", "", "+447400123456"},
		{"0151-23456789", "DE", "+4915123456789"},
		{"(201) 555-0123", "US", "+12015550123"},
		{"0532 123 45 67", "TR", "+905321234567"},
		{"٠٥٠١٢٣٤٥٦٧", "SA", "+966501234567"},
	} {
		if got, err := texts.Number(c.typed, c.region); err != nil || got != c.want {
			t.Errorf("%q in %q: %q, %v", c.typed, c.region, string(got), err)
		}
	}
	for typed, region := range map[string]string{
		"": "GB", "07400 123456": "", "12345": "GB", "hello": "GB", "+44 7400 123456 ext. 5": "GB", "+999 123456789": "GB",
		"020 7946 0958": "GB", "0909 8790000": "GB", "0800 0320000": "GB", strings.Repeat("7", 65): "GB", "+44 7400 123456 +44 7400 123457": "GB", "\x00": "GB",
	} {
		if got, err := texts.Number(typed, region); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%q in %q: %q, %v", typed, region, string(got), err)
		}
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]bool{"GB": true, "TR": true, "SA": true, "gb": false, "": false, "ZZ": false, "001": false} {
		if texts.Region(region) != want {
			t.Errorf("%q: %v", region, !want)
		}
	}
}

func FuzzNumber(f *testing.F) {
	f.Add("07400 123456", "GB")
	f.Add("+44 7400 123456 ext. 5", "")
	f.Add("tel:+1-201-555-0123;phone-context=+44", "US")
	f.Add("００４４", "JP")
	f.Fuzz(func(t *testing.T, typed, region string) {
		if !utf8.ValidString(typed) {
			return // no form and no JSON brings that
		}
		n, err := texts.Number(typed, region)
		if err == nil && !n.Valid() || err != nil && sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%q in %q: %q, %v", typed, region, string(n), err)
		}
	})
}
