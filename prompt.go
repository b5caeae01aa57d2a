package sallyport

import (
	"encoding/json"
	"time"
)

// PromptKind says what the user is to do next.
type PromptKind string

const (
	PromptPush    PromptKind = "push"    // answer on the phone
	PromptCode    PromptKind = "code"    // type a passcode
	PromptChoose  PromptKind = "choose"  // choose one of several methods; where a front door asks for that
	PromptPasskey PromptKind = "passkey" // use a passkey
	PromptEnrol   PromptKind = "enrol"   // enrol a second factor, or not now
	PromptDone    PromptKind = "done"    // hand the gateway token to the gateway
	PromptDenied  PromptKind = "denied"  // the login is over
)

// Reason is a stable word behind a prompt; the overlay and RADIUS have the sentence for it.
type Reason string

const (
	ReasonCredentials  Reason = "credentials"    // name or password not right, or the account may not log in
	ReasonNotEnrolled  Reason = "not_enrolled"   // password right, no second factor that may be used
	ReasonNotAllowed   Reason = "not_allowed"    // password right, remote access is not for this user
	ReasonWrongNumber  Reason = "wrong_number"   // approved with another number
	ReasonRejected     Reason = "rejected"       // the user said no
	ReasonNotMe        Reason = "not_me"         // the user said "this was not me"
	ReasonTimeout      Reason = "timeout"        // nobody answered in time
	ReasonSuperseded   Reason = "superseded"     // a newer login took the phone over
	ReasonWrongCode    Reason = "wrong_code"     // passcode wrong, used already or too old
	ReasonTooManyCodes Reason = "too_many_codes" // passcodes are blocked for a while
	ReasonCancelled    Reason = "cancelled"      // by the user, on the page
	ReasonExpired      Reason = "expired"        // the page waited too long
	ReasonUnavailable  Reason = "unavailable"    // a part we need does not answer
	ReasonPushFailed   Reason = "push_failed"    // notification not delivered; open the app, or use a code
	ReasonBadApproval  Reason = "bad_approval"   // an answer whose signature does not hold
	ReasonBlocked      Reason = "blocked"        // no push for a while: "not me", or too many were not answered
	ReasonSMSFailed    Reason = "sms_failed"     // the message with the code could not be sent
	ReasonEnrolFailed  Reason = "enrol_failed"   // what was given to enrol is not right
	// ReasonUnknownSerial: no open app has the serial number.
	ReasonUnknownSerial Reason = "unknown_serial"
	// ReasonUpdateApp: the app is too old to be asked; its token code is, and it should be updated.
	ReasonUpdateApp   Reason = "update_app"
	ReasonNotAttested Reason = "not_attested" // the phone's maker does not vouch for the app
)

// Method is a way to give the second factor.
type Method string

const (
	MethodPush      Method = "push"      // approve in the app
	MethodCode      Method = "code"      // the app's token code
	MethodSMS       Method = "sms"       // a code sent to an enrolled phone number
	MethodOTP       Method = "otp"       // an OTP token
	MethodExternal  Method = "external"  // the external token server
	MethodPasskey   Method = "passkey"   // a passkey, in the overlay only
	MethodTemporary Method = "temporary" // a temporary code of the help desk
	// MethodRemembered is in the records of logins alone: the second factor was skipped.
	MethodRemembered Method = "remembered"
)

// Prompt is what the login engine asks of the user, the same for every front door.
type Prompt struct {
	Kind PromptKind `json:"kind"`
	// Number is to be typed on the phone (PromptPush with number matching).
	Number string `json:"number,omitempty"`
	// Device names the phone the push went to.
	Device string `json:"device,omitempty"`
	// Delivery is what became of the push notification: "", "sent", "failed", "no_address".
	Delivery string `json:"delivery,omitempty"`
	// To is the last two digits of the phone number that a code was sent to (PromptCode, MethodSMS).
	To string `json:"to,omitempty"`
	// Resend is after how many milliseconds the code can be sent again; nil: not any more.
	Resend *int64 `json:"resendMs,omitempty"`
	// Message is the question of the external token server, at most 255 characters.
	Message string `json:"message,omitempty"`
	// Passkey is what navigator.credentials.get takes (PromptPasskey).
	Passkey json.RawMessage `json:"passkey,omitempty"`
	// Enrol is set with PromptEnrol.
	Enrol *EnrolPrompt `json:"enrol,omitempty"`
	// Remaining is how long the user has, in milliseconds from now; the page has no
	// clock that can be trusted.
	Remaining int64 `json:"remainingMs,omitempty"`
	// Methods are the ways open now, the current one first.
	Methods []Method `json:"methods,omitempty"`
	Reason  Reason   `json:"reason,omitempty"`
	// Remember offers to remember this device; nil: it is not offered now.
	Remember *RememberOffer `json:"remember,omitempty"`
	// Remembered says that this device is remembered from now on (PromptDone); nil: it is not.
	Remembered *RememberedHere `json:"remembered,omitempty"`
	// Token is the gateway token (PromptDone).
	Token Secret `json:"-"`
	// SupportCode finds this login in the appliance's log.
	SupportCode string `json:"supportCode,omitempty"`
	// Expires is when the prompt ends, by the appliance's clock.
	Expires time.Time `json:"-"`
}

// RememberOffer is the offer to skip the second factor on this device for a while.
type RememberOffer struct {
	Hours int64 `json:"hours"`
	On    bool  `json:"on"` // the person wants it
}

// RememberedHere tells a browser by what name it is remembered, and for how long by the policy of now.
type RememberedHere struct {
	ID    RememberedID `json:"id"`
	Hours int64        `json:"hours"`
}
