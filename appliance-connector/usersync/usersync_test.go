package usersync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
	"github.com/sallyport/sallyport/test/harness"
)

const everybody = "acctexpired alice bob carol disabled(disabled) expiredpw hours locked mustchange svc wks"

func TestTheListFollowsTheDirectory(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	w.run(sallyport.SynchroniseFull, "11 0 0")
	if got := w.list(); got != everybody {
		t.Errorf("list: %s", got)
	}
	carol := w.user("carol")
	if carol.UPN != harness.CarolUPN || carol.Mail != "carol@hospital.test" || carol.DisplayName != "Carol Jones" || len(carol.GUID) != 32 ||
		carol.PolicyFrom != sallyport.PolicyByDefault || carol.Policy == "" {
		t.Errorf("carol: %+v", carol)
	}
	if y := w.run(sallyport.SynchroniseChanges, "0 0 0"); y.Read > 2 { // whoever logged in meanwhile is read, and changed nothing
		t.Errorf("%d read although nothing changed", y.Read)
	}
	alice, bob, hours := w.user("alice"), w.user("bob"), w.user("hours")
	w.dc.AddUser("newcomer", "Passw0rd.1")
	w.dc.Admin(func(c *ldap.Conn) error {
		return errors.Join(
			replace(c, staff("alice Test"), "sAMAccountName", "alice.smith"), // renamed
			replace(c, staff("bob Test"), "userAccountControl", "514"),       // disabled
			replace(c, staff("disabled Test"), "userAccountControl", "512"),  // enabled
			c.Del(ldap.NewDelRequest(staff("hours Test"), nil)),              // deleted
			move(c, staff("wks Test"), "CN=Users,"+harness.SambaBaseDN),      // moved out of the base
			addOU(c, "OU=Elsewhere,"+harness.SambaBaseDN),
		)
	})
	y := w.run(sallyport.SynchroniseChanges, "1 3 2")
	if !strings.Contains(y.Message, "OUs were changed") {
		t.Errorf("message %q", y.Message)
	}
	if got := w.list(); got != "acctexpired alice.smith bob(disabled) carol disabled expiredpw locked mustchange newcomer svc" {
		t.Errorf("list: %s", got)
	}
	if now := w.user("alice.smith"); now.ID != alice.ID {
		t.Error("a renamed user is another one")
	}
	// Changes of people alone: read by what changed.
	w.dc.Admin(func(c *ldap.Conn) error {
		return errors.Join(
			c.Del(ldap.NewDelRequest(staff("bob Test"), nil)),
			c.Del(ldap.NewDelRequest(staff("newcomer"), nil)),
			move(c, "CN=wks Test,CN=Users,"+harness.SambaBaseDN, harness.SambaStaffDN), // back again
			replace(c, staff("svc Test"), "displayName", "Service"),
		)
	})
	w.dc.AddUser("bob", "Passw0rd.1") // made anew: somebody else
	y = w.run(sallyport.SynchroniseChanges, "1 2 2")
	if strings.Contains(y.Message, "Everything") || y.Read > 6 {
		t.Errorf("%d read, %q", y.Read, y.Message)
	}
	if got := w.list(); got != "acctexpired alice.smith bob carol disabled expiredpw locked mustchange svc wks" {
		t.Errorf("list: %s", got)
	}
	if w.user("bob").ID == bob.ID {
		t.Error("an account made anew is the same user")
	}
	if was, err := w.store.User(t.Context(), hours.ID); err != nil || was.State != sallyport.UserRemoved {
		t.Errorf("a deleted user: %+v, %v", was, err)
	}
	w.run(sallyport.SynchroniseFull, "0 0 0") // which finds nothing that the changes did not
}

func TestAServiceAccountThatSeesDeletedObjectsIsEnough(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	d := w.domain
	d.BindName, d.BindPassword = "Administrator@"+harness.UPNSuffix, harness.AdminPassword
	w.put(d)
	w.run(sallyport.SynchroniseFull, "11 0 0")
	w.dc.Admin(func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(staff("hours Test"), nil)) })
	w.run(sallyport.SynchroniseChanges, "0 0 1")
}

func TestWhereItEndedIsForgottenWithTheDomainController(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	y := w.run(sallyport.SynchroniseChanges, "11 0 0")
	if !strings.Contains(y.Message, "first time") {
		t.Errorf("the first one: %q", y.Message)
	}
	cursor, err := w.store.SyncCursor(t.Context(), domainID)
	w.must(err)
	for text, want := range map[string]string{
		`{"invocation":"00112233445566778899aabbccddeeff","usn":1}`: "another domain controller",
		"no cursor": "is not known", "": "first time",
		strings.Replace(string(cursor), `"usn":`, `"usn":9`, 1): "is not known", // further than the controller itself
	} {
		w.must(w.store.SetSyncCursor(t.Context(), domainID, []byte(text)))
		if y := w.run(sallyport.SynchroniseChanges, "0 0 0"); !strings.Contains(y.Message, want) || y.Read != 11 {
			t.Errorf("%s: %d read, %q", text, y.Read, y.Message)
		}
	}
	w.ahead.Store(int64(25 * time.Hour))
	if y := w.run(sallyport.SynchroniseChanges, "0 0 0"); !strings.Contains(y.Message, "once a day") {
		t.Errorf("a day later: %q", y.Message)
	}
	d := w.domain
	d.Scope = []sallyport.DirectoryObject{{Kind: sallyport.ObjectOU, DN: strings.ToLower(harness.SambaStaffDN)}}
	w.put(d)
	if y := w.run(sallyport.SynchroniseChanges, "0 0 0"); !strings.Contains(y.Message, "was changed") {
		t.Errorf("with another scope: %q", y.Message)
	}
}

func TestAScopeOfOUsAndGroups(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	ward := "OU=Ward," + harness.SambaStaffDN
	w.dc.Admin(func(c *ldap.Conn) error { return errors.Join(addOU(c, ward), move(c, staff("wks Test"), ward)) })
	d := w.domain
	d.Base = ""
	d.Scope = []sallyport.DirectoryObject{{Kind: sallyport.ObjectOU, DN: ward}, {Kind: sallyport.ObjectGroup, DN: harness.RemoteAccessDN}}
	w.put(d)
	w.run(sallyport.SynchroniseFull, "3 0 0")
	if got := w.list(); got != "alice bob wks" { // alice by way of two other groups
		t.Errorf("list: %s", got)
	}
	w.dc.Admin(func(c *ldap.Conn) error {
		return errors.Join(
			replace(c, harness.NursesDN, "member", staff("locked Test")), // alice leaves and locked comes, and neither's entry changes
			move(c, "CN=wks Test,"+ward, harness.SambaStaffDN),
			move(c, staff("hours Test"), ward),
		)
	})
	w.run(sallyport.SynchroniseChanges, "2 0 2")
	if got := w.list(); got != "bob hours locked" {
		t.Errorf("list: %s", got)
	}
	// An OU that is renamed takes its people along.
	w.dc.Admin(func(c *ldap.Conn) error {
		return c.ModifyDN(ldap.NewModifyDNRequest(ward, "OU=Gone", true, ""))
	})
	w.run(sallyport.SynchroniseChanges, "0 0 1")
	// A group that is gone is no reason to remove those who were in it.
	w.dc.Admin(func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(harness.RemoteAccessDN, nil)) })
	y, err := w.sync.Synchronise(t.Context(), domainID, sallyport.SynchroniseChanges, admin)
	if err != nil || y.State != sallyport.SynchronisationFailed || !strings.Contains(y.Message, harness.RemoteAccessDN) {
		t.Errorf("%s %q, %v", y.State, y.Message, err)
	}
	if got := w.list(); got != "bob locked" {
		t.Errorf("list: %s", got)
	}
}

func TestRulesGivePolicies(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	nurses, doctors, others := w.policy("Nurses"), w.policy("Doctors"), w.policy("Others")
	w.rules(rule(sallyport.ObjectGroup, harness.NursesDN, nurses), rule(sallyport.ObjectGroup, harness.RemoteAccessDN, doctors),
		sallyport.AssignmentRule{Domain: domainID, Object: sallyport.DirectoryObject{Kind: sallyport.ObjectOU, DN: "OU=Ward," + harness.SambaStaffDN}, Policy: others})
	w.run(sallyport.SynchroniseFull, "11 0 0")
	standard, err := w.store.DefaultUserPolicy(t.Context())
	w.must(err)
	byDefault := string(standard.ID) + "/default"
	if got := w.policies("alice", "bob", "carol"); got != "alice:nurses/rule bob:doctors/rule carol:"+byDefault {
		t.Errorf("first fit: %s", got)
	}
	_, err = w.store.As(admin).AssignPolicy(t.Context(), store.UserQuery{IDs: []sallyport.UserID{w.user("locked").ID}}, others, sallyport.PolicyByHand)
	w.must(err)
	// Out of the first group, alice has the next rule's; without any, bob has the default one.
	w.dc.Admin(func(c *ldap.Conn) error {
		return errors.Join(
			replace(c, harness.NursesDN, "member", staff("locked Test")),
			replace(c, harness.RemoteAccessDN, "member", staff("alice Test")),
		)
	})
	y := w.run(sallyport.SynchroniseChanges, "0 2 0")
	if got := w.policies("alice", "bob", "locked"); got != "alice:doctors/rule bob:"+byDefault+" locked:others/hand" {
		t.Errorf("after the groups changed: %s", got)
	}
	if strings.Contains(y.Message, "Everything") {
		t.Errorf("message %q", y.Message)
	}
	w.rules(rule(sallyport.ObjectOU, harness.SambaStaffDN, others))
	w.run(sallyport.SynchroniseChanges, "0 10 0") // everybody but locked
	w.must(w.store.As(admin).SetDefaultUserPolicy(t.Context(), nurses))
	w.rules(rule(sallyport.ObjectGroup, "CN=Nobody,"+harness.SambaStaffDN, others))
	if y := w.run(sallyport.SynchroniseChanges, "0 10 0"); !strings.Contains(y.Message, "CN=Nobody") {
		t.Errorf("nobody is told of a rule that cannot fit: %q", y.Message)
	}
	if got := w.policies("carol"); got != "carol:nurses/default" {
		t.Errorf("with another default: %s", got)
	}
}

func TestRemovingManyUsersTakesAPerson(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	w.run(sallyport.SynchroniseFull, "11 0 0")
	elsewhere := "OU=Elsewhere," + harness.SambaBaseDN
	w.dc.Admin(func(c *ldap.Conn) error {
		err := addOU(c, elsewhere)
		for _, name := range []string{"alice", "bob", "locked", "hours", "wks", "disabled"} {
			err = errors.Join(err, move(c, staff(name+" Test"), elsewhere))
		}
		return errors.Join(err, replace(c, staff("svc Test"), "displayName", "Service"))
	})
	p, err := w.sync.Preview(t.Context(), domainID, 4, admin)
	if err != nil || !p.Asks || len(p.Removed) != 4 || p.Run.Removed != 6 || p.Run.Changed != 1 {
		t.Errorf("preview: %+v, %v", p, err)
	}
	for _, kind := range []sallyport.SynchronisationKind{sallyport.SynchroniseChanges, sallyport.SynchroniseFull} {
		y, err := w.sync.Synchronise(t.Context(), domainID, kind, admin)
		if err != nil || y.State != sallyport.SynchronisationAsks || y.Removed != 6 || !strings.Contains(y.Message, "6 of 11 users") {
			t.Fatalf("%s: %+v, %v", kind, y, err)
		}
	}
	if got := w.list(); got != everybody || w.user("svc").DisplayName != "svc Test" {
		t.Errorf("something was changed: %s", got)
	}
	runs, err := w.store.Synchronisations(t.Context(), domainID, 10)
	w.must(err)
	if _, err := w.sync.ConfirmNow(t.Context(), domainID, runs[1].ID, admin); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("confirming one that another one came after: %v", err)
	}
	// More would be removed than was asked about.
	w.dc.Admin(func(c *ldap.Conn) error { return move(c, staff("expiredpw Test"), elsewhere) })
	y, err := w.sync.ConfirmNow(t.Context(), domainID, runs[0].ID, admin)
	if err != nil || y.State != sallyport.SynchronisationAsks || y.Removed != 7 {
		t.Fatalf("more than was asked about: %+v, %v", y, err)
	}
	y, err = w.sync.ConfirmNow(t.Context(), domainID, y.ID, admin)
	if err != nil || y.State != sallyport.SynchronisationDone || y.Removed != 7 || y.By != "ann" {
		t.Fatalf("confirmed: %+v, %v", y, err)
	}
	if got := w.list(); got != "acctexpired carol mustchange svc" || w.user("svc").DisplayName != "Service" {
		t.Errorf("list: %s", got)
	}
}

func TestAPreviewTellsAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	w.run(sallyport.SynchroniseFull, "11 0 0")
	w.dc.AddUser("newcomer", "Passw0rd.1")
	w.dc.Admin(func(c *ldap.Conn) error {
		return errors.Join(
			replace(c, staff("alice Test"), "mail", "alice@elsewhere.test"),
			replace(c, staff("wks Test"), "displayName", strings.Repeat("w", 256)), // as long as is kept, and no longer
			c.Del(ldap.NewDelRequest(staff("hours Test"), nil)))
	})
	nurses := w.policy("Nurses")
	w.rules(rule(sallyport.ObjectGroup, harness.NursesDN, nurses))
	p, err := w.sync.Preview(t.Context(), domainID, 10, admin)
	w.must(err)
	if p.Asks || fmt.Sprint(p.Run.Added, p.Run.Changed, p.Run.Removed) != "1 2 1" || len(p.Added) != 1 || len(p.Changed) != 2 || len(p.Removed) != 1 {
		t.Fatalf("preview: %+v", p)
	}
	for _, c := range p.Changed {
		if c.Account == `hospital\alice` && (strings.Join(c.Fields, " ") != "mail policy" || c.Policy != nurses) {
			t.Errorf("alice: %+v", c)
		}
	}
	if p.Added[0].Account != `hospital\newcomer` || p.Removed[0].Account != `hospital\hours` {
		t.Errorf("preview: %+v", p)
	}
	if got := w.list(); got != everybody || w.user("alice").Mail != "alice@hospital.test" {
		t.Errorf("something was changed: %s", got)
	}
	w.run(sallyport.SynchroniseChanges, "1 2 1") // as foreseen
	if p, err := w.sync.Preview(t.Context(), domainID, 10, admin); err != nil || p.Run.Added+p.Run.Changed+p.Run.Removed != 0 {
		t.Errorf("afterwards: %+v, %v", p, err)
	}
}

func TestWhoeverHasTheRightPasswordIsAdmittedWithinTheScope(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	nurses := w.policy("Nurses")
	w.rules(rule(sallyport.ObjectGroup, harness.CliniciansDN, nurses))
	d := w.domain
	d.Scope = []sallyport.DirectoryObject{{Kind: sallyport.ObjectGroup, DN: harness.RemoteAccessDN}}
	w.put(d)
	for name, within := range map[string]bool{"alice": true, "carol": false} {
		res, err := w.dir.Verify(t.Context(), name, harness.UserPassword, nil)
		if err != nil || res.State != sallyport.AccountOK {
			t.Fatalf("%s: %q, %v", name, res.State, err)
		}
		u, ok, err := w.sync.Admit(t.Context(), res.Account)
		if err != nil || ok != within || ok && (u.Account != res.Account.Name || u.GUID != res.Account.GUID || u.Policy != nurses || u.PolicyFrom != sallyport.PolicyByRule) {
			t.Errorf("%s: %v %+v, %v", name, ok, u, err)
		}
	}
	if got := w.list(); got != "alice" {
		t.Errorf("list: %s", got)
	}
	again, ok, err := w.sync.Admit(t.Context(), sallyport.Account{Domain: domainID, GUID: w.user("alice").GUID, Name: `hospital\alice`})
	if err != nil || !ok || again.ID != w.user("alice").ID {
		t.Errorf("admitted twice: %v, %v", ok, err)
	}
	if _, ok, err := w.sync.Admit(t.Context(), sallyport.Account{Domain: domainID, GUID: w.user("alice").GUID, Name: `hospital\bob`}); err != nil || ok {
		t.Errorf("with another one's name: %v, %v", ok, err)
	}
	w.run(sallyport.SynchroniseFull, "1 0 0") // as the synchronisation would: only bob is new
}

func TestOneApplianceSynchronisesADueDomain(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	d := w.domain
	d.Every = time.Hour
	w.put(d)
	ctx, stop := context.WithCancel(t.Context())
	services := []*usersync.Service{w.sync, w.appliance("appliance-2"), w.appliance("appliance-3")}
	var wg sync.WaitGroup
	for _, s := range services {
		wg.Go(func() { // each looks at once: a domain that never was synchronised is due
			if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	done := func(n int) func() bool {
		return func() bool {
			runs, err := w.store.Synchronisations(t.Context(), domainID, 10)
			w.must(err)
			if len(runs) > n {
				t.Fatalf("%d synchronisations: %+v", len(runs), runs)
			}
			return len(runs) == n && runs[0].State == sallyport.SynchronisationDone
		}
	}
	await(t, "the first synchronisation", done(1))
	for _, s := range services {
		s.RunDue(t.Context()) // nothing is due
	}
	await(t, "no second one", done(1))
	runs, err := w.store.Synchronisations(t.Context(), domainID, 10)
	w.must(err)
	if next, ok := usersync.Next(d, runs); !ok || !next.Equal(runs[0].Started.Add(time.Hour)) || runs[0].By != "schedule" {
		t.Errorf("next: %v, %v, by %s", next, ok, runs[0].By)
	}
	w.ahead.Store(int64(61 * time.Minute))
	var due sync.WaitGroup
	for _, s := range services {
		due.Go(func() { s.RunDue(t.Context()) })
	}
	due.Wait()
	await(t, "the second synchronisation", done(2))
	if _, err := w.sync.Start(t.Context(), domainID, sallyport.SynchroniseFull, admin); err != nil {
		t.Error(err)
	}
	await(t, "the one that somebody asked for", done(3))
	stop()
	wg.Wait()
	if _, err := w.sync.Start(t.Context(), domainID, sallyport.SynchroniseFull, admin); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("when stopped: %v", err)
	}
	if got := w.list(); got != everybody {
		t.Errorf("list: %s", got)
	}
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestALeaseThatWasNotGivenBackEnds(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	now := w.now()
	if ok, err := w.store.LeaseSynchronisation(t.Context(), domainID, "appliance-9", now, now.Add(3*time.Minute)); err != nil || !ok {
		t.Fatal(ok, err)
	}
	left := sallyport.Synchronisation{ID: "left", Domain: domainID, Kind: sallyport.SynchroniseFull, State: sallyport.SynchronisationRunning, Started: now, Told: now, By: "schedule"}
	w.must(w.store.PutSynchronisation(t.Context(), left))
	if _, err := w.sync.Synchronise(t.Context(), domainID, sallyport.SynchroniseFull, admin); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("while another appliance has the lease: %v", err)
	}
	w.ahead.Store(int64(4 * time.Minute))
	w.run(sallyport.SynchroniseFull, "11 0 0")
	runs, err := w.store.Synchronisations(t.Context(), domainID, 10)
	if err != nil || runs[1].State != sallyport.SynchronisationInterrupted || !strings.Contains(runs[1].Message, "has stopped") {
		t.Errorf("the one that was left running: %+v, %v", runs[1], err)
	}
}

func TestAFailureIsToldAndTriedAgain(t *testing.T) {
	t.Parallel()
	w := hospital(t)
	d := w.domain
	d.Every = 6 * time.Hour
	w.put(d)
	w.dc.Kill()
	y, err := w.sync.Synchronise(t.Context(), domainID, sallyport.SynchroniseChanges, admin)
	if err != nil || y.State != sallyport.SynchronisationFailed || !strings.Contains(y.Message, "does not answer") {
		t.Errorf("%+v, %v", y, err)
	}
	runs, err := w.store.Synchronisations(t.Context(), domainID, 10)
	w.must(err)
	if next, ok := usersync.Next(d, runs); !ok || !next.Equal(runs[0].Ended.Add(5*time.Minute)) {
		t.Errorf("next: %v", next)
	}
	w.dc.Start()
	w.ahead.Store(int64(time.Minute))
	w.run(sallyport.SynchroniseChanges, "11 0 0")
	if _, err := w.sync.Synchronise(t.Context(), "elsewhere", sallyport.SynchroniseFull, admin); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("a domain that is not there: %v", err)
	}
}
