package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	carol sallyport.AccountName = `hospital\carol`
	anna  sallyport.AccountName = `hospital\anna`
)

// equip gives an account one of everything that is kept under its name, made out of a word.
func equip(t *testing.T, s *store.Store, account sallyport.AccountName, word string) {
	t.Helper()
	ctx := t.Context()
	must(t, s.PutDevice(ctx, NewDevice(word, account)))
	must(t, s.PutEnrolment(ctx, store.Enrolment{ID: sallyport.EnrolmentID(word), Account: account,
		Secret: sallyport.Key("enrolment of " + word + "..........."), Created: start, Expires: start.Add(time.Hour)}))
	must(t, s.IssueTemporaryCode(ctx, newCode(word, account, 0), sallyport.Secret("code-of-"+word)))
	for range 3 {
		must(t, second(s.Failure(ctx, account, "passcode", start, time.Hour)))
	}
}

// wantThings wants an account to have exactly what equip made out of the word; nothing for none.
func wantThings(t *testing.T, s *store.Store, account sallyport.AccountName, word string) {
	t.Helper()
	ctx := t.Context()
	devices, err := s.Devices(ctx, account)
	must(t, err)
	id, matched, err := s.MatchTemporaryCode(ctx, account, sallyport.Secret("code-of-"+word), start)
	must(t, err)
	failures, err := s.Failures(ctx, account, "passcode", start, time.Hour)
	must(t, err)
	codes, err := s.TemporaryCodes(ctx, account)
	must(t, err)
	if word == "" {
		if len(devices)+failures+len(codes) != 0 || matched {
			t.Errorf("%s has %d devices, %d failures and %d codes of another", account, len(devices), failures, len(codes))
		}
		return
	}
	enrolment, err := s.Enrolment(ctx, sallyport.EnrolmentID(word))
	if err != nil || enrolment.Account != account || !strings.Contains(string(enrolment.Secret), word) {
		t.Errorf("the enrolment of %s: %+v, %v", account, enrolment, err)
	}
	if want := NewDevice(word, account); len(devices) != 1 || devices[0].ID != want.ID || string(devices[0].Seed) != string(want.Seed) || string(devices[0].DetailsKey) != string(want.DetailsKey) {
		t.Errorf("the devices of %s: %+v", account, devices)
	}
	if !matched || id != word || failures != 3 || len(codes) != 1 {
		t.Errorf("%s has code %q of %d, and %d failures", account, id, len(codes), failures)
	}
}

// What is kept under an account's name follows a renamed user.
func renamedFollow(t *testing.T, e Engine) {
	s := hospital(t, e)
	apply(t, s, person("A", "alice"), person("B", "bob"))
	equip(t, s, alice, "alice")
	equip(t, s, bob, "bob")
	must(t, second(s.UseStep(t.Context(), NewDevice("alice", alice).ID, 7, "")))
	if got, want := apply(t, s, person("A", "anna"), person("B", "bob")), (store.Applied{Changed: 1, Renamed: 1, Unchanged: 1}); got != want {
		t.Errorf("renamed: %+v", got)
	}
	wantThings(t, s, anna, "alice")
	wantThings(t, s, bob, "bob")
	wantThings(t, s, alice, "")
	if first, err := s.UseStep(t.Context(), NewDevice("alice", alice).ID, 7, ""); err != nil || first {
		t.Errorf("a token code was good again after renaming: %v, %v", first, err)
	}
	if got := accounts(t, s, store.UserQuery{Text: "alice"}); got != "" {
		t.Errorf("found by the former name: %q", got)
	}
	if got := accounts(t, s, store.UserQuery{Text: "anna"}); got != "anna" {
		t.Errorf("found by the new name: %q", got)
	}
	wantCode(t, second(s.UserByAccount(t.Context(), alice)), sallyport.CodeNotFound)
	apply(t, s, person("A", "alice")) // back again
	wantThings(t, s, alice, "alice")
}

func namesSwapped(t *testing.T, e Engine) {
	s := hospital(t, e)
	apply(t, s, person("A", "alice"), person("B", "bob"), person("C", "carol"))
	equip(t, s, alice, "a")
	equip(t, s, bob, "b")
	equip(t, s, carol, "c")
	ids := map[string]sallyport.UserID{}
	for _, who := range []string{"A", "B", "C"} {
		ids[who] = userOf(t, s, who).ID
	}
	apply(t, s, person("A", "bob"), person("B", "alice"))
	wantThings(t, s, bob, "a")
	wantThings(t, s, alice, "b")
	// In a ring, and into a name that becomes free.
	apply(t, s, person("A", "alice"), person("B", "carol"), person("C", "bob"))
	wantThings(t, s, alice, "a")
	wantThings(t, s, carol, "b")
	wantThings(t, s, bob, "c")
	apply(t, s, person("A", "anna"), person("B", "alice"))
	wantThings(t, s, anna, "a")
	wantThings(t, s, alice, "b")
	wantThings(t, s, carol, "")
	for who, id := range ids {
		if u := userOf(t, s, who); u.ID != id {
			t.Errorf("%s is another user now: %+v", who, u)
		}
	}
}

// Users swap names in two batches: until the second, the things of who lost the name wait.
func namesSwappedApart(t *testing.T, e Engine) {
	s := hospital(t, e)
	apply(t, s, person("A", "alice"), person("B", "bob"))
	equip(t, s, alice, "a")
	equip(t, s, bob, "b")
	apply(t, s, person("A", "bob"))
	wantThings(t, s, bob, "a")
	wantThings(t, s, alice, "")
	waiting := userOf(t, s, "B").Account
	if waiting == bob || !strings.Contains(string(waiting), "/") {
		t.Errorf("the account of who lost the name: %q", waiting)
	}
	wantThings(t, s, waiting, "b")
	apply(t, s, person("B", "alice"))
	wantThings(t, s, alice, "b")
	wantThings(t, s, bob, "a")
	wantThings(t, s, waiting, "")
}

// An account that was deleted and made again is another one: it inherits nothing, in whatever order
// the two are told, and the audit trail says what ended.
func madeAgain(t *testing.T, e Engine) {
	for name, again := range map[string]func(*testing.T, *store.Store){
		"removed before": func(t *testing.T, s *store.Store) {
			apply(t, s, gone("A"))
			apply(t, s, person("A2", "alice"))
		},
		"in one batch": func(t *testing.T, s *store.Store) { apply(t, s, gone("A"), person("A2", "alice")) },
		"the new one first": func(t *testing.T, s *store.Store) {
			apply(t, s, person("A2", "alice"), gone("A"))
		},
		"renamed into it": func(t *testing.T, s *store.Store) {
			apply(t, s, person("A2", "temporary"))
			apply(t, s, gone("A"))
			apply(t, s, person("A2", "alice"))
		},
		"by another domain's end": func(t *testing.T, s *store.Store) {
			d, err := s.Domain(t.Context(), "hospital")
			must(t, err)
			must(t, s.DeleteDomain(t.Context(), "hospital", d.Version))
			d = NewDomain("hospital")
			d.ID = "again"
			must(t, second(s.PutDomain(t.Context(), d)))
			must(t, second(s.ApplyUsers(t.Context(), "again", []store.UserChange{person("A2", "alice")})))
		},
	} {
		s := hospital(t, e).As(chief)
		apply(t, s, person("A", "alice"))
		equip(t, s, alice, "a")
		old := userOf(t, s, "A")
		again(t, s)
		wantThings(t, s, alice, "")
		u, err := s.UserByAccount(t.Context(), alice)
		if err != nil || u.GUID != guidOf("A2") || u.State != sallyport.UserActive {
			t.Errorf("%s: alice is %+v, %v", name, u, err)
		}
		if u, err := s.User(t.Context(), old.ID); err != nil || u.State != sallyport.UserRemoved || u.Account == alice {
			t.Errorf("%s: the old one is %+v, %v", name, u, err)
		}
		wantCode(t, second(s.Device(t.Context(), NewDevice("a", alice).ID)), sallyport.CodeNotFound)
		wantCode(t, second(s.Enrolment(t.Context(), "a")), sallyport.CodeNotFound)
		r := lastRecord(t, s, "user.lose account")
		lost := decode[struct {
			Deleted map[string]int
			Devices map[sallyport.DeviceID]string
		}](t, r.Before)
		if r.Object != string(alice) || r.ObjectID != string(old.ID) || fmt.Sprint(lost.Deleted) != "map[devices:1 enrolments:1 failures:1 temporary_codes:1]" || lost.Devices[NewDevice("a", alice).ID] != "a's phone" {
			t.Errorf("%s: recorded %s of %s", name, r.Before, r.ObjectID)
		}
	}
}

// The new one is told a batch before the old one is known to be gone.
func madeAgainApart(t *testing.T, e Engine) {
	s := hospital(t, e)
	apply(t, s, person("A", "alice"))
	equip(t, s, alice, "a")
	apply(t, s, person("A2", "alice"))
	wantThings(t, s, alice, "")
	apply(t, s, gone("A"))
	wantThings(t, s, alice, "")
	if u := userOf(t, s, "A2"); u.Account != alice || u.State != sallyport.UserActive {
		t.Errorf("the new one: %+v", u)
	}
	equip(t, s, alice, "a2")
	// The old one comes back, in a directory restored from a backup: with his own things, and no others.
	apply(t, s, gone("A2"), person("A", "alice"))
	wantThings(t, s, alice, "a")
}

// A name that a renamed user had is nobody's: what is left there, such as a device that was enrolled at
// the same moment, goes to no one else.
func formerName(t *testing.T, e Engine) {
	s := hospital(t, e)
	apply(t, s, person("A", "alice"))
	apply(t, s, person("A", "anna"))
	must(t, s.PutDevice(t.Context(), NewDevice("late", alice)))
	apply(t, s, person("A2", "alice"))
	wantThings(t, s, alice, "")
	// Nobody who had another name gets what is under a name that nobody had.
	must(t, s.PutDevice(t.Context(), NewDevice("stray", carol)))
	apply(t, s, person("A2", "carol"))
	wantThings(t, s, carol, "")
	// Devices enrolled before the first synchronisation stay with their account.
	must(t, s.PutDevice(t.Context(), NewDevice("early", bob)))
	apply(t, s, person("B", "bob"))
	if list, err := s.Devices(t.Context(), bob); err != nil || len(list) != 1 {
		t.Errorf("devices from before: %v, %v", list, err)
	}
	// A removed user who comes back has everything still.
	equip(t, s, anna, "anna")
	apply(t, s, gone("A"))
	wantThings(t, s, anna, "anna")
	apply(t, s, person("A", "anna"))
	wantThings(t, s, anna, "anna")
}

// Batches of two stores at once, with names that go round, leave everybody with one name of their own
// and with their own things.
func renamedAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	stores := []*store.Store{Open(t, address), Open(t, address)}
	s := stores[0]
	must(t, second(s.PutDomain(t.Context(), NewDomain("hospital"))))
	const people, rounds = 8, 6
	name := func(n int) string { return fmt.Sprintf("n%d", n%people) }
	for n := range people {
		apply(t, s, person(fmt.Sprint(n), name(n)))
		must(t, s.PutDevice(t.Context(), NewDevice(fmt.Sprint(n), sallyport.NewAccountName("hospital", name(n)))))
	}
	ctx, cancel := background()
	defer cancel()
	done := make(chan error, rounds)
	for round := range rounds {
		go func() {
			var batch []store.UserChange
			for n := range people {
				batch = append(batch, person(fmt.Sprint(n), name(n+round)))
			}
			_, err := stores[round%2].ApplyUsers(ctx, "hospital", batch)
			done <- err
		}()
	}
	for range rounds {
		must(t, <-done)
	}
	seen := map[sallyport.AccountName]bool{}
	for n := range people {
		u := userOf(t, s, fmt.Sprint(n))
		devices, err := s.Devices(context.Background(), u.Account)
		if err != nil || len(devices) != 1 || devices[0].ID != NewDevice(fmt.Sprint(n), "").ID || seen[u.Account] || strings.Contains(string(u.Account), "/") {
			t.Errorf("user %d, %s: %+v, %v", n, u.Account, devices, err)
		}
		seen[u.Account] = true
	}
}
