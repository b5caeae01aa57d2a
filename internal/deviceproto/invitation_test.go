package deviceproto

import "testing"

// What is inside a seal comes from an appliance of anybody.
func FuzzParseInvitation(f *testing.F) {
	f.Add([]byte(`{"link":"https://t.example/authenticator/#e=hospital.e1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","code":"123456","user":"alice","enterprise":"H"}   `))
	f.Add([]byte(`{"link":"https://t.example/authenticator/#e=clinic.e1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		i, err := parseInvitation(plain, "hospital")
		if err == nil && (i.Link.Tenant != "hospital" || len(i.Link.Secret) != SecretSize || i.Link.Base == "") {
			t.Fatalf("accepted %q", plain)
		}
	})
}
