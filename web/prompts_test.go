package web_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	webauthnlib "github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport"
)

type prompt = map[string]any

// atLogin has the credentials sent; the test shows the first prompt.
func atLogin(t *testing.T) (*fakeCloud, *gateway, *tab, *fakeLogin) {
	t.Helper()
	c, g, p := onPage(t, "/")
	p.signIn("alice", password)
	return c, g, p, c.next()
}

// says clicks a button and compares what the appliance hears of it.
func (l *fakeLogin) says(p *tab, id string, want map[string]any) {
	l.c.t.Helper()
	p.click(id)
	l.hears(want)
}

func (l *fakeLogin) hears(want map[string]any) {
	l.c.t.Helper()
	got, err := json.Marshal(l.heard())
	must(l.c.t, err)
	wanted, err := json.Marshal(want)
	must(l.c.t, err)
	if string(got) != string(wanted) {
		l.c.t.Errorf("said %s, want %s", got, wanted)
	}
}

// skewed opens the page with a clock that stands still until a test puts it forward.
func skewed(t *testing.T) (*fakeCloud, *gateway, *tab, *fakeLogin) {
	t.Helper()
	c := newCloud(t)
	g := newGateway(t, c)
	p := newTab(t)
	p.early(`(() => { const at = Date.now(); window.skew = 0; Date.now = () => at + window.skew; })()`)
	p.open(g.url("/"))
	p.signIn("alice", password)
	return c, g, p, c.next()
}

func TestChooseAWay(t *testing.T) {
	_, g, p, l := atLogin(t)
	all := []string{"otp", "push", "code", "sms", "external", "passkey", "temporary", "a_way_of_tomorrow"}
	l.show("input", prompt{"kind": "choose", "methods": all, "supportCode": "ABCD-1234"})
	p.untilScreen("choose")
	if got, want := p.text(`[...shadow.querySelectorAll('.primary,.secondary')].map(b => b.id).join(' ')`), "useotp usepush usecode usesms useexternal usepasskey usetemporary"; got != want {
		t.Errorf("ways %q, want %q", got, want)
	}
	if got := p.text(`shadow.querySelector('.primary').textContent`); got != "Type a code from my token" {
		t.Errorf("first %q", got)
	}
	p.shots("choose")
	l.says(p, "usesms", prompt{"action": "use", "method": "sms"})
	l.show("input", prompt{"kind": "code", "methods": []string{"sms", "push"}, "to": "12", "resendMs": 30000})
	p.untilScreen("code")
	l.says(p, "usepush", prompt{"action": "push"})
	l.push()
	p.untilScreen("push")
	l.says(p, "usecode", prompt{"action": "use_code"})
	l.done()
	p.untilIn()
	if g.form().Get("password1") != token {
		t.Errorf("posted %v", g.form())
	}
}

func TestWithoutAPhone(t *testing.T) {
	_, _, p, l := atLogin(t)
	methods := []string{"push", "code", "sms", "passkey", "otp"}
	l.show("waiting", prompt{"kind": "push", "number": "42", "remainingMs": 30000, "methods": methods, "supportCode": "ABCD-1234"})
	p.untilScreen("push")
	if got := p.text(`[...shadow.querySelectorAll('.way')].map(b => b.id).join(' ')`); got != "usecode usesms usepasskey useotp nophone" {
		t.Errorf("ways %q", got)
	}
	p.click("nophone")
	p.untilScreen("nophone")
	p.shots("nophone")
	text := p.text(`shadow.querySelector('main').textContent`)
	if !strings.Contains(text, "Call the help desk") || !strings.Contains(text, "ABCD-1234") || strings.Contains(text, "text message") {
		t.Errorf("text %q", text)
	}
	p.click("back")
	p.untilScreen("push")
	if n := p.text(`$('number').textContent`); n != "42" {
		t.Errorf("number %q", n)
	}
	p.click("nophone")
	l.says(p, "useotp", prompt{"action": "use", "method": "otp"})
	l.show("input", prompt{"kind": "code", "methods": []string{"otp", "push"}})
	p.untilScreen("code")
	// Nobody without a phone is left with nothing: not even where the phone is the only way.
	l.show("waiting", prompt{"kind": "push", "remainingMs": 30000, "methods": []string{"push"}})
	p.click("nophone")
	p.untilScreen("nophone")
	if text := p.text(`shadow.querySelector('main').textContent`); !strings.Contains(text, "Call the help desk") || strings.Contains(text, "You can sign in like this") {
		t.Errorf("text %q", text)
	}
	// And the login that goes on is shown, wherever the person is.
	l.deny(sallyport.ReasonTimeout)
	p.untilScreen("denied")
}

func TestCodeByTextMessage(t *testing.T) {
	_, _, p, l := skewed(t)
	sms := func(resend any, more prompt) prompt {
		out := prompt{"kind": "code", "methods": []string{"sms", "push", "temporary"}, "to": "12", "supportCode": "ABCD-1234"}
		if resend != nil {
			out["resendMs"] = resend
		}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	l.show("input", sms(30000, nil))
	p.untilScreen("code")
	if lead := p.text(`$('help').textContent`); !strings.Contains(lead, "ends in 12") {
		t.Errorf("lead %q", lead)
	}
	if soon := p.text(`$('soon').textContent`); soon != "You can have it sent again in 30 seconds." || p.eval(`$('resend').checkVisibility()`) != false {
		t.Errorf("too early: %q", soon)
	}
	p.shots("code-sms")
	p.write("code", "123")
	p.eval(`window.skew = 31000`)
	p.until(`$('resend').checkVisibility()`)
	l.says(p, "resend", prompt{"action": "resend"})
	l.show("input", sms(60000, nil))
	p.until(`$('status').textContent.includes('six-digit code')`)
	if typed := p.text(`$('code').value`); typed != "123" {
		t.Errorf("what was typed is gone: %q", typed)
	}
	p.write("code", "456")
	p.enter()
	l.hears(prompt{"action": "code", "code": "123456"})
	l.show("input", sms(20000, prompt{"reason": "wrong_code"}))
	p.until(`$('alert').textContent.includes('not right')`)
	if typed := p.text(`$('code').value`); typed != "" {
		t.Errorf("a wrong code is still there: %q", typed)
	}
	l.show("input", sms(0, prompt{"delivery": "failed"}))
	p.until(`$('note') && $('note').textContent.includes('could not be sent') && !$('help') && $('resend').checkVisibility()`)
	p.shots("code-sms-failed")
	l.show("input", sms(nil, prompt{"reason": "sms_failed"}))
	p.until(`!$('resend') && $('alert').textContent.includes('could not be sent')`)
}

func TestCodesOfEveryKindInTheirOwnWords(t *testing.T) {
	_, _, p, l := atLogin(t)
	for _, tc := range []struct {
		method, title, help string
	}{
		{"code", "Enter a code", "the app on your phone"}, {"sms", "Check your text messages", "to your phone"},
		{"otp", "Enter the code from your token", "If your token has a button"}, {"temporary", "Enter the temporary code", "from the help desk"},
		{"external", "Enter your passcode", "signing in from outside"},
	} {
		l.show("input", prompt{"kind": "code", "methods": []string{tc.method}})
		p.until(`$('title').textContent === ` + quote(tc.title) + ` && $('help').textContent.includes(` + quote(tc.help) + `)`)
		p.shots("code-" + tc.method)
	}
	l.show("input", prompt{"kind": "code", "methods": []string{"external"}, "message": "Enter your new PIN <b>of 4 to 8 digits</b>:"})
	p.until(`$('help').textContent === 'Enter your new PIN <b>of 4 to 8 digits</b>:'`)
	if kind := p.text(`$('code').type`); kind != "password" {
		t.Errorf("a passcode with a PIN in it is shown: %q", kind)
	}
	p.enter()
	p.until(`$('code-problem').textContent === 'Enter the passcode.'`)
	l.show("input", prompt{"kind": "code", "methods": []string{"external", "otp"}, "reason": "unavailable"})
	p.until(`$('alert').textContent.includes('cannot be reached') && $('useotp').checkVisibility()`)
	p.write("code", "12 34")
	p.enter()
	l.hears(prompt{"action": "code", "code": "12 34"}) // as typed: it is the token server's business
	l.show("input", prompt{"kind": "code", "methods": []string{"external"}, "message": "Wait for the token to change, then enter the new code."})
	p.until(`$('help').textContent.includes('Wait for the token') && $('code').value === ''`)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// remembering stands in for the part that makes keys.
const remembering = `document.currentScript.sallyport({}, function (kit) { return {
	prepare: function () { return window.noKey ? Promise.reject(new Error('blocked')) : Promise.resolve('the-key'); },
	claim: function (a, body) { body.remembered = a.user + a.login.id.length; },
	keep: function (a, kept) { window.name = JSON.stringify(kept); }
}; });`

func TestRememberThisDevice(t *testing.T) {
	c := newCloud(t)
	c.more = map[string]string{"remember": remembering}
	g := newGateway(t, c)
	claims := make(chan string, 4)
	c.intercept(func(kind string, _ http.ResponseWriter, r *http.Request) bool {
		if kind == "credentials" {
			claims <- peek(t, r)
		}
		return false
	})
	p := newTab(t)
	p.open(g.url("/"))
	p.signIn("alice", password)
	l := c.next()
	if claim := <-claims; !strings.Contains(claim, `"remembered":"alice43"`) && !strings.Contains(claim, `"remembered":"alice`) {
		t.Errorf("the part had no hand in the credentials: %s", claim)
	}
	code := func(on bool, hours int) prompt {
		return prompt{"kind": "code", "methods": []string{"code"}, "remember": prompt{"hours": hours, "on": on}}
	}
	l.show("input", code(false, 720))
	p.untilScreen("code")
	if got := p.text(`shadow.querySelector('.remember').textContent`); got != "Remember this device for 30 daysUse this only on a computer you trust." {
		t.Errorf("offer %q", got)
	}
	p.shots("code-remember")
	p.write("code", "12")
	p.eval(`(window.noKey = true)`)
	p.click("remember")
	p.until(`!$('remember').checked && $('alert').textContent.includes('cannot be remembered')`)
	p.eval(`(window.noKey = false, true)`)
	p.eval(`$('remember').focus()`)
	p.eval(`(window.before = $('remember'), true)`)
	l.says(p, "remember", prompt{"action": "remember", "key": "the-key", "on": true})
	l.show("input", code(true, 720))
	p.until(`$('remember') !== window.before && $('remember').checked && $('alert').textContent === '' && shadow.activeElement.id === 'remember' && $('code').value === '12'`)
	l.says(p, "remember", prompt{"action": "remember", "on": false})
	for hours, want := range map[int]string{1: "1 hour", 24: "1 day", 36: "36 hours", 48: "2 days", 2880: "120 days"} {
		l.show("input", code(false, hours))
		p.until(`shadow.querySelector('.remember .choice').textContent === 'Remember this device for ` + want + `'`)
	}
	l.show("waiting", prompt{"kind": "push", "remainingMs": 30000, "methods": []string{"push"}, "remember": prompt{"hours": 24, "on": true}})
	p.until(`host.dataset.screen === 'push' && $('remember').checked`)
	p.shots("push-remember")
	l.show("done", prompt{"kind": "done", "token": token, "remembered": prompt{"id": "abc", "hours": 24}})
	p.untilIn()
	if kept := p.text(`window.name`); kept != `{"hours":24,"id":"abc"}` {
		t.Errorf("kept %q", kept)
	}
}

func TestRememberIsNotOfferedWhereItCannotBeDone(t *testing.T) {
	_, _, p, l := atLogin(t)
	l.show("input", prompt{"kind": "code", "methods": []string{"code"}})
	p.untilScreen("code")
	if p.eval(`!!$('remember')`) != false {
		t.Error("offered without being told to")
	}
}

// authenticator gives the tab a security key that always says yes.
func (p *tab) authenticator() {
	p.t.Helper()
	call(p, webauthn.Enable, webauthn.EnableParams{})
	call(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true}})
}

const (
	challenge = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	userID    = "YWxpY2U"
)

func creation(exclude ...string) prompt {
	out := prompt{
		"rp": prompt{"id": "localhost", "name": "VPN"}, "user": prompt{"id": userID, "name": "alice", "displayName": "Alice"}, "challenge": challenge,
		"pubKeyCredParams":       []prompt{{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -257}},
		"authenticatorSelection": prompt{"userVerification": "required", "residentKey": "preferred"}, "attestation": "none",
	}
	var ids []prompt
	for _, id := range exclude {
		ids = append(ids, prompt{"type": "public-key", "id": id})
	}
	if ids != nil {
		out["excludeCredentials"] = ids
	}
	return out
}

// owner is Alice with her passkeys.
type owner []webauthnlib.Credential

func (owner) WebAuthnID() []byte                              { return []byte("alice") }
func (owner) WebAuthnName() string                            { return "alice" }
func (owner) WebAuthnDisplayName() string                     { return "Alice" }
func (o owner) WebAuthnCredentials() []webauthnlib.Credential { return o }

// A passkey is made in the overlay, and the next login uses it: both answers are checked by the library that the appliance checks with.
func TestPasskeyIsMadeAndUsed(t *testing.T) {
	c, g, p := onPage(t, "/")
	p.authenticator()
	p.signIn("alice", password)
	l := c.next()
	l.show("input", prompt{"kind": "enrol", "remainingMs": 300000, "enrol": prompt{"step": "passkey", "options": creation()}})
	p.untilScreen("enrol")
	p.shots("enrol-passkey")
	p.click("make")
	said, err := json.Marshal(l.heard()["response"])
	must(t, err)
	made, err := protocol.ParseCredentialCreationResponseBytes(said)
	must(t, err)
	rp, err := webauthnlib.New(&webauthnlib.Config{RPID: "localhost", RPDisplayName: "VPN", RPOrigins: []string{g.url("")}})
	must(t, err)
	session := webauthnlib.SessionData{Challenge: challenge, RelyingPartyID: "localhost", UserID: []byte("alice"), UserVerification: "required",
		CredParams: []protocol.CredentialParameter{{Type: "public-key", Algorithm: webauthncose.AlgES256}}, Expires: time.Now().Add(time.Hour)}
	credential, err := rp.CreateCredential(owner{}, session, made)
	must(t, err)

	l.show("input", prompt{"kind": "enrol", "reason": "enrol_failed", "enrol": prompt{"step": "passkey", "options": creation(base64.RawURLEncoding.EncodeToString(made.RawID))}})
	p.until(`$('alert').textContent.includes('That did not work')`)
	p.click("make") // the authenticator has one already
	p.until(`$('alert').textContent.includes('already')`)

	use := prompt{"kind": "passkey", "methods": []string{"passkey", "push"}, "passkey": prompt{
		"challenge": challenge, "rpId": "localhost", "userVerification": "required", "timeout": 60000,
		"allowCredentials": []prompt{{"type": "public-key", "id": base64.RawURLEncoding.EncodeToString(made.RawID)}}}}
	l.show("input", use)
	p.untilScreen("passkey")
	p.shots("passkey")
	p.click("passkey")
	m := l.heard()
	if m["action"] != "passkey" {
		t.Errorf("said %v", m["action"])
	}
	said, err = json.Marshal(m["response"])
	must(t, err)
	used, err := protocol.ParseCredentialRequestResponseBytes(said)
	must(t, err)
	session.CredParams = nil
	session.AllowedCredentialIDs = [][]byte{credential.ID}
	_, err = rp.ValidateLogin(owner{*credential}, session, used)
	must(t, err)
	l.done()
	p.untilIn()
}

func TestPasskeyThatDoesNotWorkIsAClearError(t *testing.T) {
	_, _, p, l := atLogin(t)
	ask := prompt{"kind": "passkey", "methods": []string{"passkey", "push"}, "passkey": prompt{"challenge": challenge, "rpId": "localhost"}}
	for name, words := range map[string]string{
		"NotAllowedError": "it was cancelled, or it took too long", "SecurityError": "cannot use passkeys here", "NotSupportedError": "cannot use passkeys here", "UnknownError": "did not work",
	} {
		l.show("input", ask)
		p.until(`host.dataset.screen === 'passkey' && $('alert').textContent === ''`)
		p.eval(`(navigator.credentials.get = () => Promise.reject(new DOMException('', ` + quote(name) + `)), true)`)
		p.click("passkey")
		p.until(`$('alert').textContent.includes(` + quote(words) + `) && !$('passkey').hasAttribute('aria-disabled')`)
	}
	l.show("input", prompt{"kind": "passkey", "methods": []string{"passkey"}, "passkey": prompt{"challenge": challenge}, "reason": "wrong_code"})
	p.until(`$('alert').textContent.includes('passkey did not work')`)
	l.show("input", prompt{"kind": "passkey", "methods": []string{"passkey"}, "passkey": prompt{}})
	p.click("passkey") // without a challenge
	p.until(`$('alert').textContent.includes('passkey did not work')`)
	p.eval(`(window.PublicKeyCredential = undefined, true)`)
	l.show("input", ask)
	p.until(`$('alert').textContent === ''`)
	p.click("passkey")
	p.until(`$('alert').textContent.includes('cannot use passkeys here')`)
	p.click("usepush") // and there is a way on
	l.hears(prompt{"action": "use", "method": "push"})
}

// The browser's own question goes away with the screen that asked it.
func TestPasskeyQuestionEndsWithItsScreen(t *testing.T) {
	_, _, p, l := atLogin(t)
	l.show("input", prompt{"kind": "passkey", "methods": []string{"passkey", "push"}, "passkey": prompt{"challenge": challenge}})
	p.untilScreen("passkey")
	p.eval(`(navigator.credentials.get = o => new Promise((_, no) => { window.asked = true; o.signal.onabort = () => { window.aborted = true; no(new DOMException('', 'AbortError')); }; }), true)`)
	p.click("passkey")
	p.until(`window.asked`)
	l.deny(sallyport.ReasonExpired)
	p.untilScreen("denied")
	p.until(`window.aborted`)
}
