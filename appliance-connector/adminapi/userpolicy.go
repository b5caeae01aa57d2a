package adminapi

import (
	"net/http"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func policyHandlers() map[string]handler {
	return map[string]handler{
		"listUserPolicies": (*call).listUserPolicies, "getUserPolicy": (*call).getUserPolicy, "addUserPolicy": (*call).addUserPolicy,
		"changeUserPolicy": (*call).changeUserPolicy, "deleteUserPolicy": (*call).deleteUserPolicy, "makeDefaultUserPolicy": (*call).makeDefaultUserPolicy,
		"getPolicyRules": (*call).getPolicyRules, "replacePolicyRules": (*call).replacePolicyRules, "getLicences": (*call).getLicences,
	}
}

// policyInput is what can be said of a user policy.
type policyInput struct {
	Name         string                `json:"name"`
	Note         string                `json:"note"`
	Licensed     bool                  `json:"licensed"`
	RemoteAccess bool                  `json:"remoteAccess"`
	EnrolRule    sallyport.EnrolRuleID `json:"enrolRule,omitempty"`
}

type userPolicy struct {
	ID sallyport.UserPolicyID `json:"id"`
	policyInput
	Default bool  `json:"default"`
	Users   *int  `json:"users,omitempty"` // in lists only
	Version int64 `json:"version"`
}

func showPolicy(p sallyport.UserPolicy) userPolicy {
	return userPolicy{ID: p.ID, policyInput: policyInput{p.Name, p.Note, p.Licensed, p.RemoteAccess, p.EnrolRule}, Default: p.Default, Version: p.Version}
}

func (c *call) listUserPolicies() error {
	list, err := c.admin().UserPolicies(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return part(c, list, func(p store.PolicyWithUsers) string { return byName(p.Name, string(p.ID)) }, func(p store.PolicyWithUsers) userPolicy {
		v := showPolicy(p.UserPolicy)
		v.Users = &p.Users
		return v
	})
}

func (c *call) policy() sallyport.UserPolicyID { return sallyport.UserPolicyID(c.text("policy")) }

func (c *call) getUserPolicy() error {
	p, err := c.admin().UserPolicy(c.ctx(), c.actor, c.policy())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, p.Version, showPolicy(p))
}

// putUserPolicy saves what the body says; without an id it is a new one.
func (c *call) putUserPolicy(id sallyport.UserPolicyID) (sallyport.UserPolicy, error) {
	var in policyInput
	if err := c.decode(&in); err != nil {
		return sallyport.UserPolicy{}, err
	}
	return c.admin().PutUserPolicy(c.ctx(), c.actor, sallyport.UserPolicy{ID: id, Name: in.Name, Note: in.Note, Licensed: in.Licensed,
		RemoteAccess: in.RemoteAccess, EnrolRule: in.EnrolRule, Version: c.version})
}

func (c *call) addUserPolicy() error {
	p, err := c.putUserPolicy("")
	if err != nil {
		return err
	}
	return c.created("/user-policies/", string(p.ID), p.Version, showPolicy(p))
}

func (c *call) changeUserPolicy() error {
	p, err := c.putUserPolicy(c.policy())
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, p.Version, showPolicy(p))
}

func (c *call) deleteUserPolicy() error {
	return c.empty(c.admin().DeleteUserPolicy(c.ctx(), c.actor, c.policy(), c.version))
}

func (c *call) makeDefaultUserPolicy() error {
	return c.empty(c.admin().SetDefaultUserPolicy(c.ctx(), c.actor, c.policy()))
}

// policyRules are the rules that give users their policy, in their order.
type policyRules struct {
	Rules []sallyport.AssignmentRule `json:"rules"`
}

func (c *call) getPolicyRules() error {
	rules, version, err := c.admin().PolicyRules(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, version, policyRules{orEmpty(rules)})
}

func (c *call) replacePolicyRules() error {
	var in policyRules
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := c.admin().SetPolicyRules(c.ctx(), c.actor, in.Rules, c.version); err != nil {
		return err
	}
	return c.versioned(http.StatusOK, c.version+1, in)
}

func (c *call) getLicences() error {
	used, total, err := c.admin().Licences(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.answer(struct {
		Used  int `json:"used"`
		Total int `json:"total"`
	}{used, total})
}

// orEmpty is a list that is written as [] and not as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
