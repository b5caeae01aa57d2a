package relyingparty

import (
	"testing"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport"
)

// FuzzAnswer reads what a browser may send. The corpus has answers that were right for other challenges: nothing is
// right for this one, and nothing is an error of ours.
func FuzzAnswer(f *testing.F) {
	page, err := At("https://vpn.hospital.example", Preferred)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		id, err := Names(answer)
		if err != nil {
			if sallyport.ErrorCode(err) != sallyport.CodeDenied {
				t.Errorf("names: %v", err)
			}
			id = []byte("other")
		}
		o := Owner{Handle: []byte("handle"), Name: "alice", Keys: []webauthn.Credential{{ID: id, PublicKey: []byte{0xa0}}}}
		challenge := make([]byte, 32)
		_, asked, err := page.Ask(o, challenge)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := page.Check(o, asked, answer); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("checked: %v", err)
		}
		_, offered, err := page.Offer(o, challenge)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := page.Make(o, offered, answer); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("made: %v", err)
		}
	})
}
