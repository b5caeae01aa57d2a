package texts

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/gsm7"
)

// maxApplication is how many characters of an application's name stand in a message.
const maxApplication = 40

// Languages are those that messages are worded in; English is for all others.
var Languages = []string{"en", "es", "fr", "de", "ar", "tr"}

// sentences say one thing: the code, at the place of the asterisk. Those in Latin letters keep to the alphabet of
// text messages, which lacks, among others, the Spanish "ó" and the Turkish "ş": hence the choice of words.
var sentences = map[string]string{
	"en": "Your sign-in code: *",
	"es": "Su clave para entrar: *",
	"fr": "Votre code de connexion : *",
	"de": "Ihr Code zur Anmeldung: *",
	"ar": "رمز الدخول الخاص بك: *",
	"tr": "Oturum kodunuz: *",
}

// test is what a test message says, in the console's language.
const test = "This is a test message of Sallyport. Text messages arrive."

// Words is the message that brings a code: the code, the application if it has a name, and nothing else. It fits
// one message.
func Words(code sallyport.Secret, application, language string) string {
	language, _, _ = strings.Cut(strings.ToLower(language), "-")
	sentence, known := sentences[language]
	if !known {
		sentence = sentences["en"]
	}
	text := strings.Replace(sentence, "*", string(code), 1)
	_, plain := gsm7.Encode(text)
	if application = shown(application, plain); application != "" {
		text += " (" + application + ")"
	}
	return text
}

// shown is the name of an application as it stands in a message: with letters that the message's alphabet has.
func shown(application string, plain bool) string {
	if plain {
		application = gsm7.Keep(withoutMarks(application))
	}
	application = strings.Join(strings.FieldsFunc(application, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }), " ")
	count, octets := 0, 0
	for i, c := range application {
		count++
		octets++
		if v, ok := gsm7.Encode(string(c)); ok {
			octets += len(v) - 1
		} else if c > 0xffff {
			octets++
		}
		if octets > maxApplication || count > maxApplication {
			return strings.TrimSpace(application[:i])
		}
	}
	return application
}

// withoutMarks writes letters that the alphabet lacks without their accents.
func withoutMarks(s string) string {
	var out strings.Builder
	for _, c := range s {
		if _, ok := gsm7.Encode(string(c)); ok {
			out.WriteRune(c)
			continue
		}
		if other, ok := likeness[c]; ok {
			out.WriteString(other)
			continue
		}
		for _, part := range norm.NFD.String(string(c)) {
			if !unicode.Is(unicode.Mn, part) {
				out.WriteRune(part)
			}
		}
	}
	return out.String()
}

// likeness are characters that are no others with an accent.
var likeness = map[rune]string{'ı': "i", 'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", '’': "'", '‘': "'", '“': `"`, '”': `"`, '–': "-", '—': "-", '…': "...", '\u00a0': " "}
