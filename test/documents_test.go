package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testName is how a document names a test.
var testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)

func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	there := declaredTests(t)
	named := 0
	eachFile(t, func(path string) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		for _, name := range testName.FindAllString(read(t, path), -1) {
			named++
			if !there[name] {
				t.Errorf("%s names %s, which is no test", path, name)
			}
		}
	})
	if named == 0 {
		t.Error("no document names a test: the search means nothing")
	}
}

// TestEveryThreatNamesTheTestThatShowsIt holds the table of docs/security.md to its last column. A row
// without a test is one that promises nothing: its "cannot" begins with a dash and says what helps instead.
func TestEveryThreatNamesTheTestThatShowsIt(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(read(t, "docs/security.md"), "\n| who | holds | can | cannot | shown by |\n|---|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/security.md has no table of threats")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if len(rows) < 10 {
		t.Errorf("only %d threats", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if len(cells) != 5 {
			t.Errorf("%d cells in %q, want 5", len(cells), row)
			continue
		}
		who, cannot, shown := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[3]), cells[4]
		if !strings.HasPrefix(cannot, "—") && !testName.MatchString(shown) {
			t.Errorf("%s: what they cannot do is shown by no test", who)
		}
	}
}

// declaredTests are the names of all tests, fuzz tests and benchmarks.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	out, set := map[string]bool{}, token.NewFileSet()
	eachFile(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata/") {
			return
		}
		f, err := parser.ParseFile(set, filepath.Join(repository, path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				out[fn.Name.Name] = true
			}
		}
	})
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
