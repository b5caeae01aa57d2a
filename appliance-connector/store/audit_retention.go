package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

// DeleteAuditBefore deletes the audit records from before t, the oldest of each chain first, and
// returns how many. What stays can still be verified: a mark with a MAC says where it begins. Records
// that do not verify, and all after them, are kept, with an error that says why: a trail that was
// changed is evidence. The deletion is itself in the trail.
func (s *Store) DeleteAuditBefore(ctx context.Context, t time.Time) (deleted int64, err error) {
	chains, found, err := s.auditChains(ctx)
	if err != nil {
		return 0, s.engine.failure("read chains of audit records", err)
	}
	if found != nil {
		return 0, evidence(found)
	}
	for _, chain := range chains {
		for more := true; more; {
			n := int64(0)
			err := s.audited(ctx, "delete audit records", func(ctx context.Context, tx *changing) (err error) {
				n, more, err = s.deleteStretch(ctx, tx, chain, t)
				return err
			})
			if err != nil {
				return deleted, err
			}
			deleted += n
		}
	}
	return deleted, nil
}

func evidence(found *AuditFinding) error {
	return sallyport.Errorf(sallyport.CodeConflict,
		"The audit trail was changed from outside, so nothing more of it is deleted. "+found.Message, nil)
}

// deleteStretch verifies and deletes up to a thousand records at the beginning of a chain.
func (s *Store) deleteStretch(ctx context.Context, tx *changing, chain string, before time.Time) (deleted int64, more bool, err error) {
	if err := s.lockAnchor(ctx, tx, chain); err != nil {
		return 0, false, fmt.Errorf("lock beginning of chain: %w", err)
	}
	var part stretch
	c := &conditions{}
	c.add("chain = ?", chain)
	if part.rows, err = readRows(ctx, tx.Tx, c); err != nil {
		return 0, false, fmt.Errorf("read audit records: %w", err)
	}
	// After the records, so that the end is not older than they are.
	if err := s.readMarks(ctx, tx.Tx, chain, &part); err != nil {
		return 0, false, err
	}
	if !part.anchor.sound {
		return 0, false, evidence(finding(AuditBeheaded, chain, 0, "The mark of the beginning of chain %q was changed.", chain))
	}
	for n, row := range part.rows {
		if !row.Time.Before(before) {
			part.rows = part.rows[:n]
			break
		}
	}
	if len(part.rows) == 0 {
		return 0, false, nil
	}
	at := part.anchor
	v := verifier{store: s}
	if found := v.rows(chain, part, &at); found != nil {
		return 0, false, evidence(found)
	}
	result, err := tx.ExecContext(ctx, `DELETE FROM audit WHERE chain = $1 AND sequence <= $2`, chain, at.sequence)
	if err != nil {
		return 0, false, fmt.Errorf("delete audit records: %w", err)
	}
	if deleted, err = result.RowsAffected(); err != nil {
		return 0, false, fmt.Errorf("delete audit records: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE audit_anchors SET sequence = $2, mac = $3, anchor_mac = $4 WHERE chain = $1`,
		chain, at.sequence, at.mac, s.anchorMAC(chain, at.sequence, at.mac)); err != nil {
		return 0, false, fmt.Errorf("mark beginning of chain: %w", err)
	}
	err = tx.record("audit.delete", "records from before "+before.UTC().Format(time.RFC3339), chain, nil,
		map[string]any{"chain": chain, "from": part.rows[0].Sequence, "to": at.sequence})
	return deleted, len(part.rows) == maxPage, err
}

// lockAnchor keeps other deletions of the chain out until the transaction ends.
func (s *Store) lockAnchor(ctx context.Context, tx *changing, chain string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO audit_anchors (chain, sequence, mac, anchor_mac) VALUES ($1, 0, $2, $3) ON CONFLICT (chain) DO NOTHING`,
		chain, []byte{}, s.anchorMAC(chain, 0, nil)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE audit_anchors SET sequence = sequence WHERE chain = $1`, chain)
	return err
}
