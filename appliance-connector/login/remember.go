package login

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
	"github.com/sallyport/sallyport/internal/browserkey"
)

// Remembered knows the browsers that may skip the second factor.
type Remembered interface {
	// Check says whether a browser that claims to be remembered is, for this login, by what is known and
	// allowed now. An error means that it could not be found out.
	Check(ctx context.Context, c RememberedClaim, l RememberedLogin) (RememberedVerdict, error)
	// Make remembers a browser by its public key, in place of another one or of none, and returns the token
	// that the cloud keeps. Repeated for the same id, it is the same device.
	Make(ctx context.Context, d sallyport.RememberedDevice, key []byte, replaces sallyport.RememberedID) (token []byte, err error)
}

// RememberedClaim is what a browser says that was remembered, and what the cloud kept and found of it.
type RememberedClaim struct {
	ID        sallyport.RememberedID
	Uses      uint32
	Signature []byte
	Token     []byte
	Finding   RememberedFinding
}

// RememberedFinding is what the cloud found of a claim. Only Good can lead anywhere, and proves nothing.
type RememberedFinding string

const (
	RememberedGood     RememberedFinding = "good"
	RememberedGone     RememberedFinding = "gone"      // no such record, or no more
	RememberedCopied   RememberedFinding = "copied"    // its count of uses went back
	RememberedNoCookie RememberedFinding = "no cookie" // the one that was seen before is missing
	RememberedUnsigned RememberedFinding = "unsigned"
	RememberedUnknown  RememberedFinding = "unknown" // the cloud could not look
)

// RememberedLogin is the login that a claim is for. Its password was right.
type RememberedLogin struct {
	Login       sallyport.LoginID
	Integration sallyport.IntegrationID
	UserName    string
	Account     sallyport.AccountName
	Place       string
	Policy      sallyport.RememberPolicy
	// Since is when 2FA was required on all devices of the user; zero: never.
	Since time.Time
	Now   time.Time
}

// RememberedVerdict is what came of a claim.
type RememberedVerdict struct {
	OK  bool
	Why string // for the help desk, when it is not OK
	// Own: it is a device of this account, made by this enterprise, whether it is taken or not.
	Own bool
	// Copied: the browser's storage is in two places. The device is forgotten.
	Copied bool
	Device sallyport.RememberedDevice
}

// Remembering is what a state holds of the offer to remember the browser.
type Remembering struct {
	Hours    int64                  `json:"h"` // for which it is offered
	On       bool                   `json:"o,omitempty"`
	Key      []byte                 `json:"k,omitempty"` // of the browser
	Browser  string                 `json:"b,omitempty"`
	Replaces sallyport.RememberedID `json:"x,omitempty"`
	// Once it is remembered:
	ID    sallyport.RememberedID `json:"i,omitempty"`
	Token []byte                 `json:"t,omitempty"`
}

// recognise lets a browser that is remembered skip the second factor; otherwise it notes that remembering it
// may be offered.
func (e *Engine) recognise(ctx context.Context, s State, d policy.Decision, standing sallyport.Standing, a Attempt) (State, bool) {
	if e.Remembered == nil || !rememberable(s, d, standing) {
		return s, false
	}
	p := standing.Workflow.Remember
	s.Remember = &Remembering{Hours: int64(p.For / time.Hour), Browser: a.Browser}
	if a.Remembered == nil {
		return s, false
	}
	v, err := e.Remembered.Check(ctx, *a.Remembered, RememberedLogin{
		Login: s.Login, Integration: s.Integration, UserName: s.UserName, Account: s.Account, Place: s.Place,
		Policy: p, Since: standing.User.SecondFactorSince, Now: e.Now(),
	})
	if err != nil {
		e.Log.WarnContext(ctx, "remembered device not checked; the second factor is asked for", "login", s.Login, "support_code", s.Support, "err", err)
		return s, false
	}
	if v.Own && !v.OK {
		s.Remember.Replaces = a.Remembered.ID
	}
	if v.Copied {
		e.log(ctx, s, "a remembered device was copied, and is forgotten", "step", 5, "account", s.Account, "device", a.Remembered.ID)
		if e.Recorder != nil {
			e.audit(s, CopiedAction, "", "The browser's count of uses went back: its storage is in two places. It is remembered no more; look who else has been at that computer.")
		}
	}
	if !v.OK {
		e.log(ctx, s, "remembered device not taken", "step", 5, "account", s.Account, "device", a.Remembered.ID, "why", v.Why)
		return s, false
	}
	s.Remember, s.Used = nil, sallyport.MethodRemembered
	e.log(ctx, s, "second factor skipped on a remembered device", "step", 5, "account", s.Account, "device", v.Device.ID)
	return e.done(ctx, s, "The password is right, and the device is remembered: "+cmp.Or(v.Device.Browser, "a browser")+
		", since "+v.Device.Made.UTC().Format("2006-01-02 15:04 MST")+"."), true
}

// CopiedAction is the audit record of a remembered device whose storage was copied.
const CopiedAction = "remembered device.copied"

// rememberable says whether remembered devices play a part in a login: for those who have remote access by
// policy, at the overlay, by what the database says now, when the password is one of the two factors.
func rememberable(s State, d policy.Decision, standing sallyport.Standing) bool {
	u, w := standing.User, standing.Workflow
	if s.door() != sallyport.DoorOverlay || standing.Stale || !w.Remember.Allowed || d.Outcome != policy.Ask {
		return false
	}
	if u == nil || u.State != sallyport.UserActive || !standing.Policy.Licensed || !standing.Policy.RemoteAccess {
		return false
	}
	// An OTP token may be there for a PIN, or on its own; then the password that was typed counts for nothing.
	return slices.ContainsFunc(d.Methods, func(m sallyport.Method) bool {
		return m != sallyport.MethodOTP || slices.Contains(w.Allowed, sallyport.PasswordAndOTP)
	})
}

// offersRemembering says whether the page may offer it now. A temporary code is lent for a day; it makes no
// device remembered for a month.
func (s State) offersRemembering() bool {
	if s.Remember == nil {
		return false
	}
	switch s.Kind {
	case sallyport.PromptPush, sallyport.PromptPasskey:
		return true
	case sallyport.PromptCode:
		return s.Used != sallyport.MethodTemporary
	}
	return false
}

// Remember notes that the person wants this browser to be remembered, or not, once the login is done. key
// is the browser's public key; it is not looked at when on is false.
func (e *Engine) Remember(_ context.Context, s State, on bool, key []byte) (State, error) {
	if !s.offersRemembering() {
		return s, errStep
	}
	r := Remembering{Hours: s.Remember.Hours, Browser: s.Remember.Browser, Replaces: s.Remember.Replaces, On: on}
	if on {
		if _, err := browserkey.ParseKey(key); err != nil {
			return s, sallyport.Errorf(sallyport.CodeInvalid, "This browser cannot be remembered.", err)
		}
		r.Key = key
	}
	s.Remember = &r
	return s.next(), nil
}

// remember remembers the browser of a login that is done, if the person wants it. That it cannot be is no
// reason to keep anybody out. The id follows from the login's: a repetition makes no second device.
func (e *Engine) remember(ctx context.Context, s State) State {
	r := s.Remember
	s.Remember = nil
	if e.Remembered == nil || r == nil || !r.On || s.Used == sallyport.MethodTemporary {
		return s
	}
	kept := *r
	id := e.draw("remembered", string(s.Login))[:browserkey.IDSize]
	id[0] &= 0x7f // it begins with a letter: people type it after a command
	kept.ID, _ = browserkey.NewID(id)
	d := sallyport.RememberedDevice{ID: kept.ID, Account: s.Account, Browser: r.Browser, Place: s.Place, Made: e.Now()}
	var err error
	if kept.Token, err = e.Remembered.Make(ctx, d, r.Key, r.Replaces); err != nil {
		e.Log.WarnContext(ctx, "device not remembered", "login", s.Login, "support_code", s.Support, "account", s.Account, "err", err)
		return s
	}
	e.log(ctx, s, "device remembered", "step", 11, "account", s.Account, "device", kept.ID, "hours", kept.Hours)
	s.Remember = &kept
	return s
}

// rememberPrompt says what the page shows of it.
func (s State) rememberPrompt(p *sallyport.Prompt) {
	switch {
	case s.Remember == nil:
	case s.offersRemembering():
		p.Remember = &sallyport.RememberOffer{Hours: s.Remember.Hours, On: s.Remember.On}
	case s.Kind == sallyport.PromptDone && s.Remember.ID != "":
		p.Remembered = &sallyport.RememberedHere{ID: s.Remember.ID, Hours: s.Remember.Hours}
	}
}
