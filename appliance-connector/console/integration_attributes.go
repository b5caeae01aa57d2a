package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/radiusattr"
)

// attributesPage is the table of attributes as a form: rows come and go without scripts, since each button
// sends the form, and nothing is saved before "Save".
type attributesPage struct {
	Tabs    []Tab
	Path    string
	CSRF    string
	Version int64
	Trouble string
	Edit    bool // who looks may change them
	Preview bool // … and see what somebody has
	Rows    []attributeRow
	Facts   *Table // of who may only look
	Known   []knownAttribute
	// Account and Groups are those whose attributes are previewed, Shown what they have.
	Account, Groups string
	Shown           *Table
	ShowTrouble     string
}

// attributeRow is one attribute as it is typed.
type attributeRow struct {
	N                              int // from 1, for people
	Group, Attribute, Type, Values string
	Error                          string
	Focus                          bool
	Types                          []Option
}

// knownAttribute is a name to choose.
type knownAttribute struct{ Name, Hint string }

func knownAttributes() (out []knownAttribute) {
	for _, d := range radiusattr.Standard().All() {
		if radiusattr.Forbidden(d.Vendor, d.Attribute) != "" {
			continue
		}
		hint := string(d.Type)
		if d.VendorName != "" {
			hint = d.VendorName + ", " + hint
		}
		out = append(out, knownAttribute{d.Name, hint})
	}
	return out
}

func typeOptions(chosen string) []Option {
	return options(chosen, "", "As usual", "text", "Text", "integer", "Number", "ipaddr", "IPv4 address", "ipv6addr", "IPv6 address", "octets", "Octets, in hexadecimal")
}

// usualType is how people mostly write an attribute: octets, as Class, as text.
func usualType(d radiusattr.Definition) sallyport.AttributeType {
	if d.Type == sallyport.AttributeOctets {
		return sallyport.AttributeText
	}
	return d.Type
}

// rowOf writes an attribute as it is typed.
func rowOf(a sallyport.GroupAttribute) attributeRow {
	row := attributeRow{Group: a.Group, Attribute: attributeName(a.Vendor, a.Attribute), Type: string(a.Type), Values: strings.Join(a.Values, "\n")}
	if d, known := radiusattr.Standard().Find(a.Vendor, a.Attribute); known && usualType(d) == a.Type {
		row.Type = ""
	}
	return row
}

// attributeName is the dictionary's name, or "vendor:number".
func attributeName(vendor uint32, attribute uint8) string {
	if d, known := radiusattr.Standard().Find(vendor, attribute); known {
		return d.Name
	}
	text := strconv.Itoa(int(attribute))
	if vendor != 0 {
		text = strconv.FormatUint(uint64(vendor), 10) + ":" + text
	}
	return text
}

// attribute reads a row; words say what is wrong.
func (row attributeRow) attribute() (a sallyport.GroupAttribute, words string) {
	a = sallyport.GroupAttribute{Group: strings.TrimSpace(row.Group), Type: sallyport.AttributeType(row.Type), Values: lines(row.Values)}
	name := strings.TrimSpace(row.Attribute)
	d, known := radiusattr.Standard().ByName(name)
	if known {
		a.Vendor, a.Attribute = d.Vendor, d.Attribute
	} else {
		vendor, number, hasVendor := strings.Cut(name, ":")
		if !hasVendor {
			vendor, number = "0", name
		}
		v, verr := strconv.ParseUint(vendor, 10, 24)
		n, nerr := strconv.ParseUint(number, 10, 8)
		if verr != nil || nerr != nil || n == 0 {
			return a, "Choose an attribute from the list, or write its numbers: 25, or 3375:12 for a vendor’s."
		}
		a.Vendor, a.Attribute = uint32(v), uint8(n)
		d, known = radiusattr.Standard().Find(a.Vendor, a.Attribute)
	}
	if known {
		a.Name = d.Name
	}
	switch {
	case a.Type == "" && !known:
		return a, "The dictionary does not have this attribute: say how its value is written."
	case a.Type == "":
		a.Type = usualType(d)
	}
	return a, ""
}

// readRows reads the rows of the form as they were typed.
func (r *request) readRows() ([]attributeRow, error) {
	form, err := r.FormParams()
	if err != nil {
		return nil, err
	}
	at := func(name string, i int) string {
		if list := form[name]; i < len(list) {
			return list[i]
		}
		return ""
	}
	var rows []attributeRow
	for i := range form["attribute"] {
		rows = append(rows, attributeRow{Group: at("group", i), Attribute: at("attribute", i), Type: at("type", i), Values: strings.ReplaceAll(at("values", i), "\r\n", "\n")})
	}
	return rows, nil
}

// rowsToAttributes reads what is typed and marks what is wrong. Rows with nothing in them are left out.
func rowsToAttributes(rows []attributeRow) (out []sallyport.GroupAttribute, of []int, ok bool) {
	ok = true
	for i, row := range rows {
		if row.Group+row.Attribute+row.Values == "" {
			continue
		}
		a, wrong := row.attribute()
		if wrong != "" {
			rows[i].Error, ok = wrong, false
		}
		out, of = append(out, a), append(of, i)
	}
	return out, of, ok
}

func (r *request) attributes() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	var rows []attributeRow
	for _, a := range in.Attributes {
		rows = append(rows, rowOf(a))
	}
	return r.showAttributes(http.StatusOK, in, attributesPage{Version: in.Version, Rows: rows})
}

func (r *request) showAttributes(status int, in sallyport.Integration, d attributesPage) error {
	d.Tabs, d.Path, d.CSRF = r.integrationTabs(in.ID, "/attributes"), integrationPath(in.ID)+"/attributes", r.session.CSRF()
	d.Edit, d.Preview = r.May("SetIntegration"), r.May("PreviewAttributes")
	if d.Edit {
		d.Known = knownAttributes()
	} else {
		d.Facts = attributeTable(in)
	}
	for i := range d.Rows {
		d.Rows[i].N, d.Rows[i].Types = i+1, typeOptions(d.Rows[i].Type)
	}
	return r.showAs(status, Page{Title: in.Nickname, Crumbs: integrationCrumbs(), Content: "attributes", Data: d})
}

func attributeTable(in sallyport.Integration) *Table {
	t := &Table{ID: "attributes", Caption: "Attributes", Columns: []Column{{Label: "Attribute"}, {Label: "Value"}, {Label: "Group"}}, Empty: Empty{Title: "No attributes"}}
	for _, a := range in.Attributes {
		t.Rows = append(t.Rows, []Cell{{Text: attributeName(a.Vendor, a.Attribute)}, {Text: strings.Join(a.Values, ", "), Mono: true}, groupCell(a.Group)})
	}
	return t
}

func groupCell(group string) Cell {
	if group == "" {
		return Cell{Text: "Everybody"}
	}
	return Cell{Text: group}
}

// setAttributes does what a button of the form says: a row more, a row less, a row up, or saving all.
func (r *request) setAttributes() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	rows, err := r.readRows()
	if err != nil {
		return err
	}
	do, at, _ := strings.Cut(r.FormValue("do"), ".")
	d := attributesPage{Version: r.version(), Account: r.FormValue("account"), Groups: r.FormValue("groups")}
	if do != "" {
		d.Rows = arranged(rows, do, at)
		return r.showAttributes(http.StatusOK, in, d)
	}
	d.Rows = rows
	list, of, ok := rowsToAttributes(rows)
	if ok {
		in.Attributes, in.Version = list, d.Version
		if _, err = r.s.admin.SetIntegration(r.Request().Context(), r.Actor(), in); err == nil {
			return r.done(integrationPath(in.ID)+"/attributes", "Saved. The next login at this gateway gets them.")
		}
		if d.Trouble, ok = attributeTrouble(rows, of, err); !ok {
			return err
		}
	}
	return r.showAttributes(unprocessable, in, d)
}

// arranged adds, removes or moves a row. One that is not there changes nothing.
func arranged(rows []attributeRow, do, at string) []attributeRow {
	n, err := strconv.Atoi(at)
	there := err == nil && n >= 0 && n < len(rows)
	switch {
	case do == "add":
		return append(rows, attributeRow{Focus: true})
	case do == "remove" && there:
		rows = append(rows[:n], rows[n+1:]...)
		if len(rows) > 0 {
			rows[min(n, len(rows)-1)].Focus = true
		}
	case do == "up" && there && n > 0:
		rows[n], rows[n-1] = rows[n-1], rows[n]
		rows[n-1].Focus = true
	}
	return rows
}

// attributeTrouble marks the rows that the door refused; of says which row each attribute came from. What is
// wrong with the list as a whole is returned.
func attributeTrouble(rows []attributeRow, of []int, err error) (trouble string, ok bool) {
	wrong, some := fields(err)
	if !some {
		return words(err)
	}
	marked := false
	for i, row := range of {
		if text := wrong["attributes."+strconv.Itoa(i)]; text != "" {
			rows[row].Error, marked = text, true
		}
	}
	if marked {
		return "", true
	}
	return sallyport.ErrorMessage(err) + " " + wrong.Error(), true
}

// previewAttributes shows what a user, or somebody in some groups, has with the rows as they are typed; who
// may not change them sees it for those that are saved.
func (r *request) previewAttributes() error {
	in, err := r.readIntegration()
	if err != nil {
		return err
	}
	rows, err := r.readRows()
	if err != nil {
		return err
	}
	d := attributesPage{Version: r.version(), Rows: rows, Account: strings.TrimSpace(r.FormValue("account")), Groups: r.FormValue("groups")}
	if r.May("SetIntegration") {
		var ok bool
		if in.Attributes, _, ok = rowsToAttributes(rows); !ok {
			return r.showAttributes(unprocessable, in, d)
		}
	} else {
		d.Version = in.Version
	}
	list, err := r.s.admin.PreviewAttributes(r.Request().Context(), r.Actor(), in, lines(d.Groups), sallyport.AccountName(d.Account))
	if err != nil {
		if d.ShowTrouble = previewTrouble(err); d.ShowTrouble == "" {
			return err
		}
		return r.showAttributes(unprocessable, in, d)
	}
	d.Shown = &Table{ID: "shown", Caption: "Attributes in Access-Accept", Total: plural(len(list), "attribute", "attributes"),
		Columns: []Column{{Label: "Attribute"}, {Label: "Value"}, {Label: "From group"}}, Empty: Empty{Title: "Nothing", Text: "Access-Accept has no attributes of this integration."}}
	for _, a := range list {
		d.Shown.Rows = append(d.Shown.Rows, []Cell{{Text: a.Name}, {Text: a.Value, Mono: true}, groupCell(a.Group)})
	}
	return r.showAttributes(http.StatusOK, in, d)
}

// previewTrouble is why there is no preview, in words; empty: the error is the page's.
func previewTrouble(err error) string {
	if text, ok := words(err); ok {
		return text
	}
	switch sallyport.ErrorCode(err) {
	case sallyport.CodeNotFound, sallyport.CodeUnavailable, sallyport.CodeDenied:
		return sallyport.ErrorMessage(err)
	}
	return ""
}
