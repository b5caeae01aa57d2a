package legacy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

const mobile = sallyport.PhoneNumber("+441632960123")

// outside is what stands around the engine: a text gateway, a token server, apps and OTP tokens, all scripted.
type outside struct {
	mu       sync.Mutex
	sent     []login.TextMessage
	fails    bool
	enrolled []string
	followed chan struct{} // the app has followed its invitation
}

func (o *outside) note(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.enrolled = append(o.enrolled, what)
}

func (o *outside) last() login.TextMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) == 0 {
		return login.TextMessage{}
	}
	return o.sent[len(o.sent)-1]
}

func (o *outside) texts() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent)
}

type texts struct{ *outside }

func (t texts) Phones(_ context.Context, a sallyport.AccountName) ([]sallyport.Phone, error) {
	return []sallyport.Phone{{ID: "p1", Account: a, Number: mobile}}, nil
}

func (t texts) Send(_ context.Context, m login.TextMessage) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fails {
		return fmt.Errorf("no way")
	}
	t.sent = append(t.sent, m)
	return nil
}

func (t texts) Parse(_ context.Context, typed string) (sallyport.PhoneNumber, error) {
	n := sallyport.PhoneNumber(strings.ReplaceAll(typed, " ", ""))
	if !n.Valid() {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "This is no phone number.", nil)
	}
	return n, nil
}

func (t texts) Enrol(_ context.Context, a sallyport.AccountName, n sallyport.PhoneNumber) error {
	t.note(string(a) + " phone " + string(n))
	return nil
}

type external struct{ *outside }

func (external) Ask(_ context.Context, q login.ExternalQuestion) (login.ExternalAnswer, error) {
	switch q.Passcode {
	case "31415926":
		return login.ExternalAnswer{Challenge: true, Message: "Wait for the code to change, then enter the new one."}, nil
	case "27182818":
		return login.ExternalAnswer{Accepted: true}, nil
	case "00000042":
		return login.ExternalAnswer{}, fmt.Errorf("no server answers")
	}
	return login.ExternalAnswer{}, nil
}

type apps struct{ *outside }

func (apps) Invite(context.Context, sallyport.AccountName) (login.Invitation, error) {
	return login.Invitation{ID: "i0", Link: "https://nobody.draws.this"}, nil
}

func (apps) InviteSerial(_ context.Context, _ sallyport.AccountName, serial string, code sallyport.Secret) (login.Invitation, error) {
	switch {
	case serial != "SP12345":
		return login.Invitation{}, sallyport.Errorf(sallyport.CodeNotFound, "No app shows this.", nil)
	case code != "654321":
		return login.Invitation{}, sallyport.Errorf(sallyport.CodeDenied, "The app does not show this.", nil)
	}
	return login.Invitation{ID: "i1"}, nil
}

func (a apps) Await(ctx context.Context, account sallyport.AccountName, _ login.Invitation) (string, error) {
	select {
	case <-a.followed:
		a.note(string(account) + " app")
		return "Phone", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

type otpTokens struct{ *outside }

func (o otpTokens) Claim(_ context.Context, a sallyport.AccountName, serial string, codes [2]sallyport.Secret, _ string) error {
	if serial != "FT-1" || codes != [2]sallyport.Secret{"111111", "222222"} {
		return sallyport.Errorf(sallyport.CodeDenied, "The codes are not right.", nil)
	}
	o.note(string(a) + " otp " + serial)
	return nil
}

// withFactors is a world of two appliances whose engine can ask for everything; edit says what is known of everybody.
func withFactors(t *testing.T, edit func(*sallyport.Standing)) (w *world, o *outside, ask func(user, text string, p *wire.Packet) *wire.Packet) {
	t.Helper()
	w, o = newWorld(t), &outside{followed: make(chan struct{})}
	w.factors = func(c *login.Config) {
		c.Texts, c.External, c.Apps, c.Serials, c.OTPTokens = texts{o}, external{o}, apps{o}, apps{o}, otpTokens{o}
	}
	w.people.set(func(p *people) { p.edit = edit })
	gateways, n := []*gateway{w.appliance().gateway(t), w.appliance().gateway(t)}, 0
	return w, o, func(user, text string, p *wire.Packet) *wire.Packet {
		t.Helper()
		var state []byte
		if p != nil {
			state = rfc2865.State_Get(p)
		}
		n++ // no step at the appliance of the one before
		return gateways[n%2].ask(user, text, state)
	}
}

func TestACodeBySMS(t *testing.T) {
	w, o, ask := withFactors(t, func(s *sallyport.Standing) {
		s.Has.Apps, s.Devices, s.Has.Phones = 0, nil, 1
		s.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndSMS}
	})
	p := ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "Type the code sent to the number that ends in 23, or sms for another one.")
	want(t, ask("alice", string(o.last().Code), p), wire.CodeAccessAccept, "")
	p = ask("bob", password, nil)
	want(t, p, wire.CodeAccessChallenge, "ends in 23")
	p = ask("bob", "sms", p) // too soon: the first one is good still, and nothing is sent
	want(t, p, wire.CodeAccessChallenge, "ends in 23")
	if o.texts() != 2 {
		t.Errorf("%d messages", o.texts())
	}
	first := o.last().Code
	w.skew.Store(int64(40 * time.Second))
	p = ask("bob", "SMS", p)
	want(t, p, wire.CodeAccessChallenge, "ends in 23")
	if o.texts() != 3 || o.last().Code == first {
		t.Errorf("%d messages, the same code: %v", o.texts(), o.last().Code == first)
	}
	p = ask("bob", "000000", p)
	want(t, p, wire.CodeAccessChallenge, "That code is not right. Type the code sent")
	want(t, ask("bob", string(first), p), wire.CodeAccessAccept, "")
	o.mu.Lock()
	o.fails = true
	o.mu.Unlock()
	want(t, ask("carol", password, nil), wire.CodeAccessChallenge, "The message with your code could not be sent.")
}

func TestTheExternalTokenServerAsksForMore(t *testing.T) {
	_, _, ask := withFactors(t, func(s *sallyport.Standing) {
		s.Has.Apps, s.Devices, s.Has.External = 0, nil, true
		s.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndExternal}
	})
	p := ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "Type what your token shows.")
	p = ask("alice", "31415926", p)
	want(t, p, wire.CodeAccessChallenge, "Wait for the code to change, then enter the new one.")
	want(t, ask("alice", "27182818", p), wire.CodeAccessAccept, "")
	p = ask("bob", password, nil)
	for range 7 { // an outage is no wrong code
		p = ask("bob", "00000042", p)
		want(t, p, wire.CodeAccessChallenge, "The token server cannot be reached. Try again, or use another way. Type what your token shows.")
	}
	for range 2 {
		p = ask("bob", "00000000", p)
		want(t, p, wire.CodeAccessChallenge, "That code is not right. Type what your token shows.")
	}
	want(t, ask("bob", "00000000", p), wire.CodeAccessReject, "Too many wrong codes.")
}

func TestTheUserGoesFromOneWayToAnother(t *testing.T) {
	w, o, ask := withFactors(t, func(s *sallyport.Standing) {
		s.Has.Phones, s.Has.External, s.Has.OTP = 1, true, true
		s.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.PasswordAndOTP, sallyport.PasswordAndExternal}
		s.Workflow.NumberMatching = true
	})
	p := ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "in the app on your phone, then type ok here. Or type a code here instead. Or type sms for a code by SMS. Or type token to use your token.")
	p = ask("alice", "sms", p)
	want(t, p, wire.CodeAccessChallenge, "ends in 23, or sms for another one. Or type push to be asked on your phone. Or type token to use your token.")
	p = ask("alice", "token", p)
	want(t, p, wire.CodeAccessChallenge, "Type what your token shows. Or type push to be asked on your phone. Or type code for another code. Or type sms for a code by SMS.")
	p = ask("alice", "token", p) // what is in use already
	want(t, p, wire.CodeAccessChallenge, "Type what your token shows.")
	p = ask("alice", "code", p)
	want(t, p, wire.CodeAccessChallenge, "Type the code that the app shows, or the code that your OTP token shows.")
	p = ask("alice", "push", p)
	want(t, p, wire.CodeAccessChallenge, "in the app on your phone")
	p = ask("alice", "sms", p) // the one that was sent is good still
	want(t, p, wire.CodeAccessChallenge, "ends in 23")
	want(t, ask("alice", string(o.last().Code), p), wire.CodeAccessAccept, "")
	if o.texts() != 1 || w.hub.pushes() != 2 {
		t.Errorf("%d messages, %d pushes", o.texts(), w.hub.pushes())
	}
}

func TestAChoiceNamesEveryWay(t *testing.T) {
	w, o, _ := withFactors(t, func(s *sallyport.Standing) {
		s.Has.Phones, s.Has.External = 1, true
		s.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.PasswordAndExternal}
	})
	w.vpn.AskMethod = true
	g := w.appliance().gateway(t)
	p := g.ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "Type 1 to be asked on your phone, 2 ")
	text := rfc2865.ReplyMessage_GetString(p)
	for number, words := range map[string]string{"for a code by SMS": "ends in 23", "to use your token": "Type what your token shows.", "to be asked for a code": "Type the code that the app shows."} {
		at := strings.Index(text, " "+number)
		if at < 1 {
			t.Fatalf("%q has no %q", text, number)
		}
		p := g.ask("u"+number, password, nil)
		want(t, g.ask("u"+number, text[at-1:at], rfc2865.State_Get(p)), wire.CodeAccessChallenge, words)
	}
	if w.hub.pushes() != 0 || o.texts() != 1 {
		t.Errorf("%d pushes, %d messages", w.hub.pushes(), o.texts())
	}
}

// unenrolled has nothing yet, and the rule asks at the gateway.
func unenrolled(delay bool) func(*sallyport.Standing) {
	return func(s *sallyport.Standing) {
		s.Has.Apps, s.Devices = 0, nil
		s.Workflow.Allowed = []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS, sallyport.PasswordAndOTP}
		s.Rule = &sallyport.EnrolRule{ID: "r1", Name: "Enrol", Unenrolled: sallyport.UnenrolledPassword, PromptAtGateway: true, MayDelay: delay}
	}
}

func (o *outside) enrolments() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.enrolled, ", ")
}

func TestAPhoneNumberIsEnrolledOnTheWay(t *testing.T) {
	w, o, ask := withFactors(t, unenrolled(true))
	p := ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "your mobile number, as +441632960123; ")
	want(t, p, wire.CodeAccessChallenge, "or later.")
	p = ask("alice", "+1", p)
	want(t, p, wire.CodeAccessChallenge, "That was not right. ")
	p = ask("alice", "hello", p)
	want(t, p, wire.CodeAccessChallenge, "That was not right. ")
	p = ask("alice", "+44 1632 960123", p)
	want(t, p, wire.CodeAccessChallenge, "Type the code sent to the number that ends in 23, again for another one, or back.")
	p = ask("alice", "000000", p)
	want(t, p, wire.CodeAccessChallenge, "That code is not right.")
	p = ask("alice", "again", p) // too soon
	want(t, p, wire.CodeAccessChallenge, "ends in 23")
	w.skew.Store(int64(40 * time.Second))
	p = ask("alice", "again", p)
	want(t, p, wire.CodeAccessChallenge, "ends in 23")
	if o.texts() != 2 {
		t.Errorf("%d messages", o.texts())
	}
	p = ask("alice", "back", p)
	want(t, p, wire.CodeAccessChallenge, "Set up your second factor.")
	p = ask("alice", string(mobile), p)
	want(t, p, wire.CodeAccessChallenge, "ends in 23")
	want(t, ask("alice", string(o.last().Code), p), wire.CodeAccessAccept, "")
	if got := o.enrolments(); got != `hospital\alice phone +441632960123` {
		t.Error(got)
	}
}

func TestTheAppIsEnrolledByItsSerialNumberAndCode(t *testing.T) {
	_, o, ask := withFactors(t, unenrolled(false))
	p := ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "the app's serial number, a space and its code")
	if strings.Contains(rfc2865.ReplyMessage_GetString(p), "later") {
		t.Error("who has to enrol is offered not to")
	}
	p = ask("alice", "later", p)
	want(t, p, wire.CodeAccessChallenge, "That was not right.")
	p = ask("alice", "SP54321 654321", p)
	want(t, p, wire.CodeAccessChallenge, "No open app has that serial number.")
	p = ask("alice", "SP12345 000000", p)
	want(t, p, wire.CodeAccessChallenge, "That code is not right.")
	close(o.followed)
	want(t, ask("alice", "SP1 23 45 654321", p), wire.CodeAccessAccept, "")
	if got := o.enrolments(); got != `hospital\alice app` {
		t.Error(got)
	}
}

// Where apps are not found by their serial numbers there is no way to enrol one here, and none is offered.
func TestTheAppIsNotOfferedWhereItCannotBeEnrolled(t *testing.T) {
	w, _, _ := withFactors(t, unenrolled(true))
	all := w.factors
	w.factors = func(c *login.Config) { all(c); c.Serials = nil }
	p := w.appliance().gateway(t).ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "Set up your second factor. Type your mobile number")
	if strings.Contains(rfc2865.ReplyMessage_GetString(p), "app") {
		t.Error(rfc2865.ReplyMessage_GetString(p))
	}
}

func TestAnOTPTokenIsClaimedAndEnrolmentIsPutOff(t *testing.T) {
	_, o, ask := withFactors(t, unenrolled(true))
	p := ask("alice", password, nil)
	p = ask("alice", "FT-1 111111 333333", p)
	want(t, p, wire.CodeAccessChallenge, "That was not right.")
	want(t, ask("alice", "FT-1 111111 222222", p), wire.CodeAccessAccept, "")
	if got := o.enrolments(); got != `hospital\alice otp FT-1` {
		t.Error(got)
	}
	p = ask("bob", password, nil)
	want(t, ask("bob", "Later", p), wire.CodeAccessAccept, "")
}
