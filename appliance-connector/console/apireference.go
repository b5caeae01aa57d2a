package console

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/internal/apidoc"
)

// apiPrefix begins the addresses that the administrative API answers.
const apiPrefix = "/api/v1/"

// handler answers with the pages, and has the API answer what is its own: that is asked with tokens and not with
// cookies, so that none of what guards the pages is for it.
func (s *Server) handler() http.Handler {
	if s.cfg.API == nil {
		return s.echo
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, apiPrefix) {
			s.cfg.API.ServeHTTP(w, r)
			return
		}
		s.echo.ServeHTTP(w, r)
	})
}

func (s *Server) apiReferenceRoutes() {
	if s.cfg.API != nil {
		s.own("GET", "/account/api", (*request).apiPage)
		s.own("GET", "/account/api/operations/:id", (*request).apiOperationPage)
		s.own("GET", "/account/api/problems/:code", (*request).apiProblemPage)
	}
}

func (r *request) apiPage() error {
	api := r.s.api
	page := CardPage{Cards: []Card{{Title: "How to use it", Text: api.Text,
		Code:  &Code{Label: "Try it", Text: fmt.Sprintf(`curl -H "Authorization: Bearer $TOKEN" %s%s/overview`, origin(r.Context), api.Base)},
		Links: []Link{{"Make a token", "/account/tokens/new"}}}}}
	for _, g := range api.Groups {
		t := Table{ID: "api-" + strings.ToLower(g.Name), Caption: g.Name, Columns: []Column{{Label: "Operation"}, {Label: "What it does"}, {Label: "Who may"}}}
		for _, op := range g.Operations {
			who, how := whoMay(op)
			t.Rows = append(t.Rows, []Cell{{Text: op.Method + " " + op.Path, Path: "/account/api/operations/" + op.ID, Mono: true}, {Text: op.Title}, {Text: who, Sub: how}})
		}
		page.Cards = append(page.Cards, Card{Title: g.Name, Text: g.Text + ".", Table: &t})
	}
	problems := Table{ID: "api-problems", Caption: "Problems", Columns: []Column{{Label: "Code"}, {Label: "Status"}, {Label: "What it means"}}}
	for _, p := range apiProblems() {
		problems.Rows = append(problems.Rows, []Cell{{Text: string(p.code), Path: "/account/api/problems/" + string(p.code), Mono: true}, {Text: p.status}, {Text: p.text}})
	}
	page.Cards = append(page.Cards, Card{Title: "When something is wrong",
		Text: "Errors are application/problem+json (RFC 9457): code is for programs, detail for people, and supportCode finds the cause in the appliance's log.", Table: &problems})
	return r.show(Page{Title: "Administrative API", Lead: "What a program can do with an API token.", Crumbs: accountCrumbs(), Content: "cardpage", Data: page,
		Actions: []Action{{Label: "OpenAPI document", Path: apiPrefix + "openapi.yaml"}}})
}

// whoMay says whose tokens may do an operation, and which of them.
func whoMay(op apidoc.Operation) (who, how string) {
	permission := admin.Operation(op.Permission)
	if permission == "" {
		return "Anybody", "without a token"
	}
	var names []string
	for _, role := range admin.Roles(permission) {
		names = append(names, roleName(role))
	}
	if admin.Reads(permission) {
		return strings.Join(names, ", "), "a token that reads will do"
	}
	return strings.Join(names, ", "), "with a token that reads and writes"
}

func apiCrumbs() []Link { return append(accountCrumbs(), Link{"Administrative API", "/account/api"}) }

func (r *request) apiOperationPage() error {
	for _, g := range r.s.api.Groups {
		for _, op := range g.Operations {
			if op.ID == r.Param("id") {
				return r.showOperation(op)
			}
		}
	}
	return sallyport.Errorf(sallyport.CodeNotFound, "The API has no such operation.", nil)
}

func (r *request) showOperation(op apidoc.Operation) error {
	who, how := whoMay(op)
	page := CardPage{Cards: []Card{{Title: op.Method + " " + r.s.api.Base + op.Path, Text: op.Text, Facts: []Fact{fact("Who may", who), fact("How", how)}}}}
	add := func(title, id string, fields []apidoc.Field) {
		if len(fields) == 0 {
			return
		}
		t := Table{ID: id, Caption: title, Columns: []Column{{Label: "Name"}, {Label: "Value"}, {Label: "Meaning"}}}
		for _, f := range fields {
			value := f.Type
			if f.Required {
				value += ", required"
			}
			t.Rows = append(t.Rows, []Cell{{Text: f.Name, Mono: true}, {Text: value}, {Text: f.Text}})
		}
		page.Cards = append(page.Cards, Card{Title: title, Table: &t})
	}
	add("Parameters", "parameters", op.Parameters)
	add("Body", "body", op.Body)
	statuses := Table{ID: "answers", Caption: "Answers", Columns: []Column{{Label: "Status"}, {Label: "Meaning"}}}
	for _, a := range op.Answers {
		statuses.Rows = append(statuses.Rows, []Cell{{Text: a.Status}, {Text: a.Text}})
	}
	page.Cards = append(page.Cards, Card{Title: "Answers", Table: &statuses})
	for _, a := range op.Answers {
		add("What comes back with "+a.Status, "fields", a.Fields)
	}
	return r.show(Page{Title: op.Title, Crumbs: apiCrumbs(), Content: "cardpage", Data: page})
}

// apiProblem explains one kind of error.
type apiProblem struct {
	code         sallyport.Code
	status, text string
}

func (r *request) apiProblemPage() error {
	for _, p := range apiProblems() {
		if string(p.code) == r.Param("code") {
			return r.show(Page{Title: "Problem: " + string(p.code), Crumbs: apiCrumbs(), Content: "cardpage",
				Data: CardPage{Cards: []Card{{Title: "What it means", Text: p.text, Facts: []Fact{fact("Status", p.status)}}}}})
		}
	}
	return sallyport.Errorf(sallyport.CodeNotFound, "The API has no such problem.", nil)
}

func apiProblems() []apiProblem {
	return []apiProblem{
		{sallyport.CodeInvalid, "400, 413, 422, 428", "The request itself is wrong; sending it again will not help. The list errors names the fields or parameters."},
		{sallyport.CodeDenied, "401, 403", "There is no valid API token, or it may not do this: its role is another, it looks after other users, or it only reads."},
		{sallyport.CodeNotFound, "404", "It does not exist, or no longer, or the token does not look after it."},
		{sallyport.CodeConflict, "409, 412", "It does not fit what is there, such as a name that is taken. With 412 somebody saved another version meanwhile: get it again, look, then change it."},
		{sallyport.CodeExpired, "410", "Too late: what it is about has ended."},
		{sallyport.CodeLimited, "429", "Too many requests, or too many tokens that were none from this network. Wait as long as Retry-After says."},
		{sallyport.CodeUnsupported, "415, 422", "The body is not JSON, or the appliance cannot do this."},
		{sallyport.CodeUnavailable, "503", "A part that is needed does not answer, such as a directory. Try again after what Retry-After says."},
		{sallyport.CodeUncertain, "500", "It is not known whether it was done. Look before you ask again."},
		{sallyport.CodeInternal, "500", "Something went wrong on the appliance. The support code finds the cause in its log."},
	}
}
