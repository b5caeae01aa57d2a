package radiusattr

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// foldDN brings the DN of a group (RFC 4514) into one spelling, so that two of them can be compared: case,
// spaces around "=" and ",", and the ways to escape a character make no difference. It returns "" for what
// is no DN. Two entries whose DNs a directory tells apart never have the same spelling here, case aside.
func foldDN(dn string) string {
	var out strings.Builder
	for rest := dn; ; {
		rdn, more, found := cutUnescaped(rest, ',')
		name, value, ok := strings.Cut(rdn, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, `\"+<>;#`) {
			return ""
		}
		plain, ok := unescape(value)
		if !ok || plain == "" {
			return ""
		}
		out.WriteString(strings.ToLower(name))
		out.WriteByte('=')
		for _, r := range strings.ToLower(plain) {
			if strings.ContainsRune(`\,= `, r) {
				out.WriteByte('\\')
			}
			out.WriteRune(r)
		}
		if !found {
			return out.String()
		}
		out.WriteByte(',')
		rest = more
	}
}

func cutUnescaped(s string, sep byte) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// unescape undoes RFC 4514 section 2.4: a backslash before a character, or before two hexadecimal digits.
// Spaces around the value that are not escaped go.
func unescape(s string) (string, bool) {
	s = strings.TrimLeft(s, " ")
	var out []byte
	keep := 0 // up to here, spaces at the end were escaped
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i+2 < len(s) {
			if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				out = append(out, b...)
				keep, i = len(out), i+2
				continue
			}
		}
		if i+1 >= len(s) {
			return "", false
		}
		i++
		out = append(out, s[i])
		keep = len(out)
	}
	for len(out) > keep && out[len(out)-1] == ' ' {
		out = out[:len(out)-1]
	}
	return string(out), utf8.Valid(out)
}
