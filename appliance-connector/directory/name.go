package directory

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a log-in name, in octets.
const maxName = 256

// name is a log-in name as typed, taken apart. At most one of domain and suffix is set.
type name struct {
	domain string // before the backslash: DOMAIN\user
	user   string
	suffix string // after the last @: user@suffix
}

var errName = errors.New("not a log-in name")

// parseName takes a typed log-in name apart: "user", "DOMAIN\user" or "user@suffix",
// with space around it trimmed. It checks the form only.
func parseName(typed string) (name, error) {
	if len(typed) > maxName || !utf8.ValidString(typed) {
		return name{}, errName
	}
	typed = strings.TrimSpace(typed)
	if typed == "" || strings.ContainsFunc(typed, unicode.IsControl) {
		return name{}, errName
	}
	if domain, user, found := strings.Cut(typed, `\`); found {
		n := name{domain: strings.TrimSpace(domain), user: strings.TrimSpace(user)}
		if n.domain == "" || n.user == "" || strings.ContainsAny(n.user, `\@`) || strings.Contains(n.domain, "@") {
			return name{}, errName
		}
		return n, nil
	}
	if at := strings.LastIndexByte(typed, '@'); at >= 0 {
		n := name{user: typed[:at], suffix: typed[at+1:]}
		if n.user == "" || n.suffix == "" {
			return name{}, errName
		}
		return n, nil
	}
	return name{user: typed}, nil
}

// upn returns user@suffix.
func (n name) upn() string { return n.user + "@" + n.suffix }

// plain reports whether the directory can only know the user part in one spelling, case
// aside: elsewhere (spaces, accents, wide letters) it takes several for the same.
func (n name) plain() bool {
	for _, c := range []byte(n.user) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == '$':
		default:
			return false
		}
	}
	return true
}
