package console

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/export"
)

func (s *Server) loginRoutes() {
	s.page("/logins/explain", "ExplainLogin", (*request).explainLogin)
	s.finders = append(s.finders, finder{"Logins", "ExplainLogin", findLogin})
}

func loginColumns() []Column {
	return []Column{{Label: "When"}, {Label: "User"}, {Label: "Came in by"}, {Label: "Second factor"}, {Label: "Ended"}, {Label: "Support code"}}
}

func loginRow(l sallyport.LoginRecord) []Cell {
	user := Cell{Text: orNone(l.UserName)}
	if l.Account != "" && !strings.EqualFold(string(l.Account), l.UserName) {
		user.Sub = string(l.Account)
	}
	end := Cell{Badge: outcomeBadge(l.Outcome), Sub: export.Reason(l.Reason)}
	code := Cell{Text: l.SupportCode}
	if l.SupportCode != "" {
		code.Path = "/logins/explain?code=" + l.SupportCode
	}
	return []Cell{{Time: l.Time}, user, {Text: export.Door(l.Door), Sub: l.Address}, {Text: orNone(string(l.Method))}, end, code}
}

func outcomeBadge(o sallyport.Outcome) Badge {
	return Badge{map[sallyport.Outcome]string{sallyport.OutcomeGranted: "ok", sallyport.OutcomeDenied: "bad", sallyport.OutcomeAbandoned: "warn"}[o], export.Outcome(o)}
}

func findLogin(r *request, words string) ([]found, error) {
	record, _, err := r.s.admin.ExplainLogin(r.Request().Context(), r.Actor(), words)
	if err != nil {
		return nil, nil // what is no support code finds no login
	}
	return []found{{Label: record.SupportCode, Hint: record.UserName + ", " + stamp(record.Time), Path: "/logins/explain?code=" + record.SupportCode}}, nil
}

func (r *request) explainLogin() error {
	code := r.QueryParam("code")
	ask := CardPage{Cards: []Card{{Title: "Support code", Text: "The page that refused the user shows it: two groups of four characters, such as 7H2K-9QXM."}}}
	page := Page{Title: "Explain a login", Lead: "What happened, from the browser to the directory, the phone and the gateway.", Content: "explain"}
	d := explanation{Code: code, Page: ask}
	if code != "" {
		record, events, err := r.s.admin.ExplainLogin(r.Request().Context(), r.Actor(), code)
		switch {
		case sallyport.ErrorCode(err) == sallyport.CodeNotFound:
			d.Page.Cards[0].Alert = &Alert{"warn", "Nothing found", "No login has this code. Ask the user to read it out again; logins are kept as long as the settings say."}
		case err != nil:
			return err
		default:
			d.Page.Cards = []Card{loginCard(record), timelineCard(events)}
		}
	}
	page.Data = d
	return r.show(page)
}

// explanation is the page that explains a login.
type explanation struct {
	Code string
	Page CardPage
}

func loginCard(l sallyport.LoginRecord) Card {
	c := Card{Title: "Login " + l.SupportCode}
	if l.ID == "" {
		c.Text = "It has not ended yet."
		return c
	}
	c.Facts = []Fact{{"Ended", Cell{Badge: outcomeBadge(l.Outcome)}}}
	if l.Reason != "" {
		c.Facts = append(c.Facts, fact("Told the user", export.Reason(l.Reason)))
	}
	if l.Detail != "" {
		c.Facts = append(c.Facts, fact("The cause", l.Detail))
	}
	return Card{Title: c.Title, Facts: append(c.Facts, fact("User name as typed", orNone(l.UserName)), fact("Account", orNone(string(l.Account))),
		factTime("Began", l.Time), fact("Came in by", export.Door(l.Door)), fact("From", orNone(l.Address)), fact("Appliance", orNone(string(l.Appliance))))}
}

func timelineCard(events []sallyport.LoginEvent) Card {
	c := Card{Title: "Step by step"}
	for _, e := range events {
		s := Step{Time: e.Time}
		s.Title, s.Text = export.Event(e)
		if e.Step > 0 {
			s.Place = fmt.Sprintf("step %d of 16", e.Step)
		}
		c.Steps = append(c.Steps, s)
	}
	return c
}
