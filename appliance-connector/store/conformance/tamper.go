package conformance

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	auditMost = `time, actor_kind, actor_id, actor_name, actor_role, address, action, object, object_id, before, after, reason, support_code, mac`
	copyTo    = `INSERT INTO audit (chain, sequence, ` + auditMost + `) SELECT `
	moveHead  = `UPDATE audit_heads SET sequence = 9, mac = (SELECT mac FROM audit WHERE chain = 'local' AND sequence = 9) WHERE chain = 'local';`
)

// tampering is what somebody does who can write to the database but has no key, and what must be found.
var tampering = map[string]struct {
	statement string
	fault     store.AuditFault
	chain     string
	sequence  int64
}{
	"a reason changed":                  {`UPDATE audit SET reason = 'granted' WHERE chain = 'local' AND sequence = 4`, store.AuditChanged, "local", 4},
	"two fields run together":           {`UPDATE audit SET object = object || object_id, object_id = '' WHERE chain = 'local' AND sequence = 4`, store.AuditChanged, "local", 4},
	"the MAC of another":                {`UPDATE audit SET mac = (SELECT mac FROM audit WHERE chain = 'b' AND sequence = 4) WHERE chain = 'local' AND sequence = 4`, store.AuditChanged, "local", 4},
	"the first removed":                 {`DELETE FROM audit WHERE chain = 'local' AND sequence = 1`, store.AuditBeheaded, "local", 1},
	"the beginning removed":             {`DELETE FROM audit WHERE chain = 'local' AND sequence <= 3`, store.AuditBeheaded, "local", 1},
	"one removed":                       {`DELETE FROM audit WHERE chain = 'local' AND sequence = 5`, store.AuditRemoved, "local", 5},
	"one removed, the rest moved up":    {`DELETE FROM audit WHERE chain = 'local' AND sequence = 5; UPDATE audit SET sequence = sequence + 100 WHERE chain = 'local' AND sequence > 5; UPDATE audit SET sequence = sequence - 101 WHERE chain = 'local' AND sequence > 100`, store.AuditChanged, "local", 5},
	"the last removed":                  {`DELETE FROM audit WHERE chain = 'local' AND sequence = 10`, store.AuditCut, "local", 10},
	"the last removed, and its mark":    {`DELETE FROM audit WHERE chain = 'local' AND sequence = 10; ` + moveHead, store.AuditCut, "local", 10},
	"all of a chain removed":            {`DELETE FROM audit WHERE chain = 'b'`, store.AuditCut, "b", 1},
	"all of a chain removed, and marks": {`DELETE FROM audit WHERE chain = 'b'; DELETE FROM audit_heads WHERE chain = 'b'`, store.AuditDropped, "b", 0},
	"everything removed":                {`DELETE FROM audit; DELETE FROM audit_heads`, store.AuditDropped, "local", 0},
	"the list of chains removed":        {`DELETE FROM meta WHERE name = 'audit chains'`, store.AuditDropped, "", 0},
	"the mark of the end removed":       {`DELETE FROM audit_heads WHERE chain = 'local'`, store.AuditDropped, "local", 0},
	"the mark of the end changed":       {`UPDATE audit_heads SET sequence = 11 WHERE chain = 'local'`, store.AuditCut, "local", 11},
	"the mark of another chain":         {`UPDATE audit_heads SET head_mac = (SELECT head_mac FROM audit_heads WHERE chain = 'b') WHERE chain = 'local'`, store.AuditCut, "local", 11},
	"one put in at the end":             {copyTo + `chain, 11, ` + auditMost + ` FROM audit WHERE chain = 'local' AND sequence = 3`, store.AuditInserted, "local", 11},
	"one put in before the first":       {copyTo + `chain, 0, ` + auditMost + ` FROM audit WHERE chain = 'local' AND sequence = 3`, store.AuditInserted, "local", 0},
	"one put in between": {`UPDATE audit SET sequence = sequence + 100 WHERE chain = 'local' AND sequence > 5; UPDATE audit SET sequence = sequence - 99 WHERE chain = 'local' AND sequence > 100; ` +
		copyTo + `chain, 6, ` + auditMost + ` FROM audit WHERE chain = 'local' AND sequence = 3`, store.AuditInserted, "local", 6},
	"two exchanged": {`UPDATE audit SET sequence = 100 WHERE chain = 'local' AND sequence = 4; UPDATE audit SET sequence = 4 WHERE chain = 'local' AND sequence = 5;
		UPDATE audit SET sequence = 5 WHERE chain = 'local' AND sequence = 100`, store.AuditChanged, "local", 4},
	"one of another chain in its place": {`DELETE FROM audit WHERE chain = 'local' AND sequence = 5; ` + copyTo + `'local', 5, ` + auditMost + ` FROM audit WHERE chain = 'b' AND sequence = 5`, store.AuditChanged, "local", 5},
	"one moved to another chain":        {`UPDATE audit SET chain = 'b', sequence = 11 WHERE chain = 'local' AND sequence = 10`, store.AuditCut, "local", 10},
	"one copied to another chain":       {copyTo + `'b', 11, ` + auditMost + ` FROM audit WHERE chain = 'local' AND sequence = 10`, store.AuditInserted, "b", 11},
	"a chain made up":                   {copyTo + `'c', 1, ` + auditMost + ` FROM audit WHERE chain = 'b' AND sequence = 1`, store.AuditInserted, "c", 0},
	"a beginning made up": {`INSERT INTO audit_anchors (chain, sequence, mac, anchor_mac) SELECT chain, sequence, mac, mac FROM audit WHERE chain = 'local' AND sequence = 3;
		DELETE FROM audit WHERE chain = 'local' AND sequence <= 3`, store.AuditBeheaded, "local", 0},
	"an empty beginning made up": {`INSERT INTO audit_anchors (chain, sequence, mac, anchor_mac) SELECT 'local', 3, SUBSTR(mac, 1, 0), SUBSTR(mac, 1, 0) FROM audit WHERE chain = 'local' AND sequence = 3;
		DELETE FROM audit WHERE chain = 'local' AND sequence <= 3`, store.AuditBeheaded, "local", 0},
}

// twoChains fills a new database with ten records in each of two chains.
func twoChains(t *testing.T, e Engine) (string, *store.Store) {
	t.Helper()
	address := e.Fresh(t)
	s, b := Open(t, address), openChain(t, address, "b", time.Now)
	must(t, s.AppendAudit(t.Context(), decisions(10)))
	must(t, b.AppendAudit(t.Context(), decisions(10)))
	return address, s
}

// trailTables are those that the audit trail is in.
var trailTables = []string{"audit", "audit_heads", "audit_anchors", "meta"}

// keepTables copies tables aside and returns what puts them back.
func keepTables(t *testing.T, e Engine, address string, tables ...string) (restore func()) {
	t.Helper()
	var keep, clear, fill string
	for _, table := range tables {
		keep += `CREATE TABLE kept_` + table + ` AS SELECT * FROM ` + table + `;`
		clear = `DELETE FROM ` + table + `;` + clear
		fill += `INSERT INTO ` + table + ` SELECT * FROM kept_` + table + `;`
	}
	e.Exec(t, address, keep)
	return func() { t.Helper(); e.Exec(t, address, clear+fill) }
}

func auditTampered(t *testing.T, e Engine) {
	address, s := twoChains(t, e)
	restore := keepTables(t, e, address, trailTables...)
	for name, c := range tampering {
		e.Exec(t, address, c.statement)
		found, err := s.VerifyAudit(t.Context(), nil)
		must(t, err)
		if found == nil || found.Fault != c.fault || found.Chain != c.chain || found.Sequence != c.sequence || found.Message == "" {
			t.Errorf("%s: found %+v, want %s in %q at %d", name, found, c.fault, c.chain, c.sequence)
		}
		restore()
		holdsUp(t, s, 20)
	}
}

// auditNotLaundered goes on writing after the end of a chain was changed: what was done stays visible.
func auditNotLaundered(t *testing.T, e Engine) {
	address, s := twoChains(t, e)
	restore := keepTables(t, e, address, trailTables...)
	for name, statement := range map[string]string{
		"cut at the end":  `DELETE FROM audit WHERE chain = 'local' AND sequence = 10; ` + moveHead,
		"removed whole":   `DELETE FROM audit WHERE chain = 'local'; DELETE FROM audit_heads WHERE chain = 'local'`,
		"list of chains":  `DELETE FROM meta WHERE name = 'audit chains'; DELETE FROM audit; DELETE FROM audit_heads`,
		"begins anew":     `DELETE FROM audit WHERE chain = 'local'; UPDATE audit_heads SET sequence = 0 WHERE chain = 'local'`,
		"everything gone": `DELETE FROM audit; DELETE FROM audit_heads`,
	} {
		e.Exec(t, address, statement)
		must(t, s.AppendAudit(t.Context(), decisions(3)))
		must(t, s.SetSetting(t.Context(), "a", "b"))
		if found, err := s.VerifyAudit(t.Context(), nil); err != nil || found == nil {
			t.Errorf("%s: found %+v, %v", name, found, err)
		}
		restore()
		holdsUp(t, s, 20)
	}
}

func auditRetained(t *testing.T, e Engine) {
	address := e.Fresh(t)
	now := start.Add(24 * time.Hour)
	s, b := openChain(t, address, "a", func() time.Time { return now }), openChain(t, address, "b", func() time.Time { return now })
	ctx := t.Context()
	must(t, s.AppendAudit(ctx, decisions(1000)))
	must(t, s.AppendAudit(ctx, decisions(1000)))
	must(t, s.AppendAudit(ctx, decisions(500))) // the clock went back between them
	must(t, b.AppendAudit(ctx, decisions(3)))
	// Of each chain what is before the first record from after the time.
	n, err := s.DeleteAuditBefore(ctx, start.Add(10*time.Minute))
	if err != nil || n != 13 {
		t.Fatalf("deleted %d, %v", n, err)
	}
	holdsUp(t, s, 2500-10+2)
	n, err = s.DeleteAuditBefore(ctx, start.Add(20*time.Hour))
	if err != nil || n != 2490 {
		t.Fatalf("deleted %d, %v", n, err)
	}
	holdsUp(t, s, 2+3)
	must(t, b.AppendAudit(ctx, decisions(1))) // goes on where it was
	holdsUp(t, s, 6)
	var last sallyport.AuditRecord
	must(t, s.EachAuditRecord(ctx, store.AuditQuery{Chain: "b"}, func(r sallyport.AuditRecord) error { last = r; return nil }))
	if last.Sequence != 4 {
		t.Errorf("the chain went on with %d", last.Sequence)
	}
	if page, err := s.AuditRecords(ctx, store.AuditQuery{Action: "audit.delete"}); err != nil || len(page.Records) != 5 {
		t.Errorf("%d records of the deletion, %v", len(page.Records), err)
	}
	if n, err := s.DeleteAuditBefore(ctx, start); err != nil || n != 0 {
		t.Errorf("deleted %d, %v", n, err)
	}
	restore := keepTables(t, e, address, trailTables...)
	for name, c := range map[string]struct {
		statement string
		fault     store.AuditFault
	}{
		"the mark removed": {`DELETE FROM audit_anchors WHERE chain = 'a'`, store.AuditBeheaded},
		"the mark moved":   {`UPDATE audit_anchors SET sequence = sequence + 1 WHERE chain = 'a'; DELETE FROM audit WHERE chain = 'a' AND sequence = 2501`, store.AuditBeheaded},
		"one put back":     {copyTo + `'a', 2500, ` + auditMost + ` FROM audit WHERE chain = 'a' AND sequence = 2501`, store.AuditInserted},
		"one changed":      {`UPDATE audit SET reason = 'x' WHERE chain = 'a' AND sequence = 2501`, store.AuditChanged},
	} {
		e.Exec(t, address, c.statement)
		found, err := s.VerifyAudit(ctx, nil)
		must(t, err)
		if found == nil || found.Fault != c.fault || found.Chain != "a" {
			t.Errorf("%s: found %+v, want %s", name, found, c.fault)
		}
		// What shows it is kept.
		n, err := s.DeleteAuditBefore(ctx, start.Add(1000*time.Hour))
		if n != 0 || sallyport.ErrorCode(err) != sallyport.CodeConflict {
			t.Errorf("%s: deleted %d, %v", name, n, err)
		}
		restore()
		holdsUp(t, s, 6)
	}
}
