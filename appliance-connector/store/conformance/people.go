package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func people() []conform {
	return []conform{
		{"a new database has its defaults", defaults},
		{"a domain comes back as it was put", domainComesBack},
		{"a wrong domain is refused with words", domainRefused},
		{"a domain edited behind the store's back is not used", domainEdited},
		{"a deleted domain leaves removed users", domainDeleted},
		{"synchronisations are written and listed, the newest first", synchronisations},
		{"a cursor is kept until other users are meant", syncCursor},
		{"one appliance synchronises a domain", syncLease},
		{"a user policy comes back as it was put", policyComesBack},
		{"a user policy saved by many at once is saved once", policyAtOnce},
		{"there is one default user policy", defaultPolicy},
		{"an enrol rule comes back as it was put", enrolRules},
		{"a user policy belongs to one enrol rule", associations},
		{"assignment rules keep their order", assignmentRules},
		{"licences are counted", licences},
		{"the login workflow is replaced whole", workflow},
		{"allowing remembered devices again begins anew", rememberSince},
		{"users become what the directory says", usersApplied},
		{"a batch of users is recorded once", usersRecorded},
		{"a wrong batch of users changes nothing", usersRefused},
		{"users are found", usersFound},
		{"users are paged by name", usersPaged},
		{"a user policy is assigned to those meant", policyAssigned},
		{"a second factor is required from a time on", secondFactorRequired},
		{"what an account has follows a renamed user", renamedFollow},
		{"users swap names in one batch", namesSwapped},
		{"users swap names in two batches", namesSwappedApart},
		{"an account made again inherits nothing", madeAgain},
		{"an account made again before the old one is gone inherits nothing", madeAgainApart},
		{"a former name gives nothing to others", formerName},
		{"users renamed by many at once keep what is theirs", renamedAtOnce},
		{"a temporary code matches until it ends", temporaryCodes},
		{"temporary codes end with the usual login", temporaryCodesEnd},
		{"an account has one temporary code", temporaryCodeAtOnce},
		{"a temporary code edited behind the store's back is not used", temporaryCodeEdited},
		{"a remembered device comes back as it was put", rememberedComesBack},
		{"a remembered device's uses only go up", rememberedUsed},
		{"remembered devices are forgotten for good", rememberedForgotten},
		{"an account has a bounded number of remembered devices", rememberedBounded},
		{"settings that belong together are saved by version", sections},
	}
}

// chief is who changes things in these tests.
var chief = sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: "chief-1", Name: "chief@hospital.example", Role: sallyport.RoleSuper}

// NewDomain returns a domain for tests, made out of a word.
func NewDomain(word string) sallyport.Domain {
	return sallyport.Domain{
		ID: sallyport.DomainID(word), Name: word + ".example", NetBIOS: strings.ToUpper(word),
		Servers:  []string{fmt.Sprintf("ldaps://dc1.%s.example", word), fmt.Sprintf("ldaps://dc2.%s.example:636", word)},
		BindName: "reader@" + word + ".example", BindPassword: sallyport.Secret("bind-password-of-" + word),
		Base: fmt.Sprintf("DC=%s,DC=example", word), UPNSuffixes: []string{word + ".test"},
		Scope: []sallyport.DirectoryObject{{Kind: sallyport.ObjectOU, DN: fmt.Sprintf("OU=Staff,DC=%s,DC=example", word)}},
		Every: time.Hour,
	}
}

// hospital is a store with a domain of that name.
func hospital(t *testing.T, e Engine) *store.Store {
	t.Helper()
	s := Open(t, e.Fresh(t))
	_, err := s.As(chief).PutDomain(t.Context(), NewDomain("hospital"))
	must(t, err)
	return s
}

// guidOf makes up the objectGUID of somebody.
func guidOf(who string) string {
	sum := sha256.Sum256([]byte(who))
	return hex.EncodeToString(sum[:16])
}

// person is an active user of the domain hospital; who makes the objectGUID, word all names.
func person(who, word string) store.UserChange {
	return store.UserChange{
		GUID: guidOf(who), State: sallyport.UserActive, Account: sallyport.NewAccountName("hospital", word),
		UPN: word + "@hospital.example", DN: "CN=" + word + ",OU=Staff,DC=hospital,DC=example",
		DisplayName: strings.ToUpper(word[:1]) + word[1:] + " Example", Mail: word + "@mail.example",
	}
}

func gone(who string) store.UserChange {
	return store.UserChange{GUID: guidOf(who), State: sallyport.UserRemoved}
}

func apply(t *testing.T, s *store.Store, changes ...store.UserChange) store.Applied {
	t.Helper()
	applied, err := s.ApplyUsers(atLeisure(t), "hospital", changes)
	must(t, err)
	return applied
}

func userOf(t *testing.T, s *store.Store, who string) sallyport.User {
	t.Helper()
	u, err := s.UserByGUID(t.Context(), "hospital", guidOf(who))
	must(t, err)
	return u
}

// accounts lists whom a query finds, without the domain.
func accounts(t *testing.T, s *store.Store, q store.UserQuery) string {
	t.Helper()
	page, err := s.Users(atLeisure(t), q)
	must(t, err)
	names := make([]string, len(page.Users))
	for n, u := range page.Users {
		names[n] = u.Account.User()
	}
	if page.Next == "" && q.After == "" && page.Total != len(names) {
		t.Errorf("%+v: %d users of %d", q, len(names), page.Total)
	}
	return strings.Join(names, " ")
}

// lastRecord returns the newest audit record with an action.
func lastRecord(t *testing.T, s *store.Store, action string) sallyport.AuditRecord {
	t.Helper()
	page, err := s.AuditRecords(t.Context(), store.AuditQuery{Action: action, Most: 1})
	must(t, err)
	if len(page.Records) == 0 {
		t.Fatalf("no audit record of %q", action)
	}
	return page.Records[0]
}

// decode reads what an audit record says was before or after.
func decode[T any](t *testing.T, text json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// wantOvertaken wants a conflict whose words name who was first, and when.
func wantOvertaken(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, chief.Name) || !strings.Contains(m, "23 November 2026 at 08:00:00 UTC") {
		t.Errorf("the message %q does not name who changed it and when", m)
	}
}

func wantWords(t *testing.T, err error, code sallyport.Code, words string) {
	t.Helper()
	wantCode(t, err, code)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, words) {
		t.Errorf("the message %q lacks %q", m, words)
	}
}

// raises reports whether do raises the revision.
func raises(t *testing.T, s *store.Store, do func(context.Context) error) bool {
	t.Helper()
	before, err := s.Revision(t.Context())
	must(t, err)
	must(t, do(t.Context()))
	after, err := s.Revision(t.Context())
	must(t, err)
	return after > before
}
