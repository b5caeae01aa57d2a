package report

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"
)

func TestNoCellIsAFormula(t *testing.T) {
	for _, hostile := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"} {
		if got := SafeCell(hostile); got != "'"+hostile {
			t.Errorf("%q is written as %q", hostile, got)
		}
	}
	for _, plain := range []string{"", "Alice Adams", "a=b", "'quoted'", "Ünal"} {
		if got := SafeCell(plain); got != plain {
			t.Errorf("%q is written as %q", plain, got)
		}
	}
}

func FuzzARowReadsBackAsItWasWritten(f *testing.F) {
	f.Add("alice", "=cmd|' /C calc'!A0")
	f.Add("a\"b,c", "line\nbreak")
	f.Add("\x00\x1b[31m", "\u202e")
	f.Fuzz(func(t *testing.T, a, b string) {
		var out strings.Builder
		s, err := NewWriter(&out, []string{"one", "two"})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Row(a, b), s.End()); err != nil {
			t.Fatal(err)
		}
		text, marked := strings.CutPrefix(out.String(), "\ufeff")
		if !marked {
			t.Fatal("the mark of UTF-8 is missing")
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(rows) != 2 || len(rows[1]) != 2 {
			t.Fatalf("%q does not read back: %v", text, err)
		}
		for n, cell := range rows[1] {
			// Lines inside a cell end as the rows do, which a reader makes "\n" of.
			if want := strings.ReplaceAll(SafeCell([]string{a, b}[n]), "\r", ""); cell != want {
				t.Errorf("%q came back as %q", want, cell)
			}
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				t.Errorf("%q could be a formula", cell)
			}
		}
	})
}
