package store

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// localChain is the chain of a store that was opened without WithChain.
const localChain = "local"

// WithChain names the chain of audit records that this store writes: the appliance's id.
func WithChain(chain string) Option { return func(s *Store) { s.chain = chain } }

// As returns a view of the store whose changes are recorded as the actor's. Closing either closes both.
func (s *Store) As(actor sallyport.Actor) *Store { return &Store{shared: s.shared, actor: actor} }

// changing is a transaction that changes what people have set, with the audit records of the change.
type changing struct {
	*sql.Tx
	records []sallyport.AuditRecord
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

// appendAudit writes records at the end of this store's chain. Its head is locked by the update until
// the transaction ends, so that one chain has one order.
func (s *Store) appendAudit(ctx context.Context, tx *sql.Tx, records []sallyport.AuditRecord) error {
	if len(records) == 0 {
		return nil
	}
	sequence, mac, err := s.lockChain(ctx, tx, len(records))
	if err != nil {
		return fmt.Errorf("lock chain of audit records: %w", err)
	}
	for _, r := range records {
		sequence++
		r.Chain, r.Sequence = s.chain, sequence
		if r.Time.IsZero() {
			r.Time = s.now()
		}
		if r.Actor.Kind == "" {
			r.Actor = s.actor
		}
		r.Actor.Kind = cmp.Or(r.Actor.Kind, sallyport.ActorSystem)
		mac = s.recordMAC(r, mac)
		if _, err := tx.ExecContext(ctx, `INSERT INTO audit (chain, sequence, time, actor_kind, actor_id, actor_name, actor_role, address,
			action, object, object_id, before, after, reason, support_code, mac)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
			r.Chain, r.Sequence, micros(r.Time), r.Actor.Kind, r.Actor.ID, r.Actor.Name, r.Actor.Role, r.Actor.Address,
			r.Action, r.Object, r.ObjectID, string(r.Before), string(r.After), r.Reason, r.SupportCode, mac); err != nil {
			return fmt.Errorf("write audit record: %w", err)
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE audit_heads SET mac = $1, head_mac = $2 WHERE chain = $3`, mac, s.headMAC(sequence, mac), s.chain)
	return err
}

// lockChain raises the head by n and returns where it stood.
func (s *Store) lockChain(ctx context.Context, tx *sql.Tx, n int) (sequence int64, mac []byte, err error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO audit_heads (chain, sequence, mac, head_mac) VALUES ($1, 0, $2, $2) ON CONFLICT (chain) DO NOTHING`,
		s.chain, []byte{}); err != nil {
		return 0, nil, err
	}
	err = tx.QueryRowContext(ctx, `UPDATE audit_heads SET sequence = sequence + $1 WHERE chain = $2 RETURNING sequence, mac`, n, s.chain).Scan(&sequence, &mac)
	return sequence - int64(n), mac, err
}

// recordMAC covers everything of a record and the MAC of the one before it.
func (s *Store) recordMAC(r sallyport.AuditRecord, before []byte) []byte {
	return s.auditMAC("record", r.Chain, strconv.FormatInt(r.Sequence, 10), strconv.FormatInt(micros(r.Time), 10),
		string(r.Actor.Kind), r.Actor.ID, r.Actor.Name, string(r.Actor.Role), r.Actor.Address,
		r.Action, r.Object, r.ObjectID, string(r.Before), string(r.After), r.Reason, r.SupportCode, string(before))
}

func (s *Store) headMAC(sequence int64, mac []byte) []byte {
	return s.auditMAC("head", s.chain, strconv.FormatInt(sequence, 10), string(mac))
}

func (s *Store) auditMAC(fields ...string) []byte {
	m := hmac.New(sha256.New, s.auditKey)
	m.Write(sealed.Fields(fields...))
	return m.Sum(nil)
}
