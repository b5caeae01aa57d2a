package console

import "time"

// CardPage is a page of cards, one below the other or, when it is Split, side by side where there is room.
type CardPage struct {
	Tabs    []Tab
	Split   bool
	Cards   []Card
	Dialogs []Dialog
}

// Card is one part of a page. What is empty is not shown.
type Card struct {
	Title, Text string
	Alert       *Alert
	Facts       []Fact
	Steps       []Step
	Code        *Code
	Table       *Table
	Form        *Form
	Links       []Link
}

// Alert says something that must not be missed.
type Alert struct{ Tone, Title, Text string }

// Fact is a name and what is known of it.
type Fact struct {
	Label string
	Cell  Cell
}

// Step is one of several in their order, for an explanation.
type Step struct {
	Title, Text string
	Time        time.Time
	Place       string // where this stands in the whole
}

func fact(label, text string) Fact { return Fact{label, Cell{Text: text}} }

func factTime(label string, t time.Time) Fact { return Fact{label, Cell{Time: t, Text: "never"}} }

// orNone is text, or "none".
func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func yesNo(yes bool) string {
	if yes {
		return "Yes"
	}
	return "No"
}

// nextPage returns the address of the page that a mark begins, with the filters of this one.
func (r *request) nextPage(mark string) string {
	if mark == "" {
		return ""
	}
	q := r.Request().URL.Query()
	q.Set("after", mark)
	return r.Request().URL.Path + "?" + q.Encode()
}

// firstPage returns the address of the first page when this is a later one.
func (r *request) firstPage() string {
	q := r.Request().URL.Query()
	if !q.Has("after") {
		return ""
	}
	q.Del("after")
	return r.Request().URL.Path + "?" + q.Encode()
}

// CardList is a list with tabs above it and the dialogs that it opens.
type CardList struct {
	Tabs    []Tab
	Table   Table
	Dialogs []Dialog
}
