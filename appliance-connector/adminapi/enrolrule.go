package adminapi

import (
	"net/http"

	"github.com/sallyport/sallyport"
)

func enrolRuleHandlers() map[string]handler {
	return map[string]handler{
		"listEnrolRules": (*call).listEnrolRules, "getEnrolRule": (*call).getEnrolRule, "addEnrolRule": (*call).addEnrolRule,
		"changeEnrolRule": (*call).changeEnrolRule, "deleteEnrolRule": (*call).deleteEnrolRule, "associateEnrolRule": (*call).associateEnrolRule,
	}
}

// enrolRuleInput is what can be said of an enrol rule.
type enrolRuleInput struct {
	Name            string                     `json:"name"`
	Unenrolled      sallyport.UnenrolledAccess `json:"unenrolled"`
	PromptAtGateway bool                       `json:"promptAtGateway"`
	PromptOnSite    bool                       `json:"promptOnSite"`
	MayDelay        bool                       `json:"mayDelay"`
	TemporaryCode   bool                       `json:"temporaryCode"`
}

type enrolRule struct {
	ID sallyport.EnrolRuleID `json:"id"`
	enrolRuleInput
	Version int64 `json:"version"`
}

func showEnrolRule(r sallyport.EnrolRule) enrolRule {
	return enrolRule{ID: r.ID, enrolRuleInput: enrolRuleInput{r.Name, r.Unenrolled, r.PromptAtGateway, r.PromptOnSite, r.MayDelay, r.TemporaryCode}, Version: r.Version}
}

func (c *call) rule() sallyport.EnrolRuleID { return sallyport.EnrolRuleID(c.text("rule")) }

func (c *call) listEnrolRules() error {
	list, err := c.admin().EnrolRules(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return part(c, list, func(r sallyport.EnrolRule) string { return byName(r.Name, string(r.ID)) }, showEnrolRule)
}

func (c *call) getEnrolRule() error {
	r, err := c.admin().EnrolRule(c.ctx(), c.actor, c.rule())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, r.Version, showEnrolRule(r))
}

// putEnrolRule saves what the body says; without an id it is a new one.
func (c *call) putEnrolRule(id sallyport.EnrolRuleID) (sallyport.EnrolRule, error) {
	var in enrolRuleInput
	if err := c.decode(&in); err != nil {
		return sallyport.EnrolRule{}, err
	}
	return c.admin().PutEnrolRule(c.ctx(), c.actor, sallyport.EnrolRule{ID: id, Name: in.Name, Unenrolled: in.Unenrolled, PromptAtGateway: in.PromptAtGateway,
		PromptOnSite: in.PromptOnSite, MayDelay: in.MayDelay, TemporaryCode: in.TemporaryCode, Version: c.version})
}

func (c *call) addEnrolRule() error {
	r, err := c.putEnrolRule("")
	if err != nil {
		return err
	}
	return c.created("/enrol-rules/", string(r.ID), r.Version, showEnrolRule(r))
}

func (c *call) changeEnrolRule() error {
	r, err := c.putEnrolRule(c.rule())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, r.Version, showEnrolRule(r))
}

func (c *call) deleteEnrolRule() error {
	return c.empty(c.admin().DeleteEnrolRule(c.ctx(), c.actor, c.rule(), c.version))
}

func (c *call) associateEnrolRule() error {
	var in policyList
	if err := c.decode(&in); err != nil {
		return err
	}
	return c.empty(c.admin().AssociatePolicies(c.ctx(), c.actor, c.rule(), in.UserPolicies))
}
