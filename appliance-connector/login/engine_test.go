package login_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// world is an engine with a real store, real keys and a real device; directory and token service are
// scripted.
type world struct {
	t       *testing.T
	now     time.Time
	engine  *login.Engine
	store   *store.Store
	tokens  gatewaytoken.Ring
	key     *ecdsa.PrivateKey
	device  sallyport.Device
	people  *people
	records records

	state     sallyport.AccountState // what the directory says
	dirErr    error
	asked     int // how often it was asked
	slept     time.Duration
	pushErr   error
	pushes    map[sallyport.ChallengeID]login.Challenge
	cancelled []sallyport.ChallengeID
	events    chan login.ChallengeEvent
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC), state: sallyport.AccountOK,
		pushes: map[sallyport.ChallengeID]login.Challenge{}, events: make(chan login.ChallengeEvent, 8)}
	ring, err := keyring.New("t1")
	check(t, err)
	w.tokens, err = ring.Tokens()
	check(t, err)
	w.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), ring.Derive("store"))
	check(t, err)
	t.Cleanup(func() { check(t, w.store.Close()) })
	w.people = newPeople(w)
	w.engine = login.New(login.Config{
		Directory: w, Standings: w.people, Admitter: w.people, Devices: w.store, Challenges: w, Tokens: w.tokens, Key: ring.Derive("login"),
		Codes:          &passcode.Checker{Store: w.store, Temporary: w.people, Tokens: w.store, PINs: w.store, Claims: w.store, Now: w.clock, Log: slog.New(slog.DiscardHandler)},
		TemporaryCodes: w.people, Recorder: &w.records, Counters: w.store,
		Now: w.clock, Sleep: func(_ context.Context, d time.Duration) { w.slept += d }, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

func (w *world) clock() time.Time { return w.now }

func (w *world) Present(_ context.Context, name string) (sallyport.AccountState, sallyport.Account, error) {
	return w.state, sallyport.Account{Name: sallyport.NewAccountName("HOSPITAL", name)}, w.dirErr
}

func (w *world) Verify(_ context.Context, name string, _ sallyport.Secret, onBind func() error) (sallyport.AccountState, sallyport.Account, error) {
	if w.dirErr != nil {
		return "", sallyport.Account{}, w.dirErr
	}
	if err := onBind(); err != nil {
		return "", sallyport.Account{}, err
	}
	w.asked++
	return w.state, sallyport.Account{Name: sallyport.NewAccountName("HOSPITAL", name)}, nil
}

func (w *world) Create(_ context.Context, c login.Challenge) error {
	if w.pushErr == nil {
		w.pushes[c.ID] = c
	}
	return w.pushErr
}

func (w *world) Watch(ctx context.Context, _ sallyport.ChallengeID, event func(login.ChallengeEvent) bool) error {
	for {
		select {
		case ev := <-w.events:
			if !event(ev) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) Cancel(_ context.Context, id sallyport.ChallengeID) error {
	w.cancelled = append(w.cancelled, id)
	return nil
}

func (w *world) enrol(user string) {
	w.t.Helper()
	var err error
	w.key, err = deviceproto.NewKey()
	check(w.t, err)
	der, err := deviceproto.MarshalPublicKey(&w.key.PublicKey)
	check(w.t, err)
	id := deviceproto.Thumbprint(&w.key.PublicKey)
	keys := deviceproto.DeriveKeys(make([]byte, 32), id)
	w.device = sallyport.Device{ID: id, Account: sallyport.NewAccountName("hospital", user), Name: "Phone", Platform: "cli",
		PublicKey: der, Seed: keys.Seed, DetailsKey: keys.Details, Enrolled: w.now}
	check(w.t, w.store.PutDevice(w.t.Context(), w.device))
}

var vpn = sallyport.Integration{ID: "vpn", Nickname: "Hospital VPN"}

func (w *world) begin(id sallyport.LoginID) login.State {
	w.t.Helper()
	s, err := w.engine.Begin(w.t.Context(), login.Attempt{Login: id, Integration: vpn, UserName: "Alice", Password: "pw",
		Place: "203.0.113.7", BindStarted: func() error { return nil }})
	check(w.t, err)
	return s
}

// answer makes the device answer; number "" types the one on the page.
func (w *world) answer(s login.State, d sallyport.Decision, number string) login.State {
	w.t.Helper()
	if number == "" {
		number = w.engine.Prompt(s).Number
	}
	box, err := deviceproto.SealAnswer(w.key, w.device.DetailsKey, deviceproto.Answer{
		Challenge: s.Challenge, Decision: d, Number: number, User: "Alice", Application: "Hospital VPN", At: w.now})
	check(w.t, err)
	return w.happens(s, login.ChallengeEvent{Answer: box})
}

func (w *world) happens(s login.State, ev login.ChallengeEvent) login.State {
	w.t.Helper()
	w.events <- ev
	next, err := w.engine.Wait(w.t.Context(), s)
	check(w.t, err)
	return next
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) want(s login.State, kind sallyport.PromptKind, why sallyport.Reason) {
	w.t.Helper()
	if p := w.engine.Prompt(s); p.Kind != kind || p.Reason != why {
		w.t.Fatalf("got %s %q, want %s %q", p.Kind, p.Reason, kind, why)
	}
}

func TestApprovedWithTheRightNumberGivesATokenForThisUserAndGateway(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	w.want(s, sallyport.PromptPush, "")
	if n := w.engine.Prompt(s).Number; len(n) != 2 {
		t.Errorf("number %q, want two digits", n)
	}
	s = w.answer(s, sallyport.DecisionApprove, "")
	w.want(s, sallyport.PromptDone, "")
	token := w.engine.Prompt(s).Token
	if _, err := w.tokens.Check(token, "vpn", `hospital\alice`, w.now); err != nil {
		t.Error(err)
	}
	if _, err := w.tokens.Check(token, "vpn", `hospital\bob`, w.now); err == nil {
		t.Error("token holds for another user")
	}
}

func TestDeviceSeesWhoWhereAndWhat(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	d, err := deviceproto.OpenDetails(w.device.DetailsKey, w.device.ID, s.Challenge, w.pushes[s.Challenge].Sealed)
	check(t, err)
	want := sallyport.ChallengeDetails{User: "Alice", Application: "Hospital VPN", Place: "203.0.113.7", Time: w.now, Digits: 2}
	if d != want {
		t.Errorf("got %+v, want %+v", d, want)
	}
}

func TestEveryOtherAnswerEndsTheLogin(t *testing.T) {
	for name, c := range map[string]struct {
		decision sallyport.Decision
		number   string
		want     sallyport.Reason
	}{
		"denied":         {sallyport.DecisionDeny, "", sallyport.ReasonRejected},
		"not me":         {sallyport.DecisionNotMe, "", sallyport.ReasonNotMe},
		"wrong number":   {sallyport.DecisionApprove, "09", sallyport.ReasonWrongNumber},
		"missing number": {sallyport.DecisionApprove, " ", sallyport.ReasonWrongNumber},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enrol("alice")
			w.want(w.answer(w.begin("l1"), c.decision, c.number), sallyport.PromptDenied, c.want)
		})
	}
}

func TestForgedApprovalsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	good := deviceproto.Answer{Challenge: s.Challenge, Decision: sallyport.DecisionApprove, Number: w.engine.Prompt(s).Number,
		User: "Alice", Application: "Hospital VPN", At: w.now}
	stranger, err := deviceproto.NewKey()
	check(t, err)
	seal := func(key *ecdsa.PrivateKey, details sallyport.Key, change func(*deviceproto.Answer)) []byte {
		a := good
		change(&a)
		box, err := deviceproto.SealAnswer(key, details, a)
		check(t, err)
		return box
	}
	for name, box := range map[string][]byte{
		"no answer at all":  []byte("approved"),
		"another key":       seal(stranger, w.device.DetailsKey, func(*deviceproto.Answer) {}),
		"not the sealing":   seal(w.key, make([]byte, 32), func(*deviceproto.Answer) {}),
		"another challenge": seal(w.key, w.device.DetailsKey, func(a *deviceproto.Answer) { a.Challenge = "other" }),
		"another user":      seal(w.key, w.device.DetailsKey, func(a *deviceproto.Answer) { a.User = "bob" }),
		"another gateway":   seal(w.key, w.device.DetailsKey, func(a *deviceproto.Answer) { a.Application = "Payroll" }),
	} {
		t.Run(name, func(t *testing.T) {
			w.want(w.happens(s, login.ChallengeEvent{Answer: box}), sallyport.PromptDenied, sallyport.ReasonBadApproval)
		})
	}
	t.Run("device removed meanwhile", func(t *testing.T) {
		check(t, w.store.DeleteDevice(t.Context(), w.device.ID))
		w.want(w.answer(s, sallyport.DecisionApprove, ""), sallyport.PromptDenied, sallyport.ReasonBadApproval)
	})
}

func TestRepeatedStepsMakeOnePushAndOneToken(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	a, b := w.begin("l1"), w.begin("l1") // a second appliance, after the first was lost
	if len(w.pushes) != 1 || w.engine.Prompt(a).Number != w.engine.Prompt(b).Number {
		t.Fatalf("%d pushes, numbers %s and %s", len(w.pushes), w.engine.Prompt(a).Number, w.engine.Prompt(b).Number)
	}
	one := w.answer(a, sallyport.DecisionApprove, "")
	w.now = w.now.Add(2 * time.Second)
	two := w.answer(b, sallyport.DecisionApprove, "")
	c1, err := w.tokens.Check(w.engine.Prompt(one).Token, "vpn", `hospital\alice`, w.now)
	check(t, err)
	c2, err := w.tokens.Check(w.engine.Prompt(two).Token, "vpn", `hospital\alice`, w.now)
	check(t, err)
	if c1.Key() != c2.Key() {
		t.Error("two tokens of one login would both be accepted")
	}
}

func TestRefusedPasswordsLookAlikeAndMakeNoPush(t *testing.T) {
	for _, state := range []sallyport.AccountState{sallyport.AccountUnknown, sallyport.AccountWrongPassword, sallyport.AccountDisabled,
		sallyport.AccountLocked, sallyport.AccountExpired, sallyport.AccountPasswordExpired, sallyport.AccountMustChange,
		sallyport.AccountLogonHours, sallyport.AccountWrongWorkstation, sallyport.AccountRefused, sallyport.AccountNotPermitted} {
		w := newWorld(t)
		w.enrol("alice")
		w.state = state
		w.want(w.begin("l1"), sallyport.PromptDenied, sallyport.ReasonCredentials)
		if len(w.pushes) != 0 || w.slept != login.FailureFloor {
			t.Errorf("%s: %d pushes, slept %v", state, len(w.pushes), w.slept)
		}
	}
}

func TestOutagesDecideNothing(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.dirErr = errors.New("connection refused")
	_, err := w.engine.Begin(t.Context(), login.Attempt{Login: "l1", Integration: vpn, UserName: "Alice", Password: "pw", BindStarted: func() error { return nil }})
	if sallyport.ErrorCode(err) != sallyport.CodeUnavailable || w.asked != 0 {
		t.Errorf("directory down: %v", err)
	}
	w.dirErr = nil
	_, err = w.engine.Begin(t.Context(), login.Attempt{Login: "l1", Integration: vpn, UserName: "Alice", Password: "pw",
		BindStarted: func() error { return errors.New("stream lost") }})
	if err == nil || w.asked != 0 {
		t.Errorf("the directory was asked although nobody may hear the answer: %v", err)
	}
	w.pushErr = errors.New("token service down")
	w.want(w.begin("l2"), sallyport.PromptCode, sallyport.ReasonPushFailed)
}

func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	same, err := w.engine.Wait(ctx, s)
	check(t, err)
	if same.Version != s.Version {
		t.Error("the end of a wait is not the end of the challenge")
	}
	w.want(w.happens(s, login.ChallengeEvent{Ended: sallyport.ReasonTimeout}), sallyport.PromptDenied, sallyport.ReasonTimeout)
	// Nobody says so, but it is over by any clock.
	w.now = w.now.Add(login.PushLife + gatewaytoken.Skew + time.Second)
	late, err := w.engine.Wait(t.Context(), s)
	check(t, err)
	w.want(late, sallyport.PromptDenied, sallyport.ReasonTimeout)
}

func TestAnApplianceWhoseClockIsAMinuteOffGoesOnWithAPush(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": gatewaytoken.Skew, "behind": -gatewaytoken.Skew} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enrol("alice")
			s := w.begin("l1")
			w.now = w.now.Add(5*time.Second + off)
			same, err := w.engine.Wait(shortly(t), s)
			check(t, err)
			w.want(same, sallyport.PromptPush, "")
			if left := w.engine.Prompt(same).Remaining; left > login.PushLife.Milliseconds() {
				t.Errorf("%d ms left", left)
			}
			w.want(w.answer(s, sallyport.DecisionApprove, ""), sallyport.PromptDone, "")
		})
	}
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestAPushThatTheAppliancesCancelIsForThePersonsStepToEnd(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	w.events <- login.ChallengeEvent{Ended: sallyport.ReasonCancelled}
	same, err := w.engine.Wait(shortly(t), s)
	check(t, err)
	w.want(same, sallyport.PromptPush, "")
	if same.Version != s.Version {
		t.Error("the waiting moved the login on, against the person's own step")
	}
}

func TestApprovalInTimeCountsThoughNobodyWatched(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	w.now = w.now.Add(login.PushLife + 5*time.Second)
	w.want(w.answer(s, sallyport.DecisionApprove, ""), sallyport.PromptDone, "")
	w.now = w.now.Add(login.PushLife + gatewaytoken.Skew)
	late, err := w.engine.Wait(t.Context(), s)
	check(t, err)
	w.want(late, sallyport.PromptDenied, sallyport.ReasonTimeout)
}

func TestEndsThatTheTokenServiceTells(t *testing.T) {
	for _, why := range []sallyport.Reason{sallyport.ReasonSuperseded, sallyport.ReasonTimeout} {
		w := newWorld(t)
		w.enrol("alice")
		w.want(w.happens(w.begin("l1"), login.ChallengeEvent{Ended: why}), sallyport.PromptDenied, why)
	}
}

func TestUndeliveredNotificationIsSaidAndTheLoginGoesOn(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.happens(w.begin("l1"), login.ChallengeEvent{Delivery: login.DeliveryFailed})
	w.want(s, sallyport.PromptPush, "")
	if got := w.engine.Prompt(s).Delivery; got != "failed" {
		t.Errorf("delivery %q", got)
	}
	w.events <- login.ChallengeEvent{Delivery: login.DeliveryFailed} // told again: nothing new
	w.want(w.answer(s, sallyport.DecisionApprove, ""), sallyport.PromptDone, "")
}

func (w *world) code(at time.Time) sallyport.Secret {
	w.t.Helper()
	c, err := deviceproto.TokenCode(w.device.Seed, at)
	check(w.t, err)
	return c
}

func TestTokenCodeInsteadOfPush(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s, err := w.engine.UseCode(t.Context(), w.begin("l1"))
	check(t, err)
	w.want(s, sallyport.PromptCode, "")
	if len(w.cancelled) != 1 {
		t.Error("the phone still shows the challenge")
	}
	code := w.code(w.now.Add(-60 * time.Second)) // the phone's clock is a minute behind
	s1, err := w.engine.Code(t.Context(), s, code)
	check(t, err)
	w.want(s1, sallyport.PromptDone, "")
	again, err := w.engine.Code(t.Context(), s, code)
	check(t, err)
	w.want(again, sallyport.PromptDone, "") // the same step, repeated on another appliance
	other, err := w.engine.UseCode(t.Context(), w.begin("l2"))
	check(t, err)
	other, err = w.engine.Code(t.Context(), other, code)
	check(t, err)
	w.want(other, sallyport.PromptCode, sallyport.ReasonWrongCode) // used
}

func TestThreeWrongCodesEndTheLoginAndFiveBlockTheUser(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	try := func(id sallyport.LoginID, code sallyport.Secret, times int) (s login.State) {
		s, err := w.engine.UseCode(t.Context(), w.begin(id))
		check(t, err)
		for range times {
			s, err = w.engine.Code(t.Context(), s, code)
			check(t, err)
		}
		return s
	}
	w.want(try("l1", "000000", 3), sallyport.PromptDenied, sallyport.ReasonTooManyCodes)
	w.want(try("l2", "12345x", 2), sallyport.PromptCode, sallyport.ReasonWrongCode)
	w.want(try("l3", w.code(w.now), 1), sallyport.PromptCode, sallyport.ReasonWrongCode)
	w.now = w.now.Add(passcode.Window + time.Second)
	w.want(try("l4", w.code(w.now), 1), sallyport.PromptDone, "")
}

func TestPushAgainIsANewChallengeAndHasAnEnd(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	for i := 2; i <= 3; i++ {
		var err error
		s, err = w.engine.UseCode(t.Context(), s)
		check(t, err)
		s, err = w.engine.Push(t.Context(), s)
		check(t, err)
		w.want(s, sallyport.PromptPush, "")
		if len(w.pushes) != i {
			t.Fatalf("%d pushes, want %d", len(w.pushes), i)
		}
	}
	s, err := w.engine.UseCode(t.Context(), s)
	check(t, err)
	s, err = w.engine.Push(t.Context(), s)
	check(t, err)
	w.want(s, sallyport.PromptCode, sallyport.ReasonPushFailed)
}

func TestStepsThatDoNotFitAreRefused(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	push := w.begin("l1")
	done := w.answer(push, sallyport.DecisionApprove, "")
	for name, err := range map[string]error{
		"code while pushing": second(w.engine.Code(t.Context(), push, "123456")),
		"push while pushing": second(w.engine.Push(t.Context(), push)),
		"cancel when done":   second(w.engine.Cancel(t.Context(), done)),
		"code when done":     second(w.engine.UseCode(t.Context(), done)),
	} {
		if sallyport.ErrorCode(err) != sallyport.CodeConflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := w.engine.Cancel(t.Context(), push)
	check(t, err)
	w.want(s, sallyport.PromptDenied, sallyport.ReasonCancelled)
}

func second(_ login.State, err error) error { return err }

func TestUnenrolledUserIsToldAfterTheRightPasswordOnly(t *testing.T) {
	w := newWorld(t)
	w.want(w.begin("l1"), sallyport.PromptDenied, sallyport.ReasonNotEnrolled)
	w.state = sallyport.AccountWrongPassword
	w.want(w.begin("l2"), sallyport.PromptDenied, sallyport.ReasonCredentials)
}
