package login

import (
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// octets are a binary value that is base64url without padding in JSON.
type octets []byte

func (o octets) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, o), nil
}

func (o *octets) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return errors.New("not base64url without padding")
	}
	*o = b
	return nil
}

// firstOctets cuts a text of people to at most n octets, between two characters.
func firstOctets(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
