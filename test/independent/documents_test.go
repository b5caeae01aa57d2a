package independent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var repository = filepath.Join("..", "..")

func text(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{repository}, parts...)...))
	check(t, err)
	return string(b)
}

// words are the constants of some types in a file of the root package.
func words(t *testing.T, file string, types ...string) (found []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, file), nil, 0)
	check(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		kind, _ := spec.Type.(*ast.Ident)
		for _, want := range types {
			if kind == nil || kind.Name != want {
				continue
			}
			for _, v := range spec.Values {
				word, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				check(t, err)
				found = append(found, word)
			}
		}
		return true
	})
	if len(found) == 0 {
		t.Fatalf("%s has no constants of %v", file, types)
	}
	return found
}

// TestBrowserDocumentHasEveryWord keeps a word from being added that no client could know of.
func TestBrowserDocumentHasEveryWord(t *testing.T) {
	t.Parallel()
	doc := text(t, "docs", "protocol", "browser.md")
	all := append(words(t, "prompt.go", "PromptKind", "Reason", "Method"), words(t, "error.go", "Code")...)
	all = append(all, words(t, "enrolprompt.go", "EnrolStep")...)
	for _, word := range all {
		if !strings.Contains(doc, "`"+word+"`") {
			t.Errorf("docs/protocol/browser.md does not tell of %q", word)
		}
	}
}

// TestDocumentsShowTheVectors keeps the examples true: what they show is in vectors.json, which is checked.
func TestDocumentsShowTheVectors(t *testing.T) {
	t.Parallel()
	v := read(t)
	browser, device := text(t, "docs", "protocol", "browser.md"), text(t, "docs", "protocol", "device.md")
	statement, _, _ := strings.Cut(v.Browser.Keys.Text, `"root"`)
	code := v.Device.Codes[0]
	for doc, values := range map[*string][]string{
		&browser: {v.Browser.AccessToken, v.Browser.Credentials.LoginID, statement, v.Browser.View.Text},
		&device: {v.Device.DeviceID, v.Device.Link, "`" + v.Device.Address + "`", `"` + v.Device.Name + `"`,
			"`" + string(code.Code) + "` at Unix time " + strconv.FormatInt(code.Time, 10)},
	} {
		for _, value := range values {
			if !strings.Contains(plain(*doc), plain(value)) {
				t.Errorf("an example is not that of vectors.json: %s", value)
			}
		}
	}
}

// plain is JSON in a document or in a vector, whatever its spaces.
func plain(s string) string { return strings.ReplaceAll(s, " ", "") }
