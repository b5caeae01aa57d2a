// Package deviceproto is the device protocol (docs/protocol/device.md) as far as both of its ends
// share it: the device, the appliance that asks, and the token service that carries. It has the
// link, the keys derived from it, what is sealed between appliance and device, the device's
// authorization of a request, its signed answer, the JSON of the device API, and a client of that
// API. It keeps nothing: keys are handed in, and the private key of a device is only ever used
// through crypto.Signer.
package deviceproto

import (
	"encoding/base64"
	"time"

	"github.com/sallyport/sallyport"
)

// Bounds of the device API.
const (
	// MaxBody is the most octets a body has, in either direction.
	MaxBody = 16 << 10
	// MaxEvidence is the most octets the evidence of an attestation has.
	MaxEvidence = 9 << 10
	// MaxName is the most characters a device's name has.
	MaxName = 64
	// MaxPushToken is the most octets a push token has.
	MaxPushToken = 4096
	// MaxSealedDetails is the most octets the sealed details of a challenge have.
	MaxSealedDetails = 2 << 10
	// MaxSealedAnswer is the most octets a sealed answer has.
	MaxSealedAnswer = 4 << 10
	// MaxSealedAccount is the most octets a sealed account has.
	MaxSealedAccount = 2 << 10
	// MaxWait is how long a request may ask to be held.
	MaxWait = 25 * time.Second
)

// PagePath is the path of the phone page below the device address.
const PagePath = "/authenticator/"

// Provider is who delivers push notifications to a device.
type Provider string

const (
	ProviderNone Provider = "none"
	ProviderAPNs Provider = "apns"
	ProviderFCM  Provider = "fcm"
)

// Push is where a device wants its notifications. The token is an address, not a secret, but it
// is of no use in a log.
type Push struct {
	Provider Provider `json:"provider"`
	Token    string   `json:"token,omitempty"`
}

// Registration is the body of POST /v1/enrolments/{tenant}/{enrolment}.
type Registration struct {
	JWK        JWK    `json:"jwk"`
	Name       string `json:"name"`
	Platform   string `json:"platform"`
	AppVersion string `json:"appVersion"`
	Push       Push   `json:"push"`
	Proof      string `json:"proof"`         // base64url
	App        string `json:"app,omitempty"` // base64url; from SealApp
	// Attestation is what the phone's maker says of the app; nil: nothing.
	Attestation *Attestation `json:"attestation,omitempty"`
}

// Attestation is evidence for the appliance (docs/protocol/device.md, "Attestation").
type Attestation struct {
	Format   string `json:"format"`
	Evidence string `json:"evidence"` // base64url
}

// Registered is the answer to a Registration.
type Registered struct {
	Device sallyport.DeviceID `json:"deviceId"`
}

// EnrolmentState says how far an enrolment is.
type EnrolmentState string

const (
	EnrolmentWaiting  EnrolmentState = "waiting" // for the appliance to check the registration
	EnrolmentAccepted EnrolmentState = "accepted"
	EnrolmentRefused  EnrolmentState = "refused"
)

// EnrolmentStatus is the answer to GET /v1/enrolments/{tenant}/{enrolment}.
type EnrolmentStatus struct {
	Status EnrolmentState `json:"status"`
	Sealed string         `json:"sealed,omitempty"` // base64url; for OpenAccount
}

// Pending is one challenge that waits for the device.
type Pending struct {
	ID          sallyport.ChallengeID `json:"id"`
	RemainingMS int64                 `json:"remainingMs"`
	Sealed      string                `json:"sealed"` // base64url; for OpenDetails
}

// PendingList is the answer to GET /v1/challenges.
type PendingList struct {
	Challenges []Pending `json:"challenges"`
}

// AnswerBody is the body of POST /v1/challenges/{id}/answer.
type AnswerBody struct {
	Sealed string `json:"sealed"` // base64url; from SealAnswer
}

// ErrorBody is what every refusal carries.
type ErrorBody struct {
	Code        sallyport.Code `json:"code"`
	Message     string         `json:"message"`
	SupportCode string         `json:"supportCode,omitempty"`
}

// b64 is base64url without padding; a value that does not use its last bits as RFC 4648 section 3.5
// asks is refused, so that one value has one spelling.
var b64 = base64.RawURLEncoding.Strict()

// Encode writes b as base64url without padding.
func Encode(b []byte) string { return b64.EncodeToString(b) }

// Decode reads base64url without padding. Line breaks, which encoding/base64 would skip, are refused.
func Decode(s string) ([]byte, error) {
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' {
			return nil, base64.CorruptInputError(i)
		}
	}
	return b64.DecodeString(s)
}
