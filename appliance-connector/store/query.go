package store

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	pageUsual = 50
	maxCursor = 1024 // octets of a page's mark
)

// conditions collects what the rows of a query must meet.
type conditions struct {
	clauses []string
	args    []any
}

// add adds a clause; each "?" in it stands for the next value.
func (c *conditions) add(clause string, values ...any) {
	parts := strings.SplitN(clause, "?", len(values)+1)
	var text strings.Builder
	text.WriteString(parts[0])
	for n, v := range values {
		c.args = append(c.args, v)
		text.WriteString("$" + strconv.Itoa(len(c.args)) + parts[n+1])
	}
	c.clauses = append(c.clauses, text.String())
}

// equal asks for a column's value unless it is empty, which stands for any.
func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", value)
	}
}

// between asks for from <= time < to; a zero time is no bound.
func (c *conditions) between(from, to time.Time) {
	if !from.IsZero() {
		c.add("time >= ?", micros(from))
	}
	if !to.IsZero() {
		c.add("time < ?", micros(to))
	}
}

// where is the clause, with a space before it; empty for no conditions.
func (c *conditions) where() string {
	if len(c.clauses) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.clauses, " AND ")
}

// contains makes text a pattern for LIKE … ESCAPE '!' that matches it anywhere, case folded.
func contains(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(fold(text)) + "%"
}

// mark is the place of a row in a list by time: what the next page comes after. Number is of lists
// whose rows have a chain and a number in it.
type mark struct {
	time   int64
	id     string
	number int64
}

// String writes the mark so that it can stand in an address; empty for none.
func (m *mark) String() string {
	if m == nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%d %d %s", m.time, m.number, m.id)))
}

// parseMark undoes String; what is none is refused.
func parseMark(s string) (m mark, err error) {
	if len(s) <= maxCursor {
		text, err := base64.RawURLEncoding.Strict().DecodeString(s)
		parts := strings.SplitN(string(text), " ", 3)
		if err == nil && len(parts) == 3 {
			var terr, nerr error
			m.time, terr = strconv.ParseInt(parts[0], 10, 64)
			m.number, nerr = strconv.ParseInt(parts[1], 10, 64)
			m.id = clean(parts[2], maxLoginID)
			if terr == nil && nerr == nil && m.String() == s {
				return m, nil
			}
		}
	}
	return mark{}, invalidf("This page does not exist. Begin at the first one.")
}

// pageAfter takes the mark of a page from outside; empty begins.
func pageAfter(s string) (*mark, error) {
	if s == "" {
		return nil, nil
	}
	m, err := parseMark(s)
	return &m, err
}

// pageSize takes how many rows are asked for: 0 is the usual number.
func pageSize(most int) (int, error) {
	switch {
	case most == 0:
		return pageUsual, nil
	case most < 0 || most > maxPage:
		return 0, invalidf("A page may have at most %d entries.", maxPage)
	}
	return most, nil
}

// clean makes outside text fit to keep: valid UTF-8 without control characters, cut to most octets.
func clean(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most] // before anything that costs time
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	for len(s) > most {
		cut := most
		for cut > 0 && s[cut]&0xc0 == 0x80 {
			cut--
		}
		s = s[:cut]
	}
	return s
}

// searchWord makes a text that is looked for fit to search by.
func searchWord(text string) string { return clean(strings.TrimSpace(text), maxUserName) }
