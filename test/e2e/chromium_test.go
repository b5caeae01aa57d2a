package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

// bothPages runs a story on the standard and on the modern logon page.
func bothPages(t *testing.T, story func(t *testing.T, kind string)) {
	t.Helper()
	for name, kind := range map[string]string{"standard": "", "modern": "modern"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, kind)
		})
	}
}

// tryAgain goes back to the form after a login was denied, with the name still there.
func (p *page) tryAgain(u stack.User) {
	p.t.Helper()
	p.press("again")
	p.untilScreen("signin")
	p.until(`$('username').value === '` + u.Name + `'`)
	p.typeInto("password", string(u.Password)+"\r")
}

// TestTheWholeStoryInChromium goes through every answer a phone can give, and ends at the webtop.
func TestTheWholeStoryInChromium(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	bothPages(t, func(t *testing.T, kind string) {
		u := s.NewUser(t)
		phone := openPhone(t, s, u.Name)
		gateway := logonPage(t, s, kind)

		gateway.signIn(stack.User{Name: u.Name, Password: "wrong"})
		gateway.untilRefused("The user name or password is not right", u.Name)
		gateway.typeInto("password", string(u.Password)+"\r")

		number := gateway.number()
		phone.untilAsked()
		if got := phone.text(`page('challenge-user').textContent + '|' + page('challenge-application').textContent + '|' + page('challenge-place').textContent`); got != u.Name+"|"+stack.Nickname+"|127.0.0.1" {
			t.Errorf("the phone shows %q", got)
		}
		phone.answer(otherNumber(number))
		gateway.untilDenied("was not the number shown here")
		phone.dismiss()
		gateway.tryAgain(u)

		gateway.number()
		phone.untilAsked()
		phone.do(`page('deny').click()`)
		gateway.untilDenied("refused on the phone")
		phone.dismiss()
		gateway.tryAgain(u)

		gateway.number()
		phone.untilAsked()
		gateway.press("cancel")
		gateway.untilScreen("signin")
		phone.dismiss() // it says that the question is over
		gateway.typeInto("password", string(u.Password)+"\r")

		number = gateway.number()
		phone.untilAsked()
		phone.until(`!page('approve').offsetParent || page('approve').disabled`) // nothing typed: no way to approve
		phone.answer(number)
		gateway.untilIn(u.Name)
		for _, step := range []string{"13 ", "14 LDAP: password of", "15 RADIUS: ", "16 access granted"} {
			if s.Told(step, u.Name) != 1 {
				t.Errorf("the gateway has told step %q %d times", step, s.Told(step, u.Name))
			}
		}

		gateway = logonPage(t, s, kind)
		gateway.signIn(u)
		gateway.number()
		phone.untilAsked()
		phone.do(`page('not-me').click()`)
		phone.until(`!page('not-me-panel').hidden`)
		phone.do(`page('not-me-confirm').click()`)
		gateway.untilDenied("This was not me")
		phone.dismiss()
		gateway.tryAgain(u)
		gateway.untilScreen("code") // the phone is left alone for a while
	})
}

// dismiss closes the sheet that says what became of an answer.
func (p *page) dismiss() {
	p.t.Helper()
	p.until(`!page('result-panel').hidden && page('challenge').open`)
	p.do(`page('result-done').click()`)
	p.until(`!page('challenge').open`)
}

func TestTokenCodeInChromium(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	bothPages(t, func(t *testing.T, kind string) {
		u := s.NewUser(t)
		phone := openPhone(t, s, u.Name)
		gateway := logonPage(t, s, kind)
		gateway.signIn(u)
		gateway.number()
		gateway.press("usecode")
		gateway.untilScreen("code")
		gateway.typeInto("code", "000000\r")
		gateway.until(`shadow.textContent.includes('That code is not right')`)
		gateway.typeInto("code", phone.shownCode()+"\r")
		gateway.untilIn(u.Name)
	})
}

// shownCode reads the six digits that the phone shows.
func (p *page) shownCode() string {
	p.t.Helper()
	const digits = `(document.querySelector('#accounts .digits') || {textContent: ''}).textContent.replace(/\D/g, '')`
	p.until(digits + `.length === 6`)
	return p.text(digits)
}

func TestTwoTabsInChromium(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	bothPages(t, func(t *testing.T, kind string) {
		u := s.NewUser(t)
		phone := openPhone(t, s, u.Name)
		first, second := logonPage(t, s, kind), logonPage(t, s, kind)
		first.signIn(u)
		first.number()
		phone.untilAsked()
		phone.do(`page('number').value = '1'`) // half typed when the other question comes
		second.signIn(u)
		first.untilDenied("A newer sign-in was started")
		number := second.number()
		phone.until(`page('challenge').open && page('number').value === ''`)
		phone.answer(number)
		second.untilIn(u.Name)
		if first.text(`location.pathname`) == "/vdesk/webtop.eui" {
			t.Error("the first tab is in as well")
		}
	})
}

func TestNobodyAnswersAndTheNumberComesLate(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u := s.NewUser(t)
	phone := openPhone(t, s, u.Name)
	gateway := logonPage(t, s, "")
	begun := time.Now()
	gateway.signIn(u)
	number := gateway.number()
	phone.untilAsked()
	gateway.until(`host.dataset.screen === 'denied'`)
	if took := time.Since(begun); took < 29*time.Second {
		t.Errorf("the page gave up after %v", took)
	}
	gateway.untilDenied("Nobody answered on the phone in time")
	// The phone takes no number any more, and says why.
	phone.until(`!page('result-panel').hidden || !page('challenge').open`)
	if said := phone.text(`page('result-title').textContent + page('result-text').textContent`); strings.TrimSpace(said) == "" {
		t.Error("the phone does not say that it is too late")
	}
	gateway.tryAgain(u)
	if again := gateway.number(); again == number {
		t.Logf("the same number twice: %s", again) // one time in ninety
	}
	phone.answer(gateway.number())
	gateway.untilIn(u.Name)
}

// TestEnrolmentOnTheWayInChromium: who has nothing yet sets the app up with the picture, which is a link here, and is in.
func TestEnrolmentOnTheWayInChromium(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	bothPages(t, func(t *testing.T, kind string) {
		u := s.NewUser(t)
		gateway := logonPage(t, s, kind)
		gateway.signIn(u)
		gateway.untilScreen("enrol")
		gateway.press("kind-app")
		gateway.until(`!!$('link') && !!$('qr').querySelector('path')`)
		phone := openPage(t, s, gateway.text(`$('link').href`), 390, 844)
		phone.until(`page('enrol-dialog') && page('enrol-dialog').open`)
		phone.do(`page('enrol-confirm').click()`)
		gateway.until(`!!$('continue')`)
		gateway.press("continue")
		gateway.untilIn(u.Name)
		phone.until(`(b => b && (!b.offsetParent || (b.click(), false)))(page('enrol-close'))`)

		gateway = logonPage(t, s, kind)
		gateway.signIn(u)
		phone.answer(gateway.number())
		gateway.untilIn(u.Name)
	})
}

func TestUsersWhoAreNotLetIn(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	bothPages(t, func(t *testing.T, kind string) {
		gateway := logonPage(t, s, kind)
		gateway.signIn(stack.User{Name: harness.Disabled, Password: harness.UserPassword})
		gateway.untilRefused("The user name or password is not right", harness.Disabled)
	})
}
