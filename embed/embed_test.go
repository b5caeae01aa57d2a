package embed

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sallyport/sallyport/web"
)

type memory map[string][]byte

func (m memory) Keep(_ context.Context, hash string, script []byte) error {
	m[hash] = script
	return nil
}

func (m memory) Load(_ context.Context, hash string) ([]byte, error) {
	if strings.TrimPrefix(hash, partName) == strings.Repeat("e", 64) {
		return nil, errors.New("away")
	}
	return m[hash], nil
}

const fingerprint = "0123456789012345678901234567890123456789012"

func get(t *testing.T, s http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheScriptTagLeadsToTheScriptItPins(t *testing.T) {
	s, err := NewServer(context.Background(), memory{})
	if err != nil {
		t.Fatal(err)
	}
	tag, modern, integrity, err := Script("https://cloud.example/", "gate-1", "hospital", fingerprint, "")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(tag, "<!-- Sallyport F5 integration script -->\n") {
		t.Errorf("tag begins with %q", tag[:40])
	}
	m := regexp.MustCompile(`<script src="https://cloud\.example(/embed/v1/[0-9a-f]{64}/f5\.js)" integrity="(sha384-[^"]+)" crossorigin="anonymous"\s+data-access-token="([^"]+)" data-key="([^"]+)"></script>`).FindStringSubmatch(tag)
	if m == nil {
		t.Fatalf("tag is not as documented: %s", tag)
	}
	r := get(t, s, m[1])
	got := body(t, r)
	if r.StatusCode != 200 || !bytes.Equal(got, web.Overlay()) {
		t.Fatalf("status %d, %d octets", r.StatusCode, len(got))
	}
	sum := sha512.Sum384(got)
	if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); m[2] != want || integrity != want {
		t.Errorf("integrity %q and %q, the script has %q", m[2], integrity, want)
	}
	for name, want := range map[string]string{
		"Cache-Control": "public, max-age=31536000, immutable", "Access-Control-Allow-Origin": "*",
		"Content-Type": "text/javascript; charset=utf-8", "X-Content-Type-Options": "nosniff",
	} {
		if r.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, r.Header.Get(name), want)
		}
	}
	token, err := base64.StdEncoding.DecodeString(m[3])
	if want := `{"tenantId":"hospital","contextData":{"authAppId":"f5-big-ip","authInstanceId":"gate-1"}}`; err != nil || string(token) != want {
		t.Errorf("access token %s (%v)", token, err)
	}
	if want := "https://cloud.example" + m[1] + "#t=" + base64.RawURLEncoding.EncodeToString(token) + "&k=" + fingerprint; modern != want || m[4] != fingerprint {
		t.Errorf("modern address %q, want %q", modern, want)
	}
}

func TestTheScriptHasTheLanguageThatWasChosen(t *testing.T) {
	tag, modern, _, err := Script("https://cloud.example", "gate-1", "hospital", fingerprint, "tr")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(tag, `data-key="`+fingerprint+`" data-lang="tr"></script>`) || !strings.HasSuffix(modern, "&k="+fingerprint+"&l=tr") {
		t.Errorf("the language is not in %s or not in %s", tag, modern)
	}
}

func TestCompressionAndRevalidation(t *testing.T) {
	s, err := NewServer(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := address(hashOf(web.Overlay()))
	for header, zipped := range map[string]bool{"": false, "br": false, "gzip, br": true, "br;q=1, GZIP;q=0.5": true, "gzip;q=0": false} {
		r := get(t, s, path, "Accept-Encoding", header)
		if (r.Header.Get("Content-Encoding") == "gzip") != zipped {
			t.Errorf("Accept-Encoding %q: compressed is %v", header, !zipped)
		}
		if !zipped {
			continue
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, web.Overlay()) {
			t.Errorf("compressed script is another one (%v)", err)
		}
	}
	tag := get(t, s, path, "Accept-Encoding", "gzip").Header.Get("ETag")
	if r := get(t, s, path, "If-None-Match", tag); r.StatusCode != http.StatusNotModified || len(body(t, r)) != 0 {
		t.Errorf("known script: status %d", r.StatusCode)
	}
}

func TestAScriptOfAnotherReleaseIsServedFromTheArchiveWhenItsHashIsRight(t *testing.T) {
	older := []byte("/* older */")
	forged := strings.Repeat("a", 64)
	s, err := NewServer(context.Background(), memory{hashOf(older): older, forged: []byte("alert(1)")})
	if err != nil {
		t.Fatal(err)
	}
	if r := get(t, s, address(hashOf(older))); r.StatusCode != 200 || !bytes.Equal(body(t, r), older) {
		t.Errorf("older script: status %d", r.StatusCode)
	}
	for path, want := range map[string]int{
		address(forged):                   404,
		address(strings.Repeat("b", 64)):  404,
		address(strings.Repeat("e", 64)):  503,
		Prefix + "f5.js":                  404,
		Prefix + "../../etc/passwd/f5.js": 404,
	} {
		if r := get(t, s, path); r.StatusCode != want || strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, want %d", path, r.StatusCode, want)
		}
	}
}

func TestPartsAreServedUnderTheirHash(t *testing.T) {
	older := []byte(`{"signIn":"Older"}`)
	forged := strings.Repeat("_", 64)
	s, err := NewServer(context.Background(), memory{partNameOf(older): older, partName + forged: older})
	if err != nil {
		t.Fatal(err)
	}
	parts := append(web.Parts(), web.Part{Name: "older.json", Data: older})
	for _, p := range parts {
		kind := map[bool]string{true: "application/json", false: "text/javascript; charset=utf-8"}[strings.HasSuffix(p.Name, ".json")]
		r := get(t, s, Prefix+"part/"+p.Hash()+p.Name[strings.LastIndex(p.Name, "."):]+"?again")
		if r.StatusCode != 200 || !bytes.Equal(body(t, r), p.Data) || r.Header.Get("Content-Type") != kind {
			t.Errorf("%s: status %d, %s", p.Name, r.StatusCode, r.Header.Get("Content-Type"))
		}
		if r.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: headers %v", p.Name, r.Header)
		}
	}
	for path, want := range map[string]int{
		"part/" + forged + ".json":                        404,
		"part/" + web.PartHash(older) + ".css":            404,
		"part/" + web.PartHash(older):                     404,
		"part/" + hashOf(web.Overlay()) + ".js":           404, // what is stored under one kind of hash is not served under the other
		web.PartHash(older) + "/f5.js":                    404,
		"part/" + strings.Repeat("e", 64) + ".js":         503,
		"part/../" + web.Parts()[0].Hash() + "/part/a.js": 404,
	} {
		if r := get(t, s, Prefix+path); r.StatusCode != want || strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, want %d", path, r.StatusCode, want)
		}
	}
}

func TestTheOverlayOfThisReleaseIsPublished(t *testing.T) {
	m := memory{}
	if _, err := NewServer(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m[hashOf(web.Overlay())], web.Overlay()) {
		t.Error("the overlay is not in the archive")
	}
	for _, p := range web.Parts() {
		if !bytes.Equal(m[partNameOf(p.Data)], p.Data) {
			t.Errorf("%s is not in the archive", p.Name)
		}
	}
}

func TestAChangedPublishedScriptIsRefused(t *testing.T) {
	s := &Server{scripts: map[string]*script{}}
	good := []byte("good")
	script, part := hashOf(good)+".js", "part-"+web.PartHash(good)+".json"
	if err := s.loadFolder(fstest.MapFS{script: {Data: good}, part: {Data: good}, "README.md": {}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{address(hashOf(good)), Prefix + "part/" + web.PartHash(good) + ".json"} {
		if r := get(t, s, path); r.StatusCode != 200 {
			t.Errorf("%s: status %d", path, r.StatusCode)
		}
	}
	for _, name := range []string{script, part} {
		if err := s.loadFolder(fstest.MapFS{name: {Data: []byte("bad")}}); err == nil {
			t.Errorf("a changed %s was taken", name)
		}
	}
}

func TestScriptRefusesWhatCannotWork(t *testing.T) {
	for name, in := range map[string][2]string{
		"no address":        {"cloud.example", fingerprint},
		"password in it":    {"https://a:b@cloud.example", fingerprint},
		"short fingerprint": {"https://cloud.example", "abc"},
		"quote":             {"https://cloud.example", `"` + fingerprint[1:]},
	} {
		if _, _, _, err := Script(in[0], "gate-1", "hospital", in[1], ""); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, _, _, err := Script("https://cloud.example", "gate 1", "hospital", fingerprint, ""); err == nil {
		t.Error("an integration that is no id was taken")
	}
	for _, language := range []string{"xx", "de-CH", `"`, "DE"} {
		if _, _, _, err := Script("https://cloud.example", "gate-1", "hospital", fingerprint, language); err == nil {
			t.Errorf("the language %q was taken", language)
		}
	}
}

func TestTheAccessTokenIsJSONWithoutHTML(t *testing.T) {
	token, err := accessToken("i", "t")
	if err != nil || !json.Valid(token) {
		t.Fatalf("%s %v", token, err)
	}
}
