// Package gsm7 writes text in the alphabet of text messages (3GPP TS 23.038 section 6.2.1), an octet a
// character, and says how long it is there. The token service sends in it, and the appliance words its messages
// so that they fit one.
package gsm7

import "strings"

// One message holds so many characters of this alphabet, or so many UTF-16 units of text that it cannot write.
const (
	Most     = 160
	MostUCS2 = 70
)

// escape announces a character of the extension table.
const escape = 0x1b

// alphabet is the default table in the order of its values; 0x1b, the escape, stands as a NUL.
const alphabet = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x00ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// extension are the characters that follow the escape.
const extension = "\f^{}\\[~]|€"

var extensionValues = [...]byte{0x0a, 0x14, 0x28, 0x29, 0x2f, 0x3c, 0x3d, 0x3e, 0x40, 0x65}

// values says how each character is written.
var values = func() map[rune][]byte {
	out := make(map[rune][]byte, 140)
	n := byte(0)
	for _, c := range alphabet {
		if c != 0 {
			out[c] = []byte{n}
		}
		n++
	}
	n = 0
	for _, c := range extension {
		out[c] = []byte{escape, extensionValues[n]}
		n++
	}
	return out
}()

// Encode writes text; ok is false when it has a character that the alphabet lacks.
func Encode(text string) (out []byte, ok bool) {
	for _, c := range text {
		v := values[c]
		if v == nil {
			return nil, false
		}
		out = append(out, v...)
	}
	return out, true
}

// Keep drops what the alphabet lacks.
func Keep(text string) string {
	return strings.Map(func(c rune) rune {
		if values[c] == nil {
			return -1
		}
		return c
	}, text)
}
