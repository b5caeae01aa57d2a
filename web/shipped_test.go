package web_test

import (
	"bytes"
	"compress/gzip"
	"regexp"
	"strings"
	"testing"

	"github.com/robertkrimen/otto/parser"

	"github.com/sallyport/sallyport/web"
)

func TestOverlayFitsItsBudget(t *testing.T) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	must(t, err)
	_, err = z.Write(web.Overlay())
	must(t, err)
	must(t, z.Close())
	t.Logf("%d octets, %d with gzip", len(web.Overlay()), out.Len())
	if out.Len() > 15_000 {
		t.Errorf("the overlay is %d octets with gzip, allowed are 15,000", out.Len())
	}
}

// shipped are all scripts of ours by name.
func shipped() map[string][]byte {
	out := map[string][]byte{"f5.js": web.Overlay()}
	for _, p := range web.Parts() {
		if strings.HasSuffix(p.Name, ".js") {
			out[p.Name] = p.Data
		}
	}
	return out
}

// A browser that cannot be served still has to read the file without an error: nothing newer than ECMAScript 5. The parts
// are written alike, so that there is one way to write them.
func TestOverlayIsReadByOldBrowsers(t *testing.T) {
	// The oldest document modes of MSHTML, which quirks pages get, refuse reserved words as names of properties.
	reserved := regexp.MustCompile(`\.(catch|finally|delete|default|import|export|class|new|in|for|if|return|this|public|private|static)\b\s*[(=.,;)]`)
	for name, script := range shipped() {
		if _, err := parser.ParseFile(nil, name, script, 0); err != nil {
			t.Error(err)
		}
		if m := reserved.Find(script); m != nil {
			t.Errorf("%s: reserved word as a property: %s", name, m)
		}
	}
	if _, err := parser.ParseFile(nil, "new.js", "const f = async () => 1", 0); err == nil {
		t.Error("the parser takes newer syntax too: this test proves nothing")
	}
}

func TestOverlayKeepsNothingAndSaysNothing(t *testing.T) {
	for name, script := range shipped() {
		for _, word := range []string{"console.", "localStorage", "sessionStorage", "document.cookie", "innerHTML", "eval(", "indexedDB"} {
			if word == "indexedDB" && name == "remember.js" { // a key that cannot leave the browser
				continue
			}
			if bytes.Contains(script, []byte(word)) {
				t.Errorf("%s uses %s", name, word)
			}
		}
	}
}

func TestOverlayIsMadeTheSameEveryTime(t *testing.T) {
	a, parts := web.Overlay(), web.Parts()
	a[0], parts[0].Data[0] = 0, 0
	if b := web.Overlay(); b[0] == 0 || !bytes.HasPrefix(b, []byte("/*!")) || web.Parts()[0].Data[0] == 0 {
		t.Error("a caller can change what the next one gets")
	}
}

// The overlay carries the hash of every part: that is what makes the page's one pin hold all of them.
func TestOverlayPinsItsParts(t *testing.T) {
	for _, p := range web.Parts() {
		if name := strings.SplitN(p.Name, ".", 2)[0]; !bytes.Contains(web.Overlay(), []byte(`"`+name+`":"`+p.Hash()+`"`)) {
			t.Errorf("%s is not pinned", p.Name)
		}
	}
	if bytes.Contains(web.Overlay(), []byte("PARTS = {}")) {
		t.Error("no parts")
	}
}
