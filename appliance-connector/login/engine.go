package login

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Lengths of time and limits of a login.
const (
	// PushLife is how long a challenge can be answered (reference: number matching, 30 s).
	PushLife = 30 * time.Second
	// TokenLife is how long a gateway token can be used.
	TokenLife = gatewaytoken.Lifetime
	// Life is how long a login may take as a whole.
	Life = 10 * time.Minute
	// FailureFloor is how long a refusal of user name and password takes at least, so that its time
	// tells nothing about whether the account exists or why it was refused.
	FailureFloor = 400 * time.Millisecond

	// lateAnswer is how long after the end of a challenge an answer that came in time still counts:
	// nobody may have been watching.
	lateAnswer = 30 * time.Second
	// endGrace is what the token service has, beyond the time of a challenge, to say how it ended.
	endGrace = 1500 * time.Millisecond

	maxPushes = 3
	maxCodes  = 3 // wrong passcodes, and passkeys that do not hold
)

// Directory checks a password. onBind is called just before the directory is asked, which must not
// happen when it fails; once it did not, the check must not be repeated by anybody. The account's name is filled whenever the account exists. An
// error means that the directory gave no answer.
type Directory interface {
	// Present says the same of an account without its password, as far as that can be said: for logins that do without.
	Present(ctx context.Context, userName string) (sallyport.AccountState, sallyport.Account, error)
	Verify(ctx context.Context, userName string, password sallyport.Secret, onBind func() error) (sallyport.AccountState, sallyport.Account, error)
}

// Devices knows the devices of an account, the newest first.
type Devices interface {
	Devices(ctx context.Context, account sallyport.AccountName) ([]sallyport.Device, error)
}

// Challenges puts a question to a device. Create is idempotent by id.
type Challenges interface {
	Create(ctx context.Context, c Challenge) error
	// Watch calls event for everything that has happened and happens to the challenge, until event
	// returns false, the challenge ends, or ctx ends.
	Watch(ctx context.Context, id sallyport.ChallengeID, event func(ChallengeEvent) bool) error
	Cancel(ctx context.Context, id sallyport.ChallengeID) error
}

// Codes checks a passcode of an account, which may be of any of the methods, and says which one it was
// of; "" when it is not right. A code that is used up is so by one request; sent are those that went out by SMS and are still good. why is
// for the log.
type Codes interface {
	CheckCode(ctx context.Context, account sallyport.AccountName, code sallyport.Secret, request string, methods []sallyport.Method, sent []sallyport.Secret) (by sallyport.Method, why string, err error)
	// LooksPasswordless reports whether what was typed as a password has the form of a code, or of a PIN and a code.
	LooksPasswordless(typed sallyport.Secret) bool
	// CheckWithoutPassword takes what was typed in the password's place in one of the ways, and says in which.
	CheckWithoutPassword(ctx context.Context, account sallyport.AccountName, typed sallyport.Secret, request string, ways []sallyport.Combination) (by sallyport.Combination, why string, err error)
}

// Tokens makes gateway tokens.
type Tokens interface {
	Mint(integration sallyport.IntegrationID, account sallyport.AccountName, nonce [8]byte, expires time.Time) sallyport.Secret
}

// Challenge is a question to a device.
type Challenge struct {
	ID     sallyport.ChallengeID
	Device sallyport.DeviceID
	Sealed []byte // what the device shows
	Life   time.Duration
}

// Delivery is what became of the push notification.
type Delivery string

const (
	DeliverySent      Delivery = "sent"
	DeliveryFailed    Delivery = "failed"
	DeliveryNoAddress Delivery = "no_address"
)

// ChallengeEvent is one thing that happened to a challenge; exactly one field is set.
type ChallengeEvent struct {
	Delivery Delivery
	Answer   []byte           // sealed by the device
	Ended    sallyport.Reason // timeout, superseded, cancelled
}

// Config is what an engine works with.
type Config struct {
	Directory Directory
	Standings Standings
	// Admitter is nil where nobody is taken into the list of users who logs in.
	Admitter   Admitter
	Devices    Devices
	Challenges Challenges
	// DeviceApps is nil where devices say nothing of their apps.
	DeviceApps     DeviceApps
	Codes          Codes
	TemporaryCodes TemporaryCodes
	Tokens         Tokens
	// What is nil is not served.
	Texts      Texts
	External   External
	Passkeys   Passkeys
	Apps       Apps
	Serials    Serials
	OTPTokens  OTPTokens
	Remembered Remembered
	Counters   Counters
	// Recorder is nil where nothing is recorded.
	Recorder Recorder
	// Key is secret; challenge ids, numbers and nonces follow from it.
	Key   sallyport.Key
	Now   func() time.Time
	Sleep func(context.Context, time.Duration)
	Log   *slog.Logger
}

// Engine is the login engine.
type Engine struct {
	Config
}

// New makes an engine.
func New(c Config) *Engine { return &Engine{c} }

// Attempt is user name and password as they came through a front door.
type Attempt struct {
	Login       sallyport.LoginID
	Integration sallyport.Integration
	UserName    string
	Password    sallyport.Secret
	Place       string
	// Via says which of the gateway's units and addresses it came through; shown with Place.
	Via string
	// Origin is that of the gateway's page, which passkeys are bound to; Language is the page's, say "de".
	Origin, Language string
	// Shows are the kinds of prompt that the front door can show, beyond push, code, done and denied.
	Shows []sallyport.PromptKind
	// Door is the front door; empty: the overlay.
	Door sallyport.Door
	// Code is a passcode that came with the password, and is checked instead of asking; "": none.
	Code sallyport.Secret
	// Push asks the phone first, if it may be asked at all.
	Push bool
	// Choose asks which of several methods is to be used, before a phone is asked.
	Choose bool
	// BindStarted is called just before the directory is asked; when it fails, the directory is not.
	BindStarted func() error
	// Remembered is what a browser says that was remembered; nil: it says nothing.
	Remembered *RememberedClaim
	// Browser is what it calls itself, for the help desk; "": not known.
	Browser string
	// Front is kept in the state for the front door.
	Front []byte
}

// Begin checks user name and password and asks for the second factor, if policy says so. An error means
// that nothing was decided; a refusal is a state like any other.
func (e *Engine) Begin(ctx context.Context, a Attempt) (State, error) {
	start := e.Now()
	s := State{
		Login: a.Login, Integration: a.Integration.ID, Application: a.Integration.Nickname,
		UserName: a.UserName, Place: a.Place, Via: a.Via, Door: a.Door, Front: a.Front, Origin: a.Origin, Language: a.Language,
		Support: e.supportCode(a.Login), End: start.Add(Life).UnixMilli(),
	}
	e.begun(s)
	e.log(ctx, s, "credentials arrived", "step", 4, "integration", a.Integration.ID, "door", s.door(), "via", a.Via)
	if s.door() == sallyport.DoorRADIUS && a.Code == "" && !a.Push && e.Codes.LooksPasswordless(a.Password) {
		if next, decided, err := e.withoutPassword(ctx, s, a, start); decided || err != nil {
			return next, err
		}
	}
	state, account, err := e.Directory.Verify(ctx, a.UserName, a.Password, a.BindStarted)
	if err != nil {
		code := sallyport.CodeUnavailable
		if sallyport.ErrorCode(err) == sallyport.CodeUncertain {
			code = sallyport.CodeUncertain // the password may have been counted
		}
		return State{}, e.fail(ctx, s, code,
			"The directory does not answer. Please try again in a minute.", fmt.Errorf("ask directory: %w", err))
	}
	s.Account = account.Name
	if state != sallyport.AccountOK {
		e.log(ctx, s, "password refused", "step", 5, "account", account.Name, "why", state)
		e.Sleep(ctx, FailureFloor-e.Now().Sub(start))
		return e.deny(ctx, s, sallyport.ReasonCredentials, "The directory says: "+string(state)+"."), nil
	}
	e.log(ctx, s, "password is right", "step", 5, "account", s.Account)
	next, err := e.decide(ctx, s, account, a)
	if err == nil && next.Reason == sallyport.ReasonCredentials {
		e.Sleep(ctx, FailureFloor-e.Now().Sub(start)) // as a wrong password
	}
	return next, err
}

// Wait returns the state after the next thing that happens outside, or the same state when ctx ends
// before. It can be repeated, here or on another appliance.
//
// The state may come from an appliance whose clock is up to gatewaytoken.Skew away. So it is the token
// service that says when the time to answer is over; our clock only ends what is over by any clock.
func (e *Engine) Wait(ctx context.Context, s State) (State, error) {
	if s.Kind == sallyport.PromptEnrol && s.Enrolling.Step == sallyport.EnrolApp {
		return e.awaitApp(ctx, s)
	}
	if s.Kind != sallyport.PromptPush {
		return s, nil
	}
	next, changed := s, false
	left := time.UnixMilli(s.Until).Sub(e.Now())
	if left < -lateAnswer-gatewaytoken.Skew {
		return e.deny(ctx, s, sallyport.ReasonTimeout, ""), nil
	}
	wctx, cancel := context.WithTimeout(ctx, min(max(left, 0), PushLife)+endGrace)
	defer cancel()
	var failed error
	err := e.Challenges.Watch(wctx, s.Challenge, func(ev ChallengeEvent) bool {
		if ev.Ended == sallyport.ReasonCancelled {
			return true // by us, for a step of the person: that step says how the login goes on
		}
		next, failed = e.happened(ctx, s, ev)
		changed = next.Version != s.Version
		return failed == nil && !changed
	})
	switch {
	case failed != nil:
		return s, failed
	case changed:
		return next, nil
	case ctx.Err() != nil:
		return s, nil // the caller's patience ended, not the challenge
	case left < -gatewaytoken.Skew:
		return e.deny(ctx, s, sallyport.ReasonTimeout, ""), nil
	case err != nil && wctx.Err() == nil:
		return s, e.fail(ctx, s, sallyport.CodeUnavailable, "The push service does not answer. Please try again.", fmt.Errorf("watch challenge: %w", err))
	}
	<-wctx.Done() // ended without a word for us: there is nothing to hear any more
	return s, nil
}

func (e *Engine) happened(ctx context.Context, s State, ev ChallengeEvent) (State, error) {
	switch {
	case ev.Answer != nil:
		return e.answered(ctx, s, ev.Answer)
	case ev.Ended != "":
		return e.deny(ctx, s, ev.Ended, ""), nil
	case ev.Delivery == DeliverySent && s.Delivery == "":
		e.tell(s, "notification handed to the push service", 7, nil)
		return s, nil // nothing the person has to know
	case ev.Delivery == s.Delivery:
		return s, nil
	case ev.Delivery == DeliverySent, ev.Delivery == DeliveryFailed, ev.Delivery == DeliveryNoAddress:
		s.Delivery = ev.Delivery
		if s.Delivery != DeliverySent {
			e.log(ctx, s, "notification not delivered", "step", 8, "why", s.Delivery)
		}
		return s.next(), nil
	}
	return s, nil
}

// UseCode goes from the push, or the choice, to a passcode.
func (e *Engine) UseCode(ctx context.Context, s State) (State, error) {
	if s.Kind == sallyport.PromptCode || !s.takesCode() {
		return s, errStep
	}
	return e.Use(ctx, s, s.firstTyped())
}

// Push asks the device again, or instead of a passcode, or as chosen.
func (e *Engine) Push(ctx context.Context, s State) (State, error) {
	if s.Kind == sallyport.PromptPush {
		return s, errStep
	}
	return e.Use(ctx, s, sallyport.MethodPush)
}

// Use goes to another of the methods that are open. A push under way is withdrawn.
func (e *Engine) Use(ctx context.Context, s State, m sallyport.Method) (State, error) {
	if !s.asks() || !s.takes(m) || m == s.Used && s.Kind != sallyport.PromptChoose {
		return s, errStep
	}
	if s.Kind == sallyport.PromptPush {
		e.cancelChallenge(ctx, s)
	}
	return e.turnTo(ctx, s, m, nil)
}

// turnTo asks for a factor. devices may be left out.
func (e *Engine) turnTo(ctx context.Context, s State, m sallyport.Method, devices []sallyport.Device) (State, error) {
	switch m {
	case sallyport.MethodPush:
		return e.push(ctx, s, devices)
	case sallyport.MethodSMS:
		return e.text(ctx, s)
	case sallyport.MethodPasskey:
		return e.askPasskey(ctx, s, "")
	}
	s.Used = m
	return e.askCode(s, ""), nil
}

// Code takes a passcode.
func (e *Engine) Code(ctx context.Context, s State, code sallyport.Secret) (State, error) {
	switch {
	case s.Kind != sallyport.PromptCode:
		return s, errStep
	case s.Used == sallyport.MethodExternal:
		return e.askExternal(ctx, s, code)
	}
	by, why, err := e.Codes.CheckCode(ctx, s.Account, code, e.requestID(s), s.methods(), e.sentCodes(s))
	if err != nil {
		return s, e.fail(ctx, s, sallyport.CodeUnavailable, "The code could not be checked. Please try again.", fmt.Errorf("check code: %w", err))
	}
	if by != "" {
		s.Used = by
		e.log(ctx, s, "passcode is right", "step", 10, "account", s.Account, "method", by)
		if by == sallyport.MethodCode {
			e.atHand(ctx, s)
		}
		return e.accept(ctx, s, "The password and the passcode are right.")
	}
	return e.wrong(ctx, s, why), nil
}

// wrong is a passcode that was not right.
func (e *Engine) wrong(ctx context.Context, s State, why string) State {
	e.log(ctx, s, "passcode refused", "step", 10, "account", s.Account, "why", why)
	s.Codes++
	if s.Codes >= maxCodes {
		return e.deny(ctx, s, sallyport.ReasonTooManyCodes, "The last passcode: "+why+".")
	}
	return e.askCode(s, sallyport.ReasonWrongCode)
}

// Cancel ends the login at the user's wish.
func (e *Engine) Cancel(ctx context.Context, s State) (State, error) {
	if s.Kind == sallyport.PromptDone || s.Kind == sallyport.PromptDenied {
		return s, errStep
	}
	if s.Kind == sallyport.PromptPush {
		e.cancelChallenge(ctx, s)
	}
	return e.deny(ctx, s, sallyport.ReasonCancelled, ""), nil
}

// GiveUp ends a login whose push nobody has answered, at a front door that can wait no longer.
func (e *Engine) GiveUp(ctx context.Context, s State) State {
	if s.Kind == sallyport.PromptPush {
		e.cancelChallenge(ctx, s)
	}
	return e.deny(ctx, s, sallyport.ReasonTimeout, "")
}

var errStep = sallyport.Errorf(sallyport.CodeConflict, "This step is over. Please go on with what the page shows now.", nil)

// askCode asks for a passcode of the method in use, or else of the first one that is typed.
func (e *Engine) askCode(s State, why sallyport.Reason) State {
	s.Kind, s.Reason, s.Until = sallyport.PromptCode, why, s.End
	if !typed(s.Used) {
		s.Used = s.firstTyped()
	}
	return s.next()
}

// deny ends the login. detail is for the help desk: what the reason alone does not say.
func (e *Engine) deny(ctx context.Context, s State, why sallyport.Reason, detail string) State {
	e.log(ctx, s, "login denied", "step", 11, "account", s.Account, "reason", why)
	s.Kind, s.Reason, s.Until = sallyport.PromptDenied, why, s.End
	e.ended(s, detail)
	return s.next()
}

func (e *Engine) done(ctx context.Context, s State, detail string) State {
	msg := "login granted, gateway token made"
	if s.door() != sallyport.DoorOverlay {
		msg = "login granted" // there is nothing to take to a gateway
	}
	e.log(ctx, s, msg, "step", 11, "account", s.Account)
	s = e.remember(ctx, s)
	s.Kind, s.Reason, s.Until = sallyport.PromptDone, "", e.Now().Add(TokenLife).UnixMilli()
	e.ended(s, detail)
	return s.next()
}

func (s State) next() State { s.Version++; return s }

// Prompt is what the user is to see in a state.
func (e *Engine) Prompt(s State) sallyport.Prompt {
	p := sallyport.Prompt{
		Kind: s.Kind, Reason: s.Reason, SupportCode: s.Support, Expires: time.UnixMilli(s.Until),
		Remaining: max(0, s.Until-e.Now().UnixMilli()),
	}
	s.rememberPrompt(&p)
	switch s.Kind {
	case sallyport.PromptPush:
		p.Remaining = min(p.Remaining, PushLife.Milliseconds()) // asked by another clock, maybe
		p.Number, p.Device, p.Delivery = e.number(s), s.DeviceName, string(s.Delivery)
		p.Methods = s.offered(sallyport.MethodPush)
	case sallyport.PromptCode:
		p.Methods = s.offered(s.Used)
		switch s.Used {
		case sallyport.MethodSMS:
			p.To, p.Delivery, p.Resend = s.To, string(s.Delivery), e.resendIn(s)
		case sallyport.MethodExternal:
			p.Message = s.Question
		}
	case sallyport.PromptChoose:
		p.Methods = s.methods()
	case sallyport.PromptPasskey:
		p.Methods, p.Passkey = s.offered(sallyport.MethodPasskey), s.Passkey
	case sallyport.PromptEnrol:
		p.Enrol = s.Enrolling.prompt()
		p.Enrol.BySerial = e.Serials != nil && s.Enrolling.Step == sallyport.EnrolApp
		if s.Enrolling.Step == sallyport.EnrolPhoneCode {
			p.To, p.Delivery, p.Resend = s.To, string(s.Delivery), e.resendIn(s)
		}
	case sallyport.PromptDone:
		if s.door() == sallyport.DoorSelfService {
			break // which lets nobody in at a gateway
		}
		p.Token = e.Tokens.Mint(s.Integration, s.Account, e.nonce(s.Login), time.UnixMilli(s.Until))
	}
	return p
}

// What follows from the login's id follows from a secret as well: nobody outside can work it out.
func (e *Engine) draw(parts ...string) []byte {
	m := hmac.New(sha256.New, e.Key)
	m.Write(sealed.Fields(parts...))
	return m.Sum(nil)
}

func (e *Engine) challengeID(s State) sallyport.ChallengeID {
	return sallyport.ChallengeID(hex.EncodeToString(e.draw("challenge", string(s.Login), strconv.Itoa(s.Pushes))[:16]))
}

// requestID names one try of a code: repeated, it is the same.
func (e *Engine) requestID(s State) string {
	return hex.EncodeToString(e.draw("code", string(s.Login), strconv.FormatUint(uint64(s.Version), 10))[:16])
}

// number is what has to be typed on the phone: 10 to 99, or nothing without number matching.
func (e *Engine) number(s State) string {
	if s.Plain {
		return ""
	}
	return strconv.FormatUint(10+binary.BigEndian.Uint64(e.draw("number", string(s.Challenge)))%90, 10)
}

func (e *Engine) nonce(l sallyport.LoginID) [8]byte {
	return [8]byte(e.draw("token", string(l))[:8])
}

// supportCode names the login to the help desk; a repetition of the login has the same one.
func (e *Engine) supportCode(l sallyport.LoginID) string { return e.SupportCode(e.nonce(l)) }

// SupportCode is the support code of the login whose gateway token has the nonce: so that whoever checks
// the token, on any appliance, knows which login it was.
func (e *Engine) SupportCode(nonce [8]byte) string {
	return sallyport.SupportCode([5]byte(e.draw("support", string(nonce[:]))[:5]))
}

func (e *Engine) fail(ctx context.Context, s State, code sallyport.Code, message string, cause error) error {
	e.Log.ErrorContext(ctx, "login not decided", "login", s.Login, "support_code", s.Support, "err", cause)
	e.tell(s, "login not decided", 0, map[string]string{"code": string(code)})
	return &sallyport.Error{Code: code, Message: message, SupportCode: s.Support, Err: cause}
}
