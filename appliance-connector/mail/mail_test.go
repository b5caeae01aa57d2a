package mail

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/harness"
)

const password = sallyport.Secret("pass word ä, 9")

func serverOf(s *harness.SMTP, security Security, user string) Server {
	return Server{Host: s.Host, Port: s.Port, Security: security, User: user, Password: password, From: "sallyport@hospital.example", Authority: s.Authority}
}

func message(to ...string) sallyport.Mail {
	return sallyport.Mail{ID: "m1", Created: time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC), Recipients: to, Subject: "Unenrolled users – März", Text: "The report is attached.\n",
		Attachment: &sallyport.MailAttachment{Name: "unenrolled.csv", Type: "text/csv", Data: []byte("name\r\nAlice\r\n")}}
}

func TestAMessageArrives(t *testing.T) {
	for _, c := range []struct {
		security Security
		user     string
	}{{StartTLS, "appliance"}, {TLS, "appliance"}, {StartTLS, ""}, {NoTLS, ""}} {
		s := harness.StartSMTP(t, string(c.security), c.user, string(password))
		if err := Send(t.Context(), serverOf(s, c.security, c.user), message("it@hospital.example", "help@hospital.example")); err != nil {
			t.Errorf("%s, user %q: %v", c.security, c.user, err)
			continue
		}
		m := <-s.Messages
		if m.From != "sallyport@hospital.example" || strings.Join(m.To, " ") != "it@hospital.example help@hospital.example" || m.User != c.user || c.security == StartTLS && !m.TLS {
			t.Errorf("%s: %+v", c.security, m)
		}
		for _, part := range []string{"Message-ID: <m1@hospital.example>", "Date: Wed, 04 Mar 2026 09:30:00 +0000", "Auto-Submitted: auto-generated", `filename="unenrolled.csv"`, "The report is attached.", "bmFtZQ0KQWxpY2UNCg=="} {
			if !strings.Contains(m.Content, part) {
				t.Errorf("%s: no %q in\n%s", c.security, part, m.Content)
			}
		}
	}
}

func TestAFailureIsExplained(t *testing.T) {
	s, plain := harness.StartSMTP(t, "starttls", "appliance", string(password)), harness.StartSMTP(t, "none", "", "")
	good := serverOf(s, StartTLS, "appliance")
	for _, c := range []struct {
		name      string
		change    func(*Server)
		to        string
		step      string
		words     string
		answer    string
		permanent bool
	}{
		{"wrong password", func(v *Server) { v.Password = "not this" }, "it@hospital.example", "sign in", "does not take this user name", "535", false},
		{"unknown authority", func(v *Server) { v.Authority = "" }, "it@hospital.example", "encrypt", "not trusted here", "", false},
		{"other name", func(v *Server) { v.Host = "127.0.0.2" }, "it@hospital.example", "connect", "Nothing answers", "refused", false},
		{"nobody listens", func(v *Server) { v.Port = 1 }, "it@hospital.example", "connect", "Nothing answers", "refused", false},
		{"no such host", func(v *Server) { v.Host = "mail.invalid" }, "it@hospital.example", "connect", "", "", false},
		{"TLS where there is STARTTLS", func(v *Server) { v.Security = TLS }, "it@hospital.example", "encrypt", "does not speak TLS", "", false},
		{"no STARTTLS there", func(v *Server) { v.Port, v.User = plain.Port, "" }, "it@hospital.example", "encrypt", "does not offer STARTTLS", "", false},
		{"nobody", func(*Server) {}, "nobody@hospital.example", "send", "for a recipient", "550 5.1.1 No such user", true},
		{"later", func(*Server) {}, "later@hospital.example", "send", "for a recipient", "451 4.7.1", false},
		{"password readable", func(v *Server) { v.Port, v.Security = plain.Port, NoTLS }, "it@hospital.example", "connect", "cannot be used", "", false},
		{"bad sender", func(v *Server) { v.From = "no address" }, "it@hospital.example", "send", "cannot be written", "", true},
	} {
		server := good
		c.change(&server)
		err := Send(t.Context(), server, message(c.to))
		var f *Failure
		if !errors.As(err, &f) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if f.Step != c.step || !strings.Contains(f.Message, c.words) || !strings.Contains(f.Answer, c.answer) || f.Permanent != c.permanent {
			t.Errorf("%s: %+v", c.name, f)
		}
		if strings.Contains(err.Error()+f.Message+f.Answer, "not this") || strings.Contains(err.Error(), string(password)) {
			t.Errorf("%s: the password is shown: %v", c.name, err)
		}
	}
	if n := len(s.Messages) + len(plain.Messages); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestAnExpiredContextEndsASend(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var f *Failure
	if err := Send(ctx, serverOf(s, StartTLS, ""), message("it@hospital.example")); !errors.As(err, &f) {
		t.Errorf("%v", err)
	}
}

// queued is a store with settings for a server, and an outbox on it whose clock the test sets.
func queued(t *testing.T, s *harness.SMTP) (*store.Store, *Outbox, *time.Time, *bytes.Buffer) {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir()+"/a.db", sallyport.Key(strings.Repeat("m", 32)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	set(t, db, serverOf(s, StartTLS, "appliance"))
	now := message().Created
	var log bytes.Buffer
	return db, &Outbox{Store: db, Holder: "a1", Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))}, &now, &log
}

func TestAMessageWaitsUntilTheServerIsBack(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "appliance", string(password))
	db, box, now, log := queued(t, s)
	away := serverOf(s, StartTLS, "appliance")
	away.Port = 1
	set(t, db, away)
	if err := db.QueueMail(t.Context(), message("it@hospital.example")); err != nil {
		t.Fatal(err)
	}
	for tries := 1; tries <= 3; tries++ {
		if err := box.SendDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := only(t, db)
		if m.State != sallyport.MailWaiting || m.Tries != tries || !strings.Contains(m.Answer, "Nothing answers") || !m.NextTry.Equal(now.Add(time.Minute<<(tries-1))) {
			t.Fatalf("try %d: %+v", tries, m)
		}
		*now = m.NextTry
	}
	set(t, db, serverOf(s, StartTLS, "appliance"))
	if err := box.SendDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := only(t, db); m.State != sallyport.MailSent || m.Tries != 4 {
		t.Errorf("%+v", m)
	}
	if m := <-s.Messages; !strings.Contains(m.Content, "The report is attached.") {
		t.Errorf("%+v", m)
	}
	if err := box.SendDue(t.Context()); err != nil || len(s.Messages) != 0 {
		t.Errorf("it is sent again: %v", err)
	}
	if strings.Contains(log.String(), string(password)) || strings.Contains(log.String(), "it@hospital.example") {
		t.Errorf("the log says too much: %s", log)
	}
}

// What waits is in the store: the appliance that had it in hand may end, and another one goes on with it.
func TestAMessageOutlivesTheAppliance(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "appliance", string(password))
	address, now := t.TempDir()+"/a.db", message().Created
	start := func(holder string, port int) (*store.Store, *Outbox) {
		t.Helper()
		db, err := store.Open(t.Context(), address, sallyport.Key(strings.Repeat("m", 32)))
		if err != nil {
			t.Fatal(err)
		}
		to := serverOf(s, StartTLS, "appliance")
		if port != 0 {
			to.Port = port
		}
		set(t, db, to)
		return db, &Outbox{Store: db, Holder: holder, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	}
	db, box := start("a1", 1) // the server is down
	if err := db.QueueMail(t.Context(), message("it@hospital.example")); err != nil {
		t.Fatal(err)
	}
	if err := box.SendDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = only(t, db).NextTry
	if _, taken, err := db.LeaseMail(t.Context(), "a1", now, now.Add(leaseFor)); err != nil || !taken {
		t.Fatalf("%v %v", taken, err)
	}
	if err := db.Close(); err != nil { // with the message in hand
		t.Fatal(err)
	}
	db, box = start("a2", 0)
	defer func() { _ = db.Close() }()
	for _, want := range []sallyport.MailState{sallyport.MailWaiting, sallyport.MailSent, sallyport.MailSent} { // a1 might be at it still; then it is not
		if err := box.SendDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m := only(t, db); m.State != want {
			t.Errorf("%+v, want %s", m, want)
		}
		now = now.Add(leaseFor + time.Second)
	}
	if len(s.Messages) != 1 {
		t.Errorf("%d arrived", len(s.Messages))
	}
}

func TestAMessageIsGivenUp(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "appliance", string(password))
	db, box, now, _ := queued(t, s)
	if err := db.QueueMail(t.Context(), message("nobody@hospital.example")); err != nil {
		t.Fatal(err)
	}
	if err := box.SendDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := only(t, db); m.State != sallyport.MailFailed || !strings.Contains(m.Answer, "No such user here") {
		t.Errorf("refused for good: %+v", m)
	}
	slow := message("later@hospital.example")
	slow.ID, slow.Created = "m2", now.Add(time.Second)
	if err := db.QueueMail(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	for *now = slow.Created; ; {
		if err := box.SendDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := db.Mails(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if list[0].State != sallyport.MailWaiting {
			if list[0].State != sallyport.MailFailed || now.Sub(slow.Created) < 70*time.Hour {
				t.Errorf("%+v after %s", list[0], now.Sub(slow.Created))
			}
			return
		}
		*now = list[0].NextTry
	}
}

func TestWithoutAServerMessagesWait(t *testing.T) {
	s := harness.StartSMTP(t, "starttls", "appliance", string(password))
	db, box, _, _ := queued(t, s)
	set(t, db, Server{})
	if err := db.QueueMail(t.Context(), message("it@hospital.example")); err != nil {
		t.Fatal(err)
	}
	if err := box.SendDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := only(t, db); m.State != sallyport.MailWaiting || m.Tries != 0 {
		t.Errorf("%+v", m)
	}
}

func only(t *testing.T, db *store.Store) sallyport.Mail {
	t.Helper()
	list, err := db.Mails(t.Context(), 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	return list[0]
}
