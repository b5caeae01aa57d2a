package standing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/standing"
)

// source is a store whose reads are counted.
type source struct {
	mu       sync.Mutex
	revision int64
	policy   sallyport.UserPolicy
	user     *sallyport.User
	devices  []sallyport.Device
	down     error
	last     sallyport.Method
	gateway  sallyport.Integration
	accounts int
	gateways int
	policies int
}

func (s *source) AccountStanding(context.Context, sallyport.AccountName) (sallyport.Standing, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts++
	return sallyport.Standing{User: s.user, Devices: s.devices, Has: sallyport.Authenticators{Apps: len(s.devices), Last: s.last}}, s.revision, s.down
}

func (s *source) AccountNow(context.Context, sallyport.AccountName) (sallyport.Method, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.revision, s.down
}

func (s *source) Integration(context.Context, sallyport.IntegrationID) (sallyport.Integration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gateways++
	in := s.gateway
	in.Secret, in.PreviousSecret = "the gateway's", "the one before"
	return in, s.down
}

func (s *source) Revision(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, s.down
}

func (s *source) LoginPolicies(context.Context) (sallyport.LoginPolicies, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies++
	return sallyport.LoginPolicies{
		User:     map[sallyport.UserPolicyID]sallyport.UserPolicy{s.policy.ID: s.policy},
		Rules:    map[sallyport.EnrolRuleID]sallyport.EnrolRule{"r1": {ID: "r1"}},
		Workflow: sallyport.LoginWorkflow{NumberMatching: true}, Licences: sallyport.Licences{Total: 7},
	}, s.revision, s.down
}

type world struct {
	t *testing.T
	*source
	now    time.Time
	reader *standing.Reader
}

const alice = sallyport.AccountName(`hospital\alice`)

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC), source: &source{
		revision: 1, policy: sallyport.UserPolicy{ID: "p1", Name: "Nurses", EnrolRule: "r1"},
		user: &sallyport.User{Account: alice, Policy: "p1"}, devices: []sallyport.Device{{ID: "d1"}},
	}}
	w.reader = standing.New(w.source, func() time.Time { return w.now }, slog.New(slog.DiscardHandler))
	return w
}

func (w *world) read(a sallyport.AccountName) sallyport.Standing {
	w.t.Helper()
	s, err := w.reader.Standing(w.t.Context(), a)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func unavailable() error {
	return sallyport.Errorf(sallyport.CodeUnavailable, "away", errors.New("connection refused"))
}

func TestAStandingIsJoinedOfAccountAndPolicies(t *testing.T) {
	w := newWorld(t)
	s := w.read(alice)
	if s.Policy.Name != "Nurses" || s.Rule == nil || s.Rule.ID != "r1" || !s.Workflow.NumberMatching || s.Licences.Total != 7 || s.Has.Apps != 1 || s.Stale {
		t.Errorf("got %+v", s)
	}
	w.user, w.revision = nil, 2
	if s := w.read(alice); s.User != nil || s.Policy.ID != "" || s.Rule != nil {
		t.Errorf("of nobody: %+v", s)
	}
	w.user, w.revision = &sallyport.User{Policy: "gone"}, 3
	if s := w.read(alice); s.Policy.Licensed || s.Policy.ID != "" {
		t.Errorf("of a policy that is not there: %+v", s)
	}
}

func TestALoginCostsOneReadAsLongAsNothingChanges(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.read(sallyport.AccountName(fmt.Sprintf(`hospital\user%d`, i)))
	}
	if w.accounts != 10 || w.policies != 1 {
		t.Errorf("%d reads of accounts, %d of policies", w.accounts, w.policies)
	}
	w.revision, w.policy.Licensed = 2, true
	if s := w.read(alice); !s.Policy.Licensed || w.policies != 2 {
		t.Errorf("a change is not seen by the very next login: %+v, %d reads", s.Policy, w.policies)
	}
	w.revision, w.policy.Licensed = 1, false // a standby that was behind has taken over
	if s := w.read(alice); s.Policy.Licensed {
		t.Error("a database that went back is not followed")
	}
}

func TestAnAccountIsReadOnceAsLongAsNothingChanges(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		w.read(alice)
	}
	if w.accounts != 1 {
		t.Errorf("%d reads of the account", w.accounts)
	}
	w.last = sallyport.MethodSMS // a login does not raise the revision
	if s := w.read(alice); s.Has.Last != sallyport.MethodSMS || s.Stale || w.accounts != 1 {
		t.Errorf("last login by %q, %d reads", s.Has.Last, w.accounts)
	}
	w.devices, w.revision = nil, 2 // by whomever
	if s := w.read(alice); len(s.Devices) != 0 || s.Has.Apps != 0 {
		t.Errorf("the phone was removed, and is still there: %+v", s)
	}
	if d, err := w.reader.Devices(t.Context(), alice); err != nil || len(d) != 0 {
		t.Errorf("devices: %v, %v", d, err)
	}
	w.devices = []sallyport.Device{{ID: "d2"}} // a standby took over, and came to the same revision by another change
	w.now = w.now.Add(time.Minute)
	if s := w.read(alice); len(s.Devices) != 1 {
		t.Error("what was read is taken for the database's for ever")
	}
}

func TestAGatewayIsReadOnceAsLongAsNothingChanges(t *testing.T) {
	w := newWorld(t)
	w.gateway = sallyport.Integration{ID: "vpn", Origins: []string{"https://a.example"}}
	read := func(want string) {
		t.Helper()
		if in, err := w.reader.Integration(t.Context(), "vpn"); err != nil || in.Origins[0] != want || in.Secret != "" || in.PreviousSecret != "" {
			t.Fatalf("%+v, %v", in, err)
		}
	}
	for range 3 {
		read("https://a.example")
	}
	if w.gateways != 1 {
		t.Errorf("%d reads", w.gateways)
	}
	w.gateway.Origins, w.revision = []string{"https://b.example"}, 2
	read("https://b.example")
	w.down = sallyport.Errorf(sallyport.CodeNotFound, "gone", nil)
	w.revision = 3
	if _, err := w.reader.Integration(t.Context(), "vpn"); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("of a gateway that was deleted: %v", err)
	}
	w.down = unavailable()
	if _, err := w.reader.Integration(t.Context(), "vpn"); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("while the database is away: %v", err)
	}
}

func TestManyLoginsAtOnceReadThePoliciesOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := w.reader.Standing(t.Context(), alice); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w.policies != 1 {
		t.Errorf("%d reads of policies", w.policies)
	}
}

func TestLoginsGoOnForAWhileWithoutTheDatabase(t *testing.T) {
	w := newWorld(t)
	w.read(alice)
	w.down = unavailable()
	w.now = w.now.Add(standing.KeptFor - time.Second)
	s := w.read(alice)
	if !s.Stale || s.Policy.Name != "Nurses" {
		t.Errorf("got %+v", s)
	}
	if d, err := w.reader.Devices(t.Context(), alice); err != nil || len(d) != 1 {
		t.Errorf("devices: %v, %v", d, err)
	}
	if _, err := w.reader.Standing(t.Context(), `hospital\bob`); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("of whom nothing was read: %v", err)
	}
	w.now = w.now.Add(time.Second)
	if _, err := w.reader.Standing(t.Context(), alice); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("kept too long: %v", err)
	}
	w.down = nil
	if s := w.read(alice); s.Stale {
		t.Error("the database is back, and what it says is called stale")
	}
}

func TestOnlyASilentDatabaseIsStoodInFor(t *testing.T) {
	w := newWorld(t)
	w.read(alice)
	w.down = sallyport.Errorf(sallyport.CodeInternal, "broken", errors.New("row does not open"))
	if _, err := w.reader.Standing(t.Context(), alice); sallyport.ErrorCode(err) != sallyport.CodeInternal {
		t.Errorf("an error that is no outage is hidden: %v", err)
	}
}
