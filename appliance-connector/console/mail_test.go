package console

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/mail"
	"github.com/sallyport/sallyport/appliance-connector/report"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/harness"
)

const smtpPassword = "smtp pass word, 9"

// mailForm are the fields of the settings for a server.
func mailForm(s *harness.SMTP, version string, more ...string) []string {
	return append([]string{"host", s.Host, "port", strconv.Itoa(s.Port), "security", "starttls", "user", "appliance", "password", smtpPassword,
		"from", "sallyport@hospital.example", "authority", s.Authority, "version", version}, more...)
}

func TestMailIsSetUpTriedAndExplained(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "appliance", smtpPassword)
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	if a := c.get("/settings/mail"); !regexp.MustCompile(`name="tell"[^>]* checked`).MatchString(a.body) {
		t.Error("users are not told unless somebody says so")
	}
	for _, wrong := range [][]string{
		{"host", "mail.example:25", "port", "587", "security", "starttls", "from", "a@b.example", "version", "0"},
		{"host", "mail.example", "port", "99999", "security", "starttls", "from", "a@b.example", "version", "0"},
		{"host", "mail.example", "port", "25", "security", "none", "user", "x", "password", "y", "from", "a@b.example", "version", "0"},
		{"host", "mail.example", "port", "587", "security", "starttls", "user", "x", "from", "a@b.example", "version", "0"},
		{"host", "mail.example", "port", "587", "security", "starttls", "from", "nobody", "version", "0"},
		{"host", "mail.example", "port", "587", "security", "starttls", "from", "a@b.example", "authority", "no PEM", "version", "0"},
	} {
		if a := send(c, "/settings/mail", wrong...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, `class="error"`) {
			t.Errorf("%v: %d", wrong, a.StatusCode)
		}
	}
	if a := send(c, "/settings/mail", mailForm(s, "0")...); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Saved.") || strings.Contains(a.body, smtpPassword) {
		t.Fatalf("%d %.400s", a.StatusCode, a.body)
	}
	if v, err := mail.ReadSettings(t.Context(), w.store); err != nil || v.TellUsers {
		t.Errorf("users are told although the box was empty: %v", err)
	}
	if a := send(c, "/settings/mail/test", "to", "olive@hospital.example"); !strings.Contains(a.body, "The server took the message") {
		t.Errorf("test: %d %s", a.StatusCode, a.body)
	}
	if m := <-s.Messages; m.User != "appliance" || !m.TLS || m.To[0] != "olive@hospital.example" {
		t.Errorf("%+v", m)
	}
	if a := send(c, "/settings/mail/test", "to", "nobody@hospital.example"); !strings.Contains(a.body, "550 5.1.1 No such user here") {
		t.Errorf("refused: %d %s", a.StatusCode, a.body)
	}
	// A password stays with the server that it was given for.
	keep := []string{"host", "mail.other.example", "port", "587", "security", "starttls", "user", "appliance", "from", "sallyport@hospital.example", "version", "1"}
	if a := send(c, "/settings/mail", keep...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Type the password") {
		t.Errorf("a password is carried to another server: %d", a.StatusCode)
	}
	if a := send(c, "/settings/mail", mailForm(s, "7")...); !strings.Contains(a.body, "changed by") {
		t.Errorf("an old version: %d", a.StatusCode)
	}
	if strings.Contains(w.logs.String(), smtpPassword) {
		t.Error("the password stands in the log")
	}
	records, err := w.store.AuditRecords(t.Context(), store.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records.Records {
		if strings.Contains(string(r.Before)+string(r.After), smtpPassword) {
			t.Errorf("the password stands in the audit trail: %+v", r)
		}
	}
	w.someone("adam", sallyport.RoleAdmin, true)
	if a := w.in("adam").get("/settings/mail"); a.StatusCode != http.StatusForbidden {
		t.Errorf("an administrator sees the mail server: %d", a.StatusCode)
	}
}

// scheduled are the fields of a schedule.
func scheduled(more ...string) []string {
	return append([]string{"name", "Still to enrol", "report", "unenrolled", "every", "weekly", "weekday", "4", "day", "1", "at", "07:30", "zone", "Europe/Zurich",
		"recipients", "it@hospital.example, help@hospital.example", "version", "0"}, more...)
}

func TestReportsGoOutByThemselves(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "appliance", smtpPassword)
	w := newWorld(t, worldOptions{})
	w.staffed()
	if err := w.store.AssociateWorkflow(t.Context(), []sallyport.UserPolicyID{"default"}); err != nil {
		t.Fatal(err)
	}
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	send(c, "/settings/mail", mailForm(s, "0")...)
	for name, value := range map[string]string{"name": "", "recipients": "nobody", "zone": "Mars/Base", "at": "25:00", "every": "hourly", "report": "salaries"} {
		fields := scheduled()
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				fields[i+1] = value
			}
		}
		if a := send(c, "/reports/schedules/new", fields...); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s %q: %d", name, value, a.StatusCode)
		}
	}
	a := send(c, "/reports/schedules/new", scheduled()...)
	list, err := w.store.ReportSchedules(t.Context())
	if err != nil || len(list) != 1 || !strings.Contains(a.body, "On Thursdays at 07:30 (Europe/Zurich)") {
		t.Fatalf("%d %+v %v", a.StatusCode, list, err)
	}
	r := list[0]
	if want := time.Date(2026, 3, 5, 6, 30, 0, 0, time.UTC); !r.Due.Equal(want) {
		t.Errorf("due %s, want %s", r.Due, want)
	}
	path := "/reports/schedules/" + string(r.ID)
	runner := &report.Runner{Store: w.store, Holder: "a1", Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)}
	other := &report.Runner{Store: w.store, Holder: "a2", Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)}
	outbox := &mail.Outbox{Store: w.store, Holder: "a1", Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)}
	run := func() {
		t.Helper()
		for _, do := range []func(context.Context) error{runner.RunDue, other.RunDue, outbox.SendDue} {
			if err := do(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if run(); len(s.Messages) != 0 {
		t.Fatal("it is sent before its time")
	}
	w.clock.forward(r.Due.Sub(w.clock.Now()))
	run()
	m := <-s.Messages
	if len(s.Messages) != 0 || strings.Join(m.To, " ") != "it@hospital.example help@hospital.example" || !strings.Contains(m.Content, "Subject: Sallyport: Still to enrol") || !strings.Contains(m.Content, `filename="unenrolled-2026-03-05.csv"`) {
		t.Errorf("%d more, %+v", len(s.Messages), m)
	}
	if r, err = w.store.ReportSchedule(t.Context(), r.ID); err != nil || r.Last.Rows != 1 || r.Last.Trouble != "" || !r.Due.Equal(time.Date(2026, 3, 12, 6, 30, 0, 0, time.UTC)) {
		t.Errorf("%+v %v", r, err)
	}
	c = w.in("olive")
	if a := c.get("/settings/mail/messages"); !strings.Contains(a.body, "Sent") || !strings.Contains(a.body, "it@hospital.example") {
		t.Errorf("messages: %d", a.StatusCode)
	}
	send(c, path+"/send")
	run()
	if m := <-s.Messages; !strings.Contains(m.Content, "unenrolled-2026-03-05.csv") {
		t.Errorf("now: %+v", m)
	}
	change := scheduled("paused", "1")
	change[len(change)-3] = itoa(r.Version)
	send(c, path, change...)
	w.clock.forward(30 * 24 * time.Hour)
	if run(); len(s.Messages) != 0 {
		t.Error("a paused one is sent")
	}
	w.someone("otto", sallyport.RoleAuditor, true)
	o := w.in("otto")
	if a := o.get(path); a.StatusCode != http.StatusOK || strings.Contains(a.body, "Send it now") {
		t.Errorf("an auditor: %d", a.StatusCode)
	}
	if a := send(o, path+"/send"); a.StatusCode != http.StatusForbidden {
		t.Errorf("an auditor sends a report: %d", a.StatusCode)
	}
	c = w.in("olive")
	if a := send(c, path+"/delete", "version", itoa(r.Version+1)); !strings.Contains(a.body, "The schedule was deleted.") {
		t.Errorf("delete: %d %s", a.StatusCode, a.body)
	}
}

func TestRetentionSaysWhatItWouldDelete(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.logins()
	old := sallyport.LoginRecord{ID: "old", Time: w.clock.Now().AddDate(0, 0, -20), SupportCode: "AAAA-BBBB", UserName: "x", Door: sallyport.DoorOverlay, Outcome: sallyport.OutcomeGranted}
	if err := w.store.RecordLogins(t.Context(), []sallyport.LoginRecord{old}, nil); err != nil {
		t.Fatal(err)
	}
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	if a := c.get("/settings/retention"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "0 logins") || !strings.Contains(a.body, "5 Mar 2026, 03:00 UTC") {
		t.Errorf("%d", a.StatusCode)
	}
	if a := send(c, "/settings/retention", "audit", "5", "logins", "0", "radius", "x", "logs", "9999", "version", "0"); a.StatusCode != http.StatusUnprocessableEntity || strings.Count(a.body, `class="error"`) != 4 {
		t.Errorf("out of bounds: %d", a.StatusCode)
	}
	if a := send(c, "/settings/retention", "audit", "400", "logins", "10", "radius", "5", "logs", "7", "version", "0"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "1 login") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	w.someone("otto", sallyport.RoleAuditor, true)
	o := w.in("otto")
	if a := o.get("/settings/retention"); a.StatusCode != http.StatusOK || strings.Contains(a.body, ">Save<") {
		t.Errorf("an auditor: %d", a.StatusCode)
	}
}

func TestPagesOfOversight(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "appliance", smtpPassword)
	w := newWorld(t, worldOptions{})
	w.staffed()
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	p := w.browser(t)
	p.signIn("olive")
	for name, path := range map[string]string{"settings-mail-new": "/settings/mail", "messages-none": "/settings/mail/messages", "schedules-none": "/reports/schedules", "schedule-new": "/reports/schedules/new"} {
		p.open(path)
		p.inspect(name)
	}
	send(c, "/settings/mail", mailForm(s, "0")...)
	send(c, "/reports/schedules/new", scheduled()...)
	list, err := w.store.ReportSchedules(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	send(c, "/reports/schedules/"+string(list[0].ID)+"/send")
	for name, path := range map[string]string{"settings-mail": "/settings/mail", "messages": "/settings/mail/messages", "retention": "/settings/retention",
		"schedules": "/reports/schedules", "schedule": "/reports/schedules/" + string(list[0].ID), "settings-console": "/settings"} {
		p.open(path)
		p.inspect(name)
	}
	p.open("/settings/mail")
	p.do("another recipient", chromedp.Evaluate[chromedp.Void](`void (document.querySelector("[name=to]").value = "nobody@hospital.example")`))
	p.click(`form[action="/settings/mail/test"] button[type=submit]`)
	p.until(`document.querySelector(".alert.bad")`)
	p.inspect("settings-mail-refused")
	p.open("/reports/schedules/" + string(list[0].ID))
	p.click("[data-dialog=delete]")
	p.until(`document.querySelector("#delete").open`)
	p.inspect("schedule-delete")
}
