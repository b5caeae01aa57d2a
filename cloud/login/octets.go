package login

import (
	"encoding/base64"
	"errors"
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
