package web_test

import (
	"bytes"
	"compress/gzip"
	"regexp"
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

// A browser that cannot be served still has to read the file without an error: nothing newer than ECMAScript 5.
func TestOverlayIsReadByOldBrowsers(t *testing.T) {
	if _, err := parser.ParseFile(nil, "f5.js", web.Overlay(), 0); err != nil {
		t.Error(err)
	}
	if _, err := parser.ParseFile(nil, "new.js", "const f = async () => 1", 0); err == nil {
		t.Error("the parser takes newer syntax too: this test proves nothing")
	}
	// The oldest document modes of MSHTML, which quirks pages get, refuse reserved words as names of properties.
	reserved := regexp.MustCompile(`\.(catch|finally|delete|default|import|export|class|new|in|for|if|return|this|public|private|static)\b\s*[(=.,;)]`)
	if m := reserved.Find(web.Overlay()); m != nil {
		t.Errorf("reserved word as a property: %s", m)
	}
}

func TestOverlayKeepsNothingAndSaysNothing(t *testing.T) {
	for _, word := range []string{"console.", "localStorage", "sessionStorage", "document.cookie", "innerHTML", "eval(", "indexedDB"} {
		if bytes.Contains(web.Overlay(), []byte(word)) {
			t.Errorf("the overlay uses %s", word)
		}
	}
}

func TestOverlayIsMadeTheSameEveryTime(t *testing.T) {
	a := web.Overlay()
	a[0] = 0
	if b := web.Overlay(); b[0] == 0 || !bytes.HasPrefix(b, []byte("/*!")) {
		t.Error("a caller can change what the next one gets")
	}
}
