// Package web holds what browsers are sent: the login overlay f5.js with its parts and languages (overlay/). It serves
// nothing itself; whoever does takes it from here, since go:embed reaches only its own folder and below.
package web

import (
	"bytes"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"
)

//go:embed f5.js overlay/*.js overlay/lang/*.json overlay/vendor/*.js
var files embed.FS

// Overlay returns the login overlay (architecture section 8) as it is shipped and pinned by the gateway's page: f5.js
// without its indentation and its comment lines, with its English words and the hashes of the parts. The same source
// always gives the same octets.
func Overlay() []byte { return bytes.Clone(built().overlay) }

// Part is what the overlay loads when it needs it: a script, or the words of a language.
type Part struct {
	// Name is that of its file: steps.js, es.json.
	Name string
	Data []byte
}

// Parts returns all parts of the overlay of this release, in the order of their names.
func Parts() []Part {
	var out []Part
	for _, p := range built().parts {
		out = append(out, Part{p.Name, bytes.Clone(p.Data)})
	}
	return out
}

// Hash is the SHA-384 of a part in base64url (64 characters): what the overlay pins it by, and its address.
func (p Part) Hash() string { return PartHash(p.Data) }

// PartHash is Part.Hash of any octets.
func PartHash(data []byte) string {
	h := sha512.Sum384(data)
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// Guard goes into the gateway's page in front of the overlay's script tag. It keeps the native form out of sight while
// the browser fetches the script, and gives it back by itself after 2.5 s should the script never come, so that it is there within three; the
// overlay ends it as soon as it knows what to do. Without it a browser may paint the form before the script has arrived.
const Guard = `<style>@keyframes sallyport{from{visibility:hidden}}body{animation:sallyport 2.5s steps(1,end)}</style>`

type build struct {
	overlay []byte
	parts   []Part
}

// built puts the overlay together. What can go wrong with it goes wrong for everybody who built this program.
var built = sync.OnceValue(func() build {
	b, err := assemble(files)
	if err != nil {
		panic(fmt.Sprintf("web: the overlay's sources do not fit together: %v", err))
	}
	return b
})

// words are the sentences of a language, by the script that says them (f5 or a part) and by key.
type words map[string]map[string]string

func assemble(fsys fs.FS) (build, error) {
	var b build
	english, err := readWords(fsys, "en")
	if err != nil {
		return b, err
	}
	parts, err := scripts(fsys, english)
	if err != nil {
		return b, err
	}
	languages, err := translations(fsys)
	if err != nil {
		return b, err
	}
	core, err := fs.ReadFile(fsys, "f5.js")
	if err != nil {
		return b, err
	}
	core = strip(core)
	if core, err = put(core, "var ENGLISH = ", english["f5"]); err != nil {
		return b, err
	}
	if core, err = put(core, "var PARTS = ", hashes(parts)); err != nil {
		return b, err
	}
	if core, err = put(core, ", LANGUAGES = ", hashes(languages)); err != nil {
		return b, err
	}
	return build{core, append(parts, languages...)}, nil
}

// scripts are the parts that are programs: overlay/*.js.
func scripts(fsys fs.FS, english words) ([]Part, error) {
	names, err := fs.Glob(fsys, "overlay/*.js")
	if err != nil {
		return nil, err
	}
	var out []Part
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		base := path.Base(name)
		said := english[stem(base)]
		if said == nil {
			said = map[string]string{}
		}
		if data, err = put(strip(data), "document.currentScript.sallyport(", said); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if data, err = vendor(fsys, data); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, Part{base, data})
	}
	return out, nil
}

var vendored = regexp.MustCompile(`/\* (vendor/[a-z-]+\.js) \*/`)

// vendor puts a library where its name stands in a part, as it is, with its licence.
func vendor(fsys fs.FS, script []byte) ([]byte, error) {
	m := vendored.FindSubmatch(script)
	if m == nil {
		return script, nil
	}
	library, err := fs.ReadFile(fsys, "overlay/"+string(m[1]))
	if err != nil {
		return nil, err
	}
	return bytes.Replace(script, m[0], library, 1), nil
}

// translations are the words of every language but English, those of all scripts in one.
func translations(fsys fs.FS) ([]Part, error) {
	names, err := fs.Glob(fsys, "overlay/lang/*.json")
	if err != nil {
		return nil, err
	}
	var out []Part
	for _, name := range names {
		base := path.Base(name)
		if base == "en.json" {
			continue
		}
		w, err := readWords(fsys, stem(base))
		if err != nil {
			return nil, err
		}
		all := map[string]string{}
		for _, section := range w {
			for key, text := range section {
				all[key] = text
			}
		}
		data, err := encode(all)
		if err != nil {
			return nil, err
		}
		out = append(out, Part{base, data})
	}
	return out, nil
}

func readWords(fsys fs.FS, language string) (words, error) {
	name := "overlay/lang/" + language + ".json"
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var w words
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return w, nil
}

func stem(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }

// strip takes the indentation and the comment lines out of a script.
func strip(script []byte) []byte {
	out := make([]byte, 0, len(script))
	for line := range bytes.Lines(script) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

// put replaces the {} that stands behind a text by a value.
func put(script []byte, behind string, value any) ([]byte, error) {
	if n := bytes.Count(script, []byte(behind+"{}")); n != 1 {
		return nil, fmt.Errorf("%q stands there %d times, want once", behind+"{}", n)
	}
	data, err := encode(value)
	if err != nil {
		return nil, err
	}
	return bytes.Replace(script, []byte(behind+"{}"), append([]byte(behind), data...), 1), nil
}

func hashes(parts []Part) map[string]string {
	out := map[string]string{}
	for _, p := range parts {
		out[stem(p.Name)] = p.Hash()
	}
	return out
}

// encode writes JSON, which sorts the keys of a map.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
