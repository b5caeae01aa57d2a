package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
)

func workflowHandlers() map[string]handler {
	return map[string]handler{
		"getWorkflowPolicy": (*call).getWorkflowPolicy, "changeWorkflowPolicy": (*call).changeWorkflowPolicy, "associateWorkflowPolicy": (*call).associateWorkflowPolicy,
	}
}

// workflowPolicy is the workflow policy "Remote access log in".
type workflowPolicy struct {
	Allowed        []sallyport.Combination `json:"allowed"`
	NumberMatching bool                    `json:"numberMatching"`
	Remember       struct {
		Allowed bool       `json:"allowed"`
		Hours   int64      `json:"hours"`
		Since   *time.Time `json:"since,omitempty"`
	} `json:"remember"`
	Version int64 `json:"version,omitempty"`
}

func showWorkflow(w sallyport.LoginWorkflow) workflowPolicy {
	v := workflowPolicy{Allowed: w.Allowed, NumberMatching: w.NumberMatching, Version: w.Version}
	v.Remember.Allowed, v.Remember.Hours, v.Remember.Since = w.Remember.Allowed, int64(w.Remember.For/time.Hour), stamp(w.Remember.Since)
	return v
}

func (c *call) getWorkflowPolicy() error {
	w, err := c.admin().LoginWorkflow(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, w.Version, showWorkflow(w))
}

func (c *call) changeWorkflowPolicy() error {
	var in workflowPolicy
	if err := c.decode(&in); err != nil {
		return err
	}
	w, err := c.admin().SetLoginWorkflow(c.ctx(), c.actor, sallyport.LoginWorkflow{Allowed: in.Allowed, NumberMatching: in.NumberMatching,
		Remember: sallyport.RememberPolicy{Allowed: in.Remember.Allowed, For: time.Duration(in.Remember.Hours) * time.Hour}, Version: c.version})
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, w.Version, showWorkflow(w))
}

// policyList names user policies.
type policyList struct {
	UserPolicies []sallyport.UserPolicyID `json:"userPolicies"`
}

func (c *call) associateWorkflowPolicy() error {
	var in policyList
	if err := c.decode(&in); err != nil {
		return err
	}
	return c.empty(c.admin().AssociateWorkflow(c.ctx(), c.actor, in.UserPolicies))
}
