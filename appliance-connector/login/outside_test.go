package login_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
)

// An outage of the token server lets nobody in, is no guess, and leaves the other ways.
func TestAnOutageOfTheTokenServerIsNoGuess(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	w.people.standing.Has.External, w.people.standing.Has.OTP, w.people.standing.Rule = true, true, nil
	w.people.standing.Has.Last = sallyport.MethodExternal
	s := w.enter("l1")
	for range 12 { // more often than five wrong codes in 15 minutes, or three in a login
		s = w.act(s, login.Action{Do: "code", Code: "111111"})
		w.at(s, sallyport.PromptCode, sallyport.ReasonUnavailable)
		if p := w.engine.Prompt(s); p.Methods[0] != sallyport.MethodExternal || len(p.Methods) != 2 {
			t.Fatalf("prompt %+v", p)
		}
	}
	if n, err := w.store.Failures(t.Context(), `hospital\alice`, "external", w.now, time.Hour); err != nil || n != 0 {
		t.Errorf("%d counted, %v", n, err)
	}
	w.at(w.act(s, login.Action{Do: "use", Method: sallyport.MethodOTP}), sallyport.PromptCode, "")
	o.answers = []login.ExternalAnswer{{Accepted: true}}
	w.at(w.act(s, login.Action{Do: "code", Code: "111111"}), sallyport.PromptDone, "")

	// What it had asked before is void: the next question is for the code itself.
	o.answers = []login.ExternalAnswer{{Challenge: true, Message: "Enter the next code"}}
	s = w.act(w.enter("l2"), login.Action{Do: "code", Code: "111111"})
	s = w.act(s, login.Action{Do: "code", Code: "222222"})
	w.at(s, sallyport.PromptCode, sallyport.ReasonUnavailable)
	if p := w.engine.Prompt(s); p.Message != "" {
		t.Errorf("still asked: %q", p.Message)
	}
	// Between wrong answers an outage gives no try back that was one.
	s = w.enter("l3")
	for _, answers := range [][]login.ExternalAnswer{{{}}, nil, {{}}, nil} {
		o.answers = answers
		s = w.act(s, login.Action{Do: "code", Code: "000000"})
	}
	if n, err := w.store.Failures(t.Context(), `hospital\alice`, "external", w.now, time.Hour); err != nil || n != 3 { // and the challenge of l2
		t.Errorf("%d counted, %v", n, err)
	}
	o.answers = []login.ExternalAnswer{{}}
	w.at(w.act(s, login.Action{Do: "code", Code: "000000"}), sallyport.PromptDenied, sallyport.ReasonTooManyCodes)
}

// number types a phone number in an enrolment.
func (w *world) number(s login.State, typed string) login.State {
	return w.act(s, login.Action{Do: "enrol", Number: typed})
}

func enrolsPhone(t *testing.T) (*world, *outside, login.State) {
	w := newWorld(t)
	o := w.outside()
	return w, o, w.act(w.enter("l1"), login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
}

// The same number again is a wish for another message: not before its wait is over, and the newest message counts.
func TestTheSameNumberAgainIsAnotherMessage(t *testing.T) {
	w, o, s := enrolsPhone(t)
	s = w.number(s, "+447700900142")
	s = w.number(s, "+44 7700 900142") // at once
	w.at(s, sallyport.PromptEnrol, "")
	if p := w.engine.Prompt(s); len(o.sent) != 1 || p.Enrol.Step != sallyport.EnrolPhoneCode || p.To != "42" || *p.Resend != 30_000 {
		t.Fatalf("%d sent, prompt %+v", len(o.sent), p)
	}
	w.now = w.now.Add(31 * time.Second)
	s = w.act(s, login.Action{Do: "back"})
	s = w.act(s, login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
	s = w.number(s, "+447700900142")
	if len(o.sent) != 2 || o.sent[0].ID == o.sent[1].ID || o.sent[0].Code == o.sent[1].Code || *w.engine.Prompt(s).Resend != 60_000 {
		t.Fatalf("%d sent, the same: %v", len(o.sent), o.sent[0].Code == o.sent[1].Code)
	}
	// It gives no new tries.
	for range 2 {
		s = w.act(s, login.Action{Do: "enrol", Code: "00000"})
		w.at(s, sallyport.PromptEnrol, sallyport.ReasonWrongCode)
		s = w.number(s, "+447700900142")
	}
	w.at(w.act(s, login.Action{Do: "enrol", Code: "00000"}), sallyport.PromptEnrol, sallyport.ReasonTooManyCodes)
	// The newest counts, and one that came late as long as it is good.
	w.now = w.now.Add(4*time.Minute + 30*time.Second)
	late := w.act(s, login.Action{Do: "enrol", Code: o.sent[0].Code})
	w.at(late, sallyport.PromptEnrol, sallyport.ReasonTooManyCodes) // the third wrong one
	done := w.act(s, login.Action{Do: "enrol", Code: o.sent[1].Code})
	if p := w.engine.Prompt(done); p.Enrol.Step != sallyport.EnrolFinished || len(o.enrolled) != 1 {
		t.Errorf("prompt %+v, enrolled %v", p.Enrol, o.enrolled)
	}
}

func TestACodeIsOfTheNumberItWasSentTo(t *testing.T) {
	w, o, s := enrolsPhone(t)
	s = w.number(s, "+447700900142")
	s = w.number(s, "+447700900143") // mistyped before: no wait
	if len(o.sent) != 2 || o.sent[0].Code == o.sent[1].Code {
		t.Fatalf("%d sent", len(o.sent))
	}
	s = w.act(s, login.Action{Do: "enrol", Code: o.sent[0].Code})
	w.at(s, sallyport.PromptEnrol, sallyport.ReasonWrongCode)
	s = w.number(s, "+447700900142") // back to the first one: another message, the first one is void
	if len(o.sent) != 3 || o.sent[2].ID == o.sent[0].ID || o.sent[2].Code == o.sent[0].Code {
		t.Fatalf("%d sent", len(o.sent))
	}
	w.at(w.act(s, login.Action{Do: "enrol", Code: o.sent[0].Code}), sallyport.PromptEnrol, sallyport.ReasonWrongCode)
	w.act(s, login.Action{Do: "enrol", Code: o.sent[2].Code})
	if len(o.enrolled) != 1 || o.enrolled[0] != "phone +447700900142" {
		t.Errorf("enrolled %v", o.enrolled)
	}
}

func TestAnEnrolmentSendsFiveMessagesAndAnHourTen(t *testing.T) {
	w, o, s := enrolsPhone(t)
	for i := range 8 {
		s = w.number(s, "+4477009001"+string(rune('0'+i))+"0")
	}
	w.at(s, sallyport.PromptEnrol, sallyport.ReasonSMSFailed)
	if p := w.engine.Prompt(s); len(o.sent) != 5 || p.Enrol.Step != sallyport.EnrolPhone {
		t.Errorf("%d sent, prompt %+v", len(o.sent), p.Enrol)
	}
	// The state of a login with all of them is one that another appliance reads at RADIUS.
	keeper := login.Keeper{Key: make([]byte, 32)}
	s = w.act(w.enter("0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"), login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
	s = w.number(w.number(s, "+447700900142"), "+447700900143")
	for range 2 {
		w.now = w.now.Add(2 * time.Minute)
		s = w.number(s, "+447700900143")
	}
	box, err := keeper.SealCompact(s)
	check(t, err)
	back, err := w.engine.OpenCompact(keeper, box, login.Context{Integration: vpn, UserName: "Alice", Place: "203.0.113.7"})
	check(t, err)
	if p := w.engine.Prompt(back); p.Resend != nil || len(o.sent) != 9 {
		t.Errorf("three to a number are not enough: %+v, %d sent", p.Resend, len(o.sent))
	}
	s = w.act(w.enter("l3"), login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
	s = w.number(w.number(s, "+447700900142"), "+447700900143")
	w.at(s, sallyport.PromptEnrol, sallyport.ReasonSMSFailed)
	if len(o.sent) != 10 {
		t.Errorf("%d sent within the hour", len(o.sent))
	}
}

// Beginning again gives no new tries: they are the account's.
func TestGuessedCodesOfAnEnrolmentAreCounted(t *testing.T) {
	w, o, _ := enrolsPhone(t)
	tries := func(id sallyport.LoginID, n int) (s login.State) {
		s = w.act(w.enter(id), login.Action{Do: "enrol", Kind: sallyport.AuthenticatorPhone})
		s = w.number(s, "+447700900142")
		for range n {
			s = w.act(s, login.Action{Do: "enrol", Code: "00000"})
		}
		return s
	}
	w.at(tries("l2", 3), sallyport.PromptEnrol, sallyport.ReasonTooManyCodes)
	w.at(tries("l3", 2), sallyport.PromptEnrol, sallyport.ReasonTooManyCodes)
	s := tries("l4", 0)
	right := o.sent[len(o.sent)-1].Code
	w.at(w.act(s, login.Action{Do: "enrol", Code: right}), sallyport.PromptEnrol, sallyport.ReasonTooManyCodes)
	w.now = w.now.Add(16 * time.Minute)
	s = tries("l5", 0)
	w.act(s, login.Action{Do: "enrol", Code: o.sent[len(o.sent)-1].Code})
	if len(o.enrolled) != 1 {
		t.Errorf("enrolled %v", o.enrolled)
	}
}

// With the store away nothing is checked: neither a code nor a token server's word.
func TestWithoutCountersNothingIsChecked(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	w.people.standing.Has.External, w.people.standing.Rule = true, nil
	s := w.enter("l1")
	o.answers = []login.ExternalAnswer{{Accepted: true}}
	w.engine.Counters = noCounters{w.engine.Counters}
	w.refused(s, login.Action{Do: "code", Code: "111111"}, sallyport.CodeUnavailable)
	if len(o.asked) != 0 {
		t.Error("the token server was asked all the same")
	}
}

type noCounters struct{ login.Counters }

func (noCounters) Failure(context.Context, sallyport.AccountName, string, time.Time, time.Duration) (int, error) {
	return 0, errors.New("the database is away")
}
