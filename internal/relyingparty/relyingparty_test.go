package relyingparty

import (
	"testing"

	"github.com/sallyport/sallyport"
)

func TestPasskeysNeedAHostName(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]string{
		"https://vpn.hospital.example": "vpn.hospital.example", "https://vpn.hospital.example:8443": "vpn.hospital.example", "http://localhost:8080": "localhost",
		"http://vpn.hospital.example": "", "https://192.0.2.1": "", "https://[2001:db8::1]:443": "", "https://": "", "": "", "null": "", "https://a b": "",
		"file:///etc/passwd": "", "https://-.": "", "http://localhost.evil.example": "",
	} {
		host, err := Host(origin)
		if host != want || want == "" && sallyport.ErrorCode(err) != sallyport.CodeUnsupported || want != "" && err != nil {
			t.Errorf("%q: %q, %v", origin, host, err)
		}
	}
}
