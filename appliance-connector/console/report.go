package console

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// exportFor bounds how long an export may take to be sent.
const exportFor = 30 * time.Minute

func (s *Server) reportRoutes() {
	s.page("/reports", "Logins", (*request).reports)
	s.page("/reports/logins", "Logins", (*request).loginReport)
	s.page("/reports/radius", "RADIUSRequests", (*request).radiusReport)
	s.page("/reports/enrolled", "Users", (*request).enrolledReport)
	s.page("/reports/unenrolled", "Users", (*request).unenrolledReport)
	s.page("/reports/logins.csv", "EachLogin", (*request).loginCSV)
	s.page("/reports/radius.csv", "EachRADIUSRequest", (*request).radiusCSV)
	s.page("/reports/enrolled.csv", "EachUser", (*request).enrolledCSV)
	s.page("/reports/unenrolled.csv", "EachUser", (*request).unenrolledCSV)
}

func reportTabs(current string) []Tab {
	return []Tab{
		{Label: "Login activity", Path: "/reports/logins", Current: current == "logins"},
		{Label: "RADIUS activity", Path: "/reports/radius", Current: current == "radius"},
		{Label: "Enrolled users", Path: "/reports/enrolled", Current: current == "enrolled"},
		{Label: "Unenrolled users (remote access)", Path: "/reports/unenrolled", Current: current == "unenrolled"},
	}
}

func (r *request) reports() error { return r.goTo("/reports/logins") }

// report shows a table of the section with its export.
func (r *request) report(title, lead, name string, op admin.Operation, t Table) error {
	p := Page{Title: title, Lead: lead, Content: "cardlist", Data: CardList{Tabs: reportTabs(name), Table: t}}
	if r.May(op) {
		p.Actions = []Action{{Label: "Export as CSV", Path: "/reports/" + name + ".csv?" + r.Request().URL.RawQuery}}
	}
	if r.May("ExplainLogin") {
		p.Actions = append(p.Actions, Action{Label: "Explain a login", Path: "/logins/explain"})
	}
	return r.show(p)
}

func (r *request) loginQuery() (q store.LoginQuery, err error) {
	q = store.LoginQuery{Text: r.QueryParam("q"), Outcome: sallyport.Outcome(r.QueryParam("outcome")), After: r.QueryParam("after")}
	q.From, q.To, err = r.period()
	return q, err
}

func (r *request) loginReport() error {
	q, err := r.loginQuery()
	if err != nil {
		return err
	}
	page, err := r.s.admin.Logins(r.Request().Context(), r.Actor(), q)
	if err != nil {
		return err
	}
	t := Table{ID: "logins", Caption: "Login activity", Path: "/reports/logins", Columns: loginColumns(), Next: r.nextPage(page.Next), First: r.firstPage(),
		Filters: append([]Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "User, address or support code"},
			{Kind: "select", Name: "outcome", Label: "Ended", Options: options(string(q.Outcome), "", "Any", "granted", "Let in", "denied", "Refused", "abandoned", "Given up", "open", "Under way")}}, r.periodFields()...),
		Empty: Empty{Title: "No logins", Text: "Nobody has logged in with these filters. Logins appear here as they happen."}}
	for _, l := range page.Logins {
		t.Rows = append(t.Rows, loginRow(l))
	}
	return r.report("Login activity", "Every login at the gateways, and how it ended.", "logins", "EachLogin", t)
}

func (r *request) radiusQuery() (q store.RADIUSQuery, err error) {
	q = store.RADIUSQuery{Text: r.QueryParam("q"), Outcome: sallyport.RADIUSOutcome(r.QueryParam("outcome")), After: r.QueryParam("after")}
	q.From, q.To, err = r.period()
	return q, err
}

func (r *request) radiusReport() error {
	q, err := r.radiusQuery()
	if err != nil {
		return err
	}
	page, err := r.s.admin.RADIUSRequests(r.Request().Context(), r.Actor(), q)
	if err != nil {
		return err
	}
	t := Table{ID: "radius", Caption: "RADIUS activity", Path: "/reports/radius", Next: r.nextPage(page.Next), First: r.firstPage(),
		Columns: []Column{{Label: "When"}, {Label: "Gateway"}, {Label: "User"}, {Label: "Answer"}, {Label: "Cause and cure"}},
		Filters: append([]Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "User, address or NAS identifier"},
			{Kind: "select", Name: "outcome", Label: "Answer", Options: options(string(q.Outcome), "", "Any", "accept", "Accept", "reject", "Reject", "challenge", "Challenge", "drop", "None")}}, r.periodFields()...),
		Empty: Empty{Title: "No RADIUS requests", Text: "No gateway has asked with these filters. If a gateway should have: check its server address, port 1812/udp and the firewalls between."}}
	for _, a := range page.Requests {
		t.Rows = append(t.Rows, []Cell{{Time: a.Time}, {Text: orNone(a.NASIdentifier), Sub: a.Source}, {Text: orNone(a.UserName), Sub: string(a.Account)},
			{Badge: radiusBadge(a.Outcome)}, {Text: a.Reason, Sub: a.Cure}})
	}
	return r.report("RADIUS activity", "What the gateways asked and what they were told.", "radius", "EachRADIUSRequest", t)
}

func radiusBadge(o sallyport.RADIUSOutcome) Badge {
	switch o {
	case "accept":
		return Badge{"ok", "Accept"}
	case "reject":
		return Badge{"bad", "Reject"}
	case "challenge":
		return Badge{"info", "Challenge"}
	}
	return Badge{"warn", "None"}
}

// enrolmentQuery asks for users by whether they have enrolled; unenrolled ones only of policies that are live.
func (r *request) enrolmentQuery(enrolled bool) store.UserQuery {
	return store.UserQuery{Text: r.QueryParam("q"), Policy: sallyport.UserPolicyID(r.QueryParam("policy")), Enrolled: &enrolled,
		RemoteAccess: !enrolled, State: sallyport.UserActive, After: r.QueryParam("after")}
}

func (r *request) enrolledReport() error {
	return r.enrolmentReport(true, "Enrolled users", "Users with the app.", "enrolled")
}

func (r *request) unenrolledReport() error {
	return r.enrolmentReport(false, "Unenrolled users", "Users whose policy is live for remote access and who have not enrolled the app. The export has their e-mail addresses.", "unenrolled")
}

func (r *request) enrolmentReport(enrolled bool, title, lead, name string) error {
	ctx, q := r.Request().Context(), r.enrolmentQuery(enrolled)
	page, err := r.s.admin.Users(ctx, r.Actor(), q)
	if err != nil {
		return err
	}
	policies, err := r.s.admin.UserPolicies(ctx, r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: name, Caption: title, Path: "/reports/" + name, Next: r.nextPage(page.Next), First: r.firstPage(), Total: plural(page.Total, "user", "users"),
		Columns: []Column{{Label: "Name"}, {Label: "Account"}, {Label: "E-mail"}, {Label: "User policy"}, {Label: "Synchronised"}},
		Filters: []Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "Name, account or e-mail address"},
			{Kind: "select", Name: "policy", Label: "User policy", Options: append([]Option{{Label: "All policies"}}, policyOptions(policies, q.Policy)...)}},
		Empty: Empty{Title: "Nobody", Text: "No user fits."}}
	if !enrolled {
		t.Empty = Empty{Title: "Nobody is left to enrol", Text: "Everybody whose user policy is live for remote access has enrolled, or no policy is live yet."}
	}
	names := policyNames(policies)
	for _, u := range page.Users {
		t.Rows = append(t.Rows, userRow(u, names))
	}
	return r.report(title, lead, name, "EachUser", t)
}

// export streams a CSV file (RFC 4180): rows are sent as they are read.
func (r *request) export(name string, head []string, rows func(ctx context.Context, row func(...string) error) error) error {
	ctx, cancel := r.within(exportFor)
	defer cancel()
	res := r.Response()
	res.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	res.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.csv"`, name, r.s.cfg.Now().UTC().Format(time.DateOnly)))
	res.WriteHeader(http.StatusOK)
	if _, err := io.WriteString(res, "\ufeff"); err != nil { // so that spreadsheets read UTF-8
		return err
	}
	w := csv.NewWriter(res)
	w.UseCRLF = true
	if err := w.Write(head); err != nil {
		return err
	}
	err := rows(ctx, func(cells ...string) error {
		for i, c := range cells {
			cells[i] = safeCell(c)
		}
		return w.Write(cells)
	})
	if err != nil {
		// The head is sent: what is left is to break off, so that nobody takes a part for the whole.
		panic(http.ErrAbortHandler)
	}
	w.Flush()
	return w.Error()
}

// safeCell keeps a spreadsheet from taking a text for a formula.
func safeCell(s string) string {
	s = strings.ReplaceAll(s, "\x00", "\ufffd")
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}

// within is the request's context with time for something long.
func (r *request) within(d time.Duration) (context.Context, context.CancelFunc) {
	c := http.NewResponseController(r.Response())
	until := time.Now().Add(d)
	_ = c.SetWriteDeadline(until) // where it cannot be set, the usual one ends the answer
	_ = c.SetReadDeadline(until)
	return context.WithDeadline(r.Request().Context(), until)
}

func (r *request) loginCSV() error {
	q, err := r.loginQuery()
	if err != nil {
		return err
	}
	head := []string{"time", "ended", "user name", "account", "integration", "door", "outcome", "second factor", "reason", "detail", "address", "appliance", "support code"}
	return r.export("logins", head, func(ctx context.Context, row func(...string) error) error {
		return r.s.admin.EachLogin(ctx, r.Actor(), q, func(l sallyport.LoginRecord) error {
			return row(when(l.Time), when(l.Ended), l.UserName, string(l.Account), string(l.Integration), string(l.Door), string(l.Outcome),
				string(l.Method), string(l.Reason), l.Detail, l.Address, string(l.Appliance), l.SupportCode)
		})
	})
}

func (r *request) radiusCSV() error {
	q, err := r.radiusQuery()
	if err != nil {
		return err
	}
	head := []string{"time", "integration", "source", "user name", "account", "answer", "reason", "cure", "nas identifier", "calling station", "appliance"}
	return r.export("radius", head, func(ctx context.Context, row func(...string) error) error {
		return r.s.admin.EachRADIUSRequest(ctx, r.Actor(), q, func(a store.RADIUSActivity) error {
			return row(when(a.Time), string(a.Integration), fmt.Sprint(a.Source), a.UserName, string(a.Account), string(a.Outcome), a.Reason, a.Cure,
				a.NASIdentifier, a.CallingStation, string(a.Appliance))
		})
	})
}

func (r *request) enrolledCSV() error   { return r.userCSV("enrolled-users", true) }
func (r *request) unenrolledCSV() error { return r.userCSV("unenrolled-users", false) }

func (r *request) userCSV(name string, enrolled bool) error {
	policies, err := r.s.admin.UserPolicies(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	names := policyNames(policies)
	head := []string{"name", "account", "log-in name", "e-mail", "user policy", "devices", "last enrolled", "synchronised"}
	return r.export(name, head, func(ctx context.Context, row func(...string) error) error {
		return r.s.admin.EachUser(ctx, r.Actor(), r.enrolmentQuery(enrolled), func(u sallyport.User, devices []sallyport.Device) error {
			var last time.Time
			var kinds []string
			for _, d := range devices {
				kinds = append(kinds, d.Name)
				if d.Enrolled.After(last) {
					last = d.Enrolled
				}
			}
			return row(u.DisplayName, string(u.Account), u.UPN, u.Mail, names[u.Policy], strings.Join(kinds, "; "), when(last), when(u.Synchronised))
		})
	})
}

func (r *request) auditCSV() error {
	q, err := r.auditQuery()
	if err != nil {
		return err
	}
	q.After = ""
	head := []string{"chain", "sequence", "time", "who", "kind", "role", "address", "action", "object", "object id", "before", "after", "reason", "support code"}
	return r.export("audit", head, func(ctx context.Context, row func(...string) error) error {
		return r.s.admin.EachAuditRecord(ctx, r.Actor(), q, func(a sallyport.AuditRecord) error {
			return row(a.Chain, fmt.Sprint(a.Sequence), when(a.Time), a.Actor.Name, string(a.Actor.Kind), string(a.Actor.Role), a.Actor.Address,
				a.Action, a.Object, a.ObjectID, string(a.Before), string(a.After), a.Reason, a.SupportCode)
		})
	})
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return rfc3339(t)
}
