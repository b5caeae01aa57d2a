package login

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
)

// Recorder is told what happens to logins. It never blocks and never fails: what it cannot keep it
// counts.
type Recorder interface {
	// Login returns false when the login's end was told before: a step was repeated.
	Login(sallyport.LoginRecord) (first bool)
	Event(sallyport.LoginEvent)
	Audit(sallyport.AuditRecord)
}

// log writes a line, and the step with the same words into the login's timeline. args never hold a
// secret.
func (e *Engine) log(ctx context.Context, s State, msg string, args ...any) {
	e.Log.InfoContext(ctx, msg, append([]any{"login", s.Login, "support_code", s.Support}, args...)...)
	step, detail := 0, map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		key := fmt.Sprint(args[i])
		if n, ok := args[i+1].(int); ok && key == "step" {
			step = n
		} else {
			detail[key] = fmt.Sprint(args[i+1])
		}
	}
	e.tell(s, msg, step, detail)
}

func (e *Engine) tell(s State, msg string, step int, detail map[string]string) {
	if e.Recorder == nil {
		return
	}
	ev := sallyport.LoginEvent{SupportCode: s.Support, Time: e.Now(), Step: step, Message: msg}
	if len(detail) > 0 {
		ev.Detail = encode(detail)
	}
	e.Recorder.Event(ev)
}

// encode writes strings as JSON, which cannot fail.
func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

func (e *Engine) begun(s State) {
	if e.Recorder != nil {
		e.Recorder.Login(e.record(s, sallyport.OutcomeOpen, ""))
	}
}

// decided tells what policy said once the password was right.
func (e *Engine) decided(ctx context.Context, s State, d policy.Decision) {
	e.Log.InfoContext(ctx, "policy decided", "login", s.Login, "support_code", s.Support, "account", s.Account, "outcome", d.Outcome, "why", d.Why())
	if e.Recorder == nil {
		return
	}
	e.Recorder.Event(sallyport.LoginEvent{SupportCode: s.Support, Time: e.Now(), Step: 5, Message: "policy decided",
		Detail: encode(struct {
			Outcome policy.Outcome `json:"outcome"`
			Steps   []policy.Step  `json:"steps"`
		}{d.Outcome, d.Steps})})
	if d.Outcome == policy.Ask { // the others end the login, which is recorded
		e.audit(s, "login.asked", "", d.Why())
	}
}

func (e *Engine) ended(s State, detail string) {
	if e.Recorder == nil {
		return
	}
	outcome, action := sallyport.OutcomeDenied, "login.denied"
	if s.Kind == sallyport.PromptDone {
		outcome, action = sallyport.OutcomeGranted, "login.granted"
	}
	if e.Recorder.Login(e.record(s, outcome, detail)) {
		e.audit(s, action, s.Reason, cmp.Or(detail, string(s.Reason)))
	}
}

func (e *Engine) audit(s State, action string, why sallyport.Reason, words string) {
	e.Recorder.Audit(sallyport.AuditRecord{
		Time: e.Now(), Actor: sallyport.Actor{Kind: sallyport.ActorUser, Name: s.UserName, Address: s.Place},
		Action: action, Object: s.Application, ObjectID: string(s.Integration), Reason: words, SupportCode: s.Support,
		After: encode(map[string]string{"account": string(s.Account), "door": string(s.door()), "method": string(s.Used), "reason": string(why)}),
	})
}

// record is the login as it stands. It began a whole Life before its end.
func (e *Engine) record(s State, o sallyport.Outcome, detail string) sallyport.LoginRecord {
	r := sallyport.LoginRecord{
		ID: string(s.Login), Time: time.UnixMilli(s.End).Add(-Life).UTC(), SupportCode: s.Support, UserName: s.UserName, Account: s.Account,
		Integration: s.Integration, Door: s.door(), Outcome: o, Method: s.Used, Reason: s.Reason, Detail: detail, Address: s.Place,
	}
	if o != sallyport.OutcomeOpen {
		r.Ended = e.Now()
	}
	return r
}
