package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
)

// weighing is a decision on its way.
type weighing struct {
	Input
	has       sallyport.Authenticators
	temporary *sallyport.TemporaryCode // the one that is good now
	d         Decision
}

func (w *weighing) say(sentence, reason string) {
	w.d.Steps = append(w.d.Steps, Step{sentence, reason})
}

func (w *weighing) refuse(why sallyport.Reason, reason string) {
	w.d.Outcome, w.d.Reason, w.d.Methods, w.d.Enrolment = Refuse, why, nil, nil
	w.say("The login is refused.", reason)
}

func (w *weighing) weigh() {
	user := w.Standing.User
	switch {
	case !w.Known:
		w.refuse(sallyport.ReasonCredentials, "The directory has no such account, or keeps it out.")
	case user != nil && user.State == sallyport.UserDisabled:
		w.refuse(sallyport.ReasonCredentials, "The account was disabled in the directory when users were last synchronised.")
	case user != nil && user.State == sallyport.UserRemoved:
		w.refuse(sallyport.ReasonCredentials, "The user was removed: the account is gone from the directory, or from what is synchronised.")
	case user != nil && user.State != sallyport.UserActive:
		w.refuse(sallyport.ReasonCredentials, fmt.Sprintf("The user's state, %q, is none in which anybody gets in.", user.State))
	case !w.licensed():
		w.nonLicensed()
	default:
		w.ask()
	}
}

// licensed says whether the user has remote access with a licence.
func (w *weighing) licensed() bool {
	user, p := w.Standing.User, w.Standing.Policy
	switch {
	case user == nil:
		w.say(fmt.Sprintf("%s is not in the list of users.", w.Account), "Users are in it once they are synchronised from the directory.")
		return false
	case !p.Licensed:
		w.say(fmt.Sprintf("The user policy is %q, which consumes no licence.", p.Name), "Remote access is for users whose policy consumes a licence.")
		return false
	case !p.RemoteAccess:
		w.say(fmt.Sprintf("The user policy %q is not associated with the workflow policy \"Remote access log in\".", p.Name),
			"Remote access goes live for a user policy when it is associated.")
		return false
	}
	w.say(fmt.Sprintf("The user policy is %q.", p.Name), "It consumes a licence and is associated with the workflow policy \"Remote access log in\".")
	return true
}

// nonLicensed decides about those without a licence: the directory's word alone counts, if at all (reference: "Non-Licensed User
// Access": the option "uses Active Directory authentication for these users only"). But an app that was enrolled stays a lock
// (reference: "Access for Unenrolled Users", the note), or taking a policy away would open the door.
func (w *weighing) nonLicensed() {
	switch {
	case !w.Integration.AllowNonLicensed:
		w.refuse(sallyport.ReasonNotAllowed, fmt.Sprintf("The integration %q does not admit users without a licence.", w.Integration.Nickname))
	case w.has.Apps > 0:
		w.say("The user has enrolled the app.", "Who has enrolled the app no longer gets in with the password alone, with a licence or without.")
		w.askFor(w.order(append(w.appMethods(), w.temporaryMethod()...)))
	default:
		if w.has.Enrolled() {
			w.say("The user has enrolled "+list(w.enrolled())+".", "It is not asked for: without a licence the directory's word alone counts, and nothing but the app holds against that.")
		}
		w.d.Outcome = Password
		w.say("The login is granted on the password alone.", fmt.Sprintf("The integration %q admits users without a licence.", w.Integration.Nickname))
	}
}

// ask decides about those with a licence.
func (w *weighing) ask() {
	methods := w.methods()
	switch {
	case len(methods) > 0:
		w.explainOTP()
		w.offerEnrolment()
		w.askFor(methods)
	case w.has.Enrolled():
		w.say("The user has enrolled "+list(w.enrolled())+".", w.allowedWords())
		w.refuse(sallyport.ReasonNotEnrolled, "What the user has enrolled is not allowed for this login, and who has enrolled no longer gets in with the password alone. "+
			"Allow it in the workflow policy, or issue a temporary code.")
	case w.Standing.Licences.Exceeded():
		l := w.Standing.Licences
		w.say(fmt.Sprintf("%d users have a policy that consumes a licence, and there are %d licences.", l.Used, l.Total),
			"Users who have no second factor yet have to wait until a licence is free; the others go on.")
		w.refuse(sallyport.ReasonNotAllowed, "No licence is left for the user.")
	default:
		w.unenrolled()
	}
}

func (w *weighing) askFor(methods []sallyport.Method) {
	w.d.Outcome, w.d.Methods, w.d.NumberMatching = Ask, methods, w.Standing.Workflow.NumberMatching
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = MethodName(m)
	}
	reason := "It is what the user has of what is allowed."
	if len(methods) > 1 {
		reason = "These are what the user has of what is allowed; the first one is asked for first."
	}
	w.say("A second factor is asked for: "+list(names)+".", reason)
}

// methods are what the user has and the workflow allows, in the order in which they are offered.
func (w *weighing) methods() []sallyport.Method {
	var all []sallyport.Method
	add := func(has bool, methods []sallyport.Method, combinations ...sallyport.Combination) {
		if has && w.allows(combinations...) {
			all = append(all, methods...)
		}
	}
	one := func(m sallyport.Method) []sallyport.Method { return []sallyport.Method{m} }
	add(w.has.Apps > 0, w.appMethods(), sallyport.PasswordAndApp)
	add(w.passkey() && w.Door == sallyport.DoorOverlay, one(sallyport.MethodPasskey), sallyport.PasswordAndPasskey)
	add(w.has.Phones > 0, one(sallyport.MethodSMS), sallyport.PasswordAndSMS)
	add(w.has.OTP, one(sallyport.MethodOTP), sallyport.PasswordAndOTP, sallyport.PINAndOTP, sallyport.OTPAlone)
	add(w.has.External, one(sallyport.MethodExternal), sallyport.PasswordAndExternal)
	return w.order(append(all, w.temporaryMethod()...))
}

// passkey reports whether the user has a passkey for the page.
func (w *weighing) passkey() bool {
	return w.has.Passkeys > 0 && (w.Page == "" || w.has.PasskeyAt(w.Page))
}

// appMethods are a push and the token code; the token code alone where a number has to be typed in the app, and the user's apps are all
// too old to ask for it.
func (w *weighing) appMethods() []sallyport.Method {
	if w.Standing.Workflow.NumberMatching && TooOld(w.Standing.Devices) {
		w.d.OldApp = true
		version := w.Standing.Devices[0].App.Version
		if version != "" {
			version = ", version " + version + ","
		}
		w.say("No push is sent to the app: its token code is asked for.", fmt.Sprintf("Number matching is required, and the app on %s%s is too old to ask for the number. The user should update it.",
			w.Standing.Devices[0].Name, version))
		return []sallyport.Method{sallyport.MethodCode}
	}
	return []sallyport.Method{sallyport.MethodPush, sallyport.MethodCode}
}

func (w *weighing) temporaryMethod() []sallyport.Method {
	if w.temporary == nil {
		return nil
	}
	w.say(fmt.Sprintf("A temporary code is good until %s.", w.temporary.Expires.UTC().Format("2006-01-02 15:04 MST")),
		"It stands in for the second factor, and is asked for first: it was issued because the usual one is not at hand.")
	return []sallyport.Method{sallyport.MethodTemporary}
}

// order puts a temporary code first, since the usual factor is not at hand, and then what was used last.
func (w *weighing) order(methods []sallyport.Method) []sallyport.Method {
	rank := func(m sallyport.Method) int {
		switch m {
		case sallyport.MethodTemporary:
			return 0
		case w.has.Last:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(methods, func(a, b sallyport.Method) int { return rank(a) - rank(b) })
	return methods
}

func (w *weighing) allows(any ...sallyport.Combination) bool {
	return slices.ContainsFunc(any, func(c sallyport.Combination) bool { return slices.Contains(w.Standing.Workflow.Allowed, c) })
}

func (w *weighing) enrolled() (names []string) {
	for _, f := range []struct {
		has  bool
		name string
	}{{w.has.Apps > 0, "the app"}, {w.has.Phones > 0, "a phone number"}, {w.passkey(), "a passkey"},
		{w.has.Passkeys > 0 && !w.passkey(), "a passkey that this page does not take"}} {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}

func (w *weighing) allowedWords() string {
	names := make([]string, len(w.Standing.Workflow.Allowed))
	for i, c := range w.Standing.Workflow.Allowed {
		names[i] = combinationName(c)
	}
	if len(names) == 0 {
		return "The workflow policy allows no log-in method."
	}
	return "The workflow policy allows " + list(names) + "."
}

// MethodName names a method for people.
func MethodName(m sallyport.Method) string {
	switch m {
	case sallyport.MethodPush:
		return "a push to the app"
	case sallyport.MethodCode:
		return "the app’s token code"
	case sallyport.MethodSMS:
		return "an SMS code"
	case sallyport.MethodOTP:
		return "an OTP token"
	case sallyport.MethodExternal:
		return "a code of the external token server"
	case sallyport.MethodPasskey:
		return "a passkey"
	case sallyport.MethodTemporary:
		return "the temporary code"
	}
	return string(m)
}

func combinationName(c sallyport.Combination) string {
	switch c {
	case sallyport.PasswordAndApp:
		return "password with app"
	case sallyport.PasswordAndSMS:
		return "password with SMS code"
	case sallyport.PasswordAndOTP:
		return "password with OTP token"
	case sallyport.PINAndOTP:
		return "PIN with OTP token"
	case sallyport.OTPAlone:
		return "OTP token alone"
	case sallyport.PasswordAndExternal:
		return "password with external token"
	case sallyport.PasswordAndPasskey:
		return "password with passkey"
	}
	return string(c)
}

// list joins names as people do.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// TooOld reports whether there are devices, and the apps on all of them cannot ask for a number.
func TooOld(devices []sallyport.Device) bool {
	return len(devices) > 0 && !slices.ContainsFunc(devices, func(d sallyport.Device) bool { return !d.App.WithoutNumberMatching })
}
