package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/remembered"
	"github.com/sallyport/sallyport/internal/browserkey"
)

// browser is one that can be remembered, and what the cloud keeps for it.
type browser struct {
	w     *world
	key   *ecdsa.PrivateKey
	id    sallyport.RememberedID
	token []byte
	uses  uint32
}

// rememberingWorld remembers devices for 30 days.
func rememberingWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.enrol("alice")
	w.engine.Remembered = remembered.Keeper{Tenant: "t1", Keys: []remembered.Key{{ID: "1", Secret: []byte("0123456789abcdef0123456789abcdef")}}, Store: w.store}
	w.people.standing.Workflow.Remember = sallyport.RememberPolicy{Allowed: true, For: 30 * 24 * time.Hour}
	return w
}

func (w *world) browser() *browser {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(w.t, err)
	return &browser{w: w, key: key}
}

func (b *browser) point() []byte {
	b.w.t.Helper()
	p, err := b.key.PublicKey.Bytes()
	check(b.w.t, err)
	return p
}

// begin begins a login in the browser.
func (b *browser) begin(id sallyport.LoginID, change ...func(*login.Attempt)) login.State {
	b.w.t.Helper()
	a := login.Attempt{Login: id, Integration: vpn, UserName: "Alice", Password: "pw", Place: "203.0.113.7", Browser: "Firefox on Windows",
		BindStarted: func() error { return nil }}
	if b.id != "" {
		b.uses++
		c := browserkey.Claim{Tenant: "t1", Integration: "vpn", Login: id, UserName: "Alice", ID: b.id, Uses: b.uses}
		sum := sha256.Sum256(c.Text())
		r, s, err := ecdsa.Sign(rand.Reader, b.key, sum[:])
		check(b.w.t, err)
		signature := make([]byte, browserkey.SignatureSize)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		a.Remembered = &login.RememberedClaim{ID: b.id, Uses: b.uses, Signature: signature, Token: b.token, Finding: login.RememberedGood}
	}
	for _, f := range change {
		f(&a)
	}
	s, err := b.w.engine.Begin(b.w.t.Context(), a)
	check(b.w.t, err)
	return s
}

// remember ticks the box and approves on the phone.
func (b *browser) remember(s login.State) login.State {
	b.w.t.Helper()
	s, err := b.w.engine.Remember(b.w.t.Context(), s, true, b.point())
	check(b.w.t, err)
	s = b.w.answer(s, sallyport.DecisionApprove, "")
	b.w.wantToken(s)
	if r := b.w.engine.Prompt(s).Remembered; r == nil || r.Hours != 720 || r.ID != s.Remember.ID {
		b.w.t.Fatalf("prompt %+v", r)
	}
	b.id, b.token, b.uses = s.Remember.ID, s.Remember.Token, 0
	return s
}

func TestARememberedDeviceSkipsTheSecondFactor(t *testing.T) {
	w := rememberingWorld(t)
	b := w.browser()
	s := b.begin("l1")
	w.want(s, sallyport.PromptPush, "")
	if r := w.engine.Prompt(s).Remember; r == nil || r.Hours != 720 || r.On {
		t.Fatalf("offer %+v", r)
	}
	b.remember(s)
	w.now = w.now.Add(29 * 24 * time.Hour)
	s = b.begin("l2")
	w.wantToken(s)
	if len(w.pushes) != 1 {
		t.Errorf("%d pushes", len(w.pushes))
	}
	if p := w.engine.Prompt(s); p.Remember != nil || p.Remembered != nil {
		t.Errorf("prompt %+v", p)
	}
	if r := w.last(); r.Method != sallyport.MethodRemembered || r.Outcome != sallyport.OutcomeGranted || !strings.Contains(r.Detail, "Firefox on Windows, since 2026-03-01 07:00 UTC") {
		t.Errorf("recorded %+v", r)
	}
	w.want(w.browser().begin("l3"), sallyport.PromptPush, "") // another browser
	w.now = w.now.Add(24 * time.Hour)
	w.want(b.begin("l4"), sallyport.PromptPush, "")
	w.people.standing.Workflow.Remember.For = 31 * 24 * time.Hour
	w.wantToken(b.begin("l5"))
}

func TestTheOfferCanBeTakenBackAndLeadsNowhereWithoutTheSecondFactor(t *testing.T) {
	w := rememberingWorld(t)
	b := w.browser()
	s, err := w.engine.Remember(t.Context(), b.begin("l1"), true, b.point())
	check(t, err)
	if p := w.engine.Prompt(s); s.Version != 2 || !p.Remember.On || p.Number == "" || p.Remaining != login.PushLife.Milliseconds() {
		t.Errorf("prompt %+v", p)
	}
	off, err := w.engine.Remember(t.Context(), s, false, nil)
	check(t, err)
	off = w.answer(off, sallyport.DecisionApprove, "")
	w.wantToken(off)
	denied := w.answer(s, sallyport.DecisionDeny, "")
	for _, s := range []login.State{off, denied} {
		if w.engine.Prompt(s).Remembered != nil {
			t.Error("remembered all the same")
		}
		if _, err := w.engine.Remember(t.Context(), s, true, b.point()); sallyport.ErrorCode(err) != sallyport.CodeConflict {
			t.Errorf("after the end: %v", err)
		}
	}
	if _, err := w.engine.Remember(t.Context(), s, true, []byte("no key")); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("without a key: %v", err)
	}
	if list, err := w.store.RememberedDevices(t.Context(), `hospital\alice`); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestARepeatedEndRemembersOneDevice(t *testing.T) {
	w := rememberingWorld(t)
	b := w.browser()
	s, err := w.engine.Remember(t.Context(), b.begin("l1"), true, b.point())
	check(t, err)
	first := w.answer(s, sallyport.DecisionApprove, "")
	w.now = w.now.Add(time.Second)
	again := w.answer(s, sallyport.DecisionApprove, "")
	if first.Remember.ID != again.Remember.ID || first.Remember.ID == "" || first.Remember.ID[0] == '-' {
		t.Errorf("%q and %q", first.Remember.ID, again.Remember.ID)
	}
	if list, err := w.store.RememberedDevices(t.Context(), `hospital\alice`); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// What policy says counts at each login, and for who is offered it at all.
func TestWhoIsNotOfferedItDoesNotSkipAnything(t *testing.T) {
	for name, change := range map[string]func(*world, *login.Attempt){
		"switched off":    func(w *world, _ *login.Attempt) { w.people.standing.Workflow.Remember.Allowed = false },
		"not live":        func(w *world, _ *login.Attempt) { w.people.standing.Policy.RemoteAccess = false },
		"no licence":      func(w *world, _ *login.Attempt) { w.people.standing.Policy.Licensed = false },
		"not in the list": func(w *world, _ *login.Attempt) { w.people.standing.User = nil },
		"disabled":        func(w *world, _ *login.Attempt) { w.people.standing.User.State = sallyport.UserDisabled },
		"database away":   func(w *world, _ *login.Attempt) { w.people.standing.Stale = true },
		"over RADIUS":     func(_ *world, a *login.Attempt) { a.Door, a.Login = sallyport.DoorRADIUS, hexLogin },
	} {
		t.Run(name, func(t *testing.T) {
			w := rememberingWorld(t)
			b := w.browser()
			b.remember(b.begin("l1"))
			s := b.begin("l2", func(a *login.Attempt) {
				change(w, a)
				a.Integration.AllowNonLicensed = true
			})
			if s.Kind == sallyport.PromptDone || w.engine.Prompt(s).Remember != nil {
				t.Errorf("%v, offer %+v", s.Kind, w.engine.Prompt(s).Remember)
			}
		})
	}
}

func TestAnOTPTokenThatStandsForThePasswordIsNotSkipped(t *testing.T) {
	for combination, offered := range map[sallyport.Combination]bool{sallyport.PasswordAndOTP: true, sallyport.PINAndOTP: false, sallyport.OTPAlone: false} {
		w := newWorld(t)
		w.engine.Remembered = rememberingWorld(t).engine.Remembered
		w.people.standing.Workflow.Remember = sallyport.RememberPolicy{Allowed: true, For: time.Hour}
		w.people.standing.Workflow.Allowed = []sallyport.Combination{combination}
		w.people.standing.Has.OTP = true
		w.people.standing.Has.External = false
		if s := w.browser().begin("l1"); (s.Remember != nil) != offered {
			t.Errorf("%s: %+v", combination, s.Remember)
		}
	}
}

func TestATemporaryCodeMakesNoRememberedDevice(t *testing.T) {
	w := rememberingWorld(t)
	w.people.issue("73915526")
	b := w.browser()
	s := b.begin("l1")
	w.want(s, sallyport.PromptCode, "")
	if w.engine.Prompt(s).Remember != nil {
		t.Error("offered with a temporary code")
	}
	s, err := w.engine.Push(t.Context(), s)
	check(t, err)
	s, err = w.engine.Remember(t.Context(), s, true, b.point())
	check(t, err)
	s, err = w.engine.UseCode(t.Context(), s)
	check(t, err)
	s, err = w.engine.Code(t.Context(), s, "73915526")
	check(t, err)
	w.wantToken(s)
	if w.engine.Prompt(s).Remembered != nil {
		t.Error("remembered by a temporary code")
	}
}

func TestCopiedStorageIsAskedForTheSecondFactorAndTold(t *testing.T) {
	w := rememberingWorld(t)
	b := w.browser()
	b.remember(b.begin("l1"))
	thief := *b
	w.wantToken(thief.begin("l2"))
	w.want(b.begin("l3"), sallyport.PromptPush, "")
	w.want(thief.begin("l4"), sallyport.PromptPush, "")
	i := slices.IndexFunc(w.records.audit, func(r sallyport.AuditRecord) bool { return r.Action == login.CopiedAction })
	if i < 0 {
		t.Fatalf("audit %+v", w.records.audit)
	}
	if r := w.records.audit[i]; r.SupportCode == "" || r.Actor.Name != "Alice" || !strings.Contains(r.Reason, "two places") {
		t.Errorf("audit %+v", r)
	}
}

func TestWhatIsKeptOfTheOfferIsOldWhereItShouldBe(t *testing.T) {
	var old login.State // of a release that remembered nothing
	check(t, json.Unmarshal([]byte(`{"l":"l1","v":1,"k":"push"}`), &old))
	w := rememberingWorld(t)
	if w.engine.Prompt(old).Remember != nil {
		t.Error("offered by a state that knows nothing of it")
	}
	if _, err := w.engine.Remember(t.Context(), old, true, w.browser().point()); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("%v", err)
	}
}
