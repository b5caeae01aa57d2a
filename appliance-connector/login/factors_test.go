package login_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
)

// outside is everything that is asked for other factors than the app, scripted.
type outside struct {
	awaitErr error // what becomes of the app that follows
	phones   []sallyport.Phone
	sent     []login.TextMessage
	sendErr  error
	enrolled []string

	answers  []login.ExternalAnswer
	asked    []sallyport.Secret
	passkey  string           // the answer that holds
	offered  []byte           // the challenge of the last ceremony
	code     sallyport.Secret // that the app with the serial number ABCD shows
	invited  int              // by serial number
	followed chan string      // names of apps that follow the invitation
	claimErr error
}

func (o *outside) Phones(context.Context, sallyport.AccountName) ([]sallyport.Phone, error) {
	return o.phones, nil
}
func (o *outside) Send(_ context.Context, m login.TextMessage) error {
	if o.sendErr == nil {
		o.sent = append(o.sent, m)
	}
	return o.sendErr
}
func (o *outside) Parse(_ context.Context, typed string) (sallyport.PhoneNumber, error) {
	n := sallyport.PhoneNumber(strings.ReplaceAll(typed, " ", ""))
	if !n.Valid() {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "That is no phone number.", nil)
	}
	return n, nil
}

type phoneBook struct{ *outside }

func (o phoneBook) Enrol(_ context.Context, _ sallyport.AccountName, n sallyport.PhoneNumber) error {
	o.enrolled = append(o.enrolled, "phone "+string(n))
	return nil
}

type tokenServer struct{ *outside }

func (o tokenServer) Ask(_ context.Context, q login.ExternalQuestion) (login.ExternalAnswer, error) {
	o.asked = append(o.asked, q.Passcode)
	if len(o.answers) == 0 {
		return login.ExternalAnswer{}, errors.New("no server answers")
	}
	a := o.answers[0]
	o.answers = o.answers[1:]
	return a, nil
}

type passkeys struct{ *outside }

func (o passkeys) Ask(_ context.Context, p login.PasskeyCeremony) (json.RawMessage, error) {
	o.offered = p.Challenge
	return json.RawMessage(`{"rpId":"` + strings.TrimPrefix(p.Origin, "https://") + `"}`), nil
}
func (o passkeys) Offer(ctx context.Context, p login.PasskeyCeremony) (json.RawMessage, error) {
	return o.Ask(ctx, p)
}
func (o passkeys) Check(_ context.Context, p login.PasskeyCeremony, answer []byte) (string, error) {
	if string(p.Challenge) != string(o.offered) || string(answer) != o.passkey {
		return "does not hold", nil
	}
	return "", nil
}
func (o passkeys) Enrol(_ context.Context, p login.PasskeyCeremony, answer []byte) (string, error) {
	if why, _ := o.Check(context.Background(), p, answer); why != "" {
		return "", sallyport.Errorf(sallyport.CodeInvalid, why, nil)
	}
	o.enrolled = append(o.enrolled, "passkey")
	return "Passkey of " + p.UserName, nil
}

type apps struct{ *outside }

func (o apps) Invite(context.Context, sallyport.AccountName) (login.Invitation, error) {
	return login.Invitation{ID: "e1", Link: "https://devices.example/e1#secret"}, nil
}

type serials struct{ *outside }

func (o serials) InviteSerial(_ context.Context, _ sallyport.AccountName, serial string, code sallyport.Secret) (login.Invitation, error) {
	o.invited++
	switch {
	case serial != "ABCD":
		return login.Invitation{}, sallyport.Errorf(sallyport.CodeNotFound, "No app shows that.", nil)
	case code != o.code:
		return login.Invitation{}, sallyport.Errorf(sallyport.CodeDenied, "The app does not show that.", nil)
	}
	return login.Invitation{ID: "e2", Link: "https://devices.example/e2#secret"}, nil
}
func (o apps) Await(ctx context.Context, _ sallyport.AccountName, i login.Invitation) (string, error) {
	select {
	case name := <-o.followed:
		if o.awaitErr != nil {
			return "", o.awaitErr
		}
		o.enrolled = append(o.enrolled, "app "+string(i.ID))
		return name, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

type otpTokens struct{ *outside }

func (o otpTokens) Claim(_ context.Context, _ sallyport.AccountName, serial string, codes [2]sallyport.Secret, _ string) error {
	if o.claimErr == nil {
		o.enrolled = append(o.enrolled, "otp "+serial+" "+string(codes[0]))
	}
	return o.claimErr
}

var page = []sallyport.PromptKind{sallyport.PromptPasskey, sallyport.PromptEnrol}

// outside gives the engine all that can be asked for.
func (w *world) outside() *outside {
	o := &outside{followed: make(chan string, 1), code: "123456", passkey: `"good"`}
	w.engine.Texts, w.engine.External, w.engine.Passkeys, w.engine.Apps, w.engine.Serials, w.engine.OTPTokens = phoneBook{o}, tokenServer{o}, passkeys{o}, apps{o}, serials{o}, otpTokens{o}
	w.people.standing.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.PasswordAndOTP,
		sallyport.PasswordAndExternal, sallyport.PasswordAndPasskey}
	return o
}

func (w *world) enter(id sallyport.LoginID) login.State {
	w.t.Helper()
	s, err := w.engine.Begin(w.t.Context(), login.Attempt{Login: id, Integration: vpn, UserName: "Alice", Password: "pw", Place: "203.0.113.7",
		BindStarted: func() error { return nil }, Origin: "https://vpn.hospital.test", Language: "de", Shows: page})
	check(w.t, err)
	return s
}

func (w *world) act(s login.State, a login.Action) login.State {
	w.t.Helper()
	next, err := w.engine.Act(w.t.Context(), s, a)
	check(w.t, err)
	if next.Version <= s.Version {
		w.t.Errorf("%+v: version %d after %d", a, next.Version, s.Version)
	}
	return next
}

// refused expects that an action changes nothing.
func (w *world) refused(s login.State, a login.Action, code sallyport.Code) {
	w.t.Helper()
	if next, err := w.engine.Act(w.t.Context(), s, a); sallyport.ErrorCode(err) != code || next.Version != s.Version && next.Version != 0 {
		w.t.Errorf("%+v: %v, version %d after %d", a, err, next.Version, s.Version)
	}
}

func (w *world) at(s login.State, kind sallyport.PromptKind, reason sallyport.Reason) {
	w.t.Helper()
	if s.Kind != kind || s.Reason != reason {
		w.t.Fatalf("%s %q, want %s %q", s.Kind, s.Reason, kind, reason)
	}
}

func withPhone(t *testing.T) (*world, *outside) {
	w := newWorld(t)
	o := w.outside()
	o.phones = []sallyport.Phone{{ID: "p1", Account: `hospital\alice`, Number: "+447700900142"}}
	w.people.standing.Has.Phones = 1
	return w, o
}

func TestSMSCode(t *testing.T) {
	w, o := withPhone(t)
	s := w.enter("l1")
	w.at(s, sallyport.PromptCode, "")
	p := w.engine.Prompt(s)
	if len(o.sent) != 1 || p.Methods[0] != sallyport.MethodSMS || p.To != "42" || p.Resend == nil || *p.Resend != 30_000 || p.Remaining != login.Life.Milliseconds() {
		t.Fatalf("%d sent, prompt %+v", len(o.sent), p)
	}
	if m := o.sent[0]; m.Number != "+447700900142" || m.Language != "de" || len(m.Code) != 6 || m.Life != 5*time.Minute || m.Application != "Hospital VPN" {
		t.Errorf("message %+v", m)
	}
	w.refused(s, login.Action{Do: "resend"}, sallyport.CodeLimited)
	w.now = w.now.Add(31 * time.Second)
	s = w.act(s, login.Action{Do: "resend"})
	if len(o.sent) != 2 || o.sent[0].ID == o.sent[1].ID || *w.engine.Prompt(s).Resend != 60_000 {
		t.Errorf("%d sent, again in %d", len(o.sent), *w.engine.Prompt(s).Resend)
	}
	w.at(w.act(s, login.Action{Do: "code", Code: o.sent[0].Code}), sallyport.PromptDone, "") // the first one came late
	done := w.act(s, login.Action{Do: "code", Code: " " + o.sent[1].Code[:3] + " " + o.sent[1].Code[3:]})
	w.at(done, sallyport.PromptDone, "")
	if done.Used != sallyport.MethodSMS {
		t.Errorf("used %q", done.Used)
	}
	w.now = w.now.Add(5 * time.Minute)
	w.at(w.act(s, login.Action{Do: "code", Code: o.sent[1].Code}), sallyport.PromptCode, sallyport.ReasonWrongCode)
	if text := w.records.text(); strings.Contains(text, "+44") || strings.Contains(text, string(o.sent[0].Code)) {
		t.Error("the records tell number or code")
	}
}

func TestSMSCodeIsOfOneLoginAndHasThreeTries(t *testing.T) {
	w, o := withPhone(t)
	w.enter("l1")
	s := w.enter("l2")
	if o.sent[0].Code == o.sent[1].Code {
		t.Error("two logins have the same code")
	}
	for _, want := range []sallyport.PromptKind{sallyport.PromptCode, sallyport.PromptCode, sallyport.PromptDenied} {
		s = w.act(s, login.Action{Do: "code", Code: o.sent[0].Code})
		if s.Kind != want {
			t.Fatalf("%s, want %s", s.Kind, want)
		}
	}
	w.at(s, sallyport.PromptDenied, sallyport.ReasonTooManyCodes)
}

// A message costs money, and rings somebody's phone at night.
func TestMessagesHaveABudget(t *testing.T) {
	w, o := withPhone(t)
	for i := range 12 {
		w.enter(sallyport.LoginID("l" + string(rune('a'+i))))
	}
	if len(o.sent) != 10 {
		t.Errorf("%d messages", len(o.sent))
	}
	w.now = w.now.Add(time.Hour)
	w.enter("later")
	if len(o.sent) != 11 {
		t.Errorf("%d messages", len(o.sent))
	}
}

func TestMessageThatCannotBeSentLeavesTheOtherWays(t *testing.T) {
	w, o := withPhone(t)
	w.people.standing.Has.OTP = true
	o.sendErr = errors.New("the carrier is down")
	s := w.enter("l1")
	w.at(s, sallyport.PromptCode, sallyport.ReasonSMSFailed)
	p := w.engine.Prompt(s)
	if p.Delivery != "failed" || len(p.Methods) != 2 || p.Methods[1] != sallyport.MethodOTP || *p.Resend != 0 {
		t.Errorf("prompt %+v", p)
	}
	w.at(w.act(s, login.Action{Do: "use", Method: sallyport.MethodOTP}), sallyport.PromptCode, "")
	o.sendErr = nil
	w.at(w.act(s, login.Action{Do: "resend"}), sallyport.PromptCode, "")
}

func TestExternalTokenServer(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	w.people.standing.Has.External, w.people.standing.Rule.PromptAtGateway = true, false
	s := w.enter("l1")
	if p := w.engine.Prompt(s); p.Methods[0] != sallyport.MethodExternal {
		t.Fatalf("prompt %+v", p)
	}
	s = w.act(s, login.Action{Do: "code", Code: "111111"})
	w.at(s, sallyport.PromptCode, sallyport.ReasonUnavailable) // no server answers
	o.answers = []login.ExternalAnswer{{Challenge: true, Message: "Enter the next code"}, {Message: "no"}, {Accepted: true}}
	s = w.act(s, login.Action{Do: "code", Code: "111111"})
	if p := w.engine.Prompt(s); p.Message != "Enter the next code" || p.Reason != "" {
		t.Errorf("prompt %+v", p)
	}
	s = w.act(s, login.Action{Do: "code", Code: "222222"})
	w.at(s, sallyport.PromptCode, sallyport.ReasonWrongCode)
	s = w.act(s, login.Action{Do: "code", Code: "333333"})
	w.at(s, sallyport.PromptDone, "")
	if s.Used != sallyport.MethodExternal {
		t.Errorf("used %q", s.Used)
	}
	// Somebody guesses: the server is asked no more.
	o.asked, o.answers = nil, make([]login.ExternalAnswer, 20)
	for i := range 4 {
		g := w.enter(sallyport.LoginID("g" + string(rune('a'+i))))
		for g.Kind == sallyport.PromptCode {
			g = w.act(g, login.Action{Do: "code", Code: "000000"})
		}
	}
	if len(o.asked) != 5 {
		t.Errorf("asked %d times", len(o.asked))
	}
}

func TestPasskey(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	w.enrol("alice")
	w.people.standing.Has.Passkeys, w.people.standing.Has.PasskeyHosts, w.people.standing.Has.Last = 1, []string{"vpn.hospital.test"}, sallyport.MethodPasskey
	s := w.enter("l1")
	w.at(s, sallyport.PromptPasskey, "")
	if p := w.engine.Prompt(s); string(p.Passkey) != `{"rpId":"vpn.hospital.test"}` || len(p.Methods) != 3 {
		t.Errorf("prompt %+v", p)
	}
	first := s
	s = w.act(s, login.Action{Do: "passkey", Answer: []byte(`"bad"`)})
	w.at(s, sallyport.PromptPasskey, sallyport.ReasonWrongCode)
	if _, err := w.engine.Act(t.Context(), first, login.Action{Do: "passkey", Answer: []byte(`"good"`)}); err != nil {
		t.Fatal(err)
	}
	w.at(w.act(s, login.Action{Do: "passkey", Answer: []byte(`"good"`)}), sallyport.PromptDone, "")
	if o.offered == nil {
		t.Error("no challenge")
	}
	w.at(w.act(s, login.Action{Do: "push"}), sallyport.PromptPush, "")
	w.refused(s, login.Action{Do: "code", Code: "123456"}, sallyport.CodeConflict)
	if w.begin("l2").Kind != sallyport.PromptPush {
		t.Error("a page that cannot do passkeys is asked for one")
	}
	w.people.standing.Has.PasskeyHosts = []string{"clinic.hospital.test"}
	if w.enter("l3").Kind != sallyport.PromptPush {
		t.Error("a passkey is asked for that is for another page")
	}
}

// A login has three wrong codes, and the account ten tries in a quarter of an hour, whatever the logins.
func TestSerialNumbersAndCodesAreNotGuessed(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	try := func(s login.State, serial string) login.State {
		return w.act(s, login.Action{Do: "enrol", Serial: serial, Code: "000000"})
	}
	for i := range 3 {
		s := w.enter(sallyport.LoginID(fmt.Sprintf("l%d", i)))
		for range 2 {
			s = try(s, "ABCD")
			w.at(s, sallyport.PromptEnrol, sallyport.ReasonWrongCode)
		}
		s = try(s, "ABCD")
		w.at(s, sallyport.PromptEnrol, sallyport.ReasonTooManyCodes)
		if p := w.engine.Prompt(s); p.Enrol.Step != sallyport.EnrolStart {
			t.Errorf("after three wrong codes the step is %q", p.Enrol.Step)
		}
	}
	s := try(w.enter("l4"), "NONE")
	w.at(s, sallyport.PromptEnrol, sallyport.ReasonUnknownSerial)
	s = w.act(s, login.Action{Do: "enrol", Serial: "ABCD", Code: o.code})
	w.at(s, sallyport.PromptEnrol, sallyport.ReasonTooManyCodes)
	if o.invited != 10 {
		t.Errorf("%d tries reached the token service", o.invited)
	}
	w.now = w.now.Add(15 * time.Minute)
	s = w.act(w.enter("l5"), login.Action{Do: "enrol", Serial: "ABCD", Code: o.code})
	w.at(s, sallyport.PromptEnrol, "")
}

func TestEnrolmentOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		steps func(w *world, o *outside, s login.State) login.State
		want  string
	}{
		"app by link": {func(w *world, o *outside, s login.State) login.State {
			s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorApp})
			if p := w.engine.Prompt(s); p.Enrol.Step != sallyport.EnrolApp || p.Enrol.Link == "" {
				t.Errorf("prompt %+v", p.Enrol)
			}
			o.followed <- "Alice's phone"
			next, err := w.engine.Wait(t.Context(), s)
			check(t, err)
			return next
		}, "app e1"},
		"app by serial number": {func(w *world, o *outside, s login.State) login.State {
			s = w.act(s, login.Action{Do: "enrol", Serial: "ABCE", Code: "123456"})
			w.at(s, sallyport.PromptEnrol, sallyport.ReasonUnknownSerial)
			s = w.act(s, login.Action{Do: "enrol", Serial: "ABCD", Code: "000000"})
			w.at(s, sallyport.PromptEnrol, sallyport.ReasonWrongCode)
			s = w.act(s, login.Action{Do: "enrol", Serial: "ABCD", Code: "123456"})
			if p := w.engine.Prompt(s); p.Enrol.Link != "" {
				t.Error("the link is shown although the app has it")
			}
			o.followed <- "Alice's phone"
			next, err := w.engine.Wait(t.Context(), s)
			check(t, err)
			return next
		}, "app e2"},
		"phone number": {func(w *world, o *outside, s login.State) login.State {
			s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
			s = w.act(s, login.Action{Do: "enrol", Number: "nonsense"})
			w.at(s, sallyport.PromptEnrol, sallyport.ReasonEnrolFailed)
			s = w.act(s, login.Action{Do: "enrol", Number: "+44 7700 900142"})
			if p := w.engine.Prompt(s); p.Enrol.Step != sallyport.EnrolPhoneCode || p.To != "42" || len(o.sent) != 1 || *p.Resend != 30_000 {
				t.Errorf("prompt %+v, %d sent", p, len(o.sent))
			}
			s = w.act(s, login.Action{Do: "enrol", Code: "99999"})
			w.at(s, sallyport.PromptEnrol, sallyport.ReasonWrongCode)
			w.now = w.now.Add(time.Minute)
			s = w.act(s, login.Action{Do: "resend"})
			return w.act(s, login.Action{Do: "enrol", Code: o.sent[1].Code})
		}, "phone +447700900142"},
		"passkey": {func(w *world, _ *outside, s login.State) login.State {
			s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPasskey})
			s = w.act(s, login.Action{Do: "enrol", Answer: []byte(`"bad"`)})
			w.at(s, sallyport.PromptEnrol, sallyport.ReasonEnrolFailed)
			return w.act(s, login.Action{Do: "enrol", Answer: []byte(`"good"`)})
		}, "passkey"},
		"OTP token": {func(w *world, o *outside, s login.State) login.State {
			s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorOTP})
			o.claimErr = sallyport.Errorf(sallyport.CodeInvalid, "no", nil)
			s = w.act(s, login.Action{Do: "enrol", Serial: "S1", Codes: []sallyport.Secret{"000000", "000000"}})
			w.at(s, sallyport.PromptEnrol, sallyport.ReasonEnrolFailed)
			o.claimErr = nil
			return w.act(s, login.Action{Do: "enrol", Serial: "S1", Codes: []sallyport.Secret{"111111", "222222"}})
		}, "otp S1 111111"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.outside()
			s := w.enter("l1")
			w.at(s, sallyport.PromptEnrol, "")
			w.refused(s, login.Action{Do: "delay"}, sallyport.CodeConflict) // the rule has no "not now"
			w.refused(s, login.Action{Do: "continue"}, sallyport.CodeConflict)
			s = c.steps(w, o, s)
			if p := w.engine.Prompt(s); p.Enrol == nil || p.Enrol.Step != sallyport.EnrolFinished || len(o.enrolled) != 1 || o.enrolled[0] != c.want {
				t.Fatalf("prompt %+v, enrolled %v", p.Enrol, o.enrolled)
			}
			w.refused(s, login.Action{Do: "back"}, sallyport.CodeConflict)
			w.at(w.act(s, login.Action{Do: "continue"}), sallyport.PromptDone, "")
		})
	}
}

func TestEnrolmentCanBePutOffWhereTheRuleSaysSo(t *testing.T) {
	w := newWorld(t)
	w.outside()
	w.people.standing.Rule.Unenrolled, w.people.standing.Rule.MayDelay = sallyport.UnenrolledPassword, true
	s := w.enter("l1")
	if p := w.engine.Prompt(s); !p.Enrol.MayDelay {
		t.Fatalf("prompt %+v", p.Enrol)
	}
	s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
	s = w.act(s, login.Action{Do: "back"})
	w.at(w.act(s, login.Action{Do: "delay"}), sallyport.PromptDone, "")
	if w.begin("l2").Kind != sallyport.PromptDone {
		t.Error("a page that cannot enrol is asked to")
	}
}

// The rule demands a temporary code first, and the code ends when something is enrolled.
func TestEnrolmentAfterTheTemporaryCode(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	w.people.standing.Rule.TemporaryCode = true
	w.at(w.enter("l0"), sallyport.PromptDenied, sallyport.ReasonNotEnrolled)
	w.people.issue("7H2K9QXM")
	s := w.enter("l1")
	w.at(s, sallyport.PromptCode, "")
	s = w.act(s, login.Action{Do: "code", Code: "7H2K9QXM"})
	w.at(s, sallyport.PromptEnrol, "")
	s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
	s = w.act(s, login.Action{Do: "enrol", Number: "+447700900142"})
	s = w.act(s, login.Action{Do: "enrol", Code: o.sent[0].Code})
	if w.people.endedBy() != sallyport.EndedByEnrolment {
		t.Errorf("the code ended by %q", w.people.endedBy())
	}
	w.at(w.act(s, login.Action{Do: "continue"}), sallyport.PromptDone, "")
}

func TestAnEnrollingStateFitsIntoRADIUS(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	id := sallyport.LoginID(strings.Repeat("0a", 16))
	s := w.enter(id)
	s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
	s = w.act(s, login.Action{Do: "enrol", Number: "+447700900142"})
	keeper := login.Keeper{Key: make([]byte, 32)}
	box, err := keeper.SealCompact(s)
	check(t, err)
	s, err = w.engine.OpenCompact(keeper, box, login.Context{Integration: vpn, UserName: "Alice", Place: "203.0.113.7"})
	check(t, err)
	w.act(s, login.Action{Do: "enrol", Code: o.sent[0].Code})
	if len(o.enrolled) != 1 || o.enrolled[0] != "phone +447700900142" {
		t.Errorf("enrolled %v", o.enrolled)
	}
}

func TestPushesThatNobodyApprovesAreFew(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	for i := range 8 {
		w.answer(w.begin(sallyport.LoginID("l"+string(rune('a'+i)))), sallyport.DecisionDeny, "")
	}
	s := w.begin("l9")
	w.at(s, sallyport.PromptCode, sallyport.ReasonBlocked)
	if len(w.pushes) != 8 {
		t.Errorf("%d pushes", len(w.pushes))
	}
	w.now = w.now.Add(24*time.Hour + time.Second)
	s = w.begin("l10")
	w.at(s, sallyport.PromptPush, "")
	w.at(w.answer(s, sallyport.DecisionApprove, ""), sallyport.PromptDone, "") // and the count begins anew
	for i := range 8 {
		w.answer(w.begin(sallyport.LoginID("m"+string(rune('a'+i)))), sallyport.DecisionDeny, "")
	}
	w.at(w.begin("m9"), sallyport.PromptCode, sallyport.ReasonBlocked)
}

func TestNotMeStopsPushesAndRaisesTheAlarm(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	w.at(w.answer(w.begin("l1"), sallyport.DecisionNotMe, ""), sallyport.PromptDenied, sallyport.ReasonNotMe)
	w.at(w.begin("l2"), sallyport.PromptCode, sallyport.ReasonBlocked)
	alarms := 0
	for _, a := range w.records.audit {
		if a.Action == "login.not_me" {
			alarms++
		}
	}
	if alarms != 1 || len(w.pushes) != 1 {
		t.Errorf("%d alarms, %d pushes", alarms, len(w.pushes))
	}
	w.now = w.now.Add(31 * time.Minute)
	w.at(w.begin("l3"), sallyport.PromptPush, "")
}
