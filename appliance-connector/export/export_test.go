package export

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func TestNoCellIsAFormula(t *testing.T) {
	for _, hostile := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"} {
		if got := safeCell(hostile); got != "'"+hostile {
			t.Errorf("%q is written as %q", hostile, got)
		}
	}
	for _, plain := range []string{"", "Alice Adams", "a=b", "'quoted'", "Ünal"} {
		if got := safeCell(plain); got != plain {
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
		s, err := begin(&out, "one", "two")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.end(s.row(a, b)); err != nil {
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
			if want := strings.ReplaceAll(safeCell([]string{a, b}[n]), "\r", ""); cell != want {
				t.Errorf("%q came back as %q", want, cell)
			}
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				t.Errorf("%q could be a formula", cell)
			}
		}
	})
}

func TestWhatFailsAtOnceWritesNothing(t *testing.T) {
	var out strings.Builder
	s, err := begin(&out, "one")
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	if err := s.end(gone); !errors.Is(err, gone) || out.Len() != 0 {
		t.Errorf("%v, and %q was written", err, out.String())
	}
}

func TestWhoMayNotHaveAReportGetsNothingOfIt(t *testing.T) {
	actor := sallyport.Actor{Kind: sallyport.ActorAdministrator, Role: sallyport.RoleHelpDesk}
	var out strings.Builder
	s := new(admin.Service)
	for name, err := range map[string]error{
		"logins": Logins(t.Context(), &out, s, actor, store.LoginQuery{}),
		"RADIUS": RADIUS(t.Context(), &out, s, actor, store.RADIUSQuery{}),
		"users":  Users(t.Context(), &out, s, actor, store.UserQuery{}),
		"audit":  Audit(t.Context(), &out, s, actor, store.AuditQuery{}),
	} {
		if sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out.Len() != 0 {
		t.Errorf("%q was written", out.String())
	}
}

func TestALoginIsExplainedInWords(t *testing.T) {
	for r, want := range map[sallyport.Reason]string{
		"": "", sallyport.ReasonWrongNumber: "Another number was typed on the phone", "brand_new": "brand new",
	} {
		if got := Reason(r); got != want {
			t.Errorf("%q: %q", r, got)
		}
	}
	if got := Detail([]byte(`{"push_result":"sent","apps":2}`)); got != "apps: 2 · push result: sent" {
		t.Error(got)
	}
	if got := Detail([]byte(`["not an object"]`)); got != "" {
		t.Error(got)
	}
}
