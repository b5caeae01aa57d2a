package tokencheck

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// Recorder is told what happens to logins. It never blocks and never fails: what it cannot keep it
// counts.
type Recorder interface {
	// Login returns false when the login's end was told before.
	Login(sallyport.LoginRecord) (first bool)
	Event(sallyport.LoginEvent)
	// Frequent is Event for steps that come by the thousands a second; of those a part is recorded.
	Frequent(at time.Time, tell func() sallyport.LoginEvent)
	Audit(sallyport.AuditRecord)
}

// try is a login by passcode.
type try struct {
	query    *radius.Query
	account  sallyport.AccountName
	request  [16]byte         // names the RADIUS request, repeated or not
	decision *policy.Decision // nil: policy was not asked
	method   sallyport.Method
}

// tokenTaken ends the timeline of a login through the overlay: its token came back.
func (v *Verifier) tokenTaken(c gatewaytoken.Claim) {
	if v.opts.Recorder == nil {
		return
	}
	now := v.opts.Now()
	v.opts.Recorder.Frequent(now, func() sallyport.LoginEvent {
		return sallyport.LoginEvent{SupportCode: v.opts.SupportCode(c.Nonce), Time: now, Step: 15, Message: "gateway token accepted"}
	})
}

// refused is a refusal, and what is recorded of it.
func (v *Verifier) refused(t try, why sallyport.Reason, reason, cure string) radius.Verdict {
	v.recordEnd(t, sallyport.OutcomeDenied, why, reason)
	return refuse(reason, cure)
}

// undecided is a refusal for want of a part that does not answer.
func (v *Verifier) undecided(t try, reason, cure string) radius.Verdict {
	return v.refused(t, sallyport.ReasonUnavailable, reason, cure)
}

func (v *Verifier) recordEnd(t try, o sallyport.Outcome, why sallyport.Reason, detail string) {
	if v.opts.Recorder == nil {
		return
	}
	now, q, support := v.opts.Now(), t.query, sallyport.SupportCode([5]byte(t.request[:5]))
	if !v.opts.Recorder.Login(sallyport.LoginRecord{
		ID: hex.EncodeToString(t.request[:]), Time: now, Ended: now, SupportCode: support, UserName: q.UserName, Account: t.account, Integration: q.Integration.ID,
		Door: sallyport.DoorRADIUS, Outcome: o, Method: t.method, Reason: why, Detail: detail, Address: q.CallingStation,
	}) {
		return
	}
	after := map[string]any{"account": t.account, "door": sallyport.DoorRADIUS, "method": t.method, "reason": why}
	event := map[string]any{"account": t.account, "method": t.method}
	if t.decision != nil {
		after["policy"], event["policy"] = t.decision.Outcome, t.decision.Steps
	}
	message, action := "passcode accepted", "login.granted"
	if o == sallyport.OutcomeDenied {
		message, action = "passcode refused", "login.denied"
		event["why"] = detail
	}
	v.opts.Recorder.Event(sallyport.LoginEvent{SupportCode: support, Time: now, Step: 15, Message: message, Detail: encode(event)})
	v.opts.Recorder.Audit(sallyport.AuditRecord{
		Time: now, Actor: sallyport.Actor{Kind: sallyport.ActorUser, Name: q.UserName, Address: q.CallingStation},
		Action: action, Object: q.Integration.Nickname, ObjectID: string(q.Integration.ID), Reason: detail, SupportCode: support, After: encode(after),
	})
}

// encode writes strings as JSON, which cannot fail.
func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}
