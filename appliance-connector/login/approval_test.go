package login_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// approval is what the phone says to the push of a login, with its number.
func (w *world) approval(s login.State, d sallyport.Decision) login.ChallengeEvent {
	w.t.Helper()
	box, err := deviceproto.SealAnswer(w.key, w.device.DetailsKey, deviceproto.Answer{
		Challenge: s.Challenge, Decision: d, Number: w.engine.Prompt(s).Number, User: "Alice", Application: "Hospital VPN", At: w.now})
	check(w.t, err)
	return login.ChallengeEvent{Answer: box}
}

// An app that answers for another login: its approval is of the challenge that it was shown, whoever hands it in.
func TestAnApprovalIsOfItsOwnLogin(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	one, two := w.begin("l1"), w.begin("l2")
	w.at(w.happens(two, w.approval(one, sallyport.DecisionApprove)), sallyport.PromptDenied, sallyport.ReasonBadApproval)
	w.at(w.happens(one, w.approval(two, sallyport.DecisionApprove)), sallyport.PromptDenied, sallyport.ReasonBadApproval)
	// The push that was asked for again is another question, too.
	again := w.act(w.act(w.begin("l3"), login.Action{Do: "use_code"}), login.Action{Do: "push"})
	before := again
	before.Challenge = two.Challenge
	w.at(w.happens(again, w.approval(before, sallyport.DecisionApprove)), sallyport.PromptDenied, sallyport.ReasonBadApproval)
	w.at(w.happens(again, w.approval(again, sallyport.DecisionApprove)), sallyport.PromptDone, "")
}

// An app that answers twice: the login is over with the first answer, and the same answer gives the same token.
func TestAnAppThatAnswersTwiceIsHeardOnce(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	yes := w.approval(s, sallyport.DecisionApprove)
	done, repeated := w.happens(s, yes), w.happens(s, yes)
	w.at(done, sallyport.PromptDone, "")
	if w.engine.Prompt(done).Token == "" || w.engine.Prompt(done).Token != w.engine.Prompt(repeated).Token {
		t.Error("the same approval made another token")
	}
	w.events <- w.approval(s, sallyport.DecisionNotMe)
	same, err := w.engine.Wait(shortly(t), done)
	check(t, err)
	if same.Version != done.Version {
		t.Error("a second answer moved a login that is over")
	}
	<-w.events
	denied := w.happens(w.begin("l2"), w.approval(w.begin("l2"), sallyport.DecisionDeny))
	w.events <- yes
	same, err = w.engine.Wait(shortly(t), denied)
	check(t, err)
	w.at(same, sallyport.PromptDenied, sallyport.ReasonRejected)
}

// An app that answers late: after the end of its time, whatever the token service lets through, nobody gets in.
func TestAnApprovalThatComesTooLateIsNone(t *testing.T) {
	w := newWorld(t)
	w.enrol("alice")
	s := w.begin("l1")
	yes := w.approval(s, sallyport.DecisionApprove)
	w.now = w.now.Add(3 * time.Minute)
	w.events <- yes
	late, err := w.engine.Wait(t.Context(), s)
	check(t, err)
	w.at(late, sallyport.PromptDenied, sallyport.ReasonTimeout)
}

// An app whose maker does not vouch for it is not enrolled, and the person is told that it is the app.
func TestAnAppThatIsNotAttestedIsToldSo(t *testing.T) {
	w := newWorld(t)
	o := w.outside()
	o.awaitErr = sallyport.Errorf(sallyport.CodeUnsupported, "This app cannot be used here.", nil)
	s := w.act(w.enter("l1"), login.Action{Do: "enrol", Kind: sallyport.AuthenticatorApp})
	o.followed <- "Phone"
	s, err := w.engine.Wait(t.Context(), s)
	check(t, err)
	w.at(s, sallyport.PromptEnrol, sallyport.ReasonNotAttested)
	if p := w.engine.Prompt(s); p.Enrol.Step != sallyport.EnrolStart || len(o.enrolled) != 0 {
		t.Errorf("prompt %+v, enrolled %v", p.Enrol, o.enrolled)
	}
}
