package selfservice

import (
	"context"
	"net/http"
	"testing"
)

// Whatever a browser says of its languages, the page is in one that there is.
func FuzzAcceptLanguage(f *testing.F) {
	f.Add("de-AT,de;q=0.9,en;q=0.5", "fr")
	f.Add("*", "xx")
	f.Add("\"; q=", "ar")
	words, err := readWords()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, accept, own string) {
		s := &Server{words: words, cfg: Config{Language: func(context.Context) string { return own }}}
		got := s.choose(t.Context(), http.Header{"Accept-Language": {accept}})
		if len(got.all) == 0 || words[got.language].all["title"] != got.say("title") {
			t.Errorf("%q gives %q", accept, got.language)
		}
	})
}
