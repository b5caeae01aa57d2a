package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func (s *Server) userPolicyRoutes() {
	s.page("/user-policies", "UserPolicies", (*request).userPolicies)
	s.page("/user-policies/new", "PutUserPolicy", (*request).newUserPolicyPage)
	s.act("/user-policies/new", "PutUserPolicy", (*request).newUserPolicy)
	s.page("/user-policies/rules", "PolicyRules", (*request).policyRules)
	s.act("/user-policies/rules", "SetPolicyRules", (*request).setPolicyRules)
	s.page("/user-policies/:id", "UserPolicy", (*request).userPolicy)
	s.act("/user-policies/:id", "PutUserPolicy", (*request).changeUserPolicy)
	s.act("/user-policies/:id/delete", "DeleteUserPolicy", (*request).deleteUserPolicy)
	s.act("/user-policies/:id/default", "SetDefaultUserPolicy", (*request).setDefaultUserPolicy)
}

func (r *request) userPolicyTabs(current string) []Tab {
	tabs := []Tab{{Label: "Policies", Path: "/user-policies", Current: current == "policies"}}
	if r.May("PolicyRules") {
		tabs = append(tabs, Tab{Label: "Assignment rules", Path: "/user-policies/rules", Current: current == "rules"})
	}
	return tabs
}

func (r *request) userPolicies() error {
	ctx := r.Request().Context()
	list, err := r.s.admin.UserPolicies(ctx, r.Actor())
	if err != nil {
		return err
	}
	rules, err := r.s.admin.EnrolRules(ctx, r.Actor())
	if err != nil {
		return err
	}
	used, total, err := r.s.admin.Licences(ctx, r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: "policies", Caption: "User policies", Total: licenceWords(used, total),
		Columns: []Column{{Label: "Policy"}, {Label: "Users", Number: true}, {Label: "Licence"}, {Label: "Remote access"}, {Label: "Enrol rule"}}}
	for _, p := range list {
		t.Rows = append(t.Rows, userPolicyRow(p, enrolRuleNames(rules)))
	}
	p := Page{Title: "User policies", Lead: "Users who are treated alike. Every user has exactly one.", Content: "cardlist", Data: CardList{Tabs: r.userPolicyTabs("policies"), Table: t}}
	if r.May("PutUserPolicy") {
		p.Actions = []Action{{Label: "Add policy", Path: "/user-policies/new"}}
	}
	return r.show(p)
}

func licenceWords(used, total int) string {
	if total == 0 {
		return plural(used, "licence in use", "licences in use")
	}
	return strconv.Itoa(used) + " of " + plural(total, "licence", "licences") + " in use"
}

func userPolicyRow(p store.PolicyWithUsers, rules map[sallyport.EnrolRuleID]string) []Cell {
	name := Cell{Text: p.Name, Sub: p.Note, Path: "/user-policies/" + string(p.ID)}
	if p.Default {
		name.Badge = Badge{"info", "Default"}
	}
	live := Cell{Badge: Badge{"", "Not live"}}
	switch {
	case p.RemoteAccess && p.Licensed:
		live.Badge = Badge{"ok", "Live"}
	case p.RemoteAccess:
		live.Badge = Badge{"warn", "No licence"}
	}
	return []Cell{name, {Text: strconv.Itoa(p.Users), Path: "/users?policy=" + string(p.ID)}, {Text: yesNo(p.Licensed)}, live, {Text: orNone(rules[p.EnrolRule])}}
}

func enrolRuleNames(list []sallyport.EnrolRule) map[sallyport.EnrolRuleID]string {
	out := map[sallyport.EnrolRuleID]string{}
	for _, e := range list {
		out[e.ID] = e.Name
	}
	return out
}

func (r *request) userPolicyFields(p sallyport.UserPolicy) ([]Field, error) {
	rules, err := r.s.admin.EnrolRules(r.Request().Context(), r.Actor())
	choices := []Option{{Label: "None"}}
	for _, e := range rules {
		choices = append(choices, Option{Value: string(e.ID), Label: e.Name, Chosen: e.ID == p.EnrolRule})
	}
	return []Field{
		{Name: "name", Label: "Name", Value: p.Name, Required: true, Most: 64, Focus: p.Version == 0},
		{Kind: "area", Name: "note", Label: "Note", Value: p.Note, Rows: 2, Help: "For your colleagues: whom it is for, and why."},
		{Kind: "checkbox", Name: "licensed", Label: "Consumes a licence for remote access", Checked: p.Licensed, Help: "Users without a licence are refused, or let in on the directory’s word alone where an integration says so."},
		{Kind: "checkbox", Name: "remote", Label: "Associated with the workflow policy “Remote access log in”", Checked: p.RemoteAccess, Help: "This is what goes live: from now on these users log in with two factors."},
		{Kind: "select", Name: "rule", Label: "Enrol rule", Options: choices, Help: "What users may do who have not enrolled yet. A policy belongs to one rule at most."},
		{Kind: "hidden", Name: "version", Value: strconv.FormatInt(p.Version, 10)},
	}, err
}

func (r *request) readUserPolicy(p sallyport.UserPolicy) sallyport.UserPolicy {
	p.Name, p.Note = r.FormValue("name"), strings.ReplaceAll(r.FormValue("note"), "\r\n", " ")
	p.Licensed, p.RemoteAccess = r.FormValue("licensed") != "", r.FormValue("remote") != ""
	p.EnrolRule = sallyport.EnrolRuleID(r.FormValue("rule"))
	p.Version = r.version()
	return p
}

// version is that of the thing as the form's page showed it; 0 matches nothing that is there.
func (r *request) version() int64 {
	v, err := strconv.ParseInt(r.FormValue("version"), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

func userPolicyCrumbs() []Link { return []Link{{"User policies", "/user-policies"}} }

func (r *request) newUserPolicyPage() error {
	var p sallyport.UserPolicy
	title := "Add a user policy"
	if from := r.QueryParam("copy"); from != "" {
		var err error
		if p, err = r.s.admin.UserPolicy(r.Request().Context(), r.Actor(), sallyport.UserPolicyID(from)); err != nil {
			return err
		}
		title, p.Name, p.Version = "Copy "+p.Name, p.Name+" (copy)", 0
	}
	fields, err := r.userPolicyFields(p)
	if err != nil {
		return err
	}
	f := r.form("Add policy", fields...)
	f.Cancel = "/user-policies"
	return r.show(Page{Title: title, Crumbs: userPolicyCrumbs(), Content: "formpage", Data: f})
}

func (r *request) newUserPolicy() error {
	p := r.readUserPolicy(sallyport.UserPolicy{})
	p.Version = 0
	made, err := r.s.admin.PutUserPolicy(r.Request().Context(), r.Actor(), p)
	if err == nil {
		return r.done("/user-policies/"+string(made.ID), "The policy was added. Assign it to users on the Users page, or by an assignment rule.")
	}
	fields, ferr := r.userPolicyFields(p)
	f, ok := r.form("Add policy", fields...).with(err)
	if !ok || ferr != nil {
		return err
	}
	return r.showAs(http.StatusUnprocessableEntity, Page{Title: "Add a user policy", Crumbs: userPolicyCrumbs(), Content: "formpage", Data: f})
}

func (r *request) userPolicyID() sallyport.UserPolicyID { return sallyport.UserPolicyID(r.Param("id")) }

func (r *request) userPolicy() error {
	p, err := r.s.admin.UserPolicy(r.Request().Context(), r.Actor(), r.userPolicyID())
	if err != nil {
		return err
	}
	fields, err := r.userPolicyFields(p)
	if err != nil {
		return err
	}
	return r.showUserPolicy(http.StatusOK, p, r.form("Save", fields...))
}

func (r *request) showUserPolicy(status int, p sallyport.UserPolicy, f Form) error {
	path := "/user-policies/" + string(p.ID)
	d := CardPage{Cards: []Card{{Title: "Policy", Links: []Link{{"Users with this policy", "/users?policy=" + string(p.ID)}}}}}
	page := Page{Title: p.Name, Lead: p.Note, Crumbs: userPolicyCrumbs(), Content: "cardpage"}
	if r.May("PutUserPolicy") {
		d.Cards[0].Form = &f
		page.Actions = []Action{{Label: "Copy", Path: "/user-policies/new?copy=" + string(p.ID)}}
	} else {
		d.Cards[0].Facts = []Fact{fact("Licence", yesNo(p.Licensed)), fact("Remote access", yesNo(p.RemoteAccess))}
	}
	if !p.Default && r.May("DeleteUserPolicy") {
		def, del := r.form("Make it the default"), r.form("Delete", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(p.Version, 10)})
		def.Path, del.Path, del.Danger = path+"/default", path+"/delete", true
		d.Dialogs = []Dialog{
			{ID: "default", Title: "Make “" + p.Name + "” the default policy?", Text: "New users whom no assignment rule fits get it. Users who have a policy keep theirs.", Form: def},
			{ID: "delete", Title: "Delete “" + p.Name + "”?", Text: "Its users get the default policy, and with it what that policy allows.", Form: del},
		}
		page.Actions = append(page.Actions, Action{Label: "Make default", Dialog: "default"}, Action{Label: "Delete", Dialog: "delete", Danger: true})
	}
	page.Data = d
	return r.showAs(status, page)
}

func (r *request) changeUserPolicy() error {
	ctx := r.Request().Context()
	before, err := r.s.admin.UserPolicy(ctx, r.Actor(), r.userPolicyID())
	if err != nil {
		return err
	}
	p := r.readUserPolicy(before)
	if _, err = r.s.admin.PutUserPolicy(ctx, r.Actor(), p); err == nil {
		return r.done("/user-policies/"+string(p.ID), "Saved. It counts from now on, on every appliance.")
	}
	fields, ferr := r.userPolicyFields(p)
	f, ok := r.form("Save", fields...).with(err)
	if !ok || ferr != nil {
		return err
	}
	return r.showUserPolicy(http.StatusUnprocessableEntity, before, f)
}

func (r *request) deleteUserPolicy() error {
	return r.orConflict("/user-policies", "The policy was deleted; its users have the default policy.",
		r.s.admin.DeleteUserPolicy(r.Request().Context(), r.Actor(), r.userPolicyID(), r.version()))
}

func (r *request) setDefaultUserPolicy() error {
	return r.orConflict("/user-policies", "New users get this policy from now on.", r.s.admin.SetDefaultUserPolicy(r.Request().Context(), r.Actor(), r.userPolicyID()))
}
