package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport"
)

// AuditFault says what was done to the audit trail.
type AuditFault string

const (
	AuditChanged  AuditFault = "changed"  // the record is not what was written, or is not in its place
	AuditRemoved  AuditFault = "removed"  // the record is missing, and later ones are there
	AuditInserted AuditFault = "inserted" // the record was never written there
	AuditCut      AuditFault = "cut"      // records are missing at the end, or the mark of the end was changed
	AuditBeheaded AuditFault = "beheaded" // records are missing at the beginning, or the mark of the beginning was changed
	AuditDropped  AuditFault = "dropped"  // the whole chain is missing, or the list of chains was changed
)

// AuditFinding is the first place where the audit trail does not hold.
type AuditFinding struct {
	Fault AuditFault
	Chain string // empty: the list of chains itself
	// Sequence is that of the first record concerned; 0 for the whole chain.
	Sequence int64
	// Message says it in words.
	Message string
}

func finding(fault AuditFault, chain string, sequence int64, format string, args ...any) *AuditFinding {
	return &AuditFinding{Fault: fault, Chain: chain, Sequence: sequence, Message: fmt.Sprintf(format, args...)}
}

// VerifyAudit checks every record of every chain and returns the first thing that was done to the
// trail from outside, or nil. It calls progress, if not nil, with how many records it has checked so
// far, and holds a thousand at a time; records that are written, or deleted by DeleteAuditBefore,
// meanwhile do not trouble it.
//
// What it cannot see: a database put back whole, chains, marks and all, to how it was earlier. Compare
// the number of records with what was seen before for that.
func (s *Store) VerifyAudit(ctx context.Context, progress func(records int64)) (*AuditFinding, error) {
	chains, found, err := s.auditChains(ctx)
	if err != nil || found != nil {
		return found, s.engine.failure("read chains of audit records", err)
	}
	v := verifier{store: s, progress: progress}
	for _, chain := range chains {
		if found, err := v.chain(ctx, chain); err != nil || found != nil {
			return found, s.engine.failure("verify audit trail", err)
		}
	}
	return nil, nil
}

// auditChains returns the chains of the list, after it was held against what there is.
func (s *Store) auditChains(ctx context.Context) (listed []string, found *AuditFinding, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		var list []byte
		if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = $1`, metaChains).Scan(&list); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var ok bool
		if listed, ok = s.readChains(list); !ok {
			found = finding(AuditDropped, "", 0, "The list of the chains of audit records is missing or was changed.")
			return nil
		}
		for _, table := range []string{"audit_heads", "audit_anchors", "audit"} {
			present, err := chainsIn(ctx, tx, table)
			if err != nil {
				return fmt.Errorf("read chains in %s: %w", table, err)
			}
			if found = compareChains(listed, present, table == "audit_heads"); found != nil {
				return nil
			}
		}
		return nil
	})
	return listed, found, err
}

// chainsIn returns the chains that a table has a row of, without reading them all.
func chainsIn(ctx context.Context, tx *sql.Tx, table string) (chains []string, err error) {
	query := `SELECT chain FROM ` + table + ` WHERE chain > $1 ORDER BY chain LIMIT 1`
	for chain := ""; ; chains = append(chains, chain) {
		err := tx.QueryRowContext(ctx, query, chain).Scan(&chain)
		if errors.Is(err, sql.ErrNoRows) {
			return chains, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func compareChains(listed, present []string, all bool) *AuditFinding {
	for _, chain := range listed {
		if all && !slices.Contains(present, chain) {
			return finding(AuditDropped, chain, 0, "The chain %q of audit records was removed, or the mark of its end.", chain)
		}
	}
	for _, chain := range present {
		if !slices.Contains(listed, chain) {
			return finding(AuditInserted, chain, 0, "The chain %q of audit records was put in from outside.", chain)
		}
	}
	return nil
}

// verifier checks the chains one after the other.
type verifier struct {
	store    *Store
	progress func(records int64)
	checked  int64
}

// auditRow is a record with the MAC beside it.
type auditRow struct {
	sallyport.AuditRecord
	mac []byte
}

// stretch is a part of a chain as of one moment, with the marks of the chain's beginning and end.
type stretch struct {
	anchor, head chainEnd
	rows         []auditRow
}

// chain checks one chain from its anchor to its head.
func (v *verifier) chain(ctx context.Context, chain string) (*AuditFinding, error) {
	var at *chainEnd // the last record that holds
	for {
		part, err := v.store.stretch(ctx, chain, at)
		if err != nil {
			return nil, err
		}
		if !part.anchor.sound {
			return finding(AuditBeheaded, chain, 0, "The mark of the beginning of chain %q was changed.", chain), nil
		}
		if at == nil || part.anchor.sequence > at.sequence {
			at = &part.anchor
		}
		if found := v.rows(chain, part, at); found != nil {
			return found, nil
		}
		if v.progress != nil && len(part.rows) > 0 {
			v.progress(v.checked)
		}
		if len(part.rows) < maxPage {
			return checkEnd(chain, part.head, at), nil
		}
	}
}

// rows checks the records of a stretch and moves at along.
func (v *verifier) rows(chain string, part stretch, at *chainEnd) *AuditFinding {
	for n, row := range part.rows {
		next := at.sequence + 1
		switch {
		case row.Sequence < next, row.Sequence > part.head.sequence && part.head.sound:
			return finding(AuditInserted, chain, row.Sequence, "Record %d of chain %q was put in from outside.", row.Sequence, chain)
		case row.Sequence > next && at.sequence == part.anchor.sequence:
			return finding(AuditBeheaded, chain, next, "The beginning of chain %q is missing: records %d to %d were removed.", chain, next, row.Sequence-1)
		case row.Sequence > next:
			return finding(AuditRemoved, chain, next, "Record %d of chain %q was removed.", next, chain)
		case !hmac.Equal(row.mac, v.store.recordMAC(row.AuditRecord, at.mac)):
			if v.putIn(part.rows[n:], at) {
				return finding(AuditInserted, chain, next, "Record %d of chain %q was put in from outside.", next, chain)
			}
			return finding(AuditChanged, chain, next, "Record %d of chain %q was changed, exchanged, or put in the place of another.", next, chain)
		}
		at.sequence, at.mac = row.Sequence, row.mac
		v.checked++
	}
	return nil
}

// putIn reports whether the first of rows was put in between: the second was once the one after at, and
// the first is not merely the one that came after that.
func (v *verifier) putIn(rows []auditRow, at *chainEnd) bool {
	if len(rows) < 2 {
		return false
	}
	fits := func(row auditRow, sequence int64, before []byte) bool {
		row.Sequence = sequence
		return hmac.Equal(row.mac, v.store.recordMAC(row.AuditRecord, before))
	}
	return fits(rows[1], at.sequence+1, at.mac) && !fits(rows[0], at.sequence+2, rows[1].mac)
}

func checkEnd(chain string, head chainEnd, at *chainEnd) *AuditFinding {
	switch {
	case !head.sound:
		return finding(AuditCut, chain, at.sequence+1, "The mark of the end of chain %q was changed: records after %d may be missing.", chain, at.sequence)
	case head.sequence != at.sequence:
		return finding(AuditCut, chain, at.sequence+1, "The end of chain %q is missing: records %d to %d were removed.", chain, at.sequence+1, head.sequence)
	case !hmac.Equal(head.mac, at.mac):
		return finding(AuditCut, chain, at.sequence, "The mark of the end of chain %q is of another record %d.", chain, at.sequence)
	}
	return nil
}

// stretch reads what follows after, or the beginning of the chain, even if it lies before the anchor.
func (s *Store) stretch(ctx context.Context, chain string, after *chainEnd) (part stretch, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		c := &conditions{}
		c.add("chain = ?", chain)
		if after != nil {
			c.add("sequence > ?", after.sequence)
		}
		if part.rows, err = readRows(ctx, tx, c); err != nil {
			return fmt.Errorf("read audit records: %w", err)
		}
		return s.readMarks(ctx, tx, chain, &part)
	})
	return part, err
}

func readRows(ctx context.Context, tx *sql.Tx, c *conditions) ([]auditRow, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+auditColumns+` FROM audit`+c.where()+fmt.Sprintf(` ORDER BY chain, sequence LIMIT %d`, maxPage), c.args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (r auditRow, err error) {
		r.AuditRecord, r.mac, err = scanAudit(rows)
		return r, err
	})
}

// readMarks reads the marks of a chain's beginning and end.
func (s *Store) readMarks(ctx context.Context, tx *sql.Tx, chain string, part *stretch) error {
	var some bool
	var err error
	part.anchor, some, err = readEnd(ctx, tx, chain, `SELECT sequence, mac, anchor_mac FROM audit_anchors WHERE chain = $1`, s.anchorMAC)
	if err != nil {
		return fmt.Errorf("read beginning of chain: %w", err)
	}
	if !some {
		part.anchor.sound = true // a chain that nothing was deleted of has none
	}
	if part.head, _, err = readEnd(ctx, tx, chain, `SELECT sequence, mac, head_mac FROM audit_heads WHERE chain = $1`, s.headMAC); err != nil {
		return fmt.Errorf("read end of chain: %w", err)
	}
	return nil
}

// readEnd reads a mark of a chain and checks its MAC; some says whether there is one.
func readEnd(ctx context.Context, tx *sql.Tx, chain, query string, mac func(string, int64, []byte) []byte) (end chainEnd, some bool, err error) {
	var check []byte
	err = tx.QueryRowContext(ctx, query, chain).Scan(&end.sequence, &end.mac, &check)
	if errors.Is(err, sql.ErrNoRows) {
		return chainEnd{}, false, nil
	}
	end.sound = hmac.Equal(check, mac(chain, end.sequence, end.mac))
	return end, true, err
}
