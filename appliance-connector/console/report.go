package console

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/export"
	"github.com/sallyport/sallyport/appliance-connector/report"
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

func (r *request) reportTabs(current string) []Tab {
	tabs := []Tab{
		{Label: "Login activity", Path: "/reports/logins", Current: current == "logins"},
		{Label: "RADIUS activity", Path: "/reports/radius", Current: current == "radius"},
		{Label: "Enrolled users", Path: "/reports/enrolled", Current: current == "enrolled"},
		{Label: "Unenrolled users (remote access)", Path: "/reports/unenrolled", Current: current == "unenrolled"},
	}
	if r.May("ReportSchedules") {
		tabs = append(tabs, Tab{Label: "By e-mail", Path: "/reports/schedules", Current: current == "schedules"})
	}
	return tabs
}

func (r *request) reports() error { return r.goTo("/reports/logins") }

// report shows a table of the section with its export.
func (r *request) report(title, lead, name string, op admin.Operation, t Table) error {
	p := Page{Title: title, Lead: lead, Content: "cardlist", Data: CardList{Tabs: r.reportTabs(name), Table: t}}
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
	q = store.RADIUSQuery{Text: r.QueryParam("q"), Integration: sallyport.IntegrationID(r.QueryParam("integration")), Outcome: sallyport.RADIUSOutcome(r.QueryParam("outcome")), After: r.QueryParam("after")}
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
		Columns: []Column{{Label: "When"}, {Label: "Gateway"}, {Label: "Called"}, {Label: "User"}, {Label: "Answer"}, {Label: "Cause and cure"}},
		Filters: append([]Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "User, address or NAS identifier"},
			{Kind: "select", Name: "outcome", Label: "Answer", Options: options(string(q.Outcome), "", "Any", "accept", "Accept", "reject", "Reject", "challenge", "Challenge", "drop", "None", "accounting", "Accounting")}}, r.periodFields()...),
		Empty: Empty{Title: "No RADIUS requests", Text: "No gateway has asked with these filters. If a gateway should have: check its server address, port 1812/udp and the firewalls between."}}
	for _, a := range page.Requests {
		t.Rows = append(t.Rows, []Cell{{Time: a.Time}, {Text: orNone(a.NASIdentifier), Sub: a.Source}, {Text: orNone(a.CalledStation)}, {Text: orNone(a.UserName), Sub: string(a.Account)},
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
	case "accounting":
		return Badge{"", "Accounting"}
	}
	return Badge{"warn", "None"}
}

// enrolmentQuery asks for users by whether they have enrolled; unenrolled ones only of policies that are live.
func (r *request) enrolmentQuery(enrolled bool) store.UserQuery {
	return report.Enrolment(store.UserQuery{Text: r.QueryParam("q"), Policy: sallyport.UserPolicyID(r.QueryParam("policy")), After: r.QueryParam("after")}, enrolled)
}

func (r *request) enrolledReport() error {
	return r.enrolmentReport(true, "Enrolled users", "Users with the app, a phone number or a passkey.", "enrolled")
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

// export sends a CSV file: its rows are sent as they are read.
func (r *request) export(name string, write func(ctx context.Context, w io.Writer) error) error {
	ctx, cancel := r.within(exportFor)
	defer cancel()
	res := r.Response()
	res.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	res.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.csv"`, name, r.s.cfg.Now().UTC().Format(time.DateOnly)))
	err := write(ctx, res)
	switch {
	case err != nil && res.Committed:
		// The head is sent: what is left is to break off, so that nobody takes a part for the whole.
		panic(http.ErrAbortHandler)
	case err != nil:
		res.Header().Del("Content-Disposition")
	}
	return err
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
	return r.export("logins", func(ctx context.Context, w io.Writer) error { return export.Logins(ctx, w, r.s.admin, r.Actor(), q) })
}

func (r *request) radiusCSV() error {
	q, err := r.radiusQuery()
	if err != nil {
		return err
	}
	return r.export("radius", func(ctx context.Context, w io.Writer) error { return export.RADIUS(ctx, w, r.s.admin, r.Actor(), q) })
}

func (r *request) enrolledCSV() error   { return r.userCSV("enrolled-users", true) }
func (r *request) unenrolledCSV() error { return r.userCSV("unenrolled-users", false) }

func (r *request) userCSV(name string, enrolled bool) error {
	return r.export(name, func(ctx context.Context, w io.Writer) error {
		return export.Users(ctx, w, r.s.admin, r.Actor(), r.enrolmentQuery(enrolled))
	})
}

func (r *request) auditCSV() error {
	q, err := r.auditQuery()
	if err != nil {
		return err
	}
	q.After = ""
	return r.export("audit", func(ctx context.Context, w io.Writer) error { return export.Audit(ctx, w, r.s.admin, r.Actor(), q) })
}
