package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func (s *Server) administratorRoutes() {
	s.page("/administrators", "Administrators", (*request).administrators)
	s.page("/administrators/new", "PutAdministrator", (*request).newAdministratorPage)
	s.act("/administrators/new", "PutAdministrator", (*request).newAdministrator)
	s.page("/administrators/:id", "Administrator", (*request).administrator)
	s.act("/administrators/:id", "PutAdministrator", (*request).changeAdministrator)
	s.act("/administrators/:id/delete", "DeleteAdministrator", (*request).deleteAdministrator)
	s.act("/administrators/:id/reset-factor", "ResetSecondFactor", (*request).resetFactor)
	s.act("/administrators/:id/reset-password", "ResetPassword", (*request).resetPassword)
	s.finders = append(s.finders, finder{"Administrators", "Administrators", findAdministrators})
}

// administratorTabs are the views of the section.
func administratorTabs(current string) []Tab {
	return []Tab{
		{Label: "People", Path: "/administrators", Current: current == "people"},
		{Label: "Roles by group", Path: "/administrators/roles", Current: current == "roles"},
	}
}

// listPage is a page with tabs and a table.
type listPage struct {
	Tabs  []Tab
	Table Table
}

func (r *request) administrators() error {
	list, err := r.s.admin.Administrators(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	text, role := r.QueryParam("q"), sallyport.Role(r.QueryParam("role"))
	roles := append([]Option{{Label: "All roles"}}, roleOptions(sallyport.RoleSuper, role)...)
	t := Table{ID: "administrators", Caption: "Administrators", Path: "/administrators",
		Columns: []Column{{Label: "Name"}, {Label: "Role"}, {Label: "Looks after"}, {Label: "Last seen"}},
		Filters: []Field{{Kind: "search", Name: "q", Label: "Find", Value: text, Placeholder: "Name or e-mail address"}, {Kind: "select", Name: "role", Label: "Role", Options: roles}},
		Empty:   Empty{Title: "Nobody found", Text: "No administrator has these words and this role.", Action: Link{"Show all", "/administrators"}}}
	for _, a := range list {
		if role != "" && a.Role != role || !matches(a, text) {
			continue
		}
		t.Rows = append(t.Rows, administratorRow(a, a.ID == r.session.Administrator().ID))
	}
	t.Total = plural(len(t.Rows), "administrator", "administrators")
	p := Page{Title: "Administrators", Lead: "Who may sign in to this console, and what they may do.", Content: "listpage", Data: listPage{administratorTabs("people"), t}}
	if r.May("PutAdministrator") {
		p.Actions = []Action{{Label: "Add administrator", Path: "/administrators/new"}}
	}
	return r.show(p)
}

func administratorRow(a sallyport.Administrator, self bool) []Cell {
	name := Cell{Text: a.DisplayName, Sub: a.Name, Path: "/administrators/" + string(a.ID)}
	switch {
	case a.Disabled:
		name.Badge = Badge{"warn", "Disabled"}
	case self:
		name.Badge = Badge{"info", "You"}
	}
	role := Cell{Text: roleName(a.Role)}
	if admin.Granted(a) {
		role.Sub = "by group"
	}
	return []Cell{name, role, {Text: scopeWords(a.Scope)}, {Time: a.LastSeen, Text: "never"}}
}

func matches(a sallyport.Administrator, words string) bool {
	all := strings.ToLower(a.Name + " " + a.DisplayName + " " + a.Mail)
	for _, w := range strings.Fields(strings.ToLower(words)) {
		if !strings.Contains(all, w) {
			return false
		}
	}
	return true
}

func scopeWords(s sallyport.Scope) string {
	var parts []string
	if n := len(s.Policies); n > 0 {
		parts = append(parts, plural(n, "user policy", "user policies"))
	}
	if n := len(s.OUs); n > 0 {
		parts = append(parts, plural(n, "OU", "OUs"))
	}
	if len(parts) == 0 {
		return "Everybody"
	}
	return "Users of " + strings.Join(parts, " and ")
}

func findAdministrators(r *request, words string) ([]found, error) {
	list, err := r.s.admin.Administrators(r.Request().Context(), r.Actor())
	var out []found
	for _, a := range list {
		if matches(a, words) {
			out = append(out, found{Label: a.DisplayName, Hint: a.Name + ", " + roleName(a.Role), Path: "/administrators/" + string(a.ID)})
		}
	}
	return out, err
}

// administratorFields are the fields of a person's form; a is what they hold.
func (r *request) administratorFields(a sallyport.Administrator) []Field {
	isNew, granted := a.Version == 0, admin.Granted(a)
	fields := []Field{}
	if isNew {
		kind := []Option{
			{Value: "local", Label: "A password of this console", Help: "A first password is made and shown to you once.", Chosen: !a.Directory},
			{Value: "directory", Label: "The directory’s password", Help: "The sign-in name is the account’s, such as HOSPITAL\\alice.", Chosen: a.Directory},
		}
		fields = append(fields, Field{Kind: "radio", Name: "kind", Label: "Signs in with", Options: kind, Required: true})
	}
	fields = append(fields,
		Field{Name: "display_name", Label: "Name", Value: a.DisplayName, Required: true, Most: 100, Autocomplete: "off", ReadOnly: granted, Focus: isNew},
		Field{Name: "name", Label: "Sign-in name", Value: a.Name, Required: true, Most: 64, Autocomplete: "off", ReadOnly: granted},
		Field{Kind: "email", Name: "mail", Label: "E-mail address", Value: a.Mail, Most: 254, Autocomplete: "off", ReadOnly: granted})
	if !granted {
		fields = append(fields,
			Field{Kind: "radio", Name: "role", Label: "Role", Options: roleOptions(sallyport.RoleSuper, a.Role), Required: true},
			Field{Kind: "area", Name: "ous", Label: "Looks after", Value: strings.Join(a.Scope.OUs, "\n"), Rows: 3,
				Help: "Distinguished names of OUs, one a line. Leave it empty for everybody. A super administrator looks after everybody."})
	}
	if !isNew && a.ID != r.session.Administrator().ID {
		fields = append(fields, Field{Kind: "checkbox", Name: "disabled", Label: "Disabled", Help: "Cannot sign in; sessions and API tokens end.", Value: "1", Checked: a.Disabled})
	}
	return append(fields, Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(a.Version, 10)})
}

// readAdministrator puts what a form holds into a.
func (r *request) readAdministrator(a sallyport.Administrator) sallyport.Administrator {
	if a.Version == 0 {
		a.Directory = r.FormValue("kind") == "directory"
	}
	version, err := strconv.ParseInt(r.FormValue("version"), 10, 64)
	if err == nil {
		a.Version = version
	}
	if a.Disabled = r.FormValue("disabled") != ""; admin.Granted(a) {
		return a
	}
	a.DisplayName, a.Name, a.Mail = r.FormValue("display_name"), r.FormValue("name"), r.FormValue("mail")
	a.Role, a.Scope.OUs = sallyport.Role(r.FormValue("role")), lines(r.FormValue("ous"))
	return a
}

func lines(text string) (out []string) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

func administratorCrumbs() []Link { return []Link{{"Administrators", "/administrators"}} }

func (r *request) newAdministratorPage() error {
	return r.showNewAdministrator(http.StatusOK, r.form("Add administrator", r.administratorFields(sallyport.Administrator{Role: sallyport.RoleHelpDesk})...))
}

func (r *request) showNewAdministrator(status int, f Form) error {
	f.Cancel = "/administrators"
	return r.showAs(status, Page{Title: "Add an administrator", Crumbs: administratorCrumbs(), Content: "formpage", Data: f})
}

func (r *request) newAdministrator() error {
	a := r.readAdministrator(sallyport.Administrator{})
	a.Version = 0
	made, password, err := r.s.admin.PutAdministrator(r.Request().Context(), r.Actor(), a)
	if err != nil {
		f, ok := r.form("Add administrator", r.administratorFields(a)...).with(err)
		if !ok {
			return err
		}
		return r.showNewAdministrator(http.StatusUnprocessableEntity, f)
	}
	path := "/administrators/" + string(made.ID)
	if password == "" {
		return r.done(path, made.DisplayName+" was added. They sign in with the directory’s password.")
	}
	return r.showPassword(made, password, "was added")
}

func (r *request) showPassword(a sallyport.Administrator, password sallyport.Secret, what string) error {
	return r.show(Page{Title: a.DisplayName + " " + what, Crumbs: administratorCrumbs(), Content: "shownonce", Data: shownOnce{
		Text: "Give " + a.DisplayName + " this password, best by word of mouth. It is for signing in as " + a.Name + " once: a password of their own and a second factor come next.",
		Code: Code{Label: "First password", Text: string(password), Once: true}, Next: Link{"Go on", "/administrators/" + string(a.ID)}}})
}

// administratorData is what the page of one administrator shows.
type administratorData struct {
	Admin     sallyport.Administrator
	Granted   bool
	Factors   admin.Factors
	Form      Form
	MayChange bool
	Dialogs   []Dialog
}

func (r *request) administratorID() sallyport.AdministratorID {
	return sallyport.AdministratorID(r.Param("id"))
}

func (r *request) administrator() error {
	a, err := r.s.admin.Administrator(r.Request().Context(), r.Actor(), r.administratorID())
	if err != nil {
		return err
	}
	return r.showAdministrator(http.StatusOK, a, r.form("Save", r.administratorFields(a)...))
}

func (r *request) showAdministrator(status int, a sallyport.Administrator, f Form) error {
	factors, err := r.s.admin.AdministratorFactors(r.Request().Context(), r.Actor(), a.ID)
	if err != nil {
		return err
	}
	d := administratorData{Admin: a, Granted: admin.Granted(a), Factors: factors, Form: f, MayChange: r.May("PutAdministrator")}
	p := Page{Title: a.DisplayName, Lead: roleName(a.Role) + " · " + a.Name, Crumbs: administratorCrumbs(), Content: "administrator"}
	if a.ID != r.session.Administrator().ID && d.MayChange {
		d.Dialogs = r.administratorDialogs(a)
		for _, g := range d.Dialogs {
			p.Actions = append(p.Actions, Action{Label: strings.TrimSuffix(g.Form.Submit, " now"), Dialog: g.ID, Danger: g.Form.Danger})
		}
	}
	p.Data = d
	return r.showAs(status, p)
}

func (r *request) administratorDialogs(a sallyport.Administrator) (out []Dialog) {
	add := func(id, title, text, submit, path string, danger bool) {
		f := r.form(submit, Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(a.Version, 10)})
		f.Path, f.Danger = "/administrators/"+string(a.ID)+"/"+path, danger
		out = append(out, Dialog{ID: id, Title: title, Text: text, Form: f})
	}
	if !a.Directory {
		add("reset-password", "Reset the password of "+a.DisplayName+"?", "The password now ends, and so do all sessions. You see a new one, for one sign-in.", "Reset password", "reset-password", false)
	}
	add("reset-factor", "Reset the second factor of "+a.DisplayName+"?", "Make sure that it is really them who asks: whoever has the password can then add a second factor of their own. Passkeys, authenticator app, recovery codes and sessions end.", "Reset second factor", "reset-factor", false)
	add("delete", "Delete "+a.DisplayName+"?", "Sessions, second factors and API tokens go as well. What they did stays in the audit trail.", "Delete", "delete", true)
	return out
}

func (r *request) changeAdministrator() error {
	ctx := r.Request().Context()
	before, err := r.s.admin.Administrator(ctx, r.Actor(), r.administratorID())
	if err != nil {
		return err
	}
	a := r.readAdministrator(before)
	if a.ID == r.session.Administrator().ID {
		a.Disabled = before.Disabled
	}
	saved, _, err := r.s.admin.PutAdministrator(ctx, r.Actor(), a)
	if err == nil {
		return r.done("/administrators/"+string(saved.ID), "Saved.")
	}
	f, ok := r.form("Save", r.administratorFields(a)...).with(err)
	if !ok {
		return err
	}
	return r.showAdministrator(http.StatusUnprocessableEntity, before, f)
}

func (r *request) deleteAdministrator() error {
	version, err := strconv.ParseInt(r.FormValue("version"), 10, 64)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeInvalid, "The form is not complete. Open the page again.", err)
	}
	err = r.s.admin.DeleteAdministrator(r.Request().Context(), r.Actor(), r.administratorID(), version)
	if _, ok := words(err); err != nil && ok {
		return r.orConflict("/administrators/"+string(r.administratorID()), "", err)
	}
	return r.orConflict("/administrators", "The administrator was deleted.", err)
}

func (r *request) resetFactor() error {
	return r.orConflict("/administrators/"+string(r.administratorID()), "The second factor was reset. A new one is made at the next sign-in.",
		r.s.admin.ResetSecondFactor(r.Request().Context(), r.Actor(), r.administratorID()))
}

func (r *request) resetPassword() error {
	ctx := r.Request().Context()
	a, err := r.s.admin.Administrator(ctx, r.Actor(), r.administratorID())
	if err != nil {
		return err
	}
	password, err := r.s.admin.ResetPassword(ctx, r.Actor(), a.ID)
	if err != nil {
		return r.orConflict("/administrators/"+string(a.ID), "", err)
	}
	return r.showPassword(a, password, "has a new password")
}
