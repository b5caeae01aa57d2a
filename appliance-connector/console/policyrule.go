package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// ruleRow is one assignment rule as the page shows it.
type ruleRow struct {
	Number  int
	Value   string // "domain|kind|DN", as it travels in the form
	Kind    sallyport.ObjectKind
	DN      string
	Domain  string // its name
	Policy  string // its name
	Choices []Option
}

// rulesData is the page of the assignment rules.
type rulesData struct {
	Tabs      []Tab
	CSRF      string
	Trouble   string
	Version   string
	Rules     []ruleRow
	MayChange bool
	Domains   []Option // whose tree is shown is chosen
	At        string   // its name
	Picker    Picker
}

// editedRules are the rules on their way: they travel in the form until they are saved.
type editedRules struct {
	list             []sallyport.AssignmentRule
	version          int64
	at               sallyport.DomainID // whose tree is shown
	dnError, trouble string
}

// maxRules bounds the rules that a form can hold.
const maxRules = 500

func (r *request) policyRules() error {
	rules, version, err := r.s.admin.PolicyRules(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	return r.showPolicyRules(http.StatusOK, editedRules{list: rules, version: version})
}

func (r *request) showPolicyRules(status int, e editedRules) error {
	ctx := r.Request().Context()
	policies, err := r.s.admin.UserPolicies(ctx, r.Actor())
	if err != nil {
		return err
	}
	domains, err := r.s.admin.Domains(ctx, r.Actor())
	if err != nil {
		return err
	}
	d := rulesData{Tabs: r.userPolicyTabs("rules"), CSRF: r.session.CSRF(), Trouble: e.trouble, Version: strconv.FormatInt(e.version, 10),
		MayChange: r.May("SetPolicyRules") && r.May("DomainTree")}
	names := domainNames(domains)
	for i, rule := range e.list {
		d.Rules = append(d.Rules, newRuleRow(i, rule, names[rule.Domain], policies))
	}
	if d.MayChange && len(domains) > 0 {
		if names[e.at] == "" {
			e.at = domains[0].Domain.ID
		}
		for _, x := range domains {
			d.Domains = append(d.Domains, Option{Value: string(x.Domain.ID), Label: x.Domain.Name, Chosen: x.Domain.ID == e.at})
		}
		d.At = names[e.at]
		d.Picker = r.pick(e.at, func(o sallyport.DirectoryObject) []PickAct { return ruleActs(e, o) })
		if d.Picker.DNError = e.dnError; e.dnError != "" {
			d.Picker.DN = clip(r.FormValue("dn"), mostDN)
		}
	}
	return r.showAs(status, Page{Title: "Assignment rules", Lead: "Which users get which policy when they are synchronised. The first rule that fits a user counts; a policy given by hand is left alone.",
		Crumbs: userPolicyCrumbs(), Content: "policyrules", Data: d})
}

func domainNames(domains []admin.DomainStatus) map[sallyport.DomainID]string {
	out := map[sallyport.DomainID]string{}
	for _, d := range domains {
		out[d.Domain.ID] = d.Domain.Name
	}
	return out
}

func newRuleRow(i int, rule sallyport.AssignmentRule, domain string, policies []store.PolicyWithUsers) ruleRow {
	return ruleRow{Number: i + 1, Value: string(rule.Domain) + "|" + objectValue(rule.Object), Kind: rule.Object.Kind, DN: rule.Object.DN, Domain: domain,
		Policy: policyNames(policies)[rule.Policy], Choices: policyOptions(policies, rule.Policy)}
}

func ruleActs(e editedRules, o sallyport.DirectoryObject) []PickAct {
	at := slices.IndexFunc(e.list, func(rule sallyport.AssignmentRule) bool { return rule.Domain == e.at && sameObject(rule.Object, o) })
	if at >= 0 {
		return []PickAct{{Do: fmt.Sprintf("remove|%d", at+1), Label: "Remove", Chosen: true}}
	}
	return []PickAct{{Do: "add|" + objectValue(o), Label: "Add a rule"}}
}

// readRules reads the rules out of the form: of each an object, and the policy beside it.
func (r *request) readRules() (e editedRules, err error) {
	form, err := r.FormParams()
	if err != nil {
		return e, err
	}
	objects, policies := form["rule"], form["policy"]
	if len(objects) != len(policies) || len(objects) > maxRules {
		return e, sallyport.Errorf(sallyport.CodeInvalid, "This form is not complete. Open the page again.", nil)
	}
	for i, value := range objects {
		domain, rest, _ := strings.Cut(value, "|")
		o, ok := readObject(rest)
		if !ok {
			return e, sallyport.Errorf(sallyport.CodeInvalid, "This form is not complete. Open the page again.", nil)
		}
		e.list = append(e.list, sallyport.AssignmentRule{Domain: sallyport.DomainID(domain), Object: o, Policy: sallyport.UserPolicyID(policies[i])})
	}
	e.version, e.at = r.version(), sallyport.DomainID(form.Get("at"))
	return e, nil
}

// setPolicyRules does what one of the page's buttons asks for.
func (r *request) setPolicyRules() error {
	e, err := r.readRules()
	if err != nil {
		return err
	}
	verb, about := r.doing()
	if verb == "save" {
		return r.savePolicyRules(e)
	}
	n, _ := strconv.Atoi(about) // 0, which is no rule, for what is no number
	switch verb {
	case "up":
		e.move(n-1, n-2)
	case "down":
		e.move(n-1, n)
	case "remove":
		if n >= 1 && n <= len(e.list) {
			e.list = slices.Delete(e.list, n-1, n)
		}
	case "add":
		if o, ok := readObject(about); ok {
			err = r.addRule(&e, o)
		}
	case "type":
		var o sallyport.DirectoryObject
		if o, e.dnError = r.typedObject(e.at); e.dnError == "" {
			err = r.addRule(&e, o)
		}
	}
	if err != nil {
		return err
	}
	return r.showPolicyRules(http.StatusOK, e)
}

func (e *editedRules) move(from, to int) {
	if from >= 0 && to >= 0 && from < len(e.list) && to < len(e.list) {
		e.list[from], e.list[to] = e.list[to], e.list[from]
	}
}

// addRule adds a rule at the end, with the default policy until another one is chosen.
func (r *request) addRule(e *editedRules, o sallyport.DirectoryObject) error {
	policies, err := r.s.admin.UserPolicies(r.Request().Context(), r.Actor())
	if err != nil || len(policies) == 0 {
		return err
	}
	chosen := policies[0].ID
	for _, p := range policies {
		if p.Default {
			chosen = p.ID
		}
	}
	e.list = append(e.list, sallyport.AssignmentRule{Domain: e.at, Object: o, Policy: chosen})
	return nil
}

func (r *request) savePolicyRules(e editedRules) error {
	err := r.s.admin.SetPolicyRules(r.Request().Context(), r.Actor(), e.list, e.version)
	if err == nil {
		return r.done("/user-policies/rules", "Saved. The next synchronisation of each directory applies the rules.")
	}
	var ok bool
	if e.trouble, ok = words(err); !ok {
		return err
	}
	return r.showPolicyRules(http.StatusUnprocessableEntity, e)
}
