package export

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// told is how an event of a login reads: a sentence, and what of its detail belongs under it.
type told struct {
	title string
	text  func(detail) string // nil: nothing
}

// detail is what an event says beside its message.
type detail map[string]any

func (d detail) text(key string) string {
	if v, ok := d[key]; ok {
		return detailValue(v)
	}
	return ""
}

func why(d detail) string { return sentence(d.text("why")) }

func weighed(key string) func(detail) string {
	return func(d detail) string { return d.text(key) }
}

// timeline has the sentence for each message that the login engine and the check of passcodes at the gateway record.
var timeline = map[string]told{
	"credentials arrived": {"User name and password arrived", func(d detail) string {
		text := "By: " + doorWords(sallyport.Door(d.text("door"))) + "."
		if via := d.text("via"); via != "" {
			text += " The gateway says: " + via + "."
		}
		return text
	}},
	"password refused":                     {"The directory did not take them", why},
	"password is right":                    {"The directory found the password right", nil},
	"account taken into the list of users": {"The user was not in the list of users yet, and was added", nil},
	"policy decided":                       {"Policy was weighed", weighed("steps")},

	"push asked for":                             {"The phone was asked", nil},
	"push not asked for":                         {"The phone was not asked", why},
	"notification handed to the push service":    {"The notification was handed to the phone maker's push service", nil},
	"notification not delivered":                 {"The notification could not be delivered; the app shows the sign-in when it is opened", deliveryWords},
	"device answered":                            {"The phone answered", func(d detail) string { return answerWords(sallyport.Decision(d.text("decision"))) }},
	"passcode is right":                          {"The code is right", func(d detail) string { return shownBy(d) }},
	"passcode refused":                           {"The code was not taken", why},
	"passcode accepted":                          {"The gateway asked about a code typed in its own form, and was told yes", func(d detail) string { return shownBy(d) }},
	"code sent by SMS":                           {"A code was sent by text message", func(d detail) string { return "To the number that ends in " + d.text("to") + "." }},
	"code not sent by SMS":                       {"A code could not be sent by text message", why},
	"the token server accepts":                   {"The external token server accepted the code", nil},
	"token server gives no answer":               {"The external token server did not answer; that is no wrong guess", why},
	"the token server asks something more":       {"The external token server asked something more", nil},
	"passkey is right":                           {"The passkey is right", nil},
	"passkey refused":                            {"The passkey was not taken", why},
	"OTP token in the password's place refused":  {"A code of an OTP token, typed instead of the password, was not taken", why},
	"OTP token in the password's place is right": {"The code of an OTP token, typed instead of the password, is right", nil},

	"enrolment offered": {"The user was shown how to enrol a second factor", func(d detail) string {
		if d.text("required") == "true" {
			return "It is required."
		}
		return "It may be put off."
	}},
	"enrolment put off":                          {"The user put enrolment off", nil},
	"enrolment refused":                          {"What was to be enrolled was not taken", why},
	"enrolment refused: the app is not attested": {"The app was not taken: its maker does not vouch for it", nil},
	"authenticator enrolled":                     {"A second factor was enrolled", func(d detail) string { return kindWords(sallyport.AuthenticatorKind(d.text("kind"))) }},

	"a remembered device was copied, and is forgotten": {"This remembered browser was copied to another computer; both were forgotten", nil},
	"remembered device not taken":                      {"The browser was remembered once, but not any more", why},
	"second factor skipped on a remembered device":     {"The second factor was skipped: this browser is remembered", nil},
	"device remembered":                                {"The browser is remembered from now on", func(d detail) string { return "For " + d.text("hours") + " hours." }},

	"login denied":                      {"The user was refused", func(d detail) string { return sentence(Reason(sallyport.Reason(d.text("reason")))) }},
	"login granted":                     {"The user was let in", nil},
	"login granted, gateway token made": {"The browser was given a one-time token for the gateway", nil},
	"gateway token accepted":            {"The gateway asked about the token, and was told yes: the user is in", nil},
	"login not decided":                 {"The login could not be decided: a part that is needed did not answer", nil},
}

// Event says in plain words what happened: a sentence, and what there is to know about it. An event of a newer version is
// shown as it was recorded.
func Event(e sallyport.LoginEvent) (title, text string) {
	var d detail
	_ = json.Unmarshal(e.Detail, &d) // what is no object has nothing to say
	t, known := timeline[e.Message]
	switch {
	case !known:
		return e.Message, Detail(e.Detail)
	case t.text == nil || d == nil:
		return t.title + ".", ""
	}
	return t.title + ".", t.text(d)
}

func shownBy(d detail) string {
	if m := sallyport.Method(d.text("method")); m != "" {
		return sentence("It came from " + policy.MethodName(m))
	}
	return ""
}

func doorWords(d sallyport.Door) string {
	switch d {
	case sallyport.DoorRADIUS:
		return "the gateway, by RADIUS"
	case sallyport.DoorSelfService:
		return "the self-service page"
	}
	return "the overlay on the gateway's page"
}

func deliveryWords(d detail) string {
	switch login.Delivery(d.text("why")) {
	case login.DeliveryNoAddress:
		return "The app has registered no address for notifications, or it was withdrawn: notifications may be switched off on the phone."
	case login.DeliveryFailed:
		return "The push service refused it or did not answer; the token service's log has the reason."
	}
	return why(d)
}

func answerWords(d sallyport.Decision) string {
	switch d {
	case sallyport.DecisionApprove:
		return "Yes."
	case sallyport.DecisionDeny:
		return "No."
	case sallyport.DecisionNotMe:
		return "“This was not me.”"
	}
	return sentence(string(d))
}

func kindWords(k sallyport.AuthenticatorKind) string {
	switch k {
	case sallyport.AuthenticatorApp:
		return "The app."
	case sallyport.AuthenticatorPhone:
		return "A phone number."
	case sallyport.AuthenticatorPasskey:
		return "A passkey."
	case sallyport.AuthenticatorOTP:
		return "An OTP token."
	}
	return sentence(string(k))
}

// sentence begins with a capital letter and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "”") {
		return s
	}
	return s + "."
}
