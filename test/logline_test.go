package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Whoever reads a line in the RADIUS server's log finds it in the guide's table of what to do.
func TestTheGuideOfTheLegacyExperienceKnowsEveryLogLine(t *testing.T) {
	page, err := os.ReadFile("../docs/admin/bigip-legacy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "\n## When it does not work\n")
	if !found {
		t.Fatal("the page has no part on what does not work")
	}
	known := 0
	for _, dir := range []string{"../appliance-connector/radius", "../appliance-connector/radius/legacy"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, line := range logLines(n) {
					known++
					if !strings.Contains(table, line) {
						t.Errorf("%s: no row for %q", filepath.Base(name), line)
					}
				}
				return true
			})
		}
	}
	if known < 40 {
		t.Errorf("found only %d lines: does this test still know how they are written?", known)
	}
}

var logMethods = []string{"Info", "Warn", "Error", "InfoContext", "WarnContext", "ErrorContext"}

// logLines returns the causes of complaints and verdicts, and the messages of a logger, that a node has; of
// what is put together only what it begins with.
func logLines(n ast.Node) (out []string) {
	add := func(e ast.Expr) {
		if s := strings.TrimSpace(beginning(e)); s != "" {
			out = append(out, s)
		}
	}
	switch n := n.(type) {
	case *ast.CompositeLit:
		if id, ok := n.Type.(*ast.Ident); ok && id.Name == "complaint" && len(n.Elts) == 2 {
			add(n.Elts[0])
		}
		if s, ok := n.Type.(*ast.SelectorExpr); !ok || s.Sel.Name != "Verdict" {
			break
		}
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Reason" {
					add(kv.Value)
				}
			}
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(logMethods, f.Sel.Name) {
			break
		}
		for _, a := range n.Args[:min(2, len(n.Args))] { // behind a context, if there is one
			if b := beginning(a); b != "" {
				add(a)
				break
			}
		}
	}
	return out
}

func beginning(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return s
		}
	case *ast.BinaryExpr:
		return beginning(e.X)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			s, _, _ := strings.Cut(beginning(e.Args[0]), "%")
			return s
		}
	}
	return ""
}
