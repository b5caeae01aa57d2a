package legacy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/radius"
)

// Refusals that no engine was asked about.
var (
	tooMany = radius.Verdict{Reason: "too many logins at a time are waiting for their users",
		Cure:    "see whether somebody tries passwords; else let more appliances share the gateway's requests",
		Message: "Too many people are logging in. Please try again in a minute."}
	emptyPassword    = radius.Verdict{Reason: "empty password", Cure: "let the gateway send what the user typed as the RADIUS password"}
	tokenNotExpected = radius.Verdict{Reason: "a gateway token at an integration whose users log in by RADIUS alone",
		Cure: "set the integration's experience to both, or take the overlay's script out of the logon page"}
	unreadableName = radius.Verdict{Reason: "user name is not text",
		Cure: "set the gateway's character set to UTF-8, or the integration's password encoding to the gateway's"}
)

func stateRefused(err error) radius.Verdict {
	v := radius.Verdict{Reason: fmt.Sprintf("State refused: %v", errors.Unwrap(err)),
		Cure:    "let the gateway send State, and the user name, back unchanged; if it does, look for somebody who edits or replays packets",
		Message: sallyport.ErrorMessage(err)}
	if sallyport.ErrorCode(err) == sallyport.CodeExpired {
		v.Reason, v.Cure = "State refused: the login took too long", "the user may log in again"
	}
	return v
}

func stateTooLong(s login.State, err error) radius.Verdict {
	return radius.Verdict{Reason: err.Error(), Cure: "give the account a shorter name, or let this user log in through the overlay",
		Message: words(sallyport.ReasonUnavailable, s.Support), Account: s.Account}
}

// failed is about a step of which nothing came.
func failed(err error) radius.Verdict {
	switch {
	case errors.Is(err, errReplayed):
		return radius.Verdict{Reason: "State refused: " + err.Error(), Cure: "the user may log in again; look for somebody who replays packets",
			Message: "This sign-in cannot be continued. Please start again."}
	case errors.Is(err, context.Canceled):
		return radius.Verdict{Drop: true}
	case errors.Is(err, context.DeadlineExceeded):
		return radius.Verdict{Reason: "the login took too long", Cure: "look at what was slow: directory, store, token service",
			Message: words(sallyport.ReasonUnavailable, "")}
	case errors.Is(err, errUncertain):
		return radius.Verdict{Reason: err.Error(), Cure: "the user may log in again; see whether an appliance has ended",
			Message: words(sallyport.ReasonUnavailable, "")}
	}
	v := radius.Verdict{Reason: fmt.Sprintf("login not decided: %v", err), Cure: "look at the part that does not answer: directory, store, token service",
		Message: words(sallyport.ReasonUnavailable, "")}
	var e *sallyport.Error
	if errors.As(err, &e) {
		v.Message = words(sallyport.ReasonUnavailable, e.SupportCode)
	}
	return v
}

// denied is a login that has ended without.
func denied(s login.State) radius.Verdict {
	cure := "see the login under its support code in the console"
	if c, ok := cures[s.Reason]; ok {
		cure = c
	}
	return radius.Verdict{Reason: "login denied: " + string(s.Reason) + ", support code " + s.Support, Cure: cure,
		Message: words(s.Reason, s.Support), Account: s.Account}
}

// cures are what administrators can do about the end of a login.
var cures = map[sallyport.Reason]string{
	sallyport.ReasonCredentials:  "the log line 'password refused' of the same support code says why; for everybody at once: the shared secret or the character set",
	sallyport.ReasonNotEnrolled:  "let the user enrol, or issue a temporary code",
	sallyport.ReasonNotAllowed:   "see the user's policy with 'Try it' in the console",
	sallyport.ReasonTimeout:      "if the user did answer: raise the gateway's RADIUS timeout, and see whether pushes are delivered",
	sallyport.ReasonNotMe:        "somebody has the user's password: have it changed",
	sallyport.ReasonWrongNumber:  "the user may log in again",
	sallyport.ReasonSuperseded:   "a newer login of the user took the phone over",
	sallyport.ReasonTooManyCodes: "let the user type the code that the app shows now; check the clocks of phone and appliance",
}

// sentences are what users are told. That a name or a password is not right is told as nothing else is.
var sentences = map[sallyport.Reason]string{
	sallyport.ReasonNotEnrolled:  "You have no second factor that can be used here. Please ask the help desk.",
	sallyport.ReasonNotAllowed:   "Remote access is not allowed for you. Please ask the help desk.",
	sallyport.ReasonWrongNumber:  "Another number was typed on the phone. Please log in again.",
	sallyport.ReasonRejected:     "The login was refused on the phone.",
	sallyport.ReasonNotMe:        "The login was refused on the phone.",
	sallyport.ReasonTimeout:      "Nobody answered on the phone in time. Please log in again.",
	sallyport.ReasonSuperseded:   "A newer login has taken the place of this one.",
	sallyport.ReasonTooManyCodes: "Too many wrong codes. Please wait, and log in again.",
	sallyport.ReasonUnavailable:  "Sign-in is not available right now. Please try again in a minute.",
	sallyport.ReasonBadApproval:  "The phone's answer was not accepted. Please log in again.",
	sallyport.ReasonBlocked:      "Your phone is not asked for a while. Please use another way, or ask the help desk.",
}

func words(why sallyport.Reason, support string) string {
	text := "Login failed."
	if s, ok := sentences[why]; ok {
		text = s
	}
	if support != "" {
		text += " Support code " + support + "."
	}
	return text
}

// question asks the user, in 253 octets at most, for what the engine wants to know.
func question(p sallyport.Prompt) string {
	takesPush := slices.Contains(p.Methods, sallyport.MethodPush)
	var parts []string
	switch p.Kind {
	case sallyport.PromptPush:
		parts = append(parts, "Type "+p.Number+" in the app on your phone, then type ok here.")
		if typedNow(p) != "" {
			parts = append(parts, "Or type a code here instead.")
		}
		parts = append(parts, otherWays(p)...)
	case sallyport.PromptChoose:
		parts = append(parts, choiceWords(p))
	case sallyport.PromptEnrol:
		parts = append(parts, enrolWords(p))
	case sallyport.PromptCode:
		switch p.Reason {
		case sallyport.ReasonWrongCode:
			parts = append(parts, "That code is not right.")
		case sallyport.ReasonPushFailed:
			parts = append(parts, "Your phone could not be asked.")
		case sallyport.ReasonUpdateApp:
			parts = append(parts, "The app on your phone is too old to ask you there: update it.")
		case sallyport.ReasonBlocked:
			parts = append(parts, "Your phone is not asked for a while.")
		case sallyport.ReasonUnavailable:
			parts = append(parts, "The token server cannot be reached. Try again, or use another way.")
		}
		parts = append(parts, askedWords(p))
		if takesPush {
			parts = append(parts, "Or type push to be asked on your phone.")
		}
		parts = append(parts, otherWays(p)...)
	}
	return strings.Join(parts, " ")
}

// choiceWords offer the ways by their numbers.
func choiceWords(p sallyport.Prompt) string {
	text := "Type"
	for i, m := range options(p) {
		what := map[sallyport.Method]string{sallyport.MethodPush: "to be asked on your phone", sallyport.MethodSMS: "for a code by SMS", sallyport.MethodExternal: "to use your token"}[m]
		if what == "" {
			what = "to be asked for a code"
		}
		if i > 0 {
			text += ","
		}
		text += " " + strconv.Itoa(i+1) + " " + what
	}
	if typedNow(p) != "" {
		text += ", or the code itself"
	}
	return text + "."
}

// askedWords ask for the code of the first method, and of those that may be typed as well.
func askedWords(p sallyport.Prompt) string {
	switch p.Methods[0] {
	case sallyport.MethodExternal:
		if p.Message != "" {
			return p.Message
		}
		return "Type what your token shows."
	case sallyport.MethodSMS:
		switch {
		case p.Reason == sallyport.ReasonSMSFailed || p.Delivery == string(login.DeliveryFailed):
			return "The message with your code could not be sent."
		case p.Resend != nil:
			return "Type the code sent to the number that ends in " + p.To + ", or sms for another one."
		}
		return "Type the code sent to the number that ends in " + p.To + "."
	}
	return codeWords(p.Methods)
}

// otherWays name the words for ways that are not the one in use.
func otherWays(p sallyport.Prompt) (out []string) {
	first := p.Methods[0]
	if first == sallyport.MethodExternal && typedNow(p) != "" {
		out = append(out, "Or type code for another code.")
	}
	if first != sallyport.MethodSMS && slices.Contains(p.Methods, sallyport.MethodSMS) {
		out = append(out, "Or type sms for a code by SMS.")
	}
	if first != sallyport.MethodExternal && slices.Contains(p.Methods, sallyport.MethodExternal) {
		out = append(out, "Or type token to use your token.")
	}
	return out
}

// codeWords asks for a passcode of any of the methods that may be typed, the current one first. What has to be asked for
// elsewhere before it can be typed is named only when it was.
func codeWords(methods []sallyport.Method) string {
	var names []string
	for i, m := range methods {
		switch {
		case m == sallyport.MethodCode:
			names = append(names, "the code that the app shows")
		case m == sallyport.MethodOTP:
			names = append(names, "the code that your OTP token shows")
		case m == sallyport.MethodTemporary:
			names = append(names, "your temporary code")
		case m == sallyport.MethodSMS && i == 0:
			names = append(names, "the code that was sent to your phone")
		case m == sallyport.MethodExternal && i == 0:
			names = append(names, "the passcode of your token")
		}
	}
	if len(names) == 0 {
		return "Type the code."
	}
	return "Type " + strings.Join(names, ", or ") + "."
}
