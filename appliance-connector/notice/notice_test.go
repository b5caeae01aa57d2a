package notice

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"mime/quotedprintable"
	netmail "net/mail"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/mail"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
	"github.com/sallyport/sallyport/test/harness"
)

var allKinds = []sallyport.AuthenticatorKind{sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorPasskey, sallyport.AuthenticatorOTP}

func TestEveryLanguageSaysEverything(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, tag := range sallyport.Languages() {
		s, ok := sentences[tag]
		if !ok {
			t.Errorf("%s: no words", tag)
			continue
		}
		v := reflect.ValueOf(s)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if name == "kinds" {
				continue
			}
			text := v.Field(i).String()
			if text == "" {
				t.Errorf("%s: %s is missing", tag, name)
			}
			if other := seen[name+text]; other != "" && len(text) > 12 {
				t.Errorf("%s: %s is the same as in %s", tag, name, other)
			}
			seen[name+text] = tag
		}
		for _, k := range allKinds {
			if s.kinds[k] == "" || strings.Contains(s.kinds[k], "*") != (k == sallyport.AuthenticatorPhone) {
				t.Errorf("%s: %s is %q", tag, k, s.kinds[k])
			}
		}
	}
}

func TestNamesBecomeNeitherLinesNorLinks(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Alice’s iPhone (ward 3)": "Alice’s iPhone (ward 3)", "see https://evil.example/x now": "see https evil example x now", "a\r\nBcc: x@evil.example": "a Bcc x evil example",
		"\u202eabc\x00": "abc", "": "", "..": "", strings.Repeat("ä", 100): strings.Repeat("ä", maxName), "\xff\xfeok": "ok",
	} {
		if got := shown(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// The whole way: an authenticator comes or goes in the store, and a message is in the user's mailbox.
func TestTheUserIsToldOfWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	s := harness.StartSMTP(t, "none", "", "")
	var log bytes.Buffer
	now := time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)
	logger := slog.New(slog.NewTextHandler(&log, nil))
	db, err := store.Open(t.Context(), t.TempDir()+"/a.db", sallyport.Key(strings.Repeat("m", 32)), store.WithNotices(Write), store.WithLogger(logger), store.WithNow(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	alice := addUser(t, db, "alice", "alice@hospital.example")
	bob := addUser(t, db, "bob", "")
	box := &mail.Outbox{Store: db, Holder: "a1", Now: func() time.Time { return now }, Log: logger}
	admin := db.As(sallyport.Actor{Kind: sallyport.ActorAdministrator, Name: "olive"})
	phone := sallyport.Phone{ID: "p1", Account: alice, Number: "+447700900123", Enrolled: now}

	check(t, db.AddPhone(t.Context(), phone)) // mail is not set up
	check(t, db.DeletePhone(t.Context(), alice, "p1"))
	if n := waiting(t, db); n != 0 || strings.Count(log.String(), "no mail server in the settings") != 2 {
		t.Fatalf("%d messages; %s", n, log.String())
	}
	set(t, db, mail.Section, `{"host":"`+s.Host+`","port":1,"security":"none","from":"sallyport@hospital.example"}`)
	set(t, db, "language", `{"default":"de"}`)

	device := conformance.NewDevice("d1", alice)
	device.Name = "Alice’s iPhone https://evil.example"
	check(t, db.PutDevice(t.Context(), device))
	check(t, db.PutDevice(t.Context(), device)) // an enrolment that repeats itself
	check(t, db.AddPhone(t.Context(), phone))
	check(t, admin.DeletePhone(t.Context(), alice, "p1"))
	check(t, admin.DeleteDevice(t.Context(), device.ID))
	check(t, db.AddPhone(t.Context(), sallyport.Phone{ID: "p2", Account: bob, Number: "+447700900124", Enrolled: now})) // no address
	check(t, box.SendDue(t.Context()))                                                                                  // the server is down
	if n := waiting(t, db); n != 4 {
		t.Fatalf("%d messages wait", n)
	}
	if !strings.Contains(log.String(), "no e-mail address in the directory") {
		t.Error("the log does not say that bob was not told")
	}
	for _, secret := range []string{"447700900123", "alice@hospital.example", "iPhone"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}

	set(t, db, mail.Section, `{"host":"`+s.Host+`","port":`+port(s)+`,"security":"none","from":"sallyport@hospital.example"}`)
	now = now.Add(2 * time.Minute)
	check(t, box.SendDue(t.Context()))
	var added, removed int
	for range 4 {
		m := <-s.Messages
		text := decoded(t, m.Content)
		if strings.Join(m.To, " ") != "alice@hospital.example" || strings.Contains(text, "447700900123") || strings.Contains(text, "evil.example") {
			t.Errorf("to %v: %s", m.To, text)
		}
		switch {
		case strings.Contains(text, "hinzugefügt"):
			added++
		case strings.Contains(text, "entfernt"):
			removed++
		}
		if strings.Contains(text, "entfernt") != strings.Contains(text, "Helpdesk\r\n") {
			t.Errorf("who did it: %s", text)
		}
	}
	if added != 2 || removed != 2 {
		t.Errorf("%d added, %d removed", added, removed)
	}

	set(t, db, mail.Section, `{"host":"`+s.Host+`","port":`+port(s)+`,"security":"none","from":"sallyport@hospital.example","tellUsers":false}`)
	check(t, db.AddPhone(t.Context(), phone))
	if n := waiting(t, db); n != 0 {
		t.Errorf("%d messages although users are not to be told", n)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addUser puts somebody into the list of users; address may be empty.
func addUser(t *testing.T, db *store.Store, name, address string) sallyport.AccountName {
	t.Helper()
	domains, err := db.Domains(t.Context())
	check(t, err)
	if len(domains) == 0 {
		_, err := db.PutDomain(t.Context(), conformance.NewDomain("hospital"))
		check(t, err)
	}
	account := sallyport.NewAccountName("hospital", name)
	sum := sha256.Sum256([]byte(name))
	_, err = db.ApplyUsers(t.Context(), "hospital", []store.UserChange{{GUID: hex.EncodeToString(sum[:16]), State: sallyport.UserActive, Account: account,
		DN: "CN=" + name + ",OU=Staff,DC=hospital,DC=example", Mail: address}})
	check(t, err)
	return account
}

func set(t *testing.T, db *store.Store, section, value string) {
	t.Helper()
	_, version, err := db.Section(t.Context(), section)
	check(t, err)
	check(t, db.SetSection(t.Context(), section, []byte(value), version))
}

func waiting(t *testing.T, db *store.Store) (n int) {
	t.Helper()
	list, err := db.Mails(t.Context(), 100)
	check(t, err)
	for _, m := range list {
		if m.State == sallyport.MailWaiting {
			n++
		}
	}
	return n
}

func port(s *harness.SMTP) string { return strconv.Itoa(s.Port) }

// decoded is what a message of one part says.
func decoded(t *testing.T, content string) string {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(content))
	check(t, err)
	if e := m.Header.Get("Content-Transfer-Encoding"); e != "quoted-printable" {
		t.Fatalf("it is written in %q", e)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	check(t, err)
	return strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n")
}
