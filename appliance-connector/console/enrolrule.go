package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
)

func (s *Server) enrolRuleRoutes() {
	s.page("/enrol-rules", "EnrolRules", (*request).enrolRules)
	s.page("/enrol-rules/new", "PutEnrolRule", (*request).newEnrolRulePage)
	s.act("/enrol-rules/new", "PutEnrolRule", (*request).newEnrolRule)
	s.page("/enrol-rules/:id", "EnrolRule", (*request).enrolRule)
	s.act("/enrol-rules/:id", "PutEnrolRule", (*request).changeEnrolRule)
	s.act("/enrol-rules/:id/policies", "AssociatePolicies", (*request).associatePolicies)
	s.act("/enrol-rules/:id/delete", "DeleteEnrolRule", (*request).deleteEnrolRule)
}

func (r *request) enrolRules() error {
	ctx := r.Request().Context()
	rules, err := r.s.admin.EnrolRules(ctx, r.Actor())
	if err != nil {
		return err
	}
	policies, err := r.s.admin.UserPolicies(ctx, r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: "rules", Caption: "Enrol rules", Columns: []Column{{Label: "Rule"}, {Label: "Until enrolled"}, {Label: "Asked to enrol"}, {Label: "May delay"}, {Label: "User policies"}},
		Empty: Empty{Title: "No enrol rule", Text: "A rule says what users may do who have not enrolled a second factor."}}
	for _, e := range rules {
		var names []string
		for _, p := range policies {
			if p.EnrolRule == e.ID {
				names = append(names, p.Name)
			}
		}
		t.Rows = append(t.Rows, []Cell{{Text: e.Name, Path: "/enrol-rules/" + string(e.ID)}, {Text: unenrolledWords(e.Unenrolled)}, {Text: promptWords(e)}, {Text: yesNo(e.MayDelay)}, {Text: orNone(strings.Join(names, ", "))}})
	}
	p := Page{Title: "Enrol rules", Lead: "What users may do who have not enrolled yet, and where they are asked to.", Content: "cardlist", Data: CardList{Table: t}}
	if r.May("PutEnrolRule") {
		p.Actions = []Action{{Label: "Add rule", Path: "/enrol-rules/new"}}
	}
	return r.show(p)
}

func unenrolledWords(u sallyport.UnenrolledAccess) string {
	if u == sallyport.UnenrolledPassword {
		return "Password alone"
	}
	return "A different login method"
}

func promptWords(e sallyport.EnrolRule) string {
	switch {
	case e.PromptAtGateway && e.PromptOnSite:
		return "At the gateway and on site"
	case e.PromptAtGateway:
		return "At the gateway"
	case e.PromptOnSite:
		return "On site"
	}
	return "Nowhere"
}

func enrolRuleFields(e sallyport.EnrolRule) []Field {
	return []Field{
		{Name: "name", Label: "Name", Value: e.Name, Required: true, Most: 64, Focus: e.Version == 0},
		{Kind: "radio", Name: "unenrolled", Label: "Until the app or a phone number is enrolled", Required: true, Options: []Option{
			{Value: string(sallyport.UnenrolledOther), Label: "A different login method", Help: "By OTP token or temporary code. Without one of them they are refused.", Chosen: e.Unenrolled != sallyport.UnenrolledPassword},
			{Value: string(sallyport.UnenrolledPassword), Label: "Password alone", Help: "A period of grace. Who has enrolled the app never gets in with the password alone again.", Chosen: e.Unenrolled == sallyport.UnenrolledPassword}}},
		{Kind: "checkbox", Name: "gateway", Label: "Ask to enrol at the gateway, after the password", Checked: e.PromptAtGateway},
		{Kind: "checkbox", Name: "site", Label: "Ask to enrol on the self-service page inside the network", Checked: e.PromptOnSite},
		{Kind: "checkbox", Name: "delay", Label: "Users may say “not now”", Checked: e.MayDelay},
		{Kind: "checkbox", Name: "code", Label: "Enrolling at the gateway needs a temporary code", Checked: e.TemporaryCode, Help: "So that a stolen password alone cannot enrol a stranger’s phone."},
		{Kind: "hidden", Name: "version", Value: strconv.FormatInt(e.Version, 10)},
	}
}

func (r *request) readEnrolRule(e sallyport.EnrolRule) sallyport.EnrolRule {
	e.Name, e.Unenrolled = r.FormValue("name"), sallyport.UnenrolledAccess(r.FormValue("unenrolled"))
	e.PromptAtGateway, e.PromptOnSite = r.FormValue("gateway") != "", r.FormValue("site") != ""
	e.MayDelay, e.TemporaryCode, e.Version = r.FormValue("delay") != "", r.FormValue("code") != "", r.version()
	return e
}

func enrolRuleCrumbs() []Link { return []Link{{"Enrol rules", "/enrol-rules"}} }

func (r *request) newEnrolRulePage() error {
	f := r.form("Add rule", enrolRuleFields(sallyport.EnrolRule{PromptAtGateway: true, PromptOnSite: true})...)
	f.Cancel = "/enrol-rules"
	return r.show(Page{Title: "Add an enrol rule", Crumbs: enrolRuleCrumbs(), Content: "formpage", Data: f})
}

func (r *request) newEnrolRule() error {
	e := r.readEnrolRule(sallyport.EnrolRule{})
	e.Version = 0
	made, err := r.s.admin.PutEnrolRule(r.Request().Context(), r.Actor(), e)
	if err == nil {
		return r.done("/enrol-rules/"+string(made.ID), "The rule was added. Say now which user policies belong to it.")
	}
	f, ok := r.form("Add rule", enrolRuleFields(e)...).with(err)
	if !ok {
		return err
	}
	return r.showAs(http.StatusUnprocessableEntity, Page{Title: "Add an enrol rule", Crumbs: enrolRuleCrumbs(), Content: "formpage", Data: f})
}

func (r *request) enrolRuleID() sallyport.EnrolRuleID { return sallyport.EnrolRuleID(r.Param("id")) }

func (r *request) enrolRule() error {
	e, err := r.s.admin.EnrolRule(r.Request().Context(), r.Actor(), r.enrolRuleID())
	if err != nil {
		return err
	}
	return r.showEnrolRule(http.StatusOK, e, r.form("Save", enrolRuleFields(e)...))
}

func (r *request) showEnrolRule(status int, e sallyport.EnrolRule, f Form) error {
	policies, err := r.s.admin.UserPolicies(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	var boxes []Field
	var own []string
	for _, p := range policies {
		if p.EnrolRule == e.ID {
			own = append(own, p.Name)
		}
		help := plural(p.Users, "user", "users")
		if p.EnrolRule != "" && p.EnrolRule != e.ID {
			help += "; belongs to another rule now, and moves when you tick it"
		}
		boxes = append(boxes, Field{Kind: "checkbox", Name: "policy", Label: p.Name, Value: string(p.ID), Checked: p.EnrolRule == e.ID, Help: help})
	}
	d := CardPage{Split: true, Cards: []Card{{Title: "Rule", Form: &f}, {Title: "For these user policies", Text: "A user policy belongs to one rule at most."}}}
	page := Page{Title: e.Name, Crumbs: enrolRuleCrumbs(), Content: "cardpage"}
	if r.May("PutEnrolRule") {
		g := r.form("Save", boxes...)
		g.Path = "/enrol-rules/" + string(e.ID) + "/policies"
		d.Cards[1].Form = &g
		del := r.form("Delete", Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(e.Version, 10)})
		del.Path, del.Danger = "/enrol-rules/"+string(e.ID)+"/delete", true
		if len(own) == 0 {
			d.Dialogs = []Dialog{{ID: "delete", Title: "Delete “" + e.Name + "”?", Text: "No user policy belongs to it, so that no login changes.", Form: del}}
			page.Actions = []Action{{Label: "Delete", Dialog: "delete", Danger: true}}
		} else {
			d.Cards[1].Text += " The rule can be deleted once none belongs to it: give " + strings.Join(own, ", ") + " another one first."
		}
	} else {
		d.Cards[0].Form, d.Cards[0].Facts = nil, factsOf(f.Fields)
		d.Cards[1].Facts = factsOf(boxes)
	}
	page.Data = d
	return r.showAs(status, page)
}

func (r *request) changeEnrolRule() error {
	ctx := r.Request().Context()
	before, err := r.s.admin.EnrolRule(ctx, r.Actor(), r.enrolRuleID())
	if err != nil {
		return err
	}
	e := r.readEnrolRule(before)
	if _, err = r.s.admin.PutEnrolRule(ctx, r.Actor(), e); err == nil {
		return r.done("/enrol-rules/"+string(e.ID), "Saved. It counts from now on, on every appliance.")
	}
	f, ok := r.form("Save", enrolRuleFields(e)...).with(err)
	if !ok {
		return err
	}
	return r.showEnrolRule(http.StatusUnprocessableEntity, before, f)
}

func (r *request) associatePolicies() error {
	ids, err := r.chosenPolicies()
	if err != nil {
		return err
	}
	return r.orConflict("/enrol-rules/"+string(r.enrolRuleID()), "Saved.", r.s.admin.AssociatePolicies(r.Request().Context(), r.Actor(), r.enrolRuleID(), ids))
}

func (r *request) deleteEnrolRule() error {
	return r.orConflict("/enrol-rules", "The rule was deleted.", r.s.admin.DeleteEnrolRule(r.Request().Context(), r.Actor(), r.enrolRuleID(), r.version()))
}
