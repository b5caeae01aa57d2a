package store

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// pathEnd ends each step of a path; steps cannot have it in them.
	pathEnd = "\x1f"
	// pathAfter is the octet after pathEnd.
	pathAfter = "\x20"
	// maxPath is how much of a user's path is kept, in octets: longer than an OU's can be.
	maxPath = 2500
)

// dnPath turns a distinguished name (RFC 4514) round, so that whatever is below an object begins with the
// object's path: "OU=Staff,DC=hospital,DC=example" becomes dc=example, dc=hospital, ou=staff, each
// ended by pathEnd. Case, spaces around the parts and ways to escape do not count.
func dnPath(dn string) (path string, ok bool) {
	parts := splitDN(dn)
	var b strings.Builder
	for n := len(parts) - 1; n >= 0; n-- {
		kind, value, found := strings.Cut(parts[n], "=")
		value, decoded := unescapeDN(value)
		if kind = strings.TrimSpace(kind); !found || kind == "" || !decoded || !utf8.ValidString(kind) {
			return "", false
		}
		b.WriteString(stepText(fold(kind)) + "=" + stepText(fold(value)) + pathEnd)
	}
	return b.String(), len(parts) > 0
}

// splitDN splits a name at the commas that are not escaped.
func splitDN(dn string) (parts []string) {
	if dn == "" {
		return nil
	}
	begin := 0
	for n := 0; n < len(dn); n++ {
		switch dn[n] {
		case '\\':
			n++ // also of two hexadecimal digits, neither of which is a comma
		case ',':
			parts = append(parts, dn[begin:n])
			begin = n + 1
		}
	}
	return append(parts, dn[begin:])
}

// unescapeDN undoes the escapes of RFC 4514 section 2.4 and drops the spaces around a value.
func unescapeDN(s string) (value string, ok bool) {
	s = strings.TrimLeft(s, " ")
	out := make([]byte, 0, len(s))
	kept := 0 // how much must stay when spaces are dropped at the end
	for n := 0; n < len(s); n++ {
		if s[n] != '\\' {
			out = append(out, s[n])
			if s[n] != ' ' {
				kept = len(out)
			}
			continue
		}
		rest := s[n+1:]
		if len(rest) >= 2 {
			if octet, err := hex.DecodeString(rest[:2]); err == nil {
				out, n, kept = append(out, octet...), n+2, len(out)+1
				continue
			}
		}
		if rest == "" {
			return "", false
		}
		out, n, kept = append(out, rest[0]), n+1, len(out)+1
	}
	out = out[:kept]
	return string(out), utf8.Valid(out)
}

// stepText writes control characters, and what marks them, so that no value can end a step.
func stepText(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '\\' }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < ' ' || r == '\\' {
			fmt.Fprintf(&b, `\%02x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// pathRange returns the bounds, the second one excluded, of the paths below an object.
func pathRange(dn string) (from, to string, err error) {
	path, ok := dnPath(dn)
	if !ok || len(path) > maxDN {
		return "", "", invalidf("%q is not the name of an OU.", clean(dn, maxName))
	}
	return path, strings.TrimSuffix(path, pathEnd) + pathAfter, nil
}

// checkDN takes a distinguished name of a directory object that people choose.
func checkDN(noun, dn string) error {
	if err := checkText(noun, dn, maxDN); err != nil {
		return err
	}
	if path, ok := dnPath(dn); !ok || len(path) > maxDN {
		return invalidf("The %s is not a distinguished name of at most %d octets.", noun, maxDN)
	}
	return nil
}
