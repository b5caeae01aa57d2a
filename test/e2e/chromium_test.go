package e2e_test

import (
	"testing"
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

func TestLoginWithPhonePageReachesTheWebtop(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	bothPages(t, func(t *testing.T, kind string) {
		u := s.NewUser(t)
		phone := openPhone(t, s, u.Name)
		gateway := logonPage(t, s, kind)
		gateway.signIn(u)
		number := gateway.number()
		phone.untilAsked()
		if got := phone.text(`page('challenge-user').textContent + '|' + page('challenge-application').textContent`); got != u.Name+"|Hospital VPN" {
			t.Errorf("the phone shows %q", got)
		}
		phone.answer(number)
		gateway.untilIn(u.Name)
	})
}
