package demo_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// administrator is a browser at the console, which takes its certificate as a person does who is warned.
type administrator struct {
	t    *testing.T
	http *http.Client
	base string
}

func (a *administrator) do(method, path string, form url.Values) (*http.Response, string) {
	a.t.Helper()
	req, err := http.NewRequest(method, a.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", a.base)
	}
	res, err := a.http.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res, string(body)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func TestTheAdministratorSignsInWithTheCodeThatIsTold(t *testing.T) {
	r := start(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &administrator{t: t, base: strings.TrimSuffix(r.ConsoleURL, "/"), http: &http.Client{Jar: jar, Timeout: patience,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if res, body := a.do("POST", "/sign-in", url.Values{"name": {r.ConsoleUser}, "password": {r.ConsolePassword}}); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign in: %d\n%s", res.StatusCode, body)
	}
	told := regexp.MustCompile(`console: the code is (\d{6})\n`).FindStringSubmatch(r.told.String())
	if told == nil {
		t.Fatalf("no code is told\n%s", r.told)
	}
	shown, err := exec.Command("oathtool", "--totp", "--base32", r.ConsoleTOTPSecret, "--window", "1", "--now", time.Now().Add(-30*time.Second).UTC().Format("2006-01-02 15:04:05 UTC")).Output()
	if err != nil || !strings.Contains(string(shown), told[1]) {
		t.Errorf("oathtool shows %q, %v; told was %s", shown, err, told[1])
	}
	_, body := a.do("GET", "/sign-in/factor", nil)
	token := csrfField.FindStringSubmatch(body)
	if token == nil {
		t.Fatalf("no form\n%s", body)
	}
	if res, body := a.do("POST", "/sign-in/code", url.Values{"csrf": {token[1]}, "code": {told[1]}}); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" {
		t.Fatalf("code: %d %s\n%s", res.StatusCode, res.Header.Get("Location"), body)
	}
	if res, body := a.do("GET", "/users", nil); res.StatusCode != http.StatusOK || !strings.Contains(body, "Alice Archer") {
		t.Errorf("users: %d\n%s", res.StatusCode, body)
	}
	_, body = a.do("GET", "/settings/sms", nil)
	if token = csrfField.FindStringSubmatch(body); token == nil {
		t.Fatalf("no form\n%s", body)
	}
	if res, body := a.do("POST", "/settings/sms/test", url.Values{"csrf": {token[1]}, "to": {"07400 123456"}}); res.StatusCode != http.StatusOK || !strings.Contains(body, "The gateway took the message") {
		t.Errorf("text message: %d\n%s", res.StatusCode, body)
	}
	if !strings.Contains(r.told.String(), "text message to +447400123456: This is a test message") {
		t.Errorf("no text message is told\n%s", r.told)
	}
	if strings.Contains(r.told.String(), r.ConsoleTOTPSecret) {
		t.Error("the secret of the code generator is told")
	}
}
