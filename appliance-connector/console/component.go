package console

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// The components of a page. Each is a value that a handler fills and a template of the same name shows:
// {{template "table" .Users}}. templates/component-….html hold them.

// Field is one field of a form.
type Field struct {
	// Kind is "text" (also for ""), "password", "email", "search", "number", "code", "select", "checkbox", "radio",
	// "area" or "hidden".
	Kind  string
	Name  string
	Label string
	Value string
	// Help says what belongs there; Error what is wrong with what is there.
	Help, Error string
	Placeholder string
	// Autocomplete is HTML's: "username", "one-time-code", "off".
	Autocomplete string
	Options      []Option // of a select or of radio buttons
	Required     bool
	Focus        bool
	Checked      bool // of a checkbox
	ReadOnly     bool
	Most         int // characters; 0: not said
	Rows         int // of an area
}

// Option is one choice of a field.
type Option struct {
	Value, Label, Help string
	Chosen             bool
}

// Form is a form with its fields one below the other.
type Form struct {
	Path   string // where it goes; empty: where it is
	CSRF   string
	Fields []Field
	Submit string
	// Cancel is where the link beside the button leads; empty: there is none.
	Cancel string
	// Trouble is what is wrong with the form as a whole.
	Trouble string
	Danger  bool
}

// form begins a form of this session.
func (r *request) form(submit string, fields ...Field) Form {
	f := Form{Fields: fields, Submit: submit}
	if r.session != nil {
		f.CSRF = r.session.CSRF()
	}
	return f
}

// with marks the fields that err is about, or says the trouble above them. ok is false for an error that is
// no matter for a form.
func (f Form) with(err error) (_ Form, ok bool) {
	wrong, some := fields(err)
	if !some {
		f.Trouble, ok = words(err)
		return f, ok
	}
	first := true
	out := make([]Field, len(f.Fields))
	for i, field := range f.Fields {
		field.Error, field.Focus = wrong[field.Name], false
		if field.Error != "" && first {
			field.Focus, first = true, false
		}
		out[i] = field
	}
	f.Fields = out
	if first { // about a field that the form does not show
		f.Trouble = sallyport.ErrorMessage(err) + " " + wrong.Error()
	}
	return f, true
}

// Badge is a short word with a colour: "ok", "warn", "bad", "info" or "" (plain).
type Badge struct{ Tone, Label string }

// Cell is one cell of a table; what is empty is not shown.
type Cell struct {
	Text  string
	Path  string // makes the text a link
	Sub   string // smaller, below
	Badge Badge
	Time  time.Time
	Mono  bool
	// Form is a button that sends something at once, for example to end a session.
	Form *RowForm
	// Dialog is the id of a dialog that a button, labelled Text, opens.
	Dialog string
	Danger bool
}

// RowForm is a form of nothing but a button.
type RowForm struct {
	Path, CSRF, Label string
	Danger            bool
}

// Column is a column of a table.
type Column struct {
	Label string
	// Number columns stand to the right.
	Number bool
}

// Table is a list with filters and pages. On a phone each row becomes a card.
type Table struct {
	ID      string // of the part that filters and pages replace; required
	Caption string // for screen readers
	Columns []Column
	Rows    [][]Cell
	// Path is the page's own; filters and pages go there. Filters are fields of a form that is sent as one
	// types; empty: there are none.
	Path    string
	Filters []Field
	// Next and First are the addresses of the next page and of the first one; empty: none.
	Next, First string
	Total       string // "312 users"
	Empty       Empty
}

// Empty is what stands in place of a list that has nothing in it.
type Empty struct {
	Title, Text string
	Action      Link
}

// Dialog asks before something is done. An Action, a Cell or a button with data-dialog opens it.
type Dialog struct {
	ID, Title, Text string
	Form            Form
}

// Tab is one of several views of the same thing, each at an address of its own.
type Tab struct {
	Label, Path string
	Current     bool
	Count       int
}

// Node is one entry of a tree in which several can be chosen.
type Node struct {
	Name     string // of the field
	Value    string
	Label    string
	Hint     string
	Checked  bool
	Open     bool
	Children []Node
	// Lazy is where the entries below are fetched from when the node is opened; empty: they are here.
	Lazy string
}

// Code is text to copy.
type Code struct {
	Label string
	Text  string
	// Once: it is shown this one time only.
	Once bool
	Long bool // keeps its lines
}

// Progress is how far something is; Most 0: not known.
type Progress struct {
	Label      string
	Done, Most int
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	switch d := now.Sub(t); {
	case d < -time.Minute:
		return "in " + span(-d)
	case d < time.Minute:
		return "just now"
	default:
		return span(d) + " ago"
	}
}

// span is a length of time as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int(d/(24*time.Hour)), "day", "days")
}

func stamp(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") + " UTC" }

// moment is a time to the second, for what happens within one minute.
func moment(t time.Time) string  { return t.UTC().Format("2 Jan 2006, 15:04:05") + " UTC" }
func date(t time.Time) string    { return t.UTC().Format("2 January 2006") }
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n) + " " + many
}

// initials are those of a name, two at most.
func initials(name string) string {
	var out []rune
	for _, w := range strings.Fields(name) {
		if r, _ := utf8.DecodeRuneInString(w); r != utf8.RuneError {
			out = append(out, r)
		}
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	return strings.ToUpper(string(out))
}

func roleName(r sallyport.Role) string {
	switch r {
	case sallyport.RoleSuper:
		return "Super administrator"
	case sallyport.RoleAdmin:
		return "Administrator"
	case sallyport.RoleHelpDesk:
		return "Help desk"
	case sallyport.RoleAuditor:
		return "Auditor"
	}
	return string(r)
}

func roleHelp(r sallyport.Role) string {
	switch r {
	case sallyport.RoleSuper:
		return "Everything, and other administrators."
	case sallyport.RoleAdmin:
		return "Everything but administrators and keys."
	case sallyport.RoleHelpDesk:
		return "Sees users and explains logins, issues temporary codes, deletes lost devices."
	case sallyport.RoleAuditor:
		return "Sees everything but secrets, changes nothing."
	}
	return ""
}

// roleOptions are the roles up to one, to choose from.
func roleOptions(upTo, chosen sallyport.Role) (out []Option) {
	for _, r := range admin.RolesUpTo(upTo) {
		out = append(out, Option{Value: string(r), Label: roleName(r), Help: roleHelp(r), Chosen: r == chosen})
	}
	return out
}

// dict makes a map in a template: dict "a" 1 "b" 2.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a name without a value")
	}
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is not a name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

func list(items ...any) []any { return items }
