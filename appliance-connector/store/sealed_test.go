package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/sallyport/sallyport"
)

// openHere opens a new SQLite store under a master key of zeros.
func openHere(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir()+"/store.db", make(sallyport.Key, masterSize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// schemaColumns returns "table.column" for every column of the schema.
func schemaColumns(ctx context.Context, t *testing.T, s *Store) []string {
	t.Helper()
	rows, err := s.engine.read.QueryContext(ctx, `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (c string, err error) { return c, rows.Scan(&c) })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Every column that the schema calls sealed is one that Rekey encrypts anew, and no other.
func TestRekeyKnowsEverySealedColumn(t *testing.T) {
	s := openHere(t)
	var known, schema []string
	for _, table := range sealedTables {
		for _, c := range table.columns {
			known = append(known, table.table+"."+c.name)
		}
	}
	for _, c := range schemaColumns(t.Context(), t, s) {
		if strings.Contains(c, ".sealed_") {
			schema = append(schema, c)
		}
	}
	slices.Sort(known)
	if len(schema) < 10 || !slices.Equal(known, schema) {
		t.Errorf("Rekey knows\n%q\nthe schema has\n%q", known, schema)
	}
}

// After a Rekey no value of a sealed column, and none of meta, is under the old key.
func TestRekeyLeavesNothingUnderTheOldKey(t *testing.T) {
	s, ctx := openHere(t), t.Context()
	now := time.Now()
	for n := range 3 {
		if err := s.PutInvite(ctx, Invite{ID: InviteID(fmt.Sprint(n)), Secret: "x", Created: now, Expires: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	old := s.box.current.Load()
	under := func() (n int) {
		t.Helper()
		for _, c := range append(schemaColumns(ctx, t, s), "meta.value") {
			table, column, _ := strings.Cut(c, ".")
			if c != "meta.value" && !strings.HasPrefix(column, "sealed_") {
				continue
			}
			found, err := s.engine.number(ctx, s.engine.read, `SELECT COUNT(*) FROM `+table+` WHERE substr(`+column+`, 1, 8) = $1`, old.id[:])
			if err != nil {
				t.Fatal(err)
			}
			n += int(found)
		}
		return n
	}
	if n := under(); n < 3+1+len(keptKeys) {
		t.Fatalf("%d values under the key", n)
	}
	if err := s.Rekey(ctx, make(sallyport.Key, masterSize)); err != nil {
		t.Fatal(err)
	}
	if n := under(); n != 0 {
		t.Errorf("%d values under the old key", n)
	}
}

// Whatever column of an audit record is changed, the record does not verify.
func TestAuditRecordIsCoveredWhole(t *testing.T) {
	s, ctx := openHere(t), t.Context()
	if err := s.AppendAudit(ctx, make([]sallyport.AuditRecord, 3)); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, c := range schemaColumns(ctx, t, s) {
		column, ok := strings.CutPrefix(c, "audit.")
		if !ok {
			continue
		}
		tried++
		change := column + ` || 'x'`
		switch column {
		case "sequence", "time":
			change = column + ` + 1000`
		case "mac":
			change = `zeroblob(32)`
		}
		s.alter(t, `CREATE TABLE kept AS SELECT * FROM audit`)
		s.alter(t, `UPDATE audit SET `+column+` = `+change+` WHERE sequence = 2`)
		if found, err := s.VerifyAudit(ctx, nil); err != nil || found == nil {
			t.Errorf("%s: %+v, %v", column, found, err)
		}
		s.alter(t, `DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept`)
		if found, err := s.VerifyAudit(ctx, nil); err != nil || found != nil {
			t.Fatalf("after %s was mended: %+v, %v", column, found, err)
		}
	}
	if tried != 16 {
		t.Errorf("%d columns were tried", tried)
	}
}

// alter runs statements past everything that the store does.
func (s *Store) alter(t *testing.T, statements string) {
	t.Helper()
	if _, err := s.engine.write.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// A mark of a page is one that the store wrote, or is refused.
func FuzzParseMark(f *testing.F) {
	for _, m := range []mark{{}, {time: 1, id: "login-1"}, {time: -1 << 63, id: "a b", number: 1<<63 - 1}} {
		f.Add(m.String())
	}
	f.Add("")
	f.Add("MSAyIA")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMark(s)
		if err == nil && m.String() != s {
			t.Errorf("%q reads as %+v", s, m)
		}
		if err != nil && sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// Cleaned text fits, is whole characters, and has nothing in it that a terminal acts on.
func FuzzClean(f *testing.F) {
	f.Add("Ärztin", 3)
	f.Add("a\x00\x1b[31m\u009b\xff", 100)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = min(max(most, 1), 1000)
		got := clean(s, most)
		if len(got) > most || strings.ToValidUTF8(got, "") != got || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q to %d octets is %q", s, most, got)
		}
		if clean(got, most) != got {
			t.Errorf("%q is not clean", got)
		}
	})
}
