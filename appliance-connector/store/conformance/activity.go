package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// newLogin is the n-th login of these tests, one a minute.
func newLogin(n int) sallyport.LoginRecord {
	return sallyport.LoginRecord{ID: fmt.Sprintf("login-%06d", n), Time: start.Add(time.Duration(n) * time.Minute), Ended: start.Add(time.Duration(n)*time.Minute + time.Second),
		SupportCode: fmt.Sprintf("ABCD-%04d", n), UserName: fmt.Sprint("Ärztin", n%3), Account: alice, Integration: "vpn", Door: sallyport.DoorOverlay,
		Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodPush, Address: "198.51.100.7", Appliance: "app-1"}
}

func loginComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	open := newLogin(8)
	open.Ended, open.Outcome, open.Method = time.Time{}, sallyport.OutcomeOpen, ""
	events := []sallyport.LoginEvent{
		{SupportCode: "ABCD-0008", Time: start.Add(time.Second), Step: 5, Message: "password is right", Detail: json.RawMessage(`{"took":12}`), Appliance: "app-1"},
		{SupportCode: "ABCD-0008", Time: start, Step: 4, Message: "asking the directory", Appliance: "app-1"},
		{SupportCode: "ABCD-0009", Time: start, Step: 4, Message: "asking the directory", Appliance: "app-1"},
	}
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{open}, events))
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{open}, events)) // a batch that came twice
	got, timeline, err := s.LoginBySupportCode(ctx, "abcd ooo8")
	must(t, err)
	if !reflect.DeepEqual(got, open) || !reflect.DeepEqual(timeline, []sallyport.LoginEvent{events[1], events[0]}) {
		t.Fatalf("got %+v and %+v", got, timeline)
	}
	ended := newLogin(8)
	ended.Time = ended.Time.Add(time.Hour) // when it began is known already
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{open, ended, open}, nil))
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{open}, nil)) // late
	if got, _, err := s.LoginBySupportCode(ctx, "ABCD-0008"); err != nil || !reflect.DeepEqual(got, newLogin(8)) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, timeline, err := s.LoginBySupportCode(ctx, "ABCD-0009"); err != nil || got.ID != "" || len(timeline) != 1 {
		t.Errorf("a login of which there are events only: %+v, %+v, %v", got, timeline, err)
	}
	for _, code := range []string{"", "ABCD-9999", "' OR 1=1", strings.Repeat("A", 1000)} {
		_, _, err := s.LoginBySupportCode(ctx, code)
		wantCode(t, err, sallyport.CodeNotFound)
	}
	hostile := newLogin(9)
	hostile.UserName, hostile.Detail = "a\x00\xff"+strings.Repeat("ü", 300), strings.Repeat("x", 5000)
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{hostile}, nil))
	got, _, err = s.LoginBySupportCode(ctx, "ABCD-0009")
	must(t, err)
	if !strings.HasPrefix(got.UserName, "a \uFFFDü") || len(got.UserName) > 256 || len(got.Detail) != 1024 {
		t.Errorf("got %+v", got)
	}
	wantCode(t, s.RecordLogins(ctx, []sallyport.LoginRecord{{ID: "x"}}, nil), sallyport.CodeInvalid)
	wantCode(t, s.RecordLogins(ctx, make([]sallyport.LoginRecord, 1001), nil), sallyport.CodeInvalid)
}

func loginsQueried(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	var batch []sallyport.LoginRecord
	for n := range 60 {
		r := newLogin(n)
		r.Time = start.Add(time.Duration(n/4) * time.Minute) // several at one time
		switch {
		case n%10 == 0:
			r.Outcome, r.Account = sallyport.OutcomeDenied, bob
		case n%10 == 1:
			r.Integration, r.Address = "other", "2001:db8::1"
		}
		batch = append(batch, r)
	}
	must(t, s.RecordLogins(ctx, batch, nil))
	for name, c := range map[string]struct {
		query store.LoginQuery
		want  int
	}{
		"all":            {store.LoginQuery{}, 60},
		"a time":         {store.LoginQuery{From: start.Add(time.Minute), To: start.Add(3 * time.Minute)}, 8},
		"an account":     {store.LoginQuery{Account: bob}, 6},
		"an integration": {store.LoginQuery{Integration: "other"}, 6},
		"an outcome":     {store.LoginQuery{Outcome: sallyport.OutcomeDenied}, 6},
		"several":        {store.LoginQuery{Outcome: sallyport.OutcomeDenied, Account: bob, Integration: "vpn"}, 6},
		"none":           {store.LoginQuery{Outcome: sallyport.OutcomeDenied, Account: alice}, 0},
		"a user name":    {store.LoginQuery{Text: " äRZTIN1 "}, 20},
		"an address":     {store.LoginQuery{Text: "2001:DB8"}, 6},
		"a code":         {store.LoginQuery{Text: "abcd ooo7"}, 1},
		"part of one":    {store.LoginQuery{Text: "abcd-000"}, 10},
		"a percent sign": {store.LoginQuery{Text: "%"}, 0},
		"an underscore":  {store.LoginQuery{Text: "_rztin"}, 0},
	} {
		var seen []string
		q := c.query
		q.Most = 7
		for more := true; more; more = q.After != "" {
			page, err := s.Logins(ctx, q)
			must(t, err)
			for _, r := range page.Logins {
				seen = append(seen, fmt.Sprintf("%d %s", r.Time.Unix(), r.ID))
			}
			q.After = page.Next
		}
		for n := 1; n < len(seen); n++ {
			if seen[n] >= seen[n-1] {
				t.Errorf("%s: %s comes after %s", name, seen[n], seen[n-1])
			}
		}
		each := 0
		must(t, s.EachLogin(ctx, c.query, func(sallyport.LoginRecord) error { each++; return nil }))
		if len(seen) != c.want || each != c.want {
			t.Errorf("%s: %d in pages, %d in all, want %d", name, len(seen), each, c.want)
		}
	}
	_, err := s.Logins(ctx, store.LoginQuery{After: "AAAA"})
	wantCode(t, err, sallyport.CodeInvalid)
	loginsCounted(t, s)
}

func loginsCounted(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	counts, err := s.LoginCounts(ctx, start, start.Add(25*time.Minute), 10*time.Minute)
	must(t, err)
	want := []store.LoginCount{{From: start, Granted: 36, Denied: 4}, {From: start.Add(10 * time.Minute), Granted: 18, Denied: 2}, {From: start.Add(20 * time.Minute)}}
	if !reflect.DeepEqual(counts, want) {
		t.Errorf("got %+v, want %+v", counts, want)
	}
	for _, step := range []time.Duration{0, time.Millisecond, time.Second} {
		_, err := s.LoginCounts(ctx, start, start.Add(365*24*time.Hour), step)
		wantCode(t, err, sallyport.CodeInvalid)
	}
	_, err = s.LoginCounts(ctx, start, start, time.Hour)
	wantCode(t, err, sallyport.CodeInvalid)
}

// loginsStream deletes, when the first of many logins arrives, all but the newest thousand: what
// arrives after them would have been held in memory.
func loginsStream(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	const many = 4000
	for n := 0; n < many; n += 1000 {
		var logins []sallyport.LoginRecord
		var requests []sallyport.RADIUSActivity
		for i := range 1000 {
			logins = append(logins, newLogin(n+i))
			requests = append(requests, sallyport.RADIUSActivity{Time: newLogin(n + i).Time, UserName: "alice"})
		}
		must(t, s.RecordLogins(ctx, logins, nil))
		must(t, s.RecordRADIUS(ctx, requests))
	}
	var got, gotRADIUS int
	must(t, s.EachLogin(ctx, store.LoginQuery{}, func(r sallyport.LoginRecord) error {
		if want := newLogin(many - 1 - got); r.ID != want.ID {
			return fmt.Errorf("%s, want %s", r.ID, want.ID)
		}
		got++
		return nil
	}))
	first := errors.New("enough")
	if err := s.EachLogin(ctx, store.LoginQuery{}, func(sallyport.LoginRecord) error { return first }); err != first {
		t.Errorf("got %v, want the caller's own error", err)
	}
	must(t, s.EachRADIUS(ctx, store.RADIUSQuery{}, func(sallyport.RADIUSActivity) error { gotRADIUS++; return nil }))
	if got != many || gotRADIUS != many {
		t.Fatalf("%d logins and %d requests", got, gotRADIUS)
	}
	got, gotRADIUS = 0, 0
	must(t, s.EachRADIUS(ctx, store.RADIUSQuery{}, func(sallyport.RADIUSActivity) error {
		if gotRADIUS++; gotRADIUS == 1 {
			return s.EachLogin(ctx, store.LoginQuery{}, func(sallyport.LoginRecord) error {
				if got++; got > 1 {
					return nil
				}
				n, err := s.DeleteActivityBefore(ctx, newLogin(many-1000).Time)
				if n != 2*(many-1000) {
					t.Errorf("deleted %d", n)
				}
				return err
			})
		}
		return nil
	}))
	if got != 1000 || gotRADIUS != 1000 {
		t.Errorf("%d logins and %d requests came from memory", got, gotRADIUS)
	}
}

// loginsSearchGoesOn looks for one old login among many: no page searches without end, and the pages
// together find it.
func loginsSearchGoesOn(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	needle := newLogin(0)
	needle.UserName = "Needle"
	must(t, s.RecordLogins(ctx, []sallyport.LoginRecord{needle}, nil))
	e.Exec(t, address, fmt.Sprintf(`INSERT INTO logins (id, time, ended, support_code, code, user_name, account, integration_id, door, outcome, method, reason, detail, address, appliance, search)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100100)
		SELECT CAST(i AS TEXT), %d + i / 3, 0, '', '', 'straw', '', '', '', 'granted', '', '', '', '', '', 'straw' FROM n`, start.Add(time.Hour).UnixMicro()))
	q := store.LoginQuery{Text: "needle", Most: 10}
	page, err := s.Logins(ctx, q)
	must(t, err)
	if len(page.Logins) != 0 || page.Next == "" {
		t.Fatalf("%d logins, next %q", len(page.Logins), page.Next)
	}
	q.After = page.Next
	page, err = s.Logins(ctx, q)
	must(t, err)
	if len(page.Logins) != 1 || page.Next != "" {
		t.Fatalf("%d logins, next %q", len(page.Logins), page.Next)
	}
	found := 0
	must(t, s.EachLogin(ctx, q, func(sallyport.LoginRecord) error { found++; return nil }))
	q.Text = "straw"
	straws := 0
	must(t, s.EachLogin(ctx, q, func(sallyport.LoginRecord) error { straws++; return nil }))
	if found != 1 || straws != 100_100 {
		t.Errorf("found %d and %d", found, straws)
	}
}

func radiusActivity(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	want := sallyport.RADIUSActivity{Time: start, Integration: "vpn", Source: "10.0.0.1:4711", UserName: "Alice", Account: alice, Outcome: sallyport.RADIUSRejected,
		Reason: "wrong code", Cure: "type the newest code", NASIdentifier: "big-ip-1", CallingStation: "198.51.100.7", CalledStation: "vpn.hospital.example", Appliance: "app-1"}
	drop := sallyport.RADIUSActivity{Time: start, Source: "192.0.2.77:1024", UserName: strings.Repeat("\xff", 999), Outcome: sallyport.RADIUSDropped, Reason: "unknown source"}
	must(t, s.RecordRADIUS(ctx, []sallyport.RADIUSActivity{want, drop, want}))
	must(t, s.RecordRADIUS(ctx, []sallyport.RADIUSActivity{want}))
	for name, c := range map[string]struct {
		query store.RADIUSQuery
		want  int
	}{
		"all":               {store.RADIUSQuery{}, 2},
		"an outcome":        {store.RADIUSQuery{Outcome: sallyport.RADIUSDropped}, 1},
		"an account":        {store.RADIUSQuery{Account: alice}, 1},
		"an integration":    {store.RADIUSQuery{Integration: "vpn"}, 1},
		"a NAS":             {store.RADIUSQuery{Text: "BIG-ip"}, 1},
		"a source":          {store.RADIUSQuery{Text: "192.0.2.77"}, 1},
		"a time after them": {store.RADIUSQuery{From: start.Add(1)}, 2},
		"a later time":      {store.RADIUSQuery{From: start.Add(time.Second)}, 0},
	} {
		page, err := s.RADIUSRequests(ctx, c.query)
		if err != nil || len(page.Requests) != c.want || page.Next != "" {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
	told := sallyport.RADIUSActivity{Time: start, Integration: "clinic", Source: "10.0.0.2:1646", UserName: "bob", Outcome: sallyport.RADIUSAccounting, Reason: "session began", Appliance: "app-1", Key: "k1"}
	again := told // by another appliance, a little later
	again.Time, again.Appliance, again.Source = start.Add(3*time.Second), "app-2", "10.0.0.2:1650"
	third := told
	third.Key = "k2"
	must(t, s.RecordRADIUS(ctx, []sallyport.RADIUSActivity{told}))
	must(t, s.RecordRADIUS(ctx, []sallyport.RADIUSActivity{again, third}))
	sessions, err := s.RADIUSRequests(ctx, store.RADIUSQuery{Outcome: sallyport.RADIUSAccounting})
	if err != nil || len(sessions.Requests) != 2 || sessions.Requests[0].Appliance != "app-1" || sessions.Requests[1].Appliance != "app-1" {
		t.Errorf("with keys: %+v, %v", sessions, err)
	}
	page, err := s.RADIUSRequests(ctx, store.RADIUSQuery{Account: alice})
	must(t, err)
	if !reflect.DeepEqual(page.Requests[0], want) {
		t.Errorf("got %+v, want %+v", page.Requests[0], want)
	}
	one, err := s.RADIUSRequests(ctx, store.RADIUSQuery{Most: 3})
	must(t, err)
	two, err := s.RADIUSRequests(ctx, store.RADIUSQuery{Most: 3, After: one.Next})
	if err != nil || len(two.Requests) != 1 || two.Next != "" || two.Requests[0].UserName == one.Requests[0].UserName {
		t.Errorf("got %+v after %+v, %v", two, one, err)
	}
	for _, r := range append(one.Requests, two.Requests...) {
		if len(r.UserName) > 256 {
			t.Errorf("a user name of %d octets", len(r.UserName))
		}
	}
	wantCode(t, s.RecordRADIUS(ctx, make([]sallyport.RADIUSActivity, 1)), sallyport.CodeInvalid)
}

func gatewayHealth(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, putIntegration(ctx, s, NewIntegration("vpn", 1)))
	heard := func(appliance string, minutes ...int) sallyport.GatewayHealth {
		at := func(n int) time.Time { return start.Add(time.Duration(minutes[n]) * time.Minute) }
		return sallyport.GatewayHealth{Integration: "vpn", Appliance: sallyport.ApplianceID(appliance), Heard: at(0), Accepted: at(1), Error: fmt.Sprint("wrong secret ", minutes[2]), ErrorTime: at(2)}
	}
	must(t, s.RecordGatewayHeard(ctx, []sallyport.GatewayHealth{heard("one", 5, 4, 3), heard("two", 1, 1, 1), heard("one", 4, 5, 6)}))
	must(t, s.RecordGatewayHeard(ctx, []sallyport.GatewayHealth{heard("one", 2, 2, 2)}))
	list, err := s.GatewayHealth(ctx, "vpn")
	must(t, err)
	if want := []sallyport.GatewayHealth{heard("one", 5, 5, 6), heard("two", 1, 1, 1)}; !reflect.DeepEqual(list, want) {
		t.Errorf("got %+v, want %+v", list, want)
	}
	if n, err := s.DeleteActivityBefore(ctx, start.Add(2*time.Minute)); err != nil || n != 1 {
		t.Errorf("deleted %d, %v", n, err)
	}
	must(t, s.RecordGatewayHeard(ctx, []sallyport.GatewayHealth{{Integration: "other", Appliance: "one", Heard: start}}))
	if list, err := s.GatewayHealth(ctx, ""); err != nil || len(list) != 2 {
		t.Errorf("all: %+v, %v", list, err)
	}
	must(t, s.DeleteIntegration(ctx, "vpn", 0))
	if list, err := s.GatewayHealth(ctx, "vpn"); err != nil || len(list) != 0 {
		t.Errorf("of one that was deleted: %+v, %v", list, err)
	}
}
