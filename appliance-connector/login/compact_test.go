package login_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

const hexLogin = "00112233445566778899aabbccddeeff"

func keeper() login.Keeper { return login.Keeper{Key: []byte("0123456789abcdef0123456789abcdef")} }

// beginRADIUS begins a login at the other door.
func (w *world) beginRADIUS(change func(*login.Attempt)) login.State {
	w.t.Helper()
	a := login.Attempt{Login: hexLogin, Integration: vpn, UserName: "Alice", Password: "pw", Place: "203.0.113.7", Via: "big-ip-1",
		Door: sallyport.DoorRADIUS, Front: []byte("sixteen octets!!"), BindStarted: func() error { return nil }}
	change(&a)
	s, err := w.engine.Begin(w.t.Context(), a)
	check(w.t, err)
	return s
}

func radiusContext() login.Context {
	return login.Context{Integration: vpn, UserName: "Alice", Place: "203.0.113.7", Via: "big-ip-1", Door: sallyport.DoorRADIUS}
}

func TestACompactStateComesBackWhole(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	push := w.beginRADIUS(func(*login.Attempt) {})
	code, err := w.engine.UseCode(t.Context(), push)
	check(t, err)
	wrong, err := w.engine.Code(t.Context(), code, "000000")
	check(t, err)
	for _, s := range []login.State{push, code, wrong} {
		box, err := keeper().SealCompact(s)
		check(t, err)
		if len(box) > login.MaxCompact {
			t.Errorf("%d octets", len(box))
		}
		got, err := w.engine.OpenCompact(keeper(), box, radiusContext())
		check(t, err)
		s.DeviceName = ""
		if !reflect.DeepEqual(got, s) {
			t.Errorf("got  %+v\nwant %+v", got, s)
		}
	}
}

func TestACompactStateHasRoomForAnyAccountOfTheDirectory(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.beginRADIUS(func(*login.Attempt) {})
	s.Methods = []sallyport.Method{sallyport.MethodTemporary, sallyport.MethodPush, sallyport.MethodCode}
	s.Account = sallyport.NewAccountName(strings.Repeat("病", 15), strings.Repeat("院", 20)) // the longest NetBIOS name and sAMAccountName
	box, err := keeper().SealCompact(s)
	check(t, err)
	if len(box) > login.MaxCompact {
		t.Errorf("%d octets", len(box))
	}
	s.Account += sallyport.AccountName(strings.Repeat("x", 100))
	if _, err := keeper().SealCompact(s); err == nil {
		t.Error("a state that is too long was sealed")
	}
	s.Account, s.Login = `hospital\alice`, "not hexadecimal"
	if _, err := keeper().SealCompact(s); err == nil {
		t.Error("a login with another kind of id was sealed")
	}
}

func TestACompactStateOpensForItsOwnAlone(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	box, err := keeper().SealCompact(w.beginRADIUS(func(*login.Attempt) {}))
	check(t, err)
	other := vpn
	other.ID = "vpn2"
	for name, c := range map[string]login.Context{
		"another user":        {Integration: vpn, UserName: "alice", Door: sallyport.DoorRADIUS},
		"another integration": {Integration: other, UserName: "Alice", Door: sallyport.DoorRADIUS},
		"another door":        {Integration: vpn, UserName: "Alice", Door: sallyport.DoorOverlay},
	} {
		if _, err := w.engine.OpenCompact(keeper(), box, c); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := login.Keeper{Key: []byte("another key, of 32 octets as well")[:32]}
	if _, err := w.engine.OpenCompact(stranger, box, radiusContext()); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("another enterprise: %v", err)
	}
	w.now = w.now.Add(login.Life + 61*time.Second)
	if _, err := w.engine.OpenCompact(keeper(), box, radiusContext()); sallyport.ErrorCode(err) != sallyport.CodeExpired {
		t.Errorf("expired: %v", err)
	}
}

func TestACodeThatCameWithThePasswordIsCheckedInsteadOfAsking(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.want(w.beginRADIUS(func(a *login.Attempt) { a.Code = w.code(w.now) }), sallyport.PromptDone, "")
	if r := w.last(); r.Method != sallyport.MethodCode || r.Door != sallyport.DoorRADIUS {
		t.Errorf("recorded: %+v", r)
	}
	w.want(w.beginRADIUS(func(a *login.Attempt) { a.Code = "000000" }), sallyport.PromptCode, sallyport.ReasonWrongCode)
	w.state = sallyport.AccountWrongPassword
	w.want(w.beginRADIUS(func(a *login.Attempt) { a.Code = w.code(w.now.Add(30 * time.Second)) }), sallyport.PromptDenied, sallyport.ReasonCredentials)
	if len(w.pushes) != 0 {
		t.Error("the phone was asked")
	}
}

func TestAFrontDoorMayHavePeopleChoose(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	choose := func(a *login.Attempt) { a.Choose = true }
	s := w.beginRADIUS(choose)
	w.want(s, sallyport.PromptChoose, "")
	if len(w.pushes) != 0 || len(w.engine.Prompt(s).Methods) != 2 {
		t.Errorf("%d pushes, methods %v", len(w.pushes), w.engine.Prompt(s).Methods)
	}
	pushed, err := w.engine.Push(t.Context(), s)
	check(t, err)
	w.want(pushed, sallyport.PromptPush, "")
	d, err := deviceproto.OpenDetails(w.device.DetailsKey, w.device.ID, pushed.Challenge, w.pushes[pushed.Challenge].Sealed)
	check(t, err)
	if d.Place != "203.0.113.7 via big-ip-1" {
		t.Errorf("the phone shows %+v", d)
	}
	code, err := w.engine.UseCode(t.Context(), s)
	check(t, err)
	w.want(code, sallyport.PromptCode, "")
	if len(w.cancelled) != 0 {
		t.Error("something was cancelled that was not asked")
	}
	w.people.standing.Workflow.Allowed = nil // only a temporary code is left: nothing to choose
	w.people.issue("12345678")
	w.want(w.beginRADIUS(choose), sallyport.PromptCode, "")
}

func TestPushFirstWhenThePersonSaysSo(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.people.issue("12345678")
	w.want(w.beginRADIUS(func(*login.Attempt) {}), sallyport.PromptCode, "")
	w.want(w.beginRADIUS(func(a *login.Attempt) { a.Push = true }), sallyport.PromptPush, "")
}

func TestADoorThatCanWaitNoLongerEndsThePush(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.want(w.engine.GiveUp(t.Context(), w.beginRADIUS(func(*login.Attempt) {})), sallyport.PromptDenied, sallyport.ReasonTimeout)
	if len(w.cancelled) != 1 {
		t.Error("the phone still shows the question")
	}
}
