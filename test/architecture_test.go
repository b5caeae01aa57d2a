// Package test holds what is true of the repository as a whole; its folders hold the
// tests from end to end and the parts they run against.
package test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport"

// layers says what of the project each layer may import besides itself. It reads the
// files, not go list, so that a cached result cannot hide a change.
var layers = map[string][]string{
	"root":                nil,
	"api":                 {"root"},
	"internal":            {"api", "root"},
	"web":                 nil, // the files of the pages
	"embed":               {"web", "internal", "api", "root"},
	"cloud":               {"embed", "web", "internal", "api", "root"},
	"tokensvc":            {"embed", "web", "internal", "api", "root"},
	"appliance-connector": {"embed", "web", "internal", "api", "root"},
	"cmd":                 {"cloud", "tokensvc", "appliance-connector", "embed", "web", "internal", "api", "root"},
}

// demo is the one part outside test/ that runs the stand-ins kept there.
const demo = "cmd/sallyport/demo"

// fenced are libraries that only one folder may import, and why.
var fenced = map[string]string{
	"firebase.google.com/go":          "tokensvc/push", // 27 MB in every binary that sees it
	"github.com/sideshow/apns2":       "tokensvc/push",
	"github.com/DeRuina/timberjack":   "appliance-connector/logfile",
	"github.com/wneessen/go-mail":     "appliance-connector/mail",
	"github.com/nyaruka/phonenumbers": "appliance-connector/texts",
	"github.com/go-ldap/ldap":         "appliance-connector/directory", // who asks the directory sees passwords
	"layeh.com/radius":                "appliance-connector/radius",
	"modernc.org/sqlite":              "appliance-connector/store",
	"github.com/jackc/pgx":            "appliance-connector/store",
	"github.com/alicebob/miniredis":   demo,
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	eachGoFile(t, func(file string, imports []string) {
		from := layer(filepath.ToSlash(filepath.Dir(file)))
		seen[from] = true
		if from == "test" {
			return
		}
		for _, path := range imports {
			if !allowed(file, from, path) {
				t.Errorf("%s (%s) imports %s", file, from, path)
			}
		}
	})
	for l := range layers {
		if !seen[l] {
			t.Errorf("no file of layer %q was read", l)
		}
	}
}

// allowed reports whether a file of a layer may import path.
func allowed(file, from, path string) bool {
	rest, ours := strings.CutPrefix(path, module)
	if !ours {
		return from != "root" || !strings.Contains(strings.SplitN(path, "/", 2)[0], ".")
	}
	to := layer(strings.TrimPrefix(rest, "/"))
	switch {
	case to == "test":
		return forTests(file) || strings.HasPrefix(file, demo+"/")
	case strings.HasSuffix(path, "test"): // such as internal/devicetest
		return forTests(file)
	case from == "web" && forTests(file): // the pages are nothing without what they talk to
		from = "embed"
	}
	return to == from || slices.Contains(layers[from], to)
}

// forTests reports whether a file is no part of the product: a test, or of a package
// whose name ends in "test", which only tests import.
func forTests(file string) bool {
	return strings.HasSuffix(file, "_test.go") || strings.HasSuffix(filepath.Dir(file), "test")
}

// layer returns the layer of a package by its path inside the module.
func layer(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	if first == "" || first == "." {
		return "root"
	}
	return first
}

func TestLibrariesStayBehindTheirFences(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	eachGoFile(t, func(file string, imports []string) {
		for _, path := range imports {
			for lib, home := range fenced {
				if path != lib && !strings.HasPrefix(path, lib+"/") {
					continue
				}
				if strings.HasPrefix(file, home+"/") {
					used[lib] = true
				} else if !strings.HasPrefix(file, "test/") && !forTests(file) {
					t.Errorf("%s imports %s, which belongs to %s", file, path, home)
				}
			}
		}
	})
	for lib, home := range fenced {
		if !used[lib] {
			t.Errorf("%s does not import %s: the fence stands around nothing", home, lib)
		}
	}
}

// The marks of the vendor whose published behaviour this follows, and the same as
// words. They are taken apart here because this file, too, is searched.
var (
	marks     = [][]byte{[]byte("impri" + "vata"), []byte("confirm" + " id"), []byte("one" + "sign")}
	markWords = regexp.MustCompile(`\b(impri` + `vata|confirm` + ` id|one` + `sign)\b`)
)

func TestNobodyElsesMarksInTheProduct(t *testing.T) {
	t.Parallel()
	files := 0
	eachFile(t, func(path string) {
		if strings.HasPrefix(path, "docs/") || path == "README.md" {
			return
		}
		b, err := os.ReadFile(filepath.Join(repository, path))
		if err != nil {
			t.Fatal(err)
		}
		files++
		if bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 {
			return // an image or a program
		}
		b = bytes.ToLower(b)
		for _, m := range marks {
			if bytes.Contains(b, m) && markWords.Match(b) {
				t.Errorf("%s contains %q", path, m)
			}
		}
	})
	if files < 50 {
		t.Errorf("only %d files were read", files)
	}
}

// repository is its root as seen from this folder.
const repository = ".."

// eachFile calls f for every file that is neither git's nor built.
func eachFile(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(repository, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		switch {
		case e.IsDir() && (rel == ".git" || rel == "bin"):
			return fs.SkipDir
		case e.Type().IsRegular():
			f(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eachGoFile calls f with what every Go file imports.
func eachGoFile(t *testing.T, f func(file string, imports []string)) {
	t.Helper()
	set := token.NewFileSet()
	eachFile(t, func(path string) {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata/") {
			return
		}
		parsed, err := parser.ParseFile(set, filepath.Join(repository, path), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		var imports []string
		for _, i := range parsed.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports = append(imports, p)
		}
		f(path, imports)
	})
}
