package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport"
)

// localChain is the chain of a store that was opened without WithChain.
const localChain = "local"

// Bounds of an audit record's texts, in octets; longer ones are cut.
const (
	maxAuditName = 256
	maxAuditText = 1024
	// maxAuditJSON bounds what was before and after; longer, its length is kept instead.
	maxAuditJSON = 1 << 20
)

const auditColumns = `chain, sequence, time, actor_kind, actor_id, actor_name, actor_role, address,
	action, object, object_id, before, after, reason, support_code, mac`

// WithChain names the chain of audit records that this store writes: the appliance's id.
func WithChain(chain string) Option { return func(s *Store) { s.chain = chain } }

// As returns a view of the store whose changes are recorded as the actor's. Closing either closes both.
func (s *Store) As(actor sallyport.Actor) *Store { return &Store{shared: s.shared, actor: actor} }

// changing is a transaction that changes what people have set, with the audit records of the change.
type changing struct {
	*sql.Tx
	records []sallyport.AuditRecord
	told    []sallyport.AuthenticatorChange // of which their owners are told
	raise   bool                            // the revision
}

// record notes what the change does: action is a noun and a verb ("integration.change"), object what it
// is done to, for people. before and after, nil for nothing, are kept as JSON; secrets of the types
// sallyport.Secret and sallyport.Key show as [redacted].
func (c *changing) record(action, object, id string, before, after any) error {
	r := sallyport.AuditRecord{Action: action, Object: object, ObjectID: id}
	var err error
	if before != nil {
		if r.Before, err = json.Marshal(before); err != nil {
			return fmt.Errorf("encode what was before: %w", err)
		}
	}
	if after != nil {
		if r.After, err = json.Marshal(after); err != nil {
			return fmt.Errorf("encode what is after: %w", err)
		}
	}
	c.records = append(c.records, r)
	return nil
}

// AppendAudit writes records that belong to no change of the store, such as decisions about logins, in
// one transaction: all or none, at most 1,000. Chain and sequence are the store's; a record without
// time or actor gets the store's own. Texts that are too long are cut.
func (s *Store) AppendAudit(ctx context.Context, records []sallyport.AuditRecord) error {
	if err := checkBatch("audit records", len(records)); err != nil {
		return err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	err := s.engine.transact(ctx, func(tx *sql.Tx) error { return s.appendAudit(ctx, tx, records) })
	return s.engine.failure("write audit records", err)
}

// appendAudit writes records at the end of this store's chain. Its head is locked by the update until
// the transaction ends, so that one chain has one order.
func (s *Store) appendAudit(ctx context.Context, tx *sql.Tx, records []sallyport.AuditRecord) error {
	if len(records) == 0 {
		return nil
	}
	head, err := s.lockHead(ctx, tx, len(records))
	if err != nil {
		return fmt.Errorf("lock chain of audit records: %w", err)
	}
	rows := make([][]any, 0, len(records))
	for _, r := range records {
		head.sequence++
		r.Chain, r.Sequence = s.chain, head.sequence
		r = s.complete(r)
		head.mac = s.recordMAC(r, head.mac)
		rows = append(rows, []any{
			r.Chain, r.Sequence, micros(r.Time), string(r.Actor.Kind), r.Actor.ID, r.Actor.Name, string(r.Actor.Role), r.Actor.Address,
			r.Action, r.Object, r.ObjectID, string(r.Before), string(r.After), r.Reason, r.SupportCode, head.mac,
		})
	}
	if err := s.engine.insertRows(ctx, tx, `INSERT INTO audit (`+auditColumns+`)`, "", rows); err != nil {
		return fmt.Errorf("write audit records: %w", err)
	}
	return s.moveHead(ctx, tx, head)
}

// complete gives a record what it lacks and bounds its texts.
func (s *Store) complete(r sallyport.AuditRecord) sallyport.AuditRecord {
	if r.Time.IsZero() {
		r.Time = s.now()
	}
	if r.Actor.Kind == "" {
		r.Actor = s.actor
	}
	r.Actor.Kind = cmp.Or(r.Actor.Kind, sallyport.ActorSystem)
	r.Actor.Kind = sallyport.ActorKind(clean(string(r.Actor.Kind), maxAuditName))
	r.Actor.Role = sallyport.Role(clean(string(r.Actor.Role), maxAuditName))
	for text, most := range map[*string]int{
		&r.Actor.ID: maxAuditName, &r.Actor.Name: maxAuditName, &r.Actor.Address: maxAuditName, &r.Action: maxAuditName,
		&r.Object: maxAuditText, &r.ObjectID: maxAuditName, &r.Reason: maxAuditText, &r.SupportCode: maxAuditName,
	} {
		*text = clean(*text, most)
	}
	r.Before, r.After = boundJSON(r.Before, maxAuditJSON), boundJSON(r.After, maxAuditJSON)
	return r
}

// boundJSON takes only JSON of at most so many octets, in UTF-8. What is none becomes a JSON text, what
// is longer its length.
func boundJSON(text json.RawMessage, most int) json.RawMessage {
	switch {
	case len(text) == 0:
		return nil
	case len(text) > most:
		return fmt.Appendf(nil, `{"tooLong":true,"octets":%d}`, len(text))
	case !json.Valid(text):
		quoted, err := json.Marshal(clean(string(text), most/8))
		if err != nil {
			return nil // a string always encodes
		}
		return quoted
	}
	return bytes.ToValidUTF8(text, []byte("\uFFFD"))
}
