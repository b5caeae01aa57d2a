package authenticator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image/png"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/web/authenticator"
)

// read returns every file of the page by name.
func read(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(authenticator.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(authenticator.Files, name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The browser replaces the page it keeps only when sw.js changes, so the name of the kept page has to
// change with every file of it.
func TestServiceWorkerNamesThisVersionOfThePage(t *testing.T) {
	files := read(t)
	worker := files["sw.js"]
	delete(files, "sw.js")
	h := sha256.New()
	err := fs.WalkDir(authenticator.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if text, kept := files[name]; kept {
			h.Write([]byte(name + "\x00" + text + "\x00"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "const SHELL = 'shell-" + hex.EncodeToString(h.Sum(nil))[:12] + "';"
	if !strings.Contains(worker, want) {
		t.Errorf("the page changed; sw.js has to say: %s", want)
	}
}

func TestServiceWorkerKeepsEveryFile(t *testing.T) {
	files := read(t)
	worker := files["sw.js"]
	for name := range files {
		kept := "'" + name + "'"
		switch {
		case name == "sw.js":
			continue
		case name == "index.html":
			kept = "'./'"
		case strings.HasPrefix(name, "js/"):
			kept = "'" + strings.TrimSuffix(strings.TrimPrefix(name, "js/"), ".js") + "'"
		}
		if !strings.Contains(worker, kept) {
			t.Errorf("sw.js does not keep %s", name)
		}
	}
}

// A strict content security policy refuses all of these; and the page works without the internet.
func TestPageHasNothingInlineAndNothingForeign(t *testing.T) {
	inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=|javascript:|innerHTML|eval\(|new Function`)
	foreign := regexp.MustCompile(`(?i)(src|href|url\(|import|fetch\()\s*=?\s*["'(]*(https?:)?//`)
	for name, text := range read(t) {
		if strings.HasSuffix(name, ".png") {
			continue
		}
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %q", name, found)
		}
		if found := foreign.FindString(text); found != "" {
			t.Errorf("%s reaches out: %q", name, found)
		}
	}
}

func TestManifestNamesIconsOfTheSizesItSays(t *testing.T) {
	files := read(t)
	var manifest struct {
		Display string `json:"display"`
		Icons   []struct {
			Src, Sizes, Type, Purpose string
		} `json:"icons"`
	}
	if err := json.Unmarshal([]byte(files["manifest.webmanifest"]), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Display != "standalone" {
		t.Errorf("display is %q", manifest.Display)
	}
	sizes := map[string]int{"192x192": 192, "512x512": 512}
	purposes := map[string]bool{}
	for _, icon := range manifest.Icons {
		purposes[icon.Purpose+" "+icon.Sizes] = true
		if icon.Type != "image/png" {
			continue
		}
		config, err := png.DecodeConfig(strings.NewReader(files[icon.Src]))
		if err != nil || config.Width != sizes[icon.Sizes] || config.Height != sizes[icon.Sizes] {
			t.Errorf("%s is %d by %d (%v), not %s", icon.Src, config.Width, config.Height, err, icon.Sizes)
		}
	}
	for _, wanted := range []string{"any 192x192", "any 512x512", "maskable 512x512"} {
		if !purposes[wanted] {
			t.Errorf("no icon for %s", wanted)
		}
	}
}
