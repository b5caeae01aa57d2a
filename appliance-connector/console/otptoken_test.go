package console

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/otp"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// bring sends the form of the import with a file as a browser does.
func (c *client) bring(file string, pairs ...string) answer {
	c.w.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for i, pairs := 0, append(pairs, "csrf", c.csrf("/otp-tokens/import")); i+1 < len(pairs); i += 2 {
		if err := m.WriteField(pairs[i], pairs[i+1]); err != nil {
			c.w.t.Fatal(err)
		}
	}
	part, err := m.CreateFormFile("file", "tokens.csv")
	if err == nil {
		_, err = io.WriteString(part, file)
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		c.w.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", c.w.url+"/otp-tokens/import", &body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", m.FormDataContentType())
	req.Header.Set("Origin", c.w.url)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return c.do(req)
}

const seedInHex = "3132333435363738393031323334353637383930"

var tokenSum = regexp.MustCompile(`name="sum" value="([0-9a-f]{64})"`)

// imports looks at a file and imports it.
func (c *client) imports(file string) answer {
	c.w.t.Helper()
	looked := c.bring(file, "do", "check")
	m := tokenSum.FindStringSubmatch(looked.body)
	if m == nil {
		c.w.t.Fatalf("the file cannot be imported: %d\n%s", looked.StatusCode, looked.body)
	}
	return c.bring(file, "do", "import", "sum", m[1])
}

// limit has an administrator look after those below an OU only.
func (w *world) limit(a sallyport.Administrator, ou string) {
	w.t.Helper()
	now, err := w.store.Administrator(w.t.Context(), a.ID)
	if err == nil {
		now.Scope = sallyport.Scope{OUs: []string{ou}}
		_, err = w.store.PutAdministrator(w.t.Context(), now)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// tokenNamed reads a token with its seed.
func (w *world) tokenNamed(serial string) sallyport.OTPToken {
	w.t.Helper()
	page, err := w.store.OTPTokens(w.t.Context(), store.OTPTokenQuery{Serial: serial})
	if err != nil || len(page.Tokens) != 1 {
		w.t.Fatalf("%s: %d tokens, %v", serial, len(page.Tokens), err)
	}
	k, err := w.store.OTPToken(w.t.Context(), page.Tokens[0].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func TestAFileOfTokensIsLookedAtAndThenImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("ada", sallyport.RoleAdmin, true)
	c := w.in("ada")
	file := "serial,secret,type,digits\nFT-1," + seedInHex + ",totp,6\nFT-2," + seedInHex + ",hotp,8\n"
	looked := c.bring(file, "do", "check")
	if looked.StatusCode != http.StatusOK || !strings.Contains(looked.body, "2 tokens are in the file") || !strings.Contains(looked.body, "8 digits, by button") {
		t.Fatalf("looked at: %d\n%s", looked.StatusCode, looked.body)
	}
	sum := tokenSum.FindStringSubmatch(looked.body)[1]
	if page, err := w.store.OTPTokens(t.Context(), store.OTPTokenQuery{}); err != nil || page.Total != 0 {
		t.Fatalf("looking at a file changed something: %d, %v", page.Total, err)
	}
	if a := c.bring(strings.Replace(file, "FT-2", "FT-3", 1), "do", "import", "sum", sum); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "not the file that was looked at") {
		t.Errorf("another file: %d", a.StatusCode)
	}
	if a := c.bring(file, "do", "import", "sum", sum); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/otp-tokens" {
		t.Fatalf("imported: %d\n%s", a.StatusCode, a.body)
	}
	if list := c.get("/otp-tokens"); !strings.Contains(list.body, "2 OTP tokens were imported.") || !strings.Contains(list.body, ">FT-2<") {
		t.Errorf("the list: %d\n%s", list.StatusCode, list.body)
	}
	if a := c.bring(file, "do", "check"); !strings.Contains(a.body, "nothing to import") || tokenSum.MatchString(a.body) {
		t.Errorf("again: %d", a.StatusCode)
	}
	other := "FT-1," + strings.Repeat("41", 20) + "\nFT-9," + seedInHex
	if a := c.bring(other, "do", "check"); !strings.Contains(a.body, "another secret") || tokenSum.MatchString(a.body) {
		t.Errorf("another secret: %d", a.StatusCode)
	}
	for _, text := range []string{w.logs.String(), looked.body, c.get("/otp-tokens/" + string(w.tokenNamed("FT-1").ID)).body} {
		if strings.Contains(text, seedInHex) {
			t.Error("a secret is shown")
		}
	}
}

func TestWhatIsWrongWithAFileOfTokensIsSaidByLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("ada", sallyport.RoleAdmin, true)
	c := w.in("ada")
	pskc := `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><EncryptionKey><KeyName>K1</KeyName></EncryptionKey><MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"/>
		<KeyPackage><DeviceInfo><SerialNo>T-1</SerialNo></DeviceInfo><Key Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp"><Data><Secret><EncryptedValue/><ValueMAC>AAAA</ValueMAC></Secret></Data></Key></KeyPackage></KeyContainer>`
	for name, x := range map[string]struct {
		file  string
		pairs []string
		words []string
	}{
		"nothing":      {"", nil, []string{"The file is empty."}},
		"lines":        {"serial,secret,type\nA-1," + seedInHex + ",ocra\nB-1," + seedInHex + "\nC-1,,totp\n", nil, []string{"there are 2 mistakes", `Line 2, token "A-1"`, `Line 4, token "C-1"`}},
		"many":         {"serial,secret,type\n" + strings.Repeat("A-1,"+seedInHex+",ocra\n", 150), nil, []string{"there are 150 mistakes", "And 50 more."}},
		"no key":       {pskc, nil, []string{`the file calls "K1". Give that key`}},
		"a wrong key":  {pskc, []string{"key", strings.Repeat("00", 16)}, []string{"AES-CBC"}},
		"a short key":  {pskc, []string{"key", "0011"}, []string{"16, 24 or 32 octets"}},
		"hostile":      {"serial,secret\n<script>alert(1)</script>,xx\n", nil, []string{"<script>alert(1)</script>"}},
		"a bomb":       {`<!DOCTYPE x [<!ENTITY a "ha">]><KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">&a;</KeyContainer>`, nil, []string{"not right in XML"}},
		"longer lines": {strings.Repeat("x", 1<<20), nil, []string{"too long"}},
	} {
		a := c.bring(x.file, append(x.pairs, "do", "check")...)
		for _, words := range x.words {
			if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(html.UnescapeString(a.body), words) {
				t.Errorf("%s: %d, no %q", name, a.StatusCode, words)
			}
		}
		if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, seedInHex) {
			t.Errorf("%s: shown as HTML, or with a secret", name)
		}
	}
	if a := c.bring(strings.Repeat("x", maxUpload), "do", "check"); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "longer than 16 MiB") {
		t.Errorf("too long: %d %.200s", a.StatusCode, a.body)
	}
	if a := send(c, "/otp-tokens/import", "do", "check"); a.StatusCode == http.StatusOK || a.StatusCode >= 500 {
		t.Errorf("a form without a file: %d", a.StatusCode)
	}
}

// Ten thousand tokens, as many as a file may have, go through the page in one go.
func TestTenThousandTokensAreImportedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.someone("ada", sallyport.RoleAdmin, true)
	c := w.in("ada")
	var file strings.Builder
	for n := range sallyport.OTPImportMost {
		fmt.Fprintf(&file, "FT-%05d,%s,hotp,6\n", n, seedInHex)
	}
	began := time.Now()
	a := c.imports(file.String())
	t.Logf("%v", time.Since(began))
	if a.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d\n%.500s", a.StatusCode, a.body)
	}
	if list := c.get("/otp-tokens?q=ft-0999"); !strings.Contains(list.body, "10 OTP tokens") {
		t.Errorf("found: %.500s", list.body)
	}
	page := c.get("/otp-tokens")
	next := regexp.MustCompile(`href="(/otp-tokens\?after=[^"]+)">Next page`).FindStringSubmatch(page.body)
	if next == nil || !strings.Contains(page.body, "10000 OTP tokens") || !strings.Contains(c.get(html.UnescapeString(next[1])).body, ">FT-00050<") {
		t.Error("there is no second page, or not the right one")
	}
}

func TestATokenIsGivenAndTakenAndFoundAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	w.someone("ada", sallyport.RoleAdmin, true)
	w.someone("hanna", sallyport.RoleHelpDesk, true)
	if a := w.in("ada").imports("FT-1," + seedInHex + ",hotp,6\nFT-2," + seedInHex + ",totp,8\n"); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.StatusCode)
	}
	c := w.in("hanna")
	k := w.tokenNamed("FT-1")
	path := "/otp-tokens/" + string(k.ID)
	version := func() string { return fmt.Sprint(w.tokenNamed("FT-1").Version) }
	for words, who := range map[string]string{"nobody of this name": "ali", "no use": "carol"} {
		if a := send(c, path+"/assign", "user", who, "version", version()); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, words) {
			t.Errorf("to %s: %d", who, a.StatusCode)
		}
	}
	if a := send(c, path+"/assign", "user", "ALICE@hospital.example", "version", version()); !strings.Contains(a.body, "belongs to Alice Adams now") {
		t.Errorf("assigned: %d", a.StatusCode)
	}
	if a := send(c, path+"/assign", "user", "bob", "version", version()); !strings.Contains(a.body, "Take it from them first") {
		t.Errorf("to somebody else: %d", a.StatusCode)
	}
	alice := "/users/" + string(users["alice"].ID)
	if a := send(c, alice+"/otp-tokens", "serial", "ft-2"); !strings.Contains(a.body, ">FT-2<") || !strings.Contains(a.body, ">FT-1<") {
		t.Errorf("her page: %d", a.StatusCode)
	}
	if a := send(c, alice+"/otp-tokens", "serial", "FT-3"); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "no such token") {
		t.Errorf("a token that there is not: %d", a.StatusCode)
	}
	code := func(n int64) string {
		shown, err := otp.Code(k, n)
		if err != nil {
			t.Fatal(err)
		}
		return string(shown)
	}
	if a := send(c, path+"/resynchronise", "first", code(300), "second", code(302)); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "one after the other") {
		t.Errorf("codes with one left out: %d", a.StatusCode)
	}
	if a := send(c, path+"/resynchronise", "first", code(300), "second", code(301)); !strings.Contains(a.body, "found again") || w.tokenNamed("FT-1").Next != 302 {
		t.Errorf("resynchronised: %d, next %d", a.StatusCode, w.tokenNamed("FT-1").Next)
	}
	send(c, path+"/disable", "version", version())
	if k := w.tokenNamed("FT-1"); k.Good() || !strings.Contains(c.get(path).body, "Disabled") {
		t.Errorf("disabled: %+v", k)
	}
	send(c, path+"/enable", "version", version())
	if !w.tokenNamed("FT-1").Good() {
		t.Error("not enabled")
	}
	send(c, path+"/unassign", "version", version())
	if w.tokenNamed("FT-1").Account != "" {
		t.Error("not taken away")
	}
	if a := send(c, path+"/delete", "version", version()); a.StatusCode != http.StatusForbidden {
		t.Errorf("the help desk deletes tokens: %d", a.StatusCode)
	}
	if a := c.get("/otp-tokens/import"); a.StatusCode != http.StatusForbidden {
		t.Errorf("the help desk imports tokens: %d", a.StatusCode)
	}
	if a := send(w.in("ada"), path+"/delete", "version", version()); !strings.Contains(a.body, "was deleted") {
		t.Errorf("deleted: %d", a.StatusCode)
	}
	if strings.Contains(w.logs.String(), code(300)) {
		t.Error("a code stands in the log")
	}
}

func TestAPINIsSetAndNeverShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	hanna := w.someone("hanna", sallyport.RoleHelpDesk, true)
	c := w.in("hanna")
	path := "/users/" + string(users["alice"].ID)
	for _, bad := range []string{"", "258", "1234", "25a0"} {
		if a := send(c, path+"/pin", "pin", bad); a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "PIN") {
			t.Errorf("%q: %d", bad, a.StatusCode)
		}
	}
	if a := send(c, path+"/pin", "pin", "90817263"); !strings.Contains(a.body, "The PIN was set.") || strings.Contains(a.body, "90817263") {
		t.Errorf("set: %d", a.StatusCode)
	}
	p, err := w.store.OTPPIN(t.Context(), users["alice"].Account)
	if err != nil || p == nil || p.By != hanna.Name && p.By != hanna.DisplayName || strings.Contains(string(p.Hash), "90817263") {
		t.Fatalf("kept: %+v, %v", p, err)
	}
	if body := c.get(path).body; strings.Contains(body, string(p.Hash)) || !strings.Contains(body, "Delete PIN") {
		t.Error("her page shows the hash, or no PIN")
	}
	send(c, path+"/delete-pin")
	if p, err := w.store.OTPPIN(t.Context(), users["alice"].Account); err != nil || p != nil {
		t.Errorf("deleted: %+v, %v", p, err)
	}
	if strings.Contains(w.logs.String(), "90817263") {
		t.Error("the PIN stands in the log")
	}
	// Limited to another OU, hanna finds neither alice's tokens nor her PIN.
	w.limit(hanna, "OU=Elsewhere,DC=hospital,DC=example")
	limited := w.in("hanna")
	for _, form := range []string{"/pin", "/delete-pin", "/otp-tokens"} {
		if a := send(limited, path+form, "pin", "90817263", "serial", "FT-1"); a.StatusCode == http.StatusOK {
			t.Errorf("%s from somebody who does not look after her: %d", form, a.StatusCode)
		}
	}
	if a := limited.get("/otp-tokens"); a.StatusCode != http.StatusForbidden {
		t.Errorf("all tokens are shown to somebody who looks after some users: %d", a.StatusCode)
	}
}

// choose puts a file into the form, as if it had been chosen.
func (p *tab) choose(text string) {
	p.t.Helper()
	p.until(`document.querySelector("#f-file")`)
	p.eval(`(() => { const d = new DataTransfer(); d.items.add(new File([` + quoted(text) + `], "tokens.csv")); document.querySelector("#f-file").files = d.files; })()`)
}

func TestPagesOfTokens(t *testing.T) {
	w := newWorld(t, worldOptions{})
	users := w.staffed()
	w.someone("olive", sallyport.RoleSuper, true)
	p := w.browser(t)
	p.signIn("olive")
	p.open("/otp-tokens")
	p.inspect("otp-tokens-none")
	p.open("/otp-tokens/import")
	p.inspect("otp-tokens-import")
	p.choose("serial,secret,type\nFT-1," + seedInHex + ",ocra\nFT-2," + seedInHex + ",totp\nFT-3,xx,totp")
	p.click("[value=check]")
	p.until(`document.querySelectorAll("#tokens-found li").length === 2`)
	p.inspect("otp-tokens-wrong")
	var file strings.Builder
	for n := range 60 {
		fmt.Fprintf(&file, "FT-%03d,%s,hotp,6\n", n, seedInHex)
	}
	p.choose(file.String())
	p.click("[value=check]")
	p.until(`document.querySelector("#tokens-found [name=sum]")`)
	p.inspect("otp-tokens-found")
	if n := p.eval(`document.querySelector("#f-file").files.length`); n != "1" {
		t.Errorf("%s files are chosen after looking at one", n)
	}
	p.click("[value=import]")
	p.at("/otp-tokens")
	p.until(`document.querySelectorAll("#tokens tbody tr").length === 50`)
	if _, err := w.store.AssignOTPToken(t.Context(), w.tokenNamed("FT-001").ID, 0, users["alice"].Account); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"otp-tokens": "/otp-tokens", "otp-token-free": "/otp-tokens/" + string(w.tokenNamed("FT-000").ID),
		"otp-token": "/otp-tokens/" + string(w.tokenNamed("FT-001").ID), "user-token": "/users/" + string(users["alice"].ID)} {
		p.open(path)
		p.inspect(name)
	}
	p.open("/otp-tokens/" + string(w.tokenNamed("FT-001").ID))
	p.click("[data-dialog=disable]")
	p.until(`document.querySelector("dialog#disable[open]")`)
	p.click("dialog#disable button[type=submit]")
	p.until(`document.querySelector("main").innerText.includes("Enable")`)
	if w.tokenNamed("FT-001").Good() {
		t.Error("it counts still")
	}
}
