package tokencheck_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// records keeps what the check tells.
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

func (r *records) Frequent(_ time.Time, tell func() sallyport.LoginEvent) { r.Event(tell()) }

// told returns copies of what was told so far.
func (r *records) told() (logins []sallyport.LoginRecord, events []sallyport.LoginEvent, audit []sallyport.AuditRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.logins), slices.Clone(r.events), slices.Clone(r.audit)
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

func TestATemporaryCodeIsTakenInTheGatewaysOwnForm(t *testing.T) {
	a := start(t, nil, time.Millisecond)
	for range 2 {
		if !ask(t, a, packet(t, "carol", "87654321")) {
			t.Errorf("refused:\n%s", a.log)
		}
	}
	if ask(t, a, packet(t, "alice", "87654321")) {
		t.Error("taken from somebody else")
	}
	logins, _, _ := a.records.told()
	if r := logins[0]; r.Method != sallyport.MethodTemporary || r.Outcome != sallyport.OutcomeGranted || r.Door != sallyport.DoorRADIUS || r.Account != carol {
		t.Errorf("recorded: %+v", r)
	}
}

func TestACodeOfAnOTPTokenIsTakenInTheGatewaysOwnForm(t *testing.T) {
	a := start(t, nil, time.Millisecond)
	if !ask(t, a, packet(t, "olga", "70123456")) {
		t.Errorf("refused:\n%s", a.log)
	}
	if ask(t, a, packet(t, "olga", "70123457")) || ask(t, a, packet(t, "paul", "70123456")) {
		t.Error("taken though it is wrong, or not allowed")
	}
	if !strings.Contains(a.log.String(), "no second factor to check") {
		t.Errorf("log:\n%s", a.log)
	}
	logins, _, _ := a.records.told()
	if r := logins[0]; r.Method != sallyport.MethodOTP || r.Outcome != sallyport.OutcomeGranted || r.Account != olga {
		t.Errorf("recorded: %+v", r)
	}
}

// The gateway's integration admits users without a licence, and the enrol rule lets users in who have
// not enrolled: neither is a second factor.
func TestPolicyHoldsInTheGatewaysOwnFormAsWell(t *testing.T) {
	a := start(t, nil, time.Millisecond)
	for user, cause := range map[string]string{
		"dave":    "no second factor to check",
		"erin":    "disabled in the directory",
		"visitor": "no second factor to check",
		"grace":   "no second factor that can be typed",
		"frank":   "passcode refused: wrong code", // no licence, but the app: asked for it, and it is not alice's code
	} {
		if ask(t, a, packet(t, user, "123456")) {
			t.Errorf("%s: accepted", user)
		}
		if !strings.Contains(a.log.String(), cause) {
			t.Errorf("%s: log:\n%s", user, a.log)
		}
		logins, _, audit := a.records.told()
		r, trail := logins[len(logins)-1], audit[len(audit)-1]
		if r.UserName != user || r.Outcome != sallyport.OutcomeDenied || r.Reason == "" || !strings.Contains(r.Detail, cause) {
			t.Errorf("recorded: %+v", r)
		}
		if trail.Action != "login.denied" || !strings.Contains(trail.Reason, cause) || trail.SupportCode != r.SupportCode {
			t.Errorf("trail: %+v", trail)
		}
	}
}

func TestARepeatedRequestIsOneLoginOnAnyAppliance(t *testing.T) {
	up := &cloud{}
	a, b := start(t, up, time.Millisecond), start(t, up, time.Millisecond)
	p := packet(t, "carol", "87654321")
	if !ask(t, a, p) || !ask(t, b, p) {
		t.Fatal("refused")
	}
	first, _, _ := a.records.told()
	second, _, _ := b.records.told()
	one, two := first[0], second[0]
	if one.ID != two.ID || one.SupportCode != two.SupportCode {
		t.Errorf("two logins: %+v and %+v", one, two)
	}
}

func TestAGatewayTokenEndsTheTimelineOfItsLogin(t *testing.T) {
	a := start(t, nil, time.Millisecond)
	if !ask(t, a, packet(t, "alice", fresh())) {
		t.Fatal("refused")
	}
	logins, e, _ := a.records.told()
	if len(e) != 1 || e[0].Step != 15 || len(e[0].SupportCode) != 16 || e[0].Time.IsZero() {
		t.Errorf("events: %+v", e)
	}
	if len(logins) != 0 {
		t.Error("the login was recorded by the engine, and is no second one")
	}
}
