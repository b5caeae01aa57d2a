package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newMail(id string) sallyport.Mail {
	return sallyport.Mail{ID: id, Created: start, Recipients: []string{"it@hospital.example", "o'hara@hospital.example"}, Subject: "Unenrolled users", Text: "The report is attached.\n",
		Attachment: &sallyport.MailAttachment{Name: "unenrolled.csv", Type: "text/csv", Data: []byte("name\r\nAlice, ward-\x00secret\r\n")}}
}

func mailSent(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	must(t, s.QueueMail(ctx, newMail("m1")))
	dump := e.Dump(t, address)
	for _, part := range []string{"report is attached", "Alice, ward", base64.StdEncoding.EncodeToString([]byte("name\r\nAlice, w"))} {
		if bytes.Contains(dump, []byte(part)) {
			t.Errorf("%q stands in the database", part)
		}
	}
	m, ok, err := s.LeaseMail(ctx, "a1", start, start.Add(time.Minute))
	must(t, err)
	want := newMail("m1")
	if !ok || m.Subject != want.Subject || m.Text != want.Text || !slices.Equal(m.Recipients, want.Recipients) || m.Tries != 1 || m.State != sallyport.MailWaiting ||
		m.Attachment == nil || m.Attachment.Name != want.Attachment.Name || !bytes.Equal(m.Attachment.Data, want.Attachment.Data) {
		t.Fatalf("came back as %+v, %v", m, ok)
	}
	if _, ok, err := s.LeaseMail(ctx, "a2", start.Add(30*time.Second), start.Add(time.Minute)); ok || err != nil {
		t.Errorf("a second appliance has it as well: %v", err)
	}
	must(t, s.FinishMail(ctx, "m1", "a1", store.MailResult{State: sallyport.MailWaiting, Answer: "451 try\r\nlater", NextTry: start.Add(5 * time.Minute)}, start))
	if _, ok, err := s.LeaseMail(ctx, "a2", start.Add(4*time.Minute), start.Add(time.Hour)); ok || err != nil {
		t.Errorf("it is tried too early: %v", err)
	}
	// a2 takes it and dies; a1 takes over, and what a2 says later does not count.
	for _, holder := range []string{"a2", "a1"} {
		now := map[string]time.Time{"a2": start.Add(5 * time.Minute), "a1": start.Add(10 * time.Minute)}[holder]
		if m, ok, err := s.LeaseMail(ctx, holder, now, now.Add(5*time.Minute)); !ok || err != nil || m.Answer != "451 try  later" {
			t.Fatalf("%s: %v %v %q", holder, ok, err, m.Answer)
		}
	}
	wantCode(t, s.FinishMail(ctx, "m1", "a2", store.MailResult{State: sallyport.MailSent}, start), sallyport.CodeConflict)
	must(t, s.FinishMail(ctx, "m1", "a1", store.MailResult{State: sallyport.MailSent, Answer: "250 queued"}, start.Add(11*time.Minute)))
	list, err := s.Mails(ctx, 10)
	must(t, err)
	if len(list) != 1 || list[0].State != sallyport.MailSent || list[0].Tries != 3 || !list[0].Ended.Equal(start.Add(11*time.Minute)) || list[0].Attachment != nil {
		t.Errorf("%+v", list)
	}
	if _, err := s.Sweep(ctx, start.Add(29*24*time.Hour)); err != nil {
		t.Error(err)
	}
	if list, err := s.Mails(ctx, 10); err != nil || len(list) != 1 {
		t.Errorf("forgotten too early: %v", err)
	}
	if _, err := s.Sweep(ctx, start.Add(31*24*time.Hour)); err != nil {
		t.Error(err)
	}
	if list, err := s.Mails(ctx, 10); err != nil || len(list) != 0 {
		t.Errorf("not forgotten: %v", err)
	}
}

func mailAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	stores, ctx := []*store.Store{Open(t, address), Open(t, address)}, t.Context()
	const many = 20
	for n := range many {
		must(t, stores[0].QueueMail(ctx, newMail(fmt.Sprint("m", n))))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for {
				m, ok, err := stores[g%2].LeaseMail(ctx, fmt.Sprint("a", g), start, start.Add(time.Minute))
				if err != nil {
					t.Error(err)
				}
				if !ok {
					return
				}
				mu.Lock()
				seen[m.ID]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
	// On PostgreSQL one who finds a message locked passes it over; who comes later finds it.
	for {
		m, ok, err := stores[0].LeaseMail(ctx, "late", start, start.Add(time.Minute))
		must(t, err)
		if !ok {
			break
		}
		seen[m.ID]++
	}
	if len(seen) != many {
		t.Errorf("%d of %d messages were taken", len(seen), many)
	}
}

func mailRefused(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	for name, change := range map[string]func(*sallyport.Mail){
		"no recipient":        func(m *sallyport.Mail) { m.Recipients = nil },
		"a name":              func(m *sallyport.Mail) { m.Recipients = []string{"IT <it@hospital.example>"} },
		"a header in address": func(m *sallyport.Mail) { m.Recipients = []string{"it@hospital.example\r\nBcc: x@evil.example"} },
		"a header in subject": func(m *sallyport.Mail) { m.Subject = "x\r\nBcc: x@evil.example" },
		"too large":           func(m *sallyport.Mail) { m.Attachment.Data = make([]byte, 8<<20+1) },
		"no time":             func(m *sallyport.Mail) { m.Created = time.Time{} },
	} {
		m := newMail("m")
		change(&m)
		if err := s.QueueMail(ctx, m); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range 7 {
		m := newMail(fmt.Sprint("m", n))
		m.Attachment.Data = make([]byte, 8<<20)
		if err := s.QueueMail(ctx, m); err != nil {
			if sallyport.ErrorCode(err) != sallyport.CodeLimited || n < 4 {
				t.Errorf("message %d: %v", n, err)
			}
			return
		}
	}
	t.Error("messages are kept without bound")
}

func mailEdited(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	must(t, s.QueueMail(ctx, newMail("m1")))
	e.Exec(t, address, `UPDATE mails SET recipients = '["mallory@evil.example"]'`)
	if m, ok, err := s.LeaseMail(ctx, "a1", start, start.Add(time.Minute)); ok || err == nil {
		t.Errorf("a message goes to whom the database was made to say: %+v", m)
	}
}

func leases(t *testing.T, e Engine) {
	n := atOnce(t, e.Fresh(t), func(ctx context.Context, s *store.Store) (bool, error) {
		return s.Lease(ctx, "retention", sallyport.NewID(), start, start.Add(time.Minute))
	})
	if n != 1 {
		t.Fatalf("%d of 1,000 have the lease", n)
	}
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for _, c := range []struct {
		holder     string
		now, until time.Duration
		want       bool
	}{{"a", 0, time.Minute, true}, {"b", time.Second, time.Minute, false}, {"a", time.Second, 2 * time.Minute, true}, {"b", 2 * time.Minute, 3 * time.Minute, true}, {"b", 2 * time.Minute, 2 * time.Minute, true}, {"a", 2 * time.Minute, 3 * time.Minute, true}} {
		if got, err := s.Lease(ctx, "retention", c.holder, start.Add(c.now), start.Add(c.until)); err != nil || got != c.want {
			t.Errorf("%+v: %v %v", c, got, err)
		}
	}
	if ok, err := s.Lease(ctx, "other", "b", start, start.Add(time.Minute)); !ok || err != nil {
		t.Errorf("another name: %v %v", ok, err)
	}
}

func newSchedule(name string) sallyport.ReportSchedule {
	return sallyport.ReportSchedule{Name: name, Report: sallyport.ReportLogins, Filter: sallyport.ReportFilter{Text: "alice", Outcome: "denied"}, Every: sallyport.Monthly, Day: 28,
		At: 7*time.Hour + 30*time.Minute, Zone: "Europe/Zurich", Recipients: []string{"it@hospital.example"}, Due: start.Add(time.Hour)}
}

func reportSchedules(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	r, err := s.As(helpDesk).PutReportSchedule(ctx, newSchedule("Monday list"))
	must(t, err)
	back, err := s.ReportSchedule(ctx, r.ID)
	must(t, err)
	if fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", r) || back.Version != 1 || back.At != 450*time.Minute || back.Filter.Text != "alice" || !back.Due.Equal(start.Add(time.Hour)) {
		t.Errorf("came back as %+v, put as %+v", back, r)
	}
	_, err = s.PutReportSchedule(ctx, newSchedule("MONDAY LIST"))
	wantCode(t, err, sallyport.CodeConflict)
	for name, change := range map[string]func(*sallyport.ReportSchedule){
		"report": func(r *sallyport.ReportSchedule) { r.Report = "salaries" }, "interval": func(r *sallyport.ReportSchedule) { r.Every = "hourly" },
		"day": func(r *sallyport.ReportSchedule) { r.Day = 31 }, "time": func(r *sallyport.ReportSchedule) { r.At = 24 * time.Hour },
		"recipients": func(r *sallyport.ReportSchedule) { r.Recipients = []string{"nobody"} }, "zone": func(r *sallyport.ReportSchedule) { r.Zone = "" },
	} {
		bad := newSchedule("bad")
		change(&bad)
		if _, err := s.PutReportSchedule(ctx, bad); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Two appliances at once: one message, and the next time it is due.
	m1, m2, next := newMail("m1"), newMail("m2"), start.Add(24*time.Hour)
	result := sallyport.ReportResult{Time: start.Add(time.Hour), Rows: 3}
	first, err := s.FinishReport(ctx, r.ID, r.Due, next, result, &m1)
	must(t, err)
	second, err := s.FinishReport(ctx, r.ID, r.Due, next, result, &m2)
	must(t, err)
	mails, err := s.Mails(ctx, 10)
	must(t, err)
	if !first || second || len(mails) != 1 || mails[0].ID != "m1" {
		t.Errorf("%v %v %+v", first, second, mails)
	}
	back, err = s.ReportSchedule(ctx, r.ID)
	must(t, err)
	if !back.Due.Equal(next) || back.Last.Rows != 3 || back.Last.Mail != "m1" || !back.Last.Time.Equal(result.Time) || back.Version != 1 {
		t.Errorf("after it was sent: %+v", back)
	}
	if ok, err := s.FinishReport(ctx, r.ID, next, next, sallyport.ReportResult{Time: next, Trouble: "too large"}, nil); !ok || err != nil {
		t.Error(ok, err)
	}
	back.Name, back.Paused = "Tuesday list", true
	back, err = s.PutReportSchedule(ctx, back)
	must(t, err)
	if back.Last.Trouble != "too large" || !back.Paused {
		t.Errorf("what became of it is forgotten: %+v", back)
	}
	wantCode(t, s.DeleteReportSchedule(ctx, r.ID, 1), sallyport.CodeConflict)
	must(t, s.As(helpDesk).DeleteReportSchedule(ctx, r.ID, 2))
	_, err = s.ReportSchedule(ctx, r.ID)
	wantCode(t, err, sallyport.CodeNotFound)
	page, err := s.AuditRecords(ctx, store.AuditQuery{Action: "report schedule."})
	must(t, err)
	if len(page.Records) != 3 || page.Records[0].Actor.Name != helpDesk.Name || !bytes.Contains(page.Records[2].After, []byte("it@hospital.example")) {
		t.Errorf("records: %+v", page.Records)
	}
}
