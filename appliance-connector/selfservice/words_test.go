package selfservice_test

import (
	"encoding/json"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store/conformance"
	"github.com/sallyport/sallyport/internal/secrethash"
)

// sentences reads a language as it stands in the tree.
func sentences(t *testing.T, language string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("lang", language+".json"))
	check(t, err)
	var out map[string]string
	check(t, json.Unmarshal(text, &out))
	return out
}

var place = regexp.MustCompile(`\{\w+\}`)

func places(s string) string {
	all := place.FindAllString(s, -1)
	sort.Strings(all)
	return strings.Join(all, " ")
}

func TestEveryLanguageHasEverySentence(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("lang/*.json")
	check(t, err)
	if len(files) != len(sallyport.Languages()) {
		t.Errorf("%d files of languages, want %d", len(files), len(sallyport.Languages()))
	}
	english := sentences(t, "en")
	for _, language := range sallyport.Languages() {
		words := sentences(t, language)
		for key, text := range english {
			got := words[key]
			switch {
			case strings.TrimSpace(got) == "":
				t.Errorf("%s: %s is missing", language, key)
			case places(got) != places(text):
				t.Errorf("%s: %s has the places %q, want %q", language, key, places(got), places(text))
			case language != "en" && key != "date" && got == text && strings.Count(text, " ") > 1: // a word or two may be the same
				t.Errorf("%s: %s is English: %q", language, key, got)
			}
		}
		for key := range words {
			if english[key] == "" {
				t.Errorf("%s: nobody says %s", language, key)
			}
		}
		if n := len(strings.Fields(words["months"])); n != 12 {
			t.Errorf("%s: %d months", language, n)
		}
	}
}

// What is said in templates and in Go is there to be said, and what is there is said.
func TestEverySentenceThatIsSaidIsThere(t *testing.T) {
	t.Parallel()
	english := sentences(t, "en")
	var sources strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		files, err := filepath.Glob(pattern)
		check(t, err)
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				text, err := os.ReadFile(f)
				check(t, err)
				sources.Write(text)
			}
		}
	}
	said := map[string]bool{}
	for _, m := range regexp.MustCompile(`say "(\w+)"|say\("(\w+)"[,)]|tell\(sallyport\.\w+, "(\w+)"|"(pin\w+|added|replaced|deleted|forgotten)"|w\.all\["(\w+)"\]`).FindAllStringSubmatch(sources.String(), -1) {
		said[m[1]+m[2]+m[3]+m[4]+m[5]] = true
	}
	for _, k := range []sallyport.AuthenticatorKind{sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorOTP} {
		said["kind_"+string(k)] = true
	}
	for _, m := range []sallyport.Method{sallyport.MethodPush, sallyport.MethodCode, sallyport.MethodSMS, sallyport.MethodOTP, sallyport.MethodTemporary, sallyport.MethodExternal} {
		said["use_"+string(m)] = true
		if m != sallyport.MethodPush {
			said["asks_"+string(m)] = true
		}
	}
	for _, c := range []sallyport.Code{sallyport.CodeUnavailable, sallyport.CodeInvalid, sallyport.CodeDenied, sallyport.CodeNotFound, sallyport.CodeConflict, sallyport.CodeExpired, sallyport.CodeLimited, sallyport.CodeInternal} {
		said["error_"+string(c)] = true
	}
	for _, r := range []sallyport.Reason{sallyport.ReasonCredentials, sallyport.ReasonNotEnrolled, sallyport.ReasonNotAllowed, sallyport.ReasonWrongNumber, sallyport.ReasonRejected,
		sallyport.ReasonNotMe, sallyport.ReasonTimeout, sallyport.ReasonSuperseded, sallyport.ReasonWrongCode, sallyport.ReasonTooManyCodes, sallyport.ReasonExpired, sallyport.ReasonUnavailable,
		sallyport.ReasonPushFailed, sallyport.ReasonBadApproval, sallyport.ReasonBlocked, sallyport.ReasonSMSFailed, sallyport.ReasonEnrolFailed,
		sallyport.ReasonUpdateApp, sallyport.ReasonUnknownSerial, sallyport.ReasonNotAttested} {
		said["reason_"+string(r)] = true
	}
	delete(said, "pin") // a template and an address
	for key := range said {
		if key != "pin" && english[key] == "" {
			t.Errorf("%s is said and has no words", key)
		}
	}
	for key := range english {
		if !said[key] {
			t.Errorf("nobody says %s", key)
		}
	}
}

func TestLanguageIsTheBrowsersOrTheEnterprises(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct{ accept, own, want string }{
		{"de-AT,de;q=0.9,en;q=0.5", "", "de"}, {"fi;q=0.9, tr;q=0.8", "de", "tr"}, {"en;q=0.1,fr", "", "fr"}, {"fi", "es", "es"}, {"", "ar", "ar"}, {"fi", "", "en"}, {"fi", "xx", "en"},
		{"\"; drop", "fr", "fr"}, {strings.Repeat("fi,", 5000) + "de", "tr", "tr"}, {strings.Repeat("-", 9000), "", "en"},
	} {
		w.language = tc.own
		c := w.client()
		c.accept = tc.accept
		a := c.get("/me")
		dir := map[bool]string{true: "rtl", false: "ltr"}[tc.want == "ar"]
		if !strings.Contains(a.body, `<html lang="`+tc.want+`" dir="`+dir+`">`) || !strings.Contains(a.body, html.EscapeString(sentences(t, tc.want)["lead"])) {
			t.Errorf("%.40q with %q: want %s, got %.200s", tc.accept, tc.own, tc.want, a.body)
		}
	}
	// What goes wrong is told in it, too.
	c := w.client()
	c.accept = "tr"
	if a := c.post("/me/sign-in", "name", "alice", "password", "wrong"); a.status != http.StatusForbidden || !strings.Contains(a.body, sentences(t, "tr")["reason_credentials"]) {
		t.Errorf("wrong password: %d %s", a.status, a.body)
	}
	if a := c.get("/me/nothing"); a.status != http.StatusNotFound || !strings.Contains(a.body, sentences(t, "tr")["noPage"]) {
		t.Errorf("no such page: %d %s", a.status, a.body)
	}
}

// claim has the user of a page claim a token by its codes (RFC 4226, appendix D).
func (c *client) claim(serial string) {
	c.w.t.Helper()
	_, err := c.w.store.ImportOTPTokens(c.w.t.Context(), []sallyport.OTPToken{{Serial: serial, Kind: sallyport.HOTP, Algorithm: sallyport.SHA1, Digits: 6, Seed: sallyport.Key("12345678901234567890")}})
	check(c.w.t, err)
	c.post("/me/add", "kind", "otp")
	if a := c.post("/me/act", "do", "enrol", "serial", serial, "code1", "755224", "code2", "287082"); a.path != "/me?done=added" {
		c.w.t.Fatalf("claim: %s %s", a.path, a.body)
	}
}

func (w *world) allow(more ...sallyport.Combination) {
	w.t.Helper()
	f, err := w.store.LoginWorkflow(w.t.Context())
	check(w.t, err)
	f.Allowed = append(f.Allowed, more...)
	_, err = w.store.SetLoginWorkflow(w.t.Context(), f)
	check(w.t, err)
}

func TestTheOwnPINIsSetAndChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	c.in(w.enrolled(alice, "Alice’s phone"))
	if a := c.get("/me"); strings.Contains(a.body, "PIN") {
		t.Error("a PIN is offered where it is of no use")
	}
	w.allow(sallyport.PINAndOTP)
	if a := c.get("/me/pin"); a.status != http.StatusNotFound {
		t.Errorf("without a token: %d", a.status)
	}
	c.claim("FT-9")
	if a := c.get("/me"); !strings.Contains(a.body, "You have no PIN yet.") {
		t.Fatalf("list: %s", a.body)
	}
	for _, tc := range []struct{ pin, again, want string }{
		{"123", "123", "4 to 16 digits, and nothing else"}, {"48x1", "48x1", "4 to 16 digits, and nothing else"}, {"1234", "1234", "first that somebody would guess"}, {"4816", "4817", "not the same PIN twice"},
	} {
		if a := c.post("/me/pin", "pin", tc.pin, "again", tc.again); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, tc.want) || strings.Contains(a.body, tc.pin+`"`) {
			t.Errorf("%s: %d %s", tc.pin, a.status, a.body)
		}
	}
	if a := c.send(http.MethodPost, "/me/pin", "pin=4816&again=4816"); a.status != http.StatusForbidden {
		t.Errorf("without the form's token: %d", a.status)
	}
	for _, pin := range []sallyport.Secret{"4816", "729405"} {
		if a := c.post("/me/pin", "pin", string(pin), "again", string(pin)); a.path != "/me?done=pinSaved" || !strings.Contains(a.body, "You have a PIN, since") {
			t.Fatalf("set: %s %s", a.path, a.body)
		}
		kept, err := w.store.OTPPIN(t.Context(), alice)
		check(t, err)
		if right, err := secrethash.Match(string(kept.Hash), pin); err != nil || !right || kept.By != string(alice) {
			t.Errorf("kept: %v %v, by %s", right, err, kept.By)
		}
	}
	for range 8 {
		c.post("/me/pin", "pin", "729405", "again", "729405")
	}
	if a := c.post("/me/pin", "pin", "99017", "again", "99017"); a.status != http.StatusTooManyRequests {
		t.Errorf("the eleventh in an hour: %d", a.status)
	}
	c.post("/me/sign-out")
	if a := c.post("/me/pin", "pin", "4816", "again", "4816"); strings.Contains(a.body, "saved") {
		t.Error("a PIN is set by nobody")
	}
}

func TestPasskeysAreSeenAndDeletedAndTheirPageIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.allow(sallyport.PasswordAndPasskey)
	in := conformance.NewIntegration("vpn", 1)
	in.Origins = []string{"https://vpn.hospital.example"}
	_, err := w.store.PutIntegration(t.Context(), in)
	check(t, err)
	check(t, w.store.AddUserPasskey(t.Context(), conformance.NewPasskey(1, alice)))
	c := w.client()
	p := w.enrolled(alice, "Alice’s phone")
	c.in(p)
	a := c.get("/me")
	for _, want := range []string{"Security key", "A passkey for vpn.hospital.example", "it cannot be made here"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q in %s", want, a.body)
		}
	}
	if strings.Contains(a.body, "https://vpn.hospital.example/") {
		t.Error("sent to a page that offers nothing to who has something")
	}
	if a := c.post("/me/delete", "what", "passkey", "id", "k1"); a.path != "/me?done=deleted" || strings.Contains(a.body, "Security key") {
		t.Errorf("delete: %s %s", a.path, a.body)
	}
	c.post("/me/delete", "what", "device", "id", string(p.ID))
	if a := c.get("/me"); strings.Contains(a.body, "https://vpn.hospital.example/") {
		t.Error("sent to a page that offers nothing by the enrol rule")
	}
	r, err := w.store.PutEnrolRule(t.Context(), sallyport.EnrolRule{Name: "At the gateway", Unenrolled: sallyport.UnenrolledOther, PromptAtGateway: true})
	check(t, err)
	u, err := w.store.DefaultUserPolicy(t.Context())
	check(t, err)
	u.EnrolRule = r.ID
	_, err = w.store.PutUserPolicy(t.Context(), u)
	check(t, err)
	w.forward(1)
	if a := c.get("/me"); !strings.Contains(a.body, `href="https://vpn.hospital.example/"`) {
		t.Errorf("the gateway's page is not named: %s", a.body)
	}
}
