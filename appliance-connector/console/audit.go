package console

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// verifyFor bounds how long a check of the whole trail may take from the page; the command line has no bound.
const verifyFor = 10 * time.Minute

func (s *Server) auditRoutes() {
	s.page("/audit", "AuditRecords", (*request).audit)
	s.page("/audit/:chain/:sequence", "AuditRecords", (*request).auditRecord)
	s.act("/audit/verify", "VerifyAudit", (*request).verifyAudit)
	s.page("/audit.csv", "EachAuditRecord", (*request).auditCSV)
}

func (r *request) auditQuery() (store.AuditQuery, error) {
	q := store.AuditQuery{Text: r.QueryParam("q"), Action: r.QueryParam("action"), After: r.QueryParam("after")}
	var err error
	q.From, q.To, err = r.period()
	return q, err
}

// period reads the days of a filter, both included and in UTC, as everywhere; none is no bound.
func (r *request) period() (from, to time.Time, err error) {
	day := func(name string) time.Time {
		text := r.QueryParam(name)
		if text == "" || err != nil {
			return time.Time{}
		}
		t, perr := time.Parse(time.DateOnly, text)
		if perr != nil {
			err = sallyport.Errorf(sallyport.CodeInvalid, "Write a day as 2026-11-25.", perr)
		}
		return t
	}
	from = day("from")
	if to = day("to"); !to.IsZero() {
		to = to.AddDate(0, 0, 1)
	}
	return from, to, err
}

func (r *request) periodFields() []Field {
	return []Field{{Kind: "date", Name: "from", Label: "From (UTC)", Value: r.QueryParam("from")}, {Kind: "date", Name: "to", Label: "To (UTC)", Value: r.QueryParam("to")}}
}

func (r *request) audit() error {
	q, err := r.auditQuery()
	if err != nil {
		return err
	}
	page, err := r.s.admin.AuditRecords(r.Request().Context(), r.Actor(), q)
	if err != nil {
		return err
	}
	t := Table{ID: "audit", Caption: "Audit trail", Path: "/audit", Next: r.nextPage(page.Next), First: r.firstPage(),
		Columns: []Column{{Label: "When"}, {Label: "Who"}, {Label: "Did"}, {Label: "To"}, {Label: "Record"}},
		Filters: append([]Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "Any word of a record"},
			{Kind: "select", Name: "action", Label: "What", Options: options(q.Action, "", "Everything", "login.", "Decisions of logins", "user.", "Users", "user policy.", "User policies", "enrol rule.", "Enrol rules", "integration.", "Integrations", "device.", "Devices", "remembered device.", "Remembered devices", "temporary code.", "Temporary codes", "administrator.", "Administrators", "domain.", "Directories")}}, r.periodFields()...),
		Empty: Empty{Title: "Nothing found", Text: "No record has these words in this time."}}
	for _, a := range page.Records {
		t.Rows = append(t.Rows, auditRow(a))
	}
	p := Page{Title: "Audit", Lead: "What people did and what was decided. Each record seals the one before it.", Content: "cardlist"}
	d := CardList{Table: t}
	if r.May("VerifyAudit") {
		f := r.form("Check the trail")
		f.Path = "/audit/verify"
		d.Dialogs = []Dialog{{ID: "verify", Title: "Check the whole trail?", Text: "Every record is checked; a million take a minute or so.", Form: f}}
		p.Actions = []Action{{Label: "Check the trail", Dialog: "verify"}, {Label: "Export as CSV", Path: "/audit.csv?" + r.Request().URL.RawQuery}}
	}
	p.Data = d
	return r.show(p)
}

func auditRow(a sallyport.AuditRecord) []Cell {
	who := Cell{Text: orNone(a.Actor.Name), Sub: string(a.Actor.Kind)}
	if a.Actor.Name == "" {
		who.Text, who.Sub = string(a.Actor.Kind), ""
	}
	return []Cell{{Time: a.Time}, who, {Text: a.Action, Sub: a.Reason}, {Text: orNone(a.Object)},
		{Text: a.Chain + " " + strconv.FormatInt(a.Sequence, 10), Path: "/audit/" + url.PathEscape(a.Chain) + "/" + strconv.FormatInt(a.Sequence, 10)}}
}

// auditRecord shows one record: what was before and after.
func (r *request) auditRecord() error {
	chain, err := url.PathUnescape(r.Param("chain"))
	if err != nil {
		return sallyport.Errorf(sallyport.CodeNotFound, "There is no such record.", err)
	}
	sequence, err := strconv.ParseInt(r.Param("sequence"), 10, 64)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeNotFound, "There is no such record.", err)
	}
	a, err := r.s.admin.AuditRecord(r.Request().Context(), r.Actor(), chain, sequence)
	if err != nil {
		return err
	}
	facts := []Fact{factTime("When", a.Time), {"Who", auditRow(a)[1]}, fact("Role", orNone(string(a.Actor.Role))), fact("From", orNone(a.Actor.Address)),
		fact("Did", a.Action), fact("To", orNone(a.Object)), fact("Because", orNone(a.Reason))}
	if a.SupportCode != "" {
		facts = append(facts, Fact{"Support code", Cell{Text: a.SupportCode, Path: "/logins/explain?code=" + a.SupportCode}})
	}
	d := CardPage{Cards: []Card{{Title: "Record", Facts: facts}}}
	for _, part := range []struct {
		title string
		text  json.RawMessage
	}{{"Before", a.Before}, {"After", a.After}} {
		if len(part.text) > 0 {
			d.Cards = append(d.Cards, Card{Title: part.title, Code: &Code{Label: part.title + ", as recorded", Text: indented(part.text), Long: true}})
		}
	}
	return r.show(Page{Title: "Record " + chain + " " + r.Param("sequence"), Crumbs: []Link{{"Audit", "/audit"}}, Content: "cardpage", Data: d})
}

func indented(text json.RawMessage) string {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return string(text)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(text)
	}
	return string(out)
}

func (r *request) verifyAudit() error {
	ctx, cancel := r.within(verifyFor)
	defer cancel()
	var n int64
	found, err := r.s.admin.VerifyAudit(ctx, r.Actor(), func(records int64) { n = records })
	if err != nil {
		return err
	}
	if found != nil {
		return r.done("/audit", "The trail does not hold. "+found.Message)
	}
	return r.done("/audit", "The trail holds: "+plural(int(n), "record", "records")+" checked.")
}
