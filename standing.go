package sallyport

// Standing is what an appliance knows of an account when it logs in, as of one moment.
type Standing struct {
	// User is nil for an account that is not in the list of users.
	User     *User
	Policy   UserPolicy // the user's
	Workflow LoginWorkflow
	// Rule is the enrol rule of the user's policy; nil: it belongs to none.
	Rule     *EnrolRule
	Licences Licences
	Has      Authenticators
	// Devices are the account's own, the newest first.
	Devices []Device
	// Stale: the database does not answer, and this is how it was some minutes ago.
	Stale bool
}

// LoginPolicies is what all logins have in common.
type LoginPolicies struct {
	User     map[UserPolicyID]UserPolicy
	Rules    map[EnrolRuleID]EnrolRule
	Workflow LoginWorkflow
	Licences Licences
	Tokens   TokenUsers
}

// Apply fills in what the policies say of a user. A user policy that is not among them gives nothing.
func (p LoginPolicies) Apply(s *Standing) {
	s.Workflow, s.Licences, s.Policy, s.Rule, s.Has.External = p.Workflow, p.Licences, UserPolicy{}, nil, false
	if s.User == nil {
		return
	}
	s.Policy = p.User[s.User.Policy]
	s.Has.External = p.Tokens.Has(s.User.Policy)
	if rule, ok := p.Rules[s.Policy.EnrolRule]; ok {
		s.Rule = &rule
	}
}
