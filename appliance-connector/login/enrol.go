package login

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// Wrong codes that an account has within enrolWindow when a phone number is enrolled.
const (
	enrolBudget = 5
	enrolWindow = 15 * time.Minute
)

// Apps enrols the app on a user's phone.
type Apps interface {
	// Invite opens an enrolment; its link is for the app.
	Invite(ctx context.Context, account sallyport.AccountName) (Invitation, error)
	// Await waits until the app has followed the invitation, and keeps the device as the account's. It can be repeated. CodeUnsupported: the app
	// is none that the enterprise takes.
	Await(ctx context.Context, account sallyport.AccountName, i Invitation) (name string, err error)
}

// Serials finds apps by what they show.
type Serials interface {
	// InviteSerial opens an enrolment, and has the invitation reach the app that shows a serial number and a token code.
	// Errors: CodeNotFound (no open app has the serial number), CodeDenied (the code is not the one that it shows), CodeLimited.
	InviteSerial(ctx context.Context, account sallyport.AccountName, serial string, code sallyport.Secret) (Invitation, error)
}

// Invitation is an open enrolment of the app.
type Invitation struct {
	ID   sallyport.EnrolmentID `json:"i"`
	Link string                `json:"l"`
	// Told: the app has the link already.
	Told bool `json:"t,omitempty"`
}

// OTPTokens has users claim the OTP tokens in their hands.
type OTPTokens interface {
	// Claim gives an account the token that nobody has, whose serial number is right and whose next two codes are these.
	Claim(ctx context.Context, account sallyport.AccountName, serial string, codes [2]sallyport.Secret, request string) error
}

// Enrolling is what can be enrolled during a login, and how far that has got.
type Enrolling struct {
	// Step is empty as long as the second factor is not given.
	Step     sallyport.EnrolStep           `json:"s,omitempty"`
	Kinds    []sallyport.AuthenticatorKind `json:"k"`
	Required bool                          `json:"r,omitempty"`
	// Temporary: the temporary code must have been given.
	Temporary  bool        `json:"t,omitempty"`
	Invitation *Invitation `json:"i,omitempty"`
	// Number is the last one that a code was asked for: a sallyport.PhoneNumber, which would not be written out.
	Number  string                      `json:"n,omitempty"`
	Options json.RawMessage             `json:"o,omitempty"` // for a passkey
	What    sallyport.AuthenticatorKind `json:"w,omitempty"`
	Name    string                      `json:"m,omitempty"`
}

func (g *Enrolling) prompt() *sallyport.EnrolPrompt {
	p := &sallyport.EnrolPrompt{Step: g.Step, Kinds: g.Kinds, MayDelay: !g.Required, Options: g.Options, What: g.What, Name: g.Name}
	if g.Invitation != nil && !g.Invitation.Told {
		p.Link = g.Invitation.Link
	}
	return p
}

// enrolling is what policy lets the user enrol, as far as it can be done here; nil: nothing.
func (e *Engine) enrolling(p *policy.Enrolment, a Attempt) *Enrolling {
	if p == nil || !slices.Contains(a.Shows, sallyport.PromptEnrol) {
		return nil
	}
	g := &Enrolling{Required: p.Required, Temporary: p.TemporaryCode}
	for _, k := range p.Kinds {
		if e.enrols(k, a) {
			g.Kinds = append(g.Kinds, k)
		}
	}
	if len(g.Kinds) == 0 {
		return nil
	}
	return g
}

func (e *Engine) enrols(k sallyport.AuthenticatorKind, a Attempt) bool {
	switch k {
	case sallyport.AuthenticatorApp:
		// In RADIUS there is no link to draw.
		return e.Apps != nil && (a.Door != sallyport.DoorRADIUS || e.Serials != nil)
	case sallyport.AuthenticatorPhone:
		return e.Texts != nil
	case sallyport.AuthenticatorPasskey:
		return e.takesPasskeys(a)
	case sallyport.AuthenticatorOTP:
		return e.OTPTokens != nil
	}
	return false
}

// BeginEnrolment has somebody enrol who was let in already, at a door of its own: what comes of it lets nobody in. Of an attempt, its
// login, place, language and door count.
func (e *Engine) BeginEnrolment(ctx context.Context, a Attempt, account sallyport.AccountName, kind sallyport.AuthenticatorKind) (State, error) {
	s := State{Login: a.Login, Account: account, UserName: a.UserName, Application: a.Integration.Nickname, Place: a.Place, Door: a.Door, Origin: a.Origin,
		Language: a.Language, Kind: sallyport.PromptEnrol, Support: e.supportCode(a.Login), End: e.Now().Add(Life).UnixMilli()}
	if !e.enrols(kind, a) {
		return s, errStep
	}
	s.Enrolling = &Enrolling{Step: sallyport.EnrolStart, Kinds: []sallyport.AuthenticatorKind{kind}}
	return e.Enrol(ctx, s.next(), kind)
}

// accept lets the user in, or first has a second factor enrolled.
func (e *Engine) accept(ctx context.Context, s State, detail string) (State, error) {
	g := s.Enrolling
	if g == nil || g.Temporary && s.Used != sallyport.MethodTemporary {
		s.Enrolling = nil
		return e.done(ctx, s, detail), nil
	}
	e.log(ctx, s, "enrolment offered", "step", 5, "account", s.Account, "required", g.Required)
	return s.enrol(Enrolling{Step: sallyport.EnrolStart}, ""), nil
}

// enrol goes to a step of the enrolment. What holds for all of it stays.
func (s State) enrol(g Enrolling, why sallyport.Reason) State {
	g.Kinds, g.Required, g.Temporary = s.Enrolling.Kinds, s.Enrolling.Required, s.Enrolling.Temporary
	g.Number = cmp.Or(g.Number, s.Enrolling.Number)
	s.Enrolling = &g
	s.Kind, s.Reason, s.Until = sallyport.PromptEnrol, why, s.End
	return s.next()
}

// at reports whether an enrolment is at a step.
func (s State) at(steps ...sallyport.EnrolStep) bool {
	return s.Kind == sallyport.PromptEnrol && slices.Contains(steps, s.Enrolling.Step)
}

// Enrol begins to enrol a kind of authenticator, or another one instead.
func (e *Engine) Enrol(ctx context.Context, s State, kind sallyport.AuthenticatorKind) (State, error) {
	if s.Kind != sallyport.PromptEnrol || s.Enrolling.Step == sallyport.EnrolFinished || !slices.Contains(s.Enrolling.Kinds, kind) {
		return s, errStep
	}
	switch kind {
	case sallyport.AuthenticatorApp:
		i, err := e.Apps.Invite(ctx, s.Account)
		if err != nil {
			return s, e.notEnrolled(ctx, s, err)
		}
		return s.enrol(Enrolling{Step: sallyport.EnrolApp, Invitation: &i}, ""), nil
	case sallyport.AuthenticatorPhone:
		return s.enrol(Enrolling{Step: sallyport.EnrolPhone}, ""), nil
	case sallyport.AuthenticatorOTP:
		return s.enrol(Enrolling{Step: sallyport.EnrolOTP}, ""), nil
	}
	return e.offerPasskey(ctx, s, "")
}

func (e *Engine) offerPasskey(ctx context.Context, s State, why sallyport.Reason) (State, error) {
	next := s.enrol(Enrolling{Step: sallyport.EnrolPasskey}, why)
	options, err := e.Passkeys.Offer(ctx, e.ceremony(next))
	if err != nil {
		return s, e.notEnrolled(ctx, s, err)
	}
	next.Enrolling.Options = options
	return next, nil
}

// Delay goes on without having enrolled anything, where that is allowed.
func (e *Engine) Delay(ctx context.Context, s State) (State, error) {
	if s.Kind != sallyport.PromptEnrol || s.Enrolling.Required || s.at(sallyport.EnrolFinished) {
		return s, errStep
	}
	s.Enrolling = nil
	e.log(ctx, s, "enrolment put off", "step", 5, "account", s.Account)
	return e.done(ctx, s, "The user has put the enrolment off."), nil
}

// Back goes back to the choice of what to enrol.
func (e *Engine) Back(s State) (State, error) {
	if s.Kind != sallyport.PromptEnrol || s.at(sallyport.EnrolStart, sallyport.EnrolFinished) {
		return s, errStep
	}
	return s.enrol(Enrolling{Step: sallyport.EnrolStart}, ""), nil
}

// Continue ends the login once something is enrolled.
func (e *Engine) Continue(ctx context.Context, s State) (State, error) {
	if !s.at(sallyport.EnrolFinished) {
		return s, errStep
	}
	detail := "The user has enrolled on the way: " + string(s.Enrolling.What) + "."
	s.Enrolling = nil
	return e.done(ctx, s, detail), nil
}

// EnrolSerial enrols the app by what it shows: its serial number and its token code.
func (e *Engine) EnrolSerial(ctx context.Context, s State, serial string, code sallyport.Secret) (State, error) {
	if e.Serials == nil || !s.at(sallyport.EnrolStart, sallyport.EnrolApp) || !slices.Contains(s.Enrolling.Kinds, sallyport.AuthenticatorApp) {
		return s, errStep
	}
	again := func(why sallyport.Reason) State {
		return s.enrol(Enrolling{Step: sallyport.EnrolApp, Invitation: s.Enrolling.Invitation}, why)
	}
	// Counted before it is tried: of many at once, none is free.
	n, err := e.Counters.Failure(ctx, s.Account, countSerial, e.Now(), serialWindow)
	if err != nil {
		return s, e.notEnrolled(ctx, s, err)
	}
	if n > serialBudget {
		e.log(ctx, s, "enrolment refused", "account", s.Account, "why", "too many serial numbers and codes within "+serialWindow.String())
		return again(sallyport.ReasonTooManyCodes), nil
	}
	i, err := e.Serials.InviteSerial(ctx, s.Account, serial, code)
	if refused(err) {
		e.log(ctx, s, "enrolment refused", "account", s.Account, "why", sallyport.ErrorMessage(err))
	}
	switch {
	case sallyport.ErrorCode(err) == sallyport.CodeNotFound:
		return again(sallyport.ReasonUnknownSerial), nil
	case sallyport.ErrorCode(err) == sallyport.CodeLimited:
		return again(sallyport.ReasonTooManyCodes), nil
	case sallyport.ErrorCode(err) == sallyport.CodeDenied:
		if s.Codes++; s.Codes >= maxCodes {
			return s.enrol(Enrolling{Step: sallyport.EnrolStart}, sallyport.ReasonTooManyCodes), nil
		}
		return again(sallyport.ReasonWrongCode), nil
	case refused(err):
		return again(sallyport.ReasonEnrolFailed), nil
	case err != nil:
		return s, e.notEnrolled(ctx, s, err)
	}
	if err := e.Counters.ResetFailures(ctx, s.Account, countSerial); err != nil {
		e.Log.WarnContext(ctx, "serial numbers and codes are still counted", "account", s.Account, "err", err)
	}
	i.Told = true
	return s.enrol(Enrolling{Step: sallyport.EnrolApp, Invitation: &i}, ""), nil
}

// awaitApp returns the state once the app is enrolled, or the same one when ctx ends before.
func (e *Engine) awaitApp(ctx context.Context, s State) (State, error) {
	name, err := e.Apps.Await(ctx, s.Account, *s.Enrolling.Invitation)
	switch {
	case err == nil:
		return e.enrolled(ctx, s, sallyport.AuthenticatorApp, name), nil
	case ctx.Err() != nil:
		return s, nil
	case sallyport.ErrorCode(err) == sallyport.CodeUnsupported:
		e.log(ctx, s, "enrolment refused: the app is not attested", "account", s.Account, "err", err)
		return s.enrol(Enrolling{Step: sallyport.EnrolStart}, sallyport.ReasonNotAttested), nil
	case refused(err):
		e.log(ctx, s, "enrolment refused", "account", s.Account, "why", sallyport.ErrorMessage(err))
		return s.enrol(Enrolling{Step: sallyport.EnrolStart}, sallyport.ReasonEnrolFailed), nil
	}
	return s, e.notEnrolled(ctx, s, err)
}

// EnrolNumber takes the phone number that is to be enrolled, and sends a code to it. The same number again is a wish for another message:
// it waits, as with Resend, and gives no new tries. Every message has a code of its own.
func (e *Engine) EnrolNumber(ctx context.Context, s State, typed string) (State, error) {
	if !s.at(sallyport.EnrolPhone, sallyport.EnrolPhoneCode) {
		return s, errStep
	}
	number, err := e.Texts.Parse(ctx, typed)
	if err != nil {
		if refused(err) {
			return s.enrol(Enrolling{Step: sallyport.EnrolPhone}, sallyport.ReasonEnrolFailed), nil
		}
		return s, e.notEnrolled(ctx, s, err)
	}
	next := s.enrol(Enrolling{Step: sallyport.EnrolPhoneCode, Number: string(number)}, "")
	next.To = number.Tail()
	if string(number) != s.Enrolling.Number {
		next = next.anew()
	}
	switch wait := e.resendIn(next); {
	case wait != nil && *wait == 0:
		return e.enrolText(ctx, next)
	case len(e.sentCodes(next)) > 0:
		next.Delivery = ""
		return next, nil // that one is still good
	}
	e.log(ctx, s, "code not sent by SMS", "step", 6, "account", s.Account, "why", "too many messages in this enrolment")
	return s.enrol(Enrolling{Step: sallyport.EnrolPhone}, sallyport.ReasonSMSFailed), nil
}

// enrolText sends a code to the number that is being enrolled. The state has the version that is to be shown.
func (e *Engine) enrolText(ctx context.Context, s State) (State, error) {
	next, err := e.send(ctx, s, sallyport.PhoneNumber(s.Enrolling.Number))
	if err != nil {
		return s, err
	}
	if next.Delivery == DeliveryFailed {
		next.Reason = sallyport.ReasonSMSFailed
		return next.next(), nil
	}
	next.Reason = ""
	return next.next(), nil
}

// EnrolCode takes the code that was sent to the number. Tries are counted for the account as well: beginning again gives no new ones.
func (e *Engine) EnrolCode(ctx context.Context, s State, code sallyport.Secret) (State, error) {
	if !s.at(sallyport.EnrolPhoneCode) {
		return s, errStep
	}
	n, err := e.Counters.Failure(ctx, s.Account, countEnrol, e.Now(), enrolWindow)
	if err != nil {
		return s, e.notEnrolled(ctx, s, fmt.Errorf("count codes: %w", err))
	}
	if n > enrolBudget || !sallyport.CanonicalPasscode(code).In(e.sentCodes(s)) {
		e.log(ctx, s, "enrolment refused", "account", s.Account, "why", "not the code in the message, or too old", "wrong", n)
		if s.Codes++; s.Codes >= maxCodes || n >= enrolBudget {
			return s.anew().enrol(Enrolling{Step: sallyport.EnrolStart}, sallyport.ReasonTooManyCodes), nil
		}
		s.Reason = sallyport.ReasonWrongCode
		return s.next(), nil
	}
	if err := e.Texts.Enrol(ctx, s.Account, sallyport.PhoneNumber(s.Enrolling.Number)); err != nil {
		if refused(err) {
			return s.enrol(Enrolling{Step: sallyport.EnrolPhone}, sallyport.ReasonEnrolFailed), nil
		}
		return s, e.notEnrolled(ctx, s, err)
	}
	if err := e.Counters.ResetFailures(ctx, s.Account, countEnrol); err != nil {
		e.Log.WarnContext(ctx, "codes typed for a phone number are still counted", "account", s.Account, "err", err)
	}
	return e.enrolled(ctx, s, sallyport.AuthenticatorPhone, sallyport.PhoneNumber(s.Enrolling.Number).Tail()), nil
}

// EnrolPasskey takes the passkey that the browser made.
func (e *Engine) EnrolPasskey(ctx context.Context, s State, answer []byte) (State, error) {
	if !s.at(sallyport.EnrolPasskey) {
		return s, errStep
	}
	name, err := e.Passkeys.Enrol(ctx, e.ceremony(s), answer)
	switch {
	case refused(err):
		e.log(ctx, s, "enrolment refused", "account", s.Account, "why", sallyport.ErrorMessage(err))
		return e.offerPasskey(ctx, s, sallyport.ReasonEnrolFailed)
	case err != nil:
		return s, e.notEnrolled(ctx, s, err)
	}
	return e.enrolled(ctx, s, sallyport.AuthenticatorPasskey, name), nil
}

// EnrolOTP takes serial number and two codes in a row of an OTP token.
func (e *Engine) EnrolOTP(ctx context.Context, s State, serial string, codes [2]sallyport.Secret) (State, error) {
	if !s.at(sallyport.EnrolOTP) {
		return s, errStep
	}
	err := e.OTPTokens.Claim(ctx, s.Account, serial, codes, e.requestID(s))
	switch {
	case refused(err):
		e.log(ctx, s, "enrolment refused", "account", s.Account, "why", sallyport.ErrorMessage(err))
		if s.Codes++; s.Codes >= maxCodes {
			return s.anew().enrol(Enrolling{Step: sallyport.EnrolStart}, sallyport.ReasonTooManyCodes), nil
		}
		return s.enrol(Enrolling{Step: sallyport.EnrolOTP}, sallyport.ReasonEnrolFailed), nil
	case err != nil:
		return s, e.notEnrolled(ctx, s, err)
	}
	return e.enrolled(ctx, s, sallyport.AuthenticatorOTP, serial), nil
}

// enrolled tells that something was, and ends the temporary codes: the user has a factor now.
func (e *Engine) enrolled(ctx context.Context, s State, what sallyport.AuthenticatorKind, name string) State {
	e.log(ctx, s, "authenticator enrolled", "account", s.Account, "kind", what)
	if e.Recorder != nil {
		where := "at the gateway"
		if s.door() == sallyport.DoorSelfService {
			where = "on the self-service page"
		}
		e.audit(s, "authenticator.enrolled", "", fmt.Sprintf("The user has enrolled %s: %s.", where, what))
	}
	if _, err := e.TemporaryCodes.EndTemporaryCodes(ctx, s.Account, sallyport.EndedByEnrolment, e.Now()); err != nil {
		e.Log.WarnContext(ctx, "temporary code not ended; it is good until it expires", "account", s.Account, "support_code", s.Support, "err", err)
	}
	return s.enrol(Enrolling{Step: sallyport.EnrolFinished, What: what, Name: name}, "")
}

// refused reports whether an error is about what the person gave.
func refused(err error) bool {
	switch sallyport.ErrorCode(err) {
	case sallyport.CodeInvalid, sallyport.CodeDenied, sallyport.CodeNotFound, sallyport.CodeConflict, sallyport.CodeExpired, sallyport.CodeLimited:
		return err != nil
	}
	return false
}

func (e *Engine) notEnrolled(ctx context.Context, s State, err error) error {
	return e.fail(ctx, s, sallyport.CodeUnavailable, "This cannot be set up right now. Please try again.", fmt.Errorf("enrol: %w", err))
}
