package tokenfile

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

// endless is a reader that never ends, and says how much was taken of it.
type endless struct {
	text  string
	taken int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[(e.taken+i)%len(e.text)]
	}
	e.taken += len(p)
	return len(p), nil
}

// A file of 100 MB, or without an end, is read as far as one may be, and no further.
func TestAFileWithoutAnEndIsNotRead(t *testing.T) {
	for name, text := range map[string]string{"CSV": "A-1," + inHex + "\n", "PSKC": "<KeyContainer>", "one line": "x", "nothing": "\x00"} {
		e := &endless{text: text}
		_, err := Read(io.LimitReader(e, 100<<20), Unlock{})
		wantError(t, name, err, sallyport.CodeInvalid, "16 MiB")
		if e.taken > MaxFile+64<<10 {
			t.Errorf("%s: %d octets were read", name, e.taken)
		}
	}
}

// bombs are files that are short, or as long as one may be, and try to become much more.
func bombs() map[string]string {
	full := func(start, text, end string) string {
		return start + strings.Repeat(text, (MaxFile-len(start)-len(end))/len(text)) + end
	}
	head := hard[:strings.Index(hard, "<KeyPackage")]
	laughs := `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">`
	for c := 'b'; c <= 'j'; c++ {
		laughs += `<!ENTITY ` + string(c) + ` "` + strings.Repeat("&"+string(c-1)+";", 10) + `">`
	}
	return map[string]string{
		"a billion laughs":          laughs + "]>" + strings.Replace(hard, "Hard &amp; Soft", "&j;", 1),
		"a quadratic laugh":         full(`<!DOCTYPE x [<!ENTITY a "`, "ha", `">]>`+strings.Replace(hard, "Hard &amp; Soft", strings.Repeat("&a;", 1000), 1)),
		"a file of this host":       `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + strings.Replace(hard, "Hard &amp; Soft", "&a;", 1),
		"an address":                `<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:1/">]>` + strings.Replace(hard, "T-1", "&a;", 1),
		"a parameter entity":        `<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x.dtd"> %a;]>` + strings.Replace(hard, "T-1", "&b;", 1),
		"elements inside elements":  full(head, "<a>", ""),
		"packages inside packages":  full(head, "<KeyPackage>", ""),
		"keys inside a key":         full(head+"<KeyPackage>", "<Key>", ""),
		"one with many attributes":  full(head+"<KeyPackage", ` a=""`, "/></KeyContainer>"),
		"attributes with ends":      full(head+`<KeyPackage b=">"`, ` a=">"`, "/></KeyContainer>"),
		"many keys in one package":  full(head+"<KeyPackage>", `<Key Algorithm="x"/>`, "</KeyPackage></KeyContainer>"),
		"many wrong packages":       full(head, `<KeyPackage/>`, "</KeyContainer>"),
		"a long comment":            full("<!--", "x", "-->"+hard),
		"a long text":               full(head+"<KeyPackage>", "x", "</KeyPackage></KeyContainer>"),
		"a line of separators":      full("", ",", ""),
		"a record of many lines":    full(`"`, "\",\"\n", ""),
		"lines of separators":       full("", strings.Repeat(",", 4000)+"\n", ""),
		"many lines that are wrong": full("", ";\n", ""),
		"quotation marks":           full("", `"`, ""),
	}
}

func TestBombsDoNotGoOff(t *testing.T) {
	for name, file := range bombs() {
		if len(file) > MaxFile {
			t.Fatalf("%s: %d octets", name, len(file))
		}
		in := strings.NewReader(file)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tokens, err := Read(in, Unlock{})
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: %d tokens were read", name, len(tokens))
		}
		if err != nil && (sallyport.ErrorCode(err) != sallyport.CodeInvalid || len(err.Error()) > 20<<10 || strings.Contains(err.Error(), "root:")) {
			t.Errorf("%s: %.300v", name, err)
		}
		// What was live at any one time is less than what was allocated in all.
		if used := after.TotalAlloc - before.TotalAlloc; used > 600<<20 {
			t.Errorf("%s: %d MiB were used", name, used>>20)
		} else {
			t.Logf("%s: %d MiB, %.80v", name, used>>20, err)
		}
	}
}
