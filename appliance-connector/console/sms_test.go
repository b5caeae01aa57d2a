package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/texts"
)

const textSecret = "sms token, 7"

// courier takes text messages in the token service's place, which the console does not see.
type courier struct {
	mu     sync.Mutex
	texts  []texts.Text
	answer texts.Answer
}

func (c *courier) SendText(_ context.Context, t texts.Text) (texts.Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, t)
	return c.answer, nil
}

func twilioForm(version string, more ...string) []string {
	return append([]string{"kind", "twilio", "url", "https://api.twilio.com", "user", "AC1", "secret", textSecret, "from", "+447400123400", "region", "gb", "version", version}, more...)
}

func TestTextMessagesAreSetUpTriedAndExplained(t *testing.T) {
	t.Parallel()
	to := &courier{answer: texts.Answer{Outcome: texts.Sent}}
	w := newWorld(t, worldOptions{admin: func(c *admin.Config) { c.Texts = &texts.Service{Store: c.Store, Courier: to, Log: c.Log} }})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	if a := send(c, "/settings/sms/test", "to", "+44 7400 123456"); !strings.Contains(a.body, "The gateway took the message") || to.texts[0].Gateway != nil {
		t.Errorf("by the operator's gateway: %d %+v", a.StatusCode, to.texts)
	}
	for _, wrong := range [][]string{
		{"kind", "pigeon", "url", "https://a.example", "secret", "x", "from", "y", "version", "0"},
		{"kind", "twilio", "url", "http://a.example", "user", "AC1", "secret", "x", "from", "y", "version", "0"},
		{"kind", "twilio", "url", "https://a.example", "user", "AC1", "from", "y", "version", "0"},
		{"kind", "twilio", "url", "https://a.example", "secret", "x", "from", "y", "version", "0"},
		{"kind", "smpp", "url", "smpps://a.example", "user", "me", "secret", "x", "version", "0"},
		{"kind", "smpp", "url", "smpps://a.example:2776", "user", "me", "secret", "longerthan8", "version", "0"},
		{"kind", "webhook", "url", "https://me:pw@a.example", "secret", "x", "version", "0"},
		{"kind", "webhook", "url", "https://a.example", "secret", "x", "authority", "no PEM", "version", "0"},
		{"kind", "", "region", "ZZ", "version", "0"},
	} {
		if a := send(c, "/settings/sms", wrong...); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, `class="error"`) {
			t.Errorf("%v: %d", wrong, a.StatusCode)
		}
	}
	if a := send(c, "/settings/sms", twilioForm("0")...); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Saved.") || strings.Contains(a.body, textSecret) {
		t.Fatalf("%d %.400s", a.StatusCode, a.body)
	}
	send(c, "/settings/sms/test", "to", "07400 123456")
	if got := to.texts[len(to.texts)-1]; got.Number != "+447400123456" || got.Gateway == nil || got.Gateway.Secret != textSecret || got.Gateway.Region != "GB" || got.ID == to.texts[0].ID {
		t.Errorf("sent: %+v", got)
	}
	to.answer = texts.Answer{Outcome: texts.Credential, Detail: "error 20003: <b>Authenticate</b>"}
	if a := send(c, "/settings/sms/test", "to", "07400 123456"); !strings.Contains(a.body, "does not take these credentials") || !strings.Contains(a.body, "error 20003: &lt;b&gt;Authenticate") {
		t.Errorf("refused: %d %s", a.StatusCode, a.body)
	}
	if a := send(c, "/settings/sms/test", "to", "12"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "not a phone number") {
		t.Errorf("no number: %d", a.StatusCode)
	}
	// A secret stays with the gateway that it was given for, and with that it does stay.
	if a := send(c, "/settings/sms", "kind", "twilio", "url", "https://evil.example", "user", "AC1", "from", "x", "version", "1"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Type the secret") {
		t.Errorf("a secret is carried to another gateway: %d", a.StatusCode)
	}
	if a := send(c, "/settings/sms", "kind", "twilio", "url", "https://api.twilio.com", "user", "AC1", "from", "Hospital", "version", "1"); !strings.Contains(a.body, "Saved.") {
		t.Errorf("another sender: %d", a.StatusCode)
	}
	if a := send(c, "/settings/sms", twilioForm("7")...); !strings.Contains(a.body, "changed by") {
		t.Errorf("an old version: %d", a.StatusCode)
	}
	if a := send(c, "/settings/sms", "kind", "", "url", "https://api.twilio.com", "region", "", "version", "2"); !strings.Contains(a.body, "Saved.") {
		t.Errorf("back to the operator's: %d", a.StatusCode)
	}
	if secret, _, err := w.store.SealedSection(t.Context(), texts.SecretSection); err != nil || secret != "" {
		t.Errorf("the secret is kept though nobody needs it: %v", err)
	}
	w.keepsQuiet(textSecret, "7400123456")
	w.someone("adam", sallyport.RoleAdmin, true)
	if a := w.in("adam").get("/settings/sms"); a.StatusCode != http.StatusForbidden {
		t.Errorf("an administrator sees the gateway: %d", a.StatusCode)
	}
	w.someone("aud", sallyport.RoleAuditor, true)
	if a := w.in("aud").get("/settings/sms"); a.StatusCode != http.StatusOK || strings.Contains(a.body, `name="secret"`) {
		t.Errorf("an auditor: %d", a.StatusCode)
	}
}

// keepsQuiet fails when log or audit trail hold what they should not.
func (w *world) keepsQuiet(secrets ...string) {
	w.t.Helper()
	records, err := w.store.AuditRecords(w.t.Context(), store.AuditQuery{Most: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, secret := range secrets {
		if strings.Contains(w.logs.String(), secret) {
			w.t.Errorf("%q stands in the log", secret)
		}
		for _, r := range records.Records {
			if strings.Contains(string(r.Before)+string(r.After)+r.Object+r.Reason, secret) {
				w.t.Errorf("%q stands in the audit trail: %+v", secret, r)
			}
		}
	}
}

func TestPhoneNumbersOfAUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	alice := w.staffed()["alice"]
	w.someone("hugo", sallyport.RoleHelpDesk, true)
	c, page := w.in("hugo"), "/users/"+string(alice.ID)
	for typed, words := range map[string]string{"": "Type the phone number", "07400 123456": "with its country", "+44 20 7946 0958": "landline", "+44 7400": "not a phone number"} {
		if a := send(c, page+"/phones", "number", typed); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, words) {
			t.Errorf("%q: %d, without %q", typed, a.StatusCode, words)
		}
	}
	a := send(c, page+"/phones", "number", "+44 7400 123456")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "ends in 56") || strings.Contains(a.body, "123456") {
		t.Fatalf("added: %d %s", a.StatusCode, a.body)
	}
	if a := send(c, page+"/phones", "number", "+447400123456"); !strings.Contains(a.body, "enrolled already") {
		t.Errorf("twice: %d", a.StatusCode)
	}
	for _, number := range []string{"+447400123401", "+447400123402", "+447400123403", "+447400123404"} {
		send(c, page+"/phones", "number", number)
	}
	if a := c.get(page); strings.Contains(a.body, `name="number"`) {
		t.Error("a sixth number is asked for")
	}
	list, err := w.store.Phones(t.Context(), alice.Account)
	if err != nil || len(list) != sallyport.PhonesMost {
		t.Fatalf("%d numbers, %v", len(list), err)
	}
	var first sallyport.Phone
	for _, p := range list {
		if p.Number.Tail() == "56" {
			first = p
		}
	}
	if a := send(c, page+"/phones/"+string(first.ID)+"/delete"); a.StatusCode != http.StatusOK || strings.Contains(a.body, "ends in 56") {
		t.Errorf("deleted: %d", a.StatusCode)
	}
	if a := send(c, page+"/phones/"+string(first.ID)+"/delete"); a.StatusCode != http.StatusNotFound {
		t.Errorf("deleted again: %d", a.StatusCode)
	}
	w.someone("aud", sallyport.RoleAuditor, true)
	auditor := w.in("aud")
	if a := auditor.get(page); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "ends in 01") || strings.Contains(a.body, `name="number"`) {
		t.Errorf("an auditor: %d", a.StatusCode)
	}
	if a := auditor.post(page+"/phones", "number", "+447400123499", "csrf", auditor.csrf("/account")); a.StatusCode != http.StatusForbidden {
		t.Errorf("an auditor adds a number: %d", a.StatusCode)
	}
	w.keepsQuiet("7400123456", "7400123401")
	records, err := w.store.AuditRecords(t.Context(), store.AuditQuery{Action: "phone number."})
	if err != nil || len(records.Records) != 6 || records.Records[0].Actor.Name != "hugo" && !strings.Contains(records.Records[0].Actor.Name, "hugo") {
		t.Errorf("recorded: %+v, %v", records.Records, err)
	}
}

func TestPagesOfTextMessages(t *testing.T) {
	to := &courier{answer: texts.Answer{Outcome: texts.Throttled, Detail: "error 20429: Too Many Requests"}}
	w := newWorld(t, worldOptions{admin: func(c *admin.Config) { c.Texts = &texts.Service{Store: c.Store, Courier: to, Log: c.Log} }})
	alice := w.staffed()["alice"]
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	p := w.browser(t)
	p.signIn("olive")
	p.open("/settings/sms")
	p.inspect("settings-sms-new")
	send(c, "/settings/sms", "kind", "smpp", "url", "smpp://smsc.provider.example:2775", "user", "hospital", "secret", "12345678", "from", "Hospital", "region", "GB", "version", "0")
	p.open("/settings/sms")
	p.do("a phone", chromedp.Evaluate[chromedp.Void](`void (document.querySelector("[name=to]").value = "07400 123456")`))
	p.click(`form[action="/settings/sms/test"] button[type=submit]`)
	p.until(`document.querySelector(".alert.bad")`)
	p.inspect("settings-sms")

	p.open("/settings/tokens")
	p.inspect("settings-tokens-new")
	for i, host := range []string{"rsa1.hospital.example", "rsa2.hospital.example"} {
		send(c, "/settings/tokens/new", "host", host, "port", "1812", "secret", "a-secret-of-twenty-chars", "position", strconv.Itoa(i+1), "version", strconv.Itoa(i))
	}
	send(c, "/settings/tokens", "name", "RSA SecurID", "user_name", "name", "timeout", "3", "tries", "2", "version", "2", "policy.default", "1")
	p.open("/settings/tokens")
	p.until(`document.body.innerText.includes("rsa2.hospital.example") && document.querySelector("[name=name]").value === "RSA SecurID"`)
	p.inspect("settings-tokens")
	p.click(`main a[href^="/settings/tokens/"]:not([href$="/new"])`)
	p.until(`document.querySelector("[name=host]")`)
	p.inspect("token-server")
	send(c, "/users/"+string(alice.ID)+"/phones", "number", "07400 123456")
	p.open("/users/" + string(alice.ID))
	p.inspect("user")
	p.click(`#phones [data-dialog]`)
	p.until(`document.querySelector("dialog[open]")`)
	p.inspect("phone-delete")
}
