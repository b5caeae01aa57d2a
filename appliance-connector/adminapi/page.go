package adminapi

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// usualPage is how many entries a page has when nobody says.
const usualPage = 50

// page is a part of a list.
type page[T any] struct {
	Items []T `json:"items"`
	// Next asks for the next page; empty: this is the last one.
	Next string `json:"next,omitempty"`
	// Total is how many there are on all pages, where that is known.
	Total *int `json:"total,omitempty"`
}

// most is how many entries the page may have.
func (c *call) most() int {
	if n := c.number("limit"); n > 0 {
		return int(n)
	}
	return usualPage
}

// pageOf makes a page of a list that the store gives as it is.
func pageOf[From, To any](list []From, next string, show func(From) To) page[To] {
	p := page[To]{Items: make([]To, 0, len(list)), Next: next}
	for _, v := range list {
		p.Items = append(p.Items, show(v))
	}
	return p
}

// part makes a page of a list that is whole. It is sorted by key, which no two entries share; the mark of a page
// is the key of its last entry, so that it holds whatever is added or deleted meanwhile.
func part[From, To any](c *call, list []From, key func(From) string, show func(From) To) error {
	after := ""
	if cursor := c.text("cursor"); cursor != "" {
		text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
		if err != nil || len(text) == 0 {
			return wrongParameter("cursor", "This page does not exist. Begin at the first one.")
		}
		after = string(text)
	}
	total := len(list)
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b From) int { return strings.Compare(key(a), key(b)) })
	from, found := slices.BinarySearchFunc(list, after, func(v From, k string) int { return strings.Compare(key(v), k) })
	if found {
		from++
	}
	list = list[from:]
	next := ""
	if most := c.most(); len(list) > most {
		list = list[:most]
		next = base64.RawURLEncoding.EncodeToString([]byte(key(list[most-1])))
	}
	p := pageOf(list, next, show)
	p.Total = &total
	return c.answer(p)
}

// byName sorts by name without case; the id tells those of one name apart.
func byName(name, id string) string { return strings.ToLower(name) + "\x00" + id }

// newestFirst sorts by time, the latest first.
func newestFirst(t time.Time, id string) string {
	return reversed(t.UnixMicro()) + "\x00" + id
}

// reversed writes a number so that larger ones come first.
func reversed(n int64) string {
	b := make([]byte, 8)
	for i := range b {
		b[i] = ^byte(uint64(n) >> (56 - 8*i))
	}
	return string(b)
}

// stamp is a time in an answer; nil: never.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
