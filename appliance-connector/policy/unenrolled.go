package policy

import (
	"fmt"

	"github.com/sallyport/sallyport"
)

// unenrolled decides about users with a licence who have enrolled nothing and have no other factor
// that is allowed.
func (w *weighing) unenrolled() {
	rule := w.Standing.Rule
	w.say("The user has enrolled nothing.", "There is no second factor to ask for.")
	if rule == nil {
		w.refuse(sallyport.ReasonNotEnrolled, fmt.Sprintf("The user policy %q belongs to no enrol rule that would say what else to do.", w.Standing.Policy.Name))
		return
	}
	if w.Door == sallyport.DoorSelfService {
		w.onSite(rule)
		return
	}
	alone := rule.Unenrolled == sallyport.UnenrolledPassword
	if alone {
		w.say(fmt.Sprintf("The enrol rule is %q.", rule.Name), "It lets users who have not enrolled in with the password alone.")
	} else {
		w.say(fmt.Sprintf("The enrol rule is %q.", rule.Name), "It lets users who have not enrolled in by another log-in method only: an OTP token that the workflow policy allows, or a temporary code.")
	}
	if !rule.PromptAtGateway {
		w.withoutPrompt(alone, "It does not ask anybody to enrol at the gateway.")
		return
	}
	e, obstacle := w.enrolment()
	switch {
	case e == nil && alone && rule.MayDelay:
		w.withoutPrompt(true, obstacle)
	case e == nil:
		w.withoutPrompt(false, obstacle)
	case alone && rule.MayDelay:
		w.d.Outcome, w.d.Enrolment = Password, e
		w.say("The login is granted on the password alone, and enrolment is offered.", "The enrol rule asks users at the gateway, and they may say \"not now\".")
	default:
		e.Required = true
		w.d.Outcome, w.d.Enrolment = Enrol, e
		reason := "The enrol rule asks users at the gateway, and they may not put it off."
		if !alone {
			reason = "The enrol rule asks users at the gateway, and there is no other way in."
		}
		w.say("The user has to enrol before going on.", reason)
	}
}

// onSite decides about unenrolled users on the self-service page, where they go to enrol the first time.
func (w *weighing) onSite(rule *sallyport.EnrolRule) {
	if !rule.PromptOnSite {
		w.refuse(sallyport.ReasonNotEnrolled, fmt.Sprintf("The enrol rule %q does not have users enrol on site, and there is no second factor to ask for.", rule.Name))
		return
	}
	w.d.Outcome = Password
	w.say("The user may enrol on the self-service page on the password alone.", fmt.Sprintf("The enrol rule %q has users enrol on site.", rule.Name))
}

// withoutPrompt decides about unenrolled users who cannot be asked to enrol.
func (w *weighing) withoutPrompt(alone bool, because string) {
	if !alone {
		w.refuse(sallyport.ReasonNotEnrolled, because+" So there is no way in until the user has enrolled on site, or has a temporary code.")
		return
	}
	w.d.Outcome = Password
	w.say("The login is granted on the password alone.", because)
}

// enrolment is what the user can enrol at the gateway, or nil and what stands in the way.
func (w *weighing) enrolment() (_ *Enrolment, obstacle string) {
	e := &Enrolment{TemporaryCode: w.Standing.Rule.TemporaryCode}
	if w.allows(sallyport.PasswordAndApp) {
		e.Kinds = append(e.Kinds, sallyport.AuthenticatorApp)
	}
	if w.allows(sallyport.PasswordAndSMS) {
		e.Kinds = append(e.Kinds, sallyport.AuthenticatorPhone)
	}
	if w.allows(sallyport.PasswordAndPasskey) && w.Door == sallyport.DoorOverlay {
		e.Kinds = append(e.Kinds, sallyport.AuthenticatorPasskey)
	}
	if w.allows(sallyport.PasswordAndOTP) {
		e.Kinds = append(e.Kinds, sallyport.AuthenticatorOTP)
	}
	switch {
	case len(e.Kinds) == 0:
		return nil, "The workflow policy allows nothing that users could enrol."
	case e.TemporaryCode && w.temporary == nil:
		return nil, "Enrolling at the gateway needs a temporary code, and the user has none."
	}
	return e, ""
}

// offerEnrolment offers it to users who come in by another method. That method is a whole second
// factor, so they are never made to enrol: a temporary code is for those without their phone.
func (w *weighing) offerEnrolment() {
	if w.has.Enrolled() || w.Standing.Rule == nil || !w.Standing.Rule.PromptAtGateway {
		return
	}
	if e, _ := w.enrolment(); e != nil {
		w.d.Enrolment = e
		w.say("Enrolment is offered.", fmt.Sprintf("The user has enrolled nothing yet, and the enrol rule %q asks users at the gateway.", w.Standing.Rule.Name))
	}
}
