package console

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// Assignment rules are edited as lines: "policy | ou or group | distinguished name", in their order. A
// domain is found by the DN's own components.

func (r *request) policyRules() error {
	rules, version, err := r.s.admin.PolicyRules(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	text, err := r.ruleLines(rules)
	if err != nil {
		return err
	}
	return r.showPolicyRules(http.StatusOK, r.form("Save", r.ruleFields(text, version)...))
}

func (r *request) ruleFields(text string, version int64) []Field {
	return []Field{
		{Kind: "area", Name: "rules", Label: "Rules", Value: text, Rows: 8, Placeholder: "Nurses | group | CN=Nurses,OU=Groups,DC=hospital,DC=example",
			Help: "One a line: user policy | ou or group | distinguished name. The first that fits a user counts; a policy given by hand is left alone. The next synchronisation applies them."},
		{Kind: "hidden", Name: "version", Value: fmt.Sprint(version)},
	}
}

func (r *request) showPolicyRules(status int, f Form) error {
	c := Card{Title: "Assignment rules", Form: &f}
	if !r.May("SetPolicyRules") {
		c.Form, c.Code = nil, &Code{Label: "Rules", Text: f.Fields[0].Value, Long: true}
	}
	return r.showAs(status, Page{Title: "Assignment rules", Lead: "Which users get which policy when they are synchronised.", Crumbs: userPolicyCrumbs(),
		Content: "cardpage", Data: CardPage{Tabs: r.userPolicyTabs("rules"), Cards: []Card{c}}})
}

func (r *request) ruleLines(rules []sallyport.AssignmentRule) (string, error) {
	policies, err := r.s.admin.UserPolicies(r.Request().Context(), r.Actor())
	names := policyNames(policies)
	var b strings.Builder
	for _, rule := range rules {
		fmt.Fprintf(&b, "%s | %s | %s\n", names[rule.Policy], rule.Object.Kind, rule.Object.DN)
	}
	return b.String(), err
}

func (r *request) setPolicyRules() error {
	text := r.FormValue("rules")
	rules, err := r.parseRules(text)
	if err == nil {
		err = r.s.admin.SetPolicyRules(r.Request().Context(), r.Actor(), rules, r.version())
	}
	if err == nil {
		return r.done("/user-policies/rules", "Saved. The next synchronisation of each directory applies the rules.")
	}
	f, ok := r.form("Save", r.ruleFields(text, r.version())...).with(err)
	if !ok {
		return err
	}
	return r.showPolicyRules(http.StatusUnprocessableEntity, f)
}

func (r *request) parseRules(text string) (rules []sallyport.AssignmentRule, err error) {
	ctx := r.Request().Context()
	policies, err := r.s.admin.UserPolicies(ctx, r.Actor())
	if err != nil {
		return nil, err
	}
	domains, err := r.s.admin.Domains(ctx, r.Actor())
	if err != nil {
		return nil, err
	}
	for n, line := range lines(text) {
		wrong := func(what string) error {
			return sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf("Line %d: %s", n+1, what), nil)
		}
		parts := strings.SplitN(line, "|", 3)
		if len(parts) != 3 {
			return nil, wrong("write user policy | ou or group | distinguished name.")
		}
		rule := sallyport.AssignmentRule{Object: sallyport.DirectoryObject{Kind: sallyport.ObjectKind(strings.ToLower(strings.TrimSpace(parts[1]))), DN: strings.TrimSpace(parts[2])}}
		for _, p := range policies {
			if strings.EqualFold(p.Name, strings.TrimSpace(parts[0])) {
				rule.Policy = p.ID
			}
		}
		rule.Domain = domainOf(domains, rule.Object.DN)
		switch {
		case rule.Policy == "":
			return nil, wrong("there is no user policy with the name “" + strings.TrimSpace(parts[0]) + "”.")
		case rule.Object.Kind != sallyport.ObjectOU && rule.Object.Kind != sallyport.ObjectGroup:
			return nil, wrong("write ou or group in the middle.")
		case rule.Domain == "":
			return nil, wrong("none of your directories has this distinguished name.")
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// domainOf finds the domain whose name a DN ends with, the longest one.
func domainOf(domains []admin.DomainStatus, dn string) (id sallyport.DomainID) {
	longest := 0
	for _, d := range domains {
		suffix := "DC=" + strings.ReplaceAll(d.Domain.Name, ".", ",DC=")
		if len(suffix) > longest && len(dn) >= len(suffix) && strings.EqualFold(dn[len(dn)-len(suffix):], suffix) {
			id, longest = d.Domain.ID, len(suffix)
		}
	}
	return id
}
