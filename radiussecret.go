package sallyport

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// secretAlphabet has no two characters that people take for one another: no 0 and o, no 1, l and I.
const secretAlphabet = "23456789abcdefghijkmnpqrstuvwxyz"

// secretLength is that of a generated secret, in characters of five bits; adviseSecret the length from which a
// secret is not warned about.
const (
	secretLength = 32
	adviseSecret = 22
)

// GenerateSecret returns a random shared secret for a gateway: 32 characters, 160 bits.
func GenerateSecret() Secret {
	var b [secretLength]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	for i := range b {
		b[i] = secretAlphabet[b[i]%byte(len(secretAlphabet))] // 256 is a multiple of 32: no character is likelier
	}
	return Secret(b[:])
}

// commonWords are what people put into secrets, in lower case and with digits undone.
var commonWords = [...]string{
	"sallyport", "password", "passwort", "passwd", "secret", "geheim", "shared", "radius", "bigip", "gateway", "firewall", "cisco", "citrix",
	"administrator", "admin", "welcome", "letmein", "changeme", "change", "default", "hospital", "clinic", "company", "qwertyuiop", "qwerty",
	"qwertz", "testing", "test", "summer", "winter", "spring", "autumn", "monday", "friday", "server", "client", "remote", "access", "token",
	"abcdefghijklmnopqrstuvwxyz", "abcdef", "abcd", "abc", "vpn", "f5",
}

// WeakSecret returns a warning about a shared secret that somebody could guess from one captured packet, and ""
// for one that looks as if a computer had made it. nickname is the gateway's. The warning does not show the secret.
func WeakSecret(s Secret, nickname string) string {
	text := string(s)
	distinct := map[rune]bool{}
	for _, r := range text {
		distinct[r] = true
	}
	rest := undoHabits(text)
	for _, word := range append(strings.Fields(undoHabits(nickname)), commonWords[:]...) {
		if len(word) > 1 {
			rest = strings.ReplaceAll(rest, undoHabits(word), "")
		}
	}
	rest = strings.ReplaceAll(rest, " ", "")
	switch {
	case nickname != "" && strings.EqualFold(text, nickname):
		return "The secret is the gateway's nickname, which anybody can guess. Use a generated one."
	case len(text) < adviseSecret:
		return fmt.Sprintf("The secret has %d characters. Use at least %d, made by a computer.", len(text), adviseSecret)
	case len(distinct) < 10 || repeats(text):
		return "The secret repeats a few characters. Use a generated one."
	case len(rest) < adviseSecret/2:
		return "The secret is made of words and sequences that are tried first. Use a generated one."
	}
	return ""
}

// undoHabits takes a text back to the words that people made it of: lower case, digits and signs that stand for
// letters, anything else that is not a letter or a digit as a space, and digits in a row as nothing.
func undoHabits(s string) string {
	letters := strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")
	var out strings.Builder
	for _, word := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return strings.ContainsRune(" -_.:,;/+*#", r) }) {
		if strings.Trim(word, "0123456789") == "" {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(letters.Replace(strings.TrimRight(word, "0123456789!")))
	}
	return out.String()
}

// repeats reports whether a text is one piece over and over, the last time perhaps not whole.
func repeats(s string) bool {
	for n := 1; n <= len(s)/2; n++ {
		if s[n:] == s[:len(s)-n] {
			return true
		}
	}
	return false
}
