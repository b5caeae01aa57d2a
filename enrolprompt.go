package sallyport

import "encoding/json"

// EnrolStep is how far the enrolment of a second factor has got during a login.
type EnrolStep string

const (
	EnrolStart     EnrolStep = "start"      // what is to be enrolled
	EnrolApp       EnrolStep = "app"        // the app follows the link, or its serial number and code are typed
	EnrolPhone     EnrolStep = "phone"      // a phone number is typed
	EnrolPhoneCode EnrolStep = "phone_code" // the code that was sent to it is typed
	EnrolPasskey   EnrolStep = "passkey"    // the browser makes a passkey
	EnrolOTP       EnrolStep = "otp"        // serial number and two codes of an OTP token are typed
	EnrolFinished  EnrolStep = "finished"   // said to the person, who goes on
)

// EnrolPrompt is what the login engine asks of a user who enrols.
type EnrolPrompt struct {
	Step EnrolStep `json:"step"`
	// Kinds are what can be enrolled.
	Kinds    []AuthenticatorKind `json:"kinds,omitempty"`
	MayDelay bool                `json:"mayDelay,omitempty"` // "not now" is offered
	// BySerial: the app can be enrolled by its serial number and code as well (EnrolApp).
	BySerial bool `json:"bySerial,omitempty"`
	// Link is what the app follows (EnrolApp); drawn as a QR code.
	Link string `json:"link,omitempty"`
	// Options are what navigator.credentials.create takes (EnrolPasskey).
	Options json.RawMessage `json:"options,omitempty"`
	// What was enrolled, and its name (EnrolFinished).
	What AuthenticatorKind `json:"what,omitempty"`
	Name string            `json:"name,omitempty"`
}
