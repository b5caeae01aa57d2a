package login_test

import (
	"context"
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
)

// people is what is known of alice besides her devices, which are in the store.
type people struct {
	w        *world
	standing sallyport.Standing
	code     sallyport.Secret // her temporary code
	err      error
	endErr   error
	read     int

	admits   bool
	admitErr error
	admitted []sallyport.AccountName
}

// newPeople makes alice somebody with a licence for whom remote access is live.
func newPeople(w *world) *people {
	return &people{w: w, standing: sallyport.Standing{
		User:   &sallyport.User{ID: "u1", Account: `hospital\alice`, State: sallyport.UserActive, Policy: "p1"},
		Policy: sallyport.UserPolicy{ID: "p1", Name: "Nurses", Licensed: true, RemoteAccess: true, EnrolRule: "r1"},
		Rule:   &sallyport.EnrolRule{ID: "r1", Name: "Standard", Unenrolled: sallyport.UnenrolledOther, PromptAtGateway: true},
		Workflow: sallyport.LoginWorkflow{NumberMatching: true,
			Allowed: []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS}},
	}}
}

func (p *people) Standing(ctx context.Context, account sallyport.AccountName) (sallyport.Standing, error) {
	p.read++
	s := p.standing
	var err error
	if s.Devices, err = p.w.store.Devices(ctx, account); err != nil {
		return s, err
	}
	s.Has.Apps = len(s.Devices)
	return s, p.err
}

func (p *people) Admit(_ context.Context, a sallyport.Account) (sallyport.User, bool, error) {
	p.admitted = append(p.admitted, a.Name)
	u := sallyport.User{ID: "u2", Account: a.Name, State: sallyport.UserActive, Policy: "p1"}
	if p.admits {
		p.standing.User = &u
	}
	return u, p.admits, p.admitErr
}

// issue gives alice a temporary code for an hour.
func (p *people) issue(code sallyport.Secret) {
	p.code = code
	p.standing.Has.TemporaryCodes = []sallyport.TemporaryCode{{ID: "t1", Account: `hospital\alice`, Issued: p.w.now, Expires: p.w.now.Add(time.Hour)}}
}

func (p *people) MatchTemporaryCode(_ context.Context, _ sallyport.AccountName, code sallyport.Secret, now time.Time) (string, bool, error) {
	_, good := p.standing.Has.TemporaryCode(now)
	return "t1", good && subtle.ConstantTimeCompare([]byte(code), []byte(p.code)) == 1, nil
}

func (p *people) EndTemporaryCodes(_ context.Context, _ sallyport.AccountName, why sallyport.TemporaryCodeEnd, now time.Time) (int, error) {
	if p.endErr != nil {
		return 0, p.endErr
	}
	p.standing.Has.TemporaryCodes = slices.Clone(p.standing.Has.TemporaryCodes)
	for i := range p.standing.Has.TemporaryCodes {
		p.standing.Has.TemporaryCodes[i].Ended, p.standing.Has.TemporaryCodes[i].EndedBy = now, why
	}
	return len(p.standing.Has.TemporaryCodes), nil
}

// endedBy says why alice's temporary code ended.
func (p *people) endedBy() sallyport.TemporaryCodeEnd {
	return p.standing.Has.TemporaryCodes[0].EndedBy
}

// records keeps what the engine tells.
type records struct {
	mu     sync.Mutex
	logins []sallyport.LoginRecord
	events []sallyport.LoginEvent
	audit  []sallyport.AuditRecord
}

func (r *records) Login(l sallyport.LoginRecord) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logins = append(r.logins, l)
	return true
}

func (r *records) Event(e sallyport.LoginEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *records) Audit(a sallyport.AuditRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.audit = append(r.audit, a)
}

// steps are the numbers of the timeline.
func (r *records) steps() (list []int) {
	for _, e := range r.events {
		list = append(list, e.Step)
	}
	return list
}

// text is all that was recorded, to look for what must not be in it.
func (r *records) text() string {
	var b strings.Builder
	for _, e := range r.events {
		b.WriteString(e.Message)
		b.Write(e.Detail)
	}
	for _, a := range r.audit {
		b.WriteString(a.Reason)
		b.Write(a.After)
	}
	for _, l := range r.logins {
		b.WriteString(l.Detail)
	}
	return b.String()
}
