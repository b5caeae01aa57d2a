package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// helpDesk is somebody who administers in these tests.
var helpDesk = sallyport.Actor{Kind: sallyport.ActorAdministrator, ID: "adm-1", Name: "Helen Desk", Role: sallyport.RoleHelpDesk, Address: "192.0.2.9"}

// openChain opens a store that writes a chain of its own, by a clock of its own.
func openChain(t testing.TB, address, chain string, now func() time.Time) *store.Store {
	t.Helper()
	return open(t, address, Master(), store.WithChain(chain), store.WithNow(now))
}

func open(t testing.TB, address string, master sallyport.Key, options ...store.Option) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), address, master, options...)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// decisions are n records, one a minute.
func decisions(n int) []sallyport.AuditRecord {
	list := make([]sallyport.AuditRecord, n)
	for i := range list {
		list[i] = sallyport.AuditRecord{Time: start.Add(time.Duration(i) * time.Minute), Action: "login.denied", Object: `hospital\alice`,
			ObjectID: "user-1", Reason: "wrong_code", SupportCode: fmt.Sprintf("ABCD-%04d", i), After: json.RawMessage(`{"factor":"app"}`),
			Actor: sallyport.Actor{Kind: sallyport.ActorUser, Name: "alice", Address: "198.51.100.1"}}
	}
	return list
}

// holdsUp wants the trail to verify.
func holdsUp(t testing.TB, s *store.Store, records int64) {
	t.Helper()
	var last int64
	found, err := s.VerifyAudit(t.Context(), func(n int64) { last = n })
	must(t, err)
	if found != nil || last != records {
		t.Fatalf("found %+v after %d records, want none after %d", found, last, records)
	}
}

func changesRecorded(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	as := s.As(helpDesk)
	i, d := NewIntegration("a", 1), NewDevice("phone", alice)
	must(t, putIntegration(ctx, as, i))
	i.Secret = "another-secret"
	must(t, putIntegration(ctx, as, i))
	must(t, as.DeleteIntegration(ctx, "a", 0))
	must(t, as.PutDevice(ctx, d))
	must(t, as.DeleteDevice(ctx, d.ID))
	must(t, as.SetSetting(ctx, "greeting", "hello"))
	must(t, as.SetSetting(ctx, "greeting", "good morning"))
	must(t, as.PutEnrolment(ctx, store.Enrolment{ID: "e1", Account: alice, Secret: Master(), Created: start, Expires: start.Add(time.Hour)}))
	must(t, as.PutInvite(ctx, store.Invite{ID: "i1", Secret: "JOIN-CODE", Created: start, Expires: start.Add(time.Hour)}))
	_, err := as.TakeInvite(ctx, "i1", start)
	must(t, err)
	must(t, s.SetSetting(ctx, "by", "itself"))
	wantCode(t, as.DeleteDevice(ctx, d.ID), sallyport.CodeNotFound) // no change, no record
	var got []string
	must(t, s.EachAuditRecord(ctx, store.AuditQuery{}, func(r sallyport.AuditRecord) error {
		got = append(got, fmt.Sprintf("%d %s %s %v %v", r.Sequence, r.Action, r.Actor.Name, r.Before != nil, r.After != nil))
		text := string(r.Before) + string(r.After)
		for _, secret := range []string{"radius-secret", "another-secret", "JOIN-CODE", "mmmm"} {
			if strings.Contains(text, secret) {
				t.Errorf("record %d shows a secret: %s", r.Sequence, text)
			}
		}
		if r.Action == "integration.change" && !strings.Contains(text, `"NewSecret":true`) {
			t.Errorf("the record does not say that the secret is another: %s", text)
		}
		return nil
	}))
	want := []string{
		"1 integration.create Helen Desk false true", "2 integration.change Helen Desk true true", "3 integration.delete Helen Desk true false",
		"4 device.enrol Helen Desk false true", "5 device.delete Helen Desk true false",
		"6 setting.change Helen Desk false true", "7 setting.change Helen Desk true true",
		"8 enrolment.create Helen Desk false true", "9 invitation.create Helen Desk false true", "10 invitation.use Helen Desk true false",
		"11 setting.change  false true",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	holdsUp(t, s, 11)
}

func auditComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	hostile := sallyport.AuditRecord{Action: "login.denied", Object: "a\x00b\xff" + strings.Repeat("ü", 2000), Reason: "\u202e",
		Before: json.RawMessage("not JSON \x00"), After: json.RawMessage(`"` + strings.Repeat("x", 2<<20) + `"`)}
	list := append(decisions(70), hostile)
	must(t, s.AppendAudit(ctx, list))
	must(t, s.AppendAudit(ctx, nil))
	var got []sallyport.AuditRecord
	must(t, s.EachAuditRecord(ctx, store.AuditQuery{}, func(r sallyport.AuditRecord) error { got = append(got, r); return nil }))
	if len(got) != 71 {
		t.Fatalf("%d records", len(got))
	}
	for n, want := range decisions(70) {
		want.Chain, want.Sequence = "local", int64(n+1)
		if !reflect.DeepEqual(got[n], want) {
			t.Fatalf("got %+v, want %+v", got[n], want)
		}
	}
	last := got[70]
	if !strings.HasPrefix(last.Object, "a b\uFFFDüü") || len(last.Object) > 1024 || string(last.Before) != `"not JSON  "` ||
		string(last.After) != `{"tooLong":true,"octets":2097154}` || !last.Time.Equal(start) || last.Actor.Kind != sallyport.ActorSystem {
		t.Errorf("got %+v", last)
	}
	holdsUp(t, s, 71)
	wantCode(t, s.AppendAudit(ctx, decisions(1001)), sallyport.CodeInvalid)
}

func auditQueried(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, b, ctx := Open(t, address), openChain(t, address, "b", func() time.Time { return start }), t.Context()
	must(t, s.AppendAudit(ctx, decisions(25)))
	must(t, b.AppendAudit(ctx, decisions(25))) // the same times
	must(t, b.As(helpDesk).SetSetting(ctx, "greeting", "Grüße"))
	for name, c := range map[string]struct {
		query store.AuditQuery
		want  int
	}{
		"all":                       {store.AuditQuery{}, 51},
		"one chain":                 {store.AuditQuery{Chain: "b"}, 26},
		"a time":                    {store.AuditQuery{From: start.Add(5 * time.Minute), To: start.Add(10 * time.Minute)}, 10},
		"an action":                 {store.AuditQuery{Action: "setting.change"}, 1},
		"a noun":                    {store.AuditQuery{Action: "login."}, 50},
		"a noun that only begins":   {store.AuditQuery{Action: "log."}, 0},
		"an actor by name":          {store.AuditQuery{Actor: "Helen Desk"}, 1},
		"an actor by id":            {store.AuditQuery{Actor: "adm-1"}, 1},
		"an object by id":           {store.AuditQuery{Object: "user-1"}, 50},
		"an object by name":         {store.AuditQuery{Object: "greeting"}, 1},
		"a support code":            {store.AuditQuery{SupportCode: "abcd ooo7"}, 2},
		"a text in what is after":   {store.AuditQuery{Text: "GRÜSSE"}, 1},
		"a text of who did it":      {store.AuditQuery{Text: "helen d"}, 1},
		"a text that nothing holds": {store.AuditQuery{Text: "%"}, 0},
		"what looks like a command": {store.AuditQuery{Actor: "' OR 1=1 --"}, 0},
	} {
		var pages []string
		c.query.Most = 7
		for more := true; more; more = c.query.After != "" {
			page, err := s.AuditRecords(ctx, c.query)
			must(t, err)
			if len(page.Records) > 7 {
				t.Fatalf("%s: a page of %d", name, len(page.Records))
			}
			for _, r := range page.Records {
				pages = append(pages, fmt.Sprintf("%012d %s %06d", r.Time.Unix(), r.Chain, r.Sequence))
			}
			c.query.After = page.Next
		}
		for n := 1; n < len(pages); n++ {
			if pages[n] >= pages[n-1] {
				t.Errorf("%s: %s comes after %s", name, pages[n], pages[n-1])
			}
		}
		each := 0
		must(t, s.EachAuditRecord(ctx, c.query, func(sallyport.AuditRecord) error { each++; return nil }))
		if len(pages) != c.want || each != c.want {
			t.Errorf("%s: %d in pages, %d in all, want %d", name, len(pages), each, c.want)
		}
	}
	for _, after := range []string{"x", "!", strings.Repeat("A", 2000)} {
		_, err := s.AuditRecords(ctx, store.AuditQuery{After: after})
		wantCode(t, err, sallyport.CodeInvalid)
	}
	_, err := s.AuditRecords(ctx, store.AuditQuery{Most: 1001})
	wantCode(t, err, sallyport.CodeInvalid)
	stop := errors.New("enough")
	if err := s.EachAuditRecord(ctx, store.AuditQuery{}, func(sallyport.AuditRecord) error { return stop }); err != stop {
		t.Errorf("got %v, want the caller's own error", err)
	}
}

// auditSearchGoesOn looks for one old record among many: no page searches without end, and the
// pages together find it.
func auditSearchGoesOn(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, s.As(helpDesk).SetSetting(ctx, "needle", "x"))
	for range 22 {
		list := decisions(1000)
		for n := range list {
			list[n].Time = start.Add(time.Hour)
		}
		must(t, s.AppendAudit(ctx, list))
	}
	q := store.AuditQuery{Text: "NEEDLE"}
	page, err := s.AuditRecords(ctx, q)
	must(t, err)
	if len(page.Records) != 0 || page.Next == "" {
		t.Fatalf("%d records, next %q", len(page.Records), page.Next)
	}
	q.After = page.Next
	page, err = s.AuditRecords(ctx, q)
	must(t, err)
	if len(page.Records) != 1 || page.Next != "" {
		t.Fatalf("%d records, next %q", len(page.Records), page.Next)
	}
}

// auditAtOnce appends to one chain through two stores: it stays one chain. It verifies meanwhile.
func auditAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	stores := []*store.Store{Open(t, address), Open(t, address), openChain(t, address, "b", time.Now)}
	ctx, cancel := background()
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			for range 20 {
				if err := s.AppendAudit(ctx, decisions(40)); err != nil {
					t.Errorf("append: %v", err)
				}
				if found, err := s.VerifyAudit(ctx, nil); err != nil || found != nil {
					t.Errorf("while others write: %+v, %v", found, err)
				}
			}
		})
	}
	wg.Wait()
	holdsUp(t, stores[0], 3*20*40)
}
