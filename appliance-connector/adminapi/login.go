package adminapi

import (
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func loginHandlers() map[string]handler {
	return map[string]handler{"listLogins": (*call).listLogins, "explainLogin": (*call).explainLogin, "listRadiusRequests": (*call).listRadiusRequests}
}

// login is one try to log in.
type login struct {
	ID          string                  `json:"id"`
	Time        *time.Time              `json:"time,omitempty"`
	Ended       *time.Time              `json:"ended,omitempty"`
	SupportCode string                  `json:"supportCode"`
	UserName    string                  `json:"userName"`
	Account     sallyport.AccountName   `json:"account,omitempty"`
	Integration sallyport.IntegrationID `json:"integration,omitempty"`
	Door        sallyport.Door          `json:"door"`
	Outcome     sallyport.Outcome       `json:"outcome"`
	Method      sallyport.Method        `json:"method,omitempty"`
	Reason      sallyport.Reason        `json:"reason,omitempty"`
	Detail      string                  `json:"detail,omitempty"`
	Address     string                  `json:"address,omitempty"`
	Appliance   sallyport.ApplianceID   `json:"appliance,omitempty"`
}

func showLogin(l sallyport.LoginRecord) login {
	return login{l.ID, stamp(l.Time), stamp(orNever(l.Ended)), l.SupportCode, l.UserName, l.Account, l.Integration, l.Door, l.Outcome, l.Method, l.Reason, l.Detail,
		l.Address, l.Appliance}
}

// orNever takes what the store keeps for no time at all.
func orNever(t time.Time) time.Time {
	if t.Unix() <= 0 {
		return time.Time{}
	}
	return t
}

// loginQuery reads which logins the parameters mean.
func (c *call) loginQuery() store.LoginQuery {
	return store.LoginQuery{From: c.time("from"), To: c.time("to"), Text: c.text("q"), Account: sallyport.AccountName(c.text("account")),
		Integration: sallyport.IntegrationID(c.text("integration")), Outcome: sallyport.Outcome(c.text("outcome"))}
}

func (c *call) listLogins() error {
	q := c.loginQuery()
	q.After, q.Most = c.text("cursor"), c.most()
	found, err := c.admin().Logins(c.ctx(), c.actor, q)
	if err != nil {
		return err
	}
	return c.answer(pageOf(found.Logins, found.Next, showLogin))
}

// loginEvent is one step of a login.
type loginEvent struct {
	Time      *time.Time            `json:"time,omitempty"`
	Step      int                   `json:"step"`
	Message   string                `json:"message"`
	Detail    json.RawMessage       `json:"detail,omitempty"`
	Appliance sallyport.ApplianceID `json:"appliance,omitempty"`
}

func (c *call) explainLogin() error {
	record, events, err := c.admin().ExplainLogin(c.ctx(), c.actor, c.text("supportCode"))
	if err != nil {
		return err
	}
	out := struct {
		Login  login        `json:"login"`
		Events []loginEvent `json:"events"`
	}{showLogin(record), []loginEvent{}}
	for _, e := range events {
		out.Events = append(out.Events, loginEvent{stamp(e.Time), e.Step, e.Message, e.Detail, e.Appliance})
	}
	return c.answer(out)
}

// radiusRequest is one RADIUS request and what became of it.
type radiusRequest struct {
	Time           *time.Time              `json:"time,omitempty"`
	Integration    sallyport.IntegrationID `json:"integration,omitempty"`
	Source         string                  `json:"source"`
	UserName       string                  `json:"userName"`
	Account        sallyport.AccountName   `json:"account,omitempty"`
	Outcome        sallyport.RADIUSOutcome `json:"outcome"`
	Reason         string                  `json:"reason,omitempty"`
	Cure           string                  `json:"cure,omitempty"`
	NASIdentifier  string                  `json:"nasIdentifier,omitempty"`
	CallingStation string                  `json:"callingStation,omitempty"`
	CalledStation  string                  `json:"calledStation,omitempty"`
	Appliance      sallyport.ApplianceID   `json:"appliance,omitempty"`
}

func (c *call) radiusQuery() store.RADIUSQuery {
	return store.RADIUSQuery{From: c.time("from"), To: c.time("to"), Text: c.text("q"), Account: sallyport.AccountName(c.text("account")),
		Integration: sallyport.IntegrationID(c.text("integration")), Outcome: sallyport.RADIUSOutcome(c.text("outcome"))}
}

func (c *call) listRadiusRequests() error {
	q := c.radiusQuery()
	q.After, q.Most = c.text("cursor"), c.most()
	found, err := c.admin().RADIUSRequests(c.ctx(), c.actor, q)
	if err != nil {
		return err
	}
	return c.answer(pageOf(found.Requests, found.Next, func(r store.RADIUSActivity) radiusRequest {
		return radiusRequest{stamp(r.Time), r.Integration, r.Source, r.UserName, r.Account, r.Outcome, r.Reason, r.Cure, r.NASIdentifier, r.CallingStation, r.CalledStation, r.Appliance}
	}))
}
