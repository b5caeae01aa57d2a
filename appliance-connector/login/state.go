// Package login is the login engine: every decision of a login is made here, for every front door.
// A front door hands it a state and an event, and gets a new state and a prompt.
//
//	credentials ──wrong──▶ denied
//	     │ right: policy is asked
//	     ├─ refused, or has to enrol ─▶ denied
//	     ├─ password alone ───────────▶ done
//	     ├─ a passcode came with the password ─▶ code, given
//	     ├─ the front door has people choose ──▶ choose ──"push"─▶ push, or "use_code"─▶ code
//	     │ asked for: the first of the methods, which is the one used last
//	     ▼
//	   push ◀─────"use"─────▶ code ◀─────"use"─────▶ passkey
//	     │                     │ app, SMS, OTP,        │
//	     │                     │ external, temporary   │
//	     │                     ├──wrong, third time────┴──▶ denied
//	     ├─ wrong number, denied, not me, no answer, superseded, cancelled ──▶ denied
//	     ▼                     ▼                       ▼
//	   right ──▶ done, or first: enrol ──"not now"──▶ done
//	                               └─ app, phone, passkey or OTP token ─▶ finished ──▶ done
//
// A password that is enough by policy may lead to "enrol" as well, and where the user has to enrol, there is no "not now".
//
// The engine keeps nothing between two steps: the state travels, sealed, with whoever asks next, so
// any appliance of the enterprise continues any login. Steps may be repeated: the challenge, its
// number and the gateway token's nonce follow from the login's id, so a repetition makes no second
// push and no second token. It does no I/O of its own; what it needs is handed to it.
package login

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// State is a login between two steps.
type State struct {
	Login       sallyport.LoginID       `json:"l"`
	Version     uint32                  `json:"v"`
	Kind        sallyport.PromptKind    `json:"k"`
	Integration sallyport.IntegrationID `json:"i"`
	Application string                  `json:"n"` // as shown on the phone
	Account     sallyport.AccountName   `json:"a"`
	UserName    string                  `json:"u"` // as typed
	Place       string                  `json:"p"`
	Via         string                  `json:"vi,omitempty"` // which of the gateway's units and addresses
	Door        sallyport.Door          `json:"o,omitempty"`  // see door
	Device      sallyport.DeviceID      `json:"d,omitempty"`
	DeviceName  string                  `json:"dn,omitempty"`
	Challenge   sallyport.ChallengeID   `json:"c,omitempty"`
	Methods     []sallyport.Method      `json:"m,omitempty"` // that policy takes; see methods
	Used        sallyport.Method        `json:"w,omitempty"` // used, or asked for last
	Plain       bool                    `json:"q,omitempty"` // a push without number matching
	Pushes      int                     `json:"x,omitempty"` // challenges made so far
	Codes       int                     `json:"y,omitempty"` // wrong codes so far
	Delivery    Delivery                `json:"dl,omitempty"`
	Origin      string                  `json:"og,omitempty"` // of the gateway's page
	Language    string                  `json:"la,omitempty"` // of the page
	To          string                  `json:"to,omitempty"` // last two digits of the number that codes go to
	Sent        []int64                 `json:"ts,omitempty"` // when codes were sent by SMS, Unix milliseconds
	Question    string                  `json:"qu,omitempty"` // the external token server's
	Passkey     json.RawMessage         `json:"pk,omitempty"` // what the browser is to do with a passkey
	Enrolling   *Enrolling              `json:"en,omitempty"` // what can be enrolled on the way; nil: nothing
	Reason      sallyport.Reason        `json:"r,omitempty"`
	Support     string                  `json:"s"`
	Until       int64                   `json:"t"`            // end of the prompt, Unix milliseconds
	End         int64                   `json:"e"`            // end of the login, Unix milliseconds
	Remember    *Remembering            `json:"rm,omitempty"` // where the browser may be remembered
	Front       []byte                  `json:"f,omitempty"`  // the front door's own, e.g. keys to the browser
}

// methods are what may be given as second factor. A state of a release before there were policies has
// none, and means the app.
func (s State) methods() []sallyport.Method {
	if s.Methods == nil {
		return []sallyport.Method{sallyport.MethodPush, sallyport.MethodCode}
	}
	return s.Methods
}

// door is the front door. A state of a release before there were two has none, and means the overlay.
func (s State) door() sallyport.Door { return cmp.Or(s.Door, sallyport.DoorOverlay) }

func (s State) takes(m sallyport.Method) bool { return slices.Contains(s.methods(), m) }

// takesCode reports whether anything that is typed may be given.
func (s State) takesCode() bool { return slices.ContainsFunc(s.methods(), typed) }

// firstTyped is the first of the methods that are typed.
func (s State) firstTyped() sallyport.Method {
	if i := slices.IndexFunc(s.methods(), typed); i >= 0 {
		return s.methods()[i]
	}
	return sallyport.MethodCode
}

// asks reports whether a second factor is being asked for.
func (s State) asks() bool {
	switch s.Kind {
	case sallyport.PromptPush, sallyport.PromptCode, sallyport.PromptChoose, sallyport.PromptPasskey:
		return true
	}
	return false
}

// typed reports whether a method is given by typing a passcode.
func typed(m sallyport.Method) bool {
	switch m {
	case sallyport.MethodCode, sallyport.MethodTemporary, sallyport.MethodSMS, sallyport.MethodOTP, sallyport.MethodExternal:
		return true
	}
	return false
}

// offered are the methods with the current one first. A push is not among them once there were enough of it.
func (s State) offered(current sallyport.Method) []sallyport.Method {
	list := []sallyport.Method{current}
	for _, m := range s.methods() {
		if m != current && (m != sallyport.MethodPush || s.Pushes < maxPushes) {
			list = append(list, m)
		}
	}
	return list
}

// MaxState bounds a sealed state, in octets.
const MaxState = 8 << 10

// Keeper seals states, for whoever carries them between steps.
type Keeper struct {
	Key sallyport.Key
}

func stateAAD(login sallyport.LoginID) []byte { return sealed.Fields("login state", string(login)) }

// Seal packs a state for its login.
func (k Keeper) Seal(s State) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return sealed.Seal(k.Key, text, stateAAD(s.Login)), nil
}

// Open undoes Seal. A state of another login, an edited one or one whose login has ended is refused.
func (k Keeper) Open(box []byte, login sallyport.LoginID, now time.Time) (State, error) {
	refuse := func(cause error) (State, error) {
		return State{}, sallyport.Errorf(sallyport.CodeInvalid, "This sign-in cannot be continued. Please start again.", cause)
	}
	if len(box) > MaxState {
		return refuse(sealed.ErrOpen)
	}
	text, err := sealed.Open(k.Key, box, stateAAD(login))
	if err != nil {
		return refuse(err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil || s.Login != login {
		return refuse(err)
	}
	// A minute of grace: the next step may be taken by an appliance whose clock is ahead.
	if now.UnixMilli() > s.End+time.Minute.Milliseconds() {
		return State{}, sallyport.Errorf(sallyport.CodeExpired, "This sign-in took too long. Please start again.", nil)
	}
	return s, nil
}
