package texts_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/sallyport/sallyport/appliance-connector/texts"
	"github.com/sallyport/sallyport/internal/gsm7"
)

// A message is one message, whatever the application is called: more would cost more, and may arrive apart.
func TestAMessageFitsOne(t *testing.T) {
	t.Parallel()
	for _, application := range []string{"", "Hospital VPN", strings.Repeat("W", 200), strings.Repeat("€{}", 100), "Clínica Ñandú – Acceso «remoto»", "Hôpital Cçàèê", "Çağrı Işık Şişli", "مستشفى " + strings.Repeat("ا", 80), strings.Repeat("\U0001F3E5", 80), "a\r\nb\x00\u202ec"} {
		for _, language := range texts.Languages {
			text := texts.Words("123456", application, language)
			if strings.Count(text, "123456") != 1 || strings.ContainsAny(text, "\r\n\x00\u202e*") {
				t.Errorf("%s: %q", language, text)
			}
			written, ok := gsm7.Encode(text)
			switch {
			case ok && len(written) > gsm7.Most, !ok && len(utf16.Encode([]rune(text))) > gsm7.MostUCS2:
				t.Errorf("%s: %q is too long", language, text)
			case !ok && language != "ar":
				t.Errorf("%s: %q is not in the alphabet of text messages", language, text)
			}
		}
	}
}

func TestTheLanguageIsThePersons(t *testing.T) {
	t.Parallel()
	for language, want := range map[string]string{
		"en": "Your sign-in code: 123456 (Hospital VPN)", "en-GB": "Your sign-in code: 123456 (Hospital VPN)", "": "Your sign-in code: 123456 (Hospital VPN)",
		"pt-BR": "Your sign-in code: 123456 (Hospital VPN)", "DE-at": "Ihr Code zur Anmeldung: 123456 (Hospital VPN)", "es": "Su clave para entrar: 123456 (Hospital VPN)",
		"fr": "Votre code de connexion : 123456 (Hospital VPN)", "tr": "Oturum kodunuz: 123456 (Hospital VPN)", "ar": "رمز الدخول الخاص بك: 123456 (Hospital VPN)",
	} {
		if got := texts.Words("123456", "Hospital VPN", language); got != want {
			t.Errorf("%q: %q", language, got)
		}
	}
	if got := texts.Words("123456", "Çağrı Łódź", "tr"); got != "Oturum kodunuz: 123456 (Çagri Lodz)" {
		t.Errorf("without what the alphabet lacks: %q", got)
	}
}
