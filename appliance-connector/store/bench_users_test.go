package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
)

const (
	manyUsers = 100_000
	oneBatch  = 1000
)

// someUser makes up the nth user of the benchmarks: one of 40 names and 500 family names, in one of 20
// departments, which are OUs.
func someUser(n int) store.UserChange {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	given := []string{"Anna", "Béatrice", "Carl", "Dana", "Erik", "Fatima", "Georg", "Hanna", "Ivan", "Jana"}[r.IntN(10)] + []string{"", "-Maria", " Lee", " J."}[r.IntN(4)]
	family := []string{"Smith", "Müller", "Jansen", "Novák", "O'Brien"}[r.IntN(5)] + fmt.Sprintf("%c%c", 'a'+rune(r.IntN(10)), 'a'+rune(r.IntN(10)))
	account := fmt.Sprintf("u%06d", n)
	return store.UserChange{
		GUID: fmt.Sprintf("%032x", n+1), State: sallyport.UserActive, Account: sallyport.NewAccountName("hospital", account),
		UPN: account + "@hospital.example", Mail: fmt.Sprintf("%s.%d@hospital.example", family, n), DisplayName: family + ", " + given,
		DN: fmt.Sprintf("CN=%s\\, %s (%d),OU=Department %d,OU=Staff,DC=hospital,DC=example", family, given, n, n%20),
	}
}

// manyUsersIn fills a store with 100,000 users, two of three with a device.
func manyUsersIn(b *testing.B, address string, exec func(testing.TB, string, string)) *store.Store {
	b.Helper()
	s := conformance.Open(b, address)
	if _, err := s.PutDomain(b.Context(), conformance.NewDomain("hospital")); err != nil {
		b.Fatal(err)
	}
	for n := 0; n < manyUsers; n += oneBatch {
		if _, err := s.ApplyUsers(b.Context(), "hospital", someUsers(n)); err != nil {
			b.Fatal(err)
		}
	}
	exec(b, address, `INSERT INTO devices (id, account, name, platform, public_key, sealed_seed, sealed_details_key, enrolled)
		SELECT id, account, 'phone', 'ios', sealed.value, sealed.value, sealed.value, 0
		FROM users CROSS JOIN (SELECT value FROM meta WHERE name = 'check') AS sealed WHERE account NOT LIKE '%3' AND account NOT LIKE '%6' AND account NOT LIKE '%9'`)
	return s
}

func someUsers(from int) []store.UserChange {
	batch := make([]store.UserChange, oneBatch)
	for n := range batch {
		batch[n] = someUser(from + n)
	}
	return batch
}

// BenchmarkUsers measures what an administrator and a synchronisation do with 100,000 users.
func BenchmarkUsers(b *testing.B) {
	for _, engine := range []struct {
		name  string
		fresh func(testing.TB) string
		exec  func(testing.TB, string, string)
	}{
		{"sqlite", freshFile, execFile},
		{"postgres", func(t testing.TB) string { return shared.get(t).fresh(t) }, func(t testing.TB, address, statement string) {
			shared.get(t).exec(t, database(address), statement)
		}},
	} {
		b.Run(engine.name, func(b *testing.B) {
			s := manyUsersIn(b, engine.fresh(b), engine.exec)
			benchmarkPages(b, s)
			benchmarkSearches(b, s)
			benchmarkChanges(b, s)
		})
	}
}

func benchmarkPages(b *testing.B, s *store.Store) {
	yes, no := true, false
	middle, err := s.Users(b.Context(), store.UserQuery{Text: "novak", Most: 1})
	if err != nil {
		b.Fatal(err)
	}
	few := sallyport.Scope{OUs: []string{"OU=Department 3,OU=Staff,DC=hospital,DC=example"}}
	for name, q := range map[string]store.UserQuery{
		"first": {}, "middle": {After: middle.Next}, "enrolled": {Enrolled: &yes}, "not_enrolled": {Enrolled: &no},
		"policy": {Policy: "default"}, "disabled": {State: sallyport.UserDisabled}, "domain": {Domain: "hospital"},
		"ou_of_5000": {OU: few.OUs[0]}, "ou_of_all": {OU: "OU=Staff,DC=hospital,DC=example"}, "scope_of_5000": {Scope: few},
		"scope_of_all": {Scope: sallyport.Scope{OUs: []string{"OU=Staff,DC=hospital,DC=example"}}},
	} {
		b.Run("page/"+name, func(b *testing.B) { benchmarkQuery(b, s, q) })
	}
}

func benchmarkSearches(b *testing.B, s *store.Store) {
	for name, text := range map[string]string{
		"one": "u012345", "family_name": "mulleraa", "letter": "a", "two_common": "smith anna", "two_of_nobody": "smith mulleraa", "nobody": "xyzzy",
	} {
		b.Run("search/"+name, func(b *testing.B) { benchmarkQuery(b, s, store.UserQuery{Text: text}) })
	}
}

func benchmarkQuery(b *testing.B, s *store.Store, q store.UserQuery) {
	for b.Loop() {
		if _, err := s.Users(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkChanges(b *testing.B, s *store.Store) {
	b.Run("account", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.UserByAccount(b.Context(), `hospital\u012345`); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("policies", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.UserPolicies(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("licences", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.Licences(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			if err := s.EachUser(b.Context(), store.UserQuery{}, func(sallyport.User) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, change := range []struct {
		name string
		make func(round, n int) store.UserChange
	}{
		{"nothing_new", func(_, n int) store.UserChange { return someUser(n) }},
		{"new_mail", func(round, n int) store.UserChange {
			c := someUser(n)
			c.Mail = fmt.Sprintf("%d.%d@hospital.example", round, n)
			return c
		}},
		{"new", func(round, n int) store.UserChange { return someUser(manyUsers + round*oneBatch + n) }},
	} {
		b.Run("apply_1000/"+change.name, func(b *testing.B) {
			for round := 0; b.Loop(); round++ {
				batch := make([]store.UserChange, oneBatch)
				for n := range batch {
					batch[n] = change.make(round, n)
				}
				if _, err := s.ApplyUsers(b.Context(), "hospital", batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("assign_all", func(b *testing.B) {
		if _, err := s.PutUserPolicy(b.Context(), sallyport.UserPolicy{ID: "pilot", Name: "Pilot"}); err != nil {
			b.Fatal(err)
		}
		for n := 0; b.Loop(); n++ {
			policy := []sallyport.UserPolicyID{"pilot", "default"}[n%2]
			if moved, err := s.AssignPolicy(b.Context(), store.UserQuery{}, policy, sallyport.PolicyByHand); err != nil || moved < manyUsers {
				b.Fatal(moved, err)
			}
		}
	})
}
