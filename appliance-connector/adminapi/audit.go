package adminapi

import (
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func auditHandlers() map[string]handler {
	return map[string]handler{"listAuditRecords": (*call).listAuditRecords, "getAuditRecord": (*call).getAuditRecord, "verifyAudit": (*call).verifyAudit}
}

// auditRecord is one record of the audit trail.
type auditRecord struct {
	Chain    string     `json:"chain"`
	Sequence int64      `json:"sequence"`
	Time     *time.Time `json:"time,omitempty"`
	Actor    struct {
		Kind    sallyport.ActorKind `json:"kind"`
		ID      string              `json:"id,omitempty"`
		Name    string              `json:"name"`
		Role    sallyport.Role      `json:"role,omitempty"`
		Address string              `json:"address,omitempty"`
	} `json:"actor"`
	Action      string          `json:"action"`
	Object      string          `json:"object"`
	ObjectID    string          `json:"objectId"`
	Before      json.RawMessage `json:"before,omitempty"`
	After       json.RawMessage `json:"after,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	SupportCode string          `json:"supportCode,omitempty"`
}

func showAudit(r sallyport.AuditRecord) auditRecord {
	v := auditRecord{Chain: r.Chain, Sequence: r.Sequence, Time: stamp(r.Time), Action: r.Action, Object: r.Object, ObjectID: r.ObjectID, Before: r.Before, After: r.After,
		Reason: r.Reason, SupportCode: r.SupportCode}
	v.Actor.Kind, v.Actor.ID, v.Actor.Name, v.Actor.Role, v.Actor.Address = r.Actor.Kind, r.Actor.ID, r.Actor.Name, r.Actor.Role, r.Actor.Address
	return v
}

func (c *call) auditQuery() store.AuditQuery {
	return store.AuditQuery{From: c.time("from"), To: c.time("to"), Chain: c.text("chain"), Actor: c.text("actor"), Action: c.text("action"), Object: c.text("object"),
		SupportCode: c.text("supportCode"), Text: c.text("q")}
}

func (c *call) listAuditRecords() error {
	q := c.auditQuery()
	q.After, q.Most = c.text("cursor"), c.most()
	found, err := c.admin().AuditRecords(c.ctx(), c.actor, q)
	if err != nil {
		return err
	}
	return c.answer(pageOf(found.Records, found.Next, showAudit))
}

func (c *call) getAuditRecord() error {
	r, err := c.admin().AuditRecord(c.ctx(), c.actor, c.text("chain"), c.number("sequence"))
	if err != nil {
		return err
	}
	return c.answer(showAudit(r))
}

// verification says whether the audit trail is as it was written.
type verification struct {
	Holds   bool  `json:"holds"`
	Records int64 `json:"records"` // that were checked
	Finding *struct {
		Fault    store.AuditFault `json:"fault"`
		Chain    string           `json:"chain"`
		Sequence int64            `json:"sequence"`
		Message  string           `json:"message"`
	} `json:"finding,omitempty"`
}

func (c *call) verifyAudit() error {
	var v verification
	found, err := c.admin().VerifyAudit(c.ctx(), c.actor, func(n int64) { v.Records = n })
	if err != nil {
		return err
	}
	v.Holds = found == nil
	if found != nil {
		v.Finding = &struct {
			Fault    store.AuditFault `json:"fault"`
			Chain    string           `json:"chain"`
			Sequence int64            `json:"sequence"`
			Message  string           `json:"message"`
		}{found.Fault, found.Chain, found.Sequence, found.Message}
	}
	return c.answer(v)
}
