package web_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

// peek reads the body of a request and leaves it there for the next one.
func peek(t *testing.T, r *http.Request) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	must(t, err)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return string(body)
}

const link = "https://tokens.example.org/authenticator/#e=55j59tmsx7skfwt9extehww9k0.r1k5exde82ts3xf6rtsgggghmm.S5Ma6Woh2CxcV0f_fZLlCD8tRq3EDmKxlXuuvf5crvM"

func enrol(step string, more prompt) prompt {
	e := prompt{"step": step}
	out := prompt{"kind": "enrol", "enrol": e, "remainingMs": 300000, "supportCode": "ABCD-1234"}
	for k, v := range more {
		if k == "to" || k == "resendMs" || k == "delivery" || k == "reason" || k == "remainingMs" {
			out[k] = v
		} else {
			e[k] = v
		}
	}
	return out
}

func TestEnrolTheAppByQRCode(t *testing.T) {
	_, g, p, l := atLogin(t)
	l.show("input", enrol("start", prompt{"kinds": []string{"app", "phone", "passkey", "otp", "a_kind_of_tomorrow"}, "mayDelay": true}))
	p.untilScreen("enrol")
	if got := p.text(`[...shadow.querySelectorAll('button')].map(b => b.id).join(' ')`); got != "kind-app kind-phone kind-passkey kind-otp delay cancel" {
		t.Errorf("buttons %q", got)
	}
	if got := p.text(`$('left').textContent`); got != "You have 5 minutes for this." {
		t.Errorf("time %q", got)
	}
	p.shots("enrol-start")
	l.says(p, "kind-app", prompt{"action": "enrol", "kind": "app"})
	l.show("waiting", enrol("app", prompt{"link": link}))
	p.until(`$('qr') && $('qr').querySelector('path')`)
	p.shots("enrol-app")
	if read := p.readQR(); read != link {
		t.Errorf("the picture says %q", read)
	}
	if href := p.text(`$('link').href + ' ' + $('link').rel`); href != link+" noopener noreferrer" {
		t.Errorf("link %q", href)
	}
	l.show("input", enrol("finished", prompt{"what": "app", "name": "Alice's iPhone"}))
	p.until(`$('title').textContent === 'That is set up'`)
	p.shots("enrol-finished")
	if text := p.text(`$('help').textContent`); text != "From now on you can sign in with Alice's iPhone." {
		t.Errorf("text %q", text)
	}
	l.says(p, "continue", prompt{"action": "continue"})
	l.done()
	p.untilIn()
	if g.form().Get("password1") != token {
		t.Errorf("posted %v", g.form())
	}
}

// readQR reads the modules that are drawn back into a text, by the rules of the code's standard.
func (p *tab) readQR() string {
	p.t.Helper()
	return decodeQR(p.t, p.text(`(() => {
		const svg = $('qr').querySelector('svg'), size = svg.viewBox.baseVal.width - 8, rows = Array.from({length: size}, () => Array(size).fill('0'));
		for (const m of svg.querySelector('path').getAttribute('d').matchAll(/M(\d+) (\d+)h1v1h-1z/g)) rows[m[2] - 4][m[1] - 4] = '1';
		return rows.map(r => r.join('')).join('\n');
	})()`))
}

func TestEnrolTheAppBySerialNumber(t *testing.T) {
	_, _, p, l := atLogin(t)
	l.show("waiting", enrol("app", prompt{"link": link, "bySerial": true}))
	p.until(`$('byserial')`)
	if p.eval(`$('byserial').open`) != false {
		t.Error("open before anybody asks")
	}
	p.eval(`$('byserial').querySelector('summary').click()`)
	p.write("serial", "AB12 3456")
	p.enter()
	p.until(`$('code-problem').textContent && shadow.activeElement.id === 'code'`)
	p.write("code", "123 456")
	p.enter()
	l.hears(prompt{"action": "enrol", "code": "123456", "serial": "AB123456"})
	l.show("waiting", enrol("app", prompt{"link": link, "bySerial": true, "reason": "enrol_failed"}))
	p.until(`$('alert').textContent.includes('Check what you typed') && $('byserial').open`)
	p.shots("enrol-app-serial")
	l.says(p, "back", prompt{"action": "back"})
	l.show("input", enrol("start", prompt{"kinds": []string{"app"}}))
	p.until(`$('kind-app')`)
	if p.eval(`!!$('delay')`) != false {
		t.Error("a delay is offered that is not allowed")
	}
	l.show("waiting", enrol("app", nil)) // the app has its link already
	p.until(`$('byserial') && $('byserial').open && !$('qr')`)
}

func TestEnrolAPhoneNumber(t *testing.T) {
	_, _, p, l := skewed(t)
	l.show("input", enrol("phone", nil))
	p.until(`$('mobile')`)
	p.shots("enrol-phone")
	for _, bad := range []string{"", "07700 900123", "+44 7700 hello", "+0 123456789", "+44"} {
		p.eval(`$('mobile').value = ''`)
		p.eval(`$('mobile').focus()`)
		if bad != "" {
			p.write("mobile", bad)
		}
		p.enter()
		p.until(`$('mobile-problem').textContent.includes('country code')`)
		p.eval(`$('mobile-problem').textContent = ''`)
	}
	for typed, want := range map[string]string{"+44 (7700) 900-123": "+447700900123", "0034 612.345.678": "+34612345678"} {
		p.eval(`$('mobile').value = ''`)
		p.write("mobile", typed)
		p.enter()
		l.hears(prompt{"action": "enrol", "number": want})
		l.show("input", enrol("phone", prompt{"reason": "enrol_failed"}))
		p.until(`$('mobile') && $('mobile').value === ''`)
	}
	l.show("input", enrol("phone_code", prompt{"to": "23", "resendMs": 20000}))
	p.until(`$('code') && $('help').textContent.includes('ends in 23')`)
	p.shots("enrol-phone-code")
	p.eval(`window.skew = 21000`)
	p.until(`$('resend').checkVisibility()`)
	l.says(p, "resend", prompt{"action": "resend"})
	l.show("input", enrol("phone_code", prompt{"to": "23", "delivery": "failed"}))
	p.until(`$('note') && !$('resend')`)
	p.write("code", "123456")
	p.enter()
	l.hears(prompt{"action": "enrol", "code": "123456"})
	l.show("input", enrol("finished", prompt{"what": "phone"}))
	p.until(`$('help').textContent === 'From now on you can sign in with it.'`)
}

func TestEnrolAnOTPToken(t *testing.T) {
	_, _, p, l := atLogin(t)
	l.show("input", enrol("otp", nil))
	p.until(`$('next')`)
	p.shots("enrol-otp")
	p.write("serial", "8812345")
	p.write("code", "111111")
	p.write("next", "111111")
	p.enter()
	p.until(`$('next-problem').textContent.includes('same code twice')`)
	p.eval(`$('next').value = ''`)
	p.write("next", "222 222")
	p.enter()
	l.hears(prompt{"action": "enrol", "codes": []string{"111111", "222222"}, "serial": "8812345"})
	l.show("input", enrol("start", prompt{"kinds": []string{"otp"}, "mayDelay": true}))
	l.says(p, "delay", prompt{"action": "delay"})
	l.done()
	p.untilIn()
}

func TestTimeLeftForEnrolmentIsSaid(t *testing.T) {
	_, _, p, l := skewed(t)
	l.show("input", enrol("start", prompt{"kinds": []string{"app"}, "remainingMs": 290000}))
	p.until(`$('left') && $('left').textContent === 'You have 5 minutes for this.'`)
	for skew, want := range map[string]string{"110000": "You have 3 minutes for this.", "232000": "You have 1 minute for this."} {
		p.eval(`(window.skew = ` + skew + `)`)
		p.until(`$('left').textContent === ` + quote(want))
	}
	p.until(`$('status').textContent === 'You have 1 minute for this.'`) // once, for who cannot see it
	p.eval(`(window.skew = 265000)`)
	p.until(`$('left').textContent === 'You have 30 seconds for this.'`)
}

func TestGatewaySessionExpiresDuringEnrolment(t *testing.T) {
	c, _, p, l := atLogin(t)
	l.show("waiting", enrol("app", prompt{"link": link, "bySerial": true}))
	p.until(`$('byserial') && window.sessionTimeout`)
	p.eval(`sessionTimedOut()`)
	p.untilScreen("expired")
	if text := p.text(`$('alert').textContent`); !strings.Contains(text, "what you have finished setting up is kept") {
		t.Errorf("alert %q", text)
	}
	p.click("restart")
	p.untilScreen("signin")
	if n := c.requests("messages"); n != 0 { // the phone may be about to finish
		t.Errorf("the enrolment was cancelled, or %d other things said", n)
	}
}

func TestStepsThatAreNotKnownStopTheLogin(t *testing.T) {
	for _, p := range []prompt{enrol("a_step_of_tomorrow", nil), {"kind": "enrol"}, {"kind": "a_kind_of_tomorrow"}} {
		_, _, page, l := atLogin(t)
		l.show("input", p)
		page.untilScreen("error")
		if text := page.text(`$('alert').textContent`); !strings.Contains(text, "older than the sign-in service") {
			t.Errorf("alert %q", text)
		}
	}
}

// Whatever a prompt holds, the page is not left waiting.
func TestPromptThatCannotBeShownStopsTheLogin(t *testing.T) {
	_, _, p, l := atLogin(t)
	l.show("input", prompt{"kind": "code", "methods": 7})
	p.untilScreen("error")
	if m := l.heard(); m["action"] != "cancel" {
		t.Errorf("said %v", m)
	}
}

func TestPictureThatDoesNotComeLeavesTheSerialNumber(t *testing.T) {
	never, _ := asked(t, "qr.js", func(_ int, w http.ResponseWriter, _ *http.Request) bool { return cut(w) })
	c, _, p := down(t, "/", never)
	p.signIn("alice", password)
	l := c.next()
	l.show("waiting", enrol("app", prompt{"link": link, "bySerial": true}))
	p.until(`$('alert') && $('alert').textContent.includes('could not be loaded') && !$('qr')`)
	if p.eval(`!!$('byserial') && !!$('link')`) != true {
		t.Error("no way on")
	}
	l.deny(sallyport.ReasonExpired)
	p.untilScreen("denied")
}
