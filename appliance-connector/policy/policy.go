// Package policy decides who may log in, and how: for the login engine, which acts on it, and for the
// console's "Try it", which shows it. It is a pure function: no I/O, no clock, no state. It never sees a
// password or a code; whether those are right is for its callers to find out.
//
//	account not known to the directory ──▶ refuse
//	user disabled or removed ────────────▶ refuse
//	no licence for remote access ─▶ app enrolled? ──▶ ask for it ┐ only where the integration
//	                                     │ no ──▶ password alone ┘ admits such users, else refuse
//	a factor that the workflow allows ───▶ ask for it
//	enrolled, but nothing of it allowed ─▶ refuse
//	not enrolled: by the enrol rule ─────▶ password alone, enrol, or refuse
//
// That is for those whose password was right. WithoutPassword says who need not give one.
//
// Whatever is configured, who has enrolled the app never gets in with the password alone, and nobody is
// asked for what he has not got. While the database does not answer nobody gets in with the password
// alone: the user may have enrolled meanwhile.
package policy

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport"
)

// Input is everything that a decision depends on.
type Input struct {
	Account sallyport.AccountName
	// Known: the directory has the account, and does not keep it out itself.
	Known       bool
	Standing    sallyport.Standing
	Integration sallyport.Integration
	Door        sallyport.Door
	// Page is the host of the page, which passkeys are bound to; empty: any.
	Page string
	Now  time.Time
}

// Outcome is which way a decision fell.
type Outcome string

const (
	Refuse   Outcome = "refuse"
	Password Outcome = "password" // let in on the password alone
	Ask      Outcome = "ask"      // ask for a second factor
	Enrol    Outcome = "enrol"    // have the user enrol a second factor first
)

// Decision is how a login goes on after the password was right.
type Decision struct {
	Outcome Outcome
	// Reason is what the user is told of a refusal.
	Reason sallyport.Reason
	// Methods are what Ask takes, the one to begin with first.
	Methods []sallyport.Method
	// NumberMatching: a push shows a number that has to be typed in the app.
	NumberMatching bool
	// OldApp: no push is asked for, since the user's apps are too old to ask for the number.
	OldApp bool
	// Enrolment is what the user may or must enrol; nil: nothing is offered.
	Enrolment *Enrolment
	// Steps say how the decision came about, in the order in which it did; the last one is the decision.
	Steps []Step
}

// Enrolment is what a user who logs in can enrol on the way.
type Enrolment struct {
	Required bool // there is no way in without
	Kinds    []sallyport.AuthenticatorKind
	// TemporaryCode: the user has to give the temporary code before.
	TemporaryCode bool
}

// Step is one consideration, in words for administrators.
type Step struct {
	Sentence string `json:"sentence"` // what was found or decided
	Reason   string `json:"reason"`   // why that matters, or what it comes from
}

// Takes reports whether the decision takes a method as second factor.
func (d Decision) Takes(m sallyport.Method) bool {
	return d.Outcome == Ask && slices.Contains(d.Methods, m)
}

// Typed are those of the methods that are given by typing a passcode: all that the gateway's own form takes.
func (d Decision) Typed() (list []sallyport.Method) {
	for _, m := range []sallyport.Method{sallyport.MethodCode, sallyport.MethodOTP, sallyport.MethodTemporary} {
		if d.Takes(m) {
			list = append(list, m)
		}
	}
	return list
}

// Why is the last step in one line.
func (d Decision) Why() string {
	last := d.Steps[len(d.Steps)-1]
	return last.Sentence + " " + last.Reason
}

// Decide decides.
func Decide(in Input) Decision {
	w := &weighing{Input: in, has: in.Standing.Has}
	if code, good := w.has.TemporaryCode(in.Now); good {
		w.temporary = &code
	}
	w.weigh()
	if w.d.Outcome == Password && in.Standing.Stale {
		w.refuse(sallyport.ReasonUnavailable, "The database does not answer, so it is not known whether the user has enrolled meanwhile.")
	}
	return w.d
}
