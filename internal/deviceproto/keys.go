package deviceproto

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// SecretSize is the length of the secret in a link, in octets.
const SecretSize = 32

// ProofSize is the length of a proof, in octets.
const ProofSize = sha256.Size

const (
	proofInfo   = "sallyport/v1 enrol proof"
	detailsInfo = "sallyport/v1 details"
	seedInfo    = "sallyport/v1 token code"
)

// Keys are what a device and the appliance derive from the secret of the link. The token service
// never has them.
type Keys struct {
	Proof   sallyport.Key // 32 octets; shows at enrolment that the device saw the link
	Details sallyport.Key // 32 octets; seals account, details and answers
	Seed    sallyport.Key // 20 octets; makes token codes
}

// DeriveKeys derives the keys of one device from the secret of its link.
func DeriveKeys(secret []byte, id sallyport.DeviceID) Keys {
	salt := []byte(id)
	return Keys{
		Proof:   sealed.Derive(secret, salt, proofInfo, 32),
		Details: sealed.Derive(secret, salt, detailsInfo, sealed.KeySize),
		Seed:    sealed.Derive(secret, salt, seedInfo, 20),
	}
}

// Enrolling is what the proof of a registration covers.
type Enrolling struct {
	Tenant    sallyport.TenantID
	Enrolment sallyport.EnrolmentID
	Device    sallyport.DeviceID
	Name      string
	Platform  string
}

// Proof shows that the one who registers has seen the link. 32 octets.
func (e Enrolling) Proof(proofKey sallyport.Key) []byte {
	mac := hmac.New(sha256.New, proofKey)
	mac.Write(sealed.Fields(string(e.Tenant), string(e.Enrolment), string(e.Device), e.Name, e.Platform))
	return mac.Sum(nil)
}

// ProofHolds reports whether proof was made with the key over the same registration.
func (e Enrolling) ProofHolds(proofKey sallyport.Key, proof []byte) bool {
	if !sallyport.ValidID(string(e.Tenant)) || !sallyport.ValidID(string(e.Enrolment)) || len(e.Name) > 4*MaxName || len(e.Platform) > MaxName {
		return false
	}
	return hmac.Equal(e.Proof(proofKey), proof)
}

// Check looks at the form of a registration and returns the key in it. Whether the proof holds, only
// the appliance can tell.
func (r Registration) Check() (Checked, error) {
	pub, err := r.JWK.PublicKey()
	if err != nil {
		return Checked{}, err
	}
	der, err := MarshalPublicKey(pub)
	if err != nil {
		return Checked{}, err
	}
	if !plainText(r.Name, 1, MaxName) {
		return Checked{}, errors.New("name must have 1 to 64 printable characters")
	}
	switch r.Platform {
	case "ios", "android", "web", "cli":
	default:
		return Checked{}, errors.New("platform must be ios, android, web or cli")
	}
	if !plainText(r.AppVersion, 0, MaxVersion) {
		return Checked{}, errors.New("appVersion has at most 32 printable characters")
	}
	proof, err := Decode(r.Proof)
	if err != nil || len(proof) != ProofSize {
		return Checked{}, errors.New("proof must be 32 octets in base64url")
	}
	if err := r.Push.Check(); err != nil {
		return Checked{}, err
	}
	c := Checked{Device: Thumbprint(pub), PublicKey: der, Proof: proof}
	if c.App, err = DecodeApp(r.App); err != nil {
		return Checked{}, err
	}
	if a := r.Attestation; a != nil {
		if !sallyport.ValidID(a.Format) || b64.DecodedLen(len(a.Evidence)) > MaxEvidence {
			return Checked{}, errors.New("attestation must have a format, and evidence of at most 9 KiB")
		}
		if c.Evidence, err = Decode(a.Evidence); err != nil {
			return Checked{}, errors.New("evidence must be base64url")
		}
	}
	return c, nil
}

// Checked is what Registration.Check read out of the registration.
type Checked struct {
	Device    sallyport.DeviceID
	PublicKey []byte // SubjectPublicKeyInfo DER
	Proof     []byte
	App       []byte // sealed for the appliance
	Evidence  []byte // of the attestation; nil: there is none
}

// Check looks at the form of a push address. An APNs token becomes part of a path at Apple, so
// nothing but hexadecimal digits may be in it.
func (p Push) Check() error {
	switch p.Provider {
	case ProviderNone:
		if p.Token != "" {
			return errors.New("provider none has no push token")
		}
		return nil
	case ProviderAPNs, ProviderFCM:
	default:
		return errors.New("push provider must be apns, fcm or none")
	}
	if p.Token == "" || len(p.Token) > MaxPushToken {
		return errors.New("push token must have 1 to 4096 characters")
	}
	for _, c := range []byte(p.Token) {
		if c <= ' ' || c > '~' || p.Provider == ProviderAPNs && !hexDigit(c) {
			return errors.New("push token has characters that the provider does not use")
		}
	}
	return nil
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func plainText(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	if !utf8.ValidString(s) || n < least || n > most {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
