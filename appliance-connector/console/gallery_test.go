package console

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// gallery adds a page with every component, for tests to look at.
func gallery(s *Server) {
	if _, err := s.templates.Parse(`{{define "gallery"}}<div class="sections">
<section class="card" aria-labelledby="a"><h2 id="a">Chart</h2>{{template "chart" .Chart}}</section>
<section class="card" aria-labelledby="b"><h2 id="b">Form</h2>{{template "form" .Form}}</section>
<section class="card" aria-labelledby="c"><h2 id="c">Tree</h2><form>{{template "tree" .Tree}}</form></section>
<section class="card" aria-labelledby="d"><h2 id="d">Progress</h2>{{template "progress" .Progress}}</section>
<section class="card" aria-labelledby="e"><h2 id="e">Code</h2>{{template "code" .Code}}</section>
<section aria-labelledby="f"><h2 id="f">Alerts</h2>{{range .Alerts}}{{template "alert" .}}{{end}}</section>
<section aria-labelledby="g"><h2 id="g">Badges</h2><p>{{range .Badges}}{{template "badge" .}} {{end}}</p></section>
</div>
<h2>List</h2>{{template "tabs" .Tabs}}{{template "table" .Table}}{{end}}`); err != nil {
		panic(err)
	}
	s.page("/gallery", "Overview", (*request).gallery)
}

func (r *request) gallery() error {
	now := r.s.cfg.Now()
	chart := Chart{Title: "Logins, last 24 hours", Series: []Series{{"Granted", "ok"}, {"Denied", "bad"}, {"Abandoned", "warn"}}}
	for h := range 24 {
		chart.Bars = append(chart.Bars, Bar{Label: fmt.Sprintf("%02d:00", h), Parts: []int{(h * 37) % 83, (h * 7) % 11, h % 4}})
	}
	table := Table{ID: "people", Caption: "People", Path: "/gallery", Columns: []Column{{Label: "Name"}, {Label: "State"}, {Label: "Devices", Number: true}, {Label: "Last log-in"}, {Label: ""}},
		Filters: []Field{{Kind: "search", Name: "q", Label: "Find", Placeholder: "Name or account"}, {Kind: "select", Name: "state", Label: "State", Options: []Option{{"", "All", "", true}, {"x", "Enrolled", "", false}}}},
		Total:   "312 people", Next: "/gallery?after=x", First: "/gallery"}
	for i, name := range []string{"Alice Archer", "Bob Baker", "Maximiliane Schmidt-Hohenlohe of the Department of Anaesthesiology and Intensive Care"} {
		table.Rows = append(table.Rows, []Cell{{Text: name, Sub: "hospital\\user" + fmt.Sprint(i), Path: "/gallery"}, {Badge: []Badge{{"ok", "Enrolled"}, {"warn", "Not enrolled"}, {"bad", "Locked"}}[i]},
			{Text: fmt.Sprint(i)}, {Time: now.Add(-time.Duration(i*i*70) * time.Minute)}, {Form: &RowForm{Path: "/gallery", CSRF: "x", Label: "Remove", Danger: i > 0}}})
	}
	return r.show(Page{Title: "Gallery", Lead: "Every component, for the tests.", Crumbs: []Link{{"Overview", "/"}, {"Tests", "/gallery"}},
		Actions: []Action{{Label: "First", Path: "/gallery"}, {Label: "Second", Path: "/gallery"}}, Content: "gallery", Data: map[string]any{
			"Chart": chart, "Table": table, "Tabs": []Tab{{"All", "/gallery", true, 312}, {"Locked", "/gallery", false, 3}},
			"Form": Form{Submit: "Save", Cancel: "/", Trouble: "Please look at the marked fields.", Fields: []Field{
				{Name: "a", Label: "Name", Value: "Ward 3", Required: true, Help: "As people call it."},
				{Name: "b", Label: "Address", Value: "nonsense", Error: "This is not an address.", Required: true},
				{Kind: "select", Name: "c", Label: "Kind", Options: []Option{{"1", "One", "", false}, {"2", "Two", "", true}}},
				{Kind: "checkbox", Name: "d", Label: "Number matching", Help: "A number on the page is typed on the phone.", Checked: true},
				{Kind: "radio", Name: "e", Label: "Unenrolled users", Options: []Option{{"p", "Password alone", "Less safe.", false}, {"m", "Another method", "They choose.", true}}},
				{Kind: "area", Name: "f", Label: "Notes", Rows: 3},
				{Name: "g", Label: "Read only", Value: "cannot be changed", ReadOnly: true}}},
			"Tree":     []Node{{Name: "ou", Value: "1", Label: "hospital.test", Open: true, Children: []Node{{Name: "ou", Value: "2", Label: "Wards", Hint: "120 users", Checked: true, Children: []Node{{Name: "ou", Value: "4", Label: "Ward 3"}}}, {Name: "ou", Value: "3", Label: "Offices", Hint: "40 users"}}}},
			"Progress": Progress{"Reading users", 420, 1000}, "Code": Code{Label: "Script for logon.inc", Text: "<script src=\"https://cloud.example/f5.js\" integrity=\"sha384-abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz01\"></script>"},
			"Alerts": []map[string]any{{"Tone": "ok", "Title": "All is well", "Text": "Nothing to do."}, {"Tone": "warn", "Title": "Look at this", "Text": "Soon."}, {"Tone": "bad", "Title": "The tunnel is down", "Text": "The log says why."}, {"Tone": "info", "Title": "For your information", "Text": ""}},
			"Badges": []Badge{{"", "Plain"}, {"ok", "Good"}, {"warn", "Careful"}, {"bad", "Bad"}, {"info", "Note"}}}})
}

// troubled is an appliance of which a part does not work.
func troubled() admin.Watched {
	return admin.Watched{Version: "1.4.0", OwnCertificate: true,
		Parts: []admin.Part{
			{Name: "Store", Check: func(context.Context) error { return nil }},
			{Name: "Directory", Check: func(context.Context) error { return errors.New("dial dc1.hospital.test: connection refused") }, Help: "Users cannot log in until a domain controller answers."},
			{Name: "Tunnel", Check: func(context.Context) error { return nil }},
		},
		Streams: func() admin.Tunnel {
			return admin.Tunnel{Streams: []admin.Stream{{Replica: "cloud-0", Since: time.Date(2026, 3, 4, 7, 0, 0, 0, time.UTC)}, {Replica: "cloud-1", Since: time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC), Draining: true}}, Trouble: "cloud-2 went away"}
		}}
}
