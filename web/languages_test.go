package web_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"github.com/sallyport/sallyport"
)

// sentences reads a language as it stands in the tree: by script and by key.
func sentences(t *testing.T, language string) map[string]map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("overlay", "lang", language+".json"))
	must(t, err)
	var out map[string]map[string]string
	must(t, json.Unmarshal(data, &out))
	return out
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

func placeholders(s string) string {
	all := placeholder.FindAllString(s, -1)
	sort.Strings(all)
	return strings.Join(all, " ")
}

func TestEveryLanguageHasEverySentence(t *testing.T) {
	files, err := filepath.Glob("overlay/lang/*.json")
	must(t, err)
	if len(files) != len(sallyport.Languages()) {
		t.Errorf("%d files of languages, want %d", len(files), len(sallyport.Languages()))
	}
	english := sentences(t, "en")
	for _, language := range sallyport.Languages() {
		words := sentences(t, language)
		for part, section := range english {
			for key, text := range section {
				got := words[part][key]
				if strings.TrimSpace(got) == "" {
					t.Errorf("%s: %s.%s is missing", language, part, key)
				}
				if placeholders(got) != placeholders(text) {
					t.Errorf("%s: %s.%s has the places %q, want %q", language, part, key, placeholders(got), placeholders(text))
				}
				// A word or two may be the same; a sentence that is was not translated.
				if language != "en" && got == text && strings.Count(text, " ") > 1 {
					t.Errorf("%s: %s.%s is English: %q", language, part, key, got)
				}
			}
		}
		for part, section := range words {
			for key := range section {
				if english[part][key] == "" {
					t.Errorf("%s: nobody says %s.%s", language, part, key)
				}
			}
		}
	}
	seen := map[string]string{}
	for part, section := range english {
		for key := range section {
			if seen[key] != "" {
				t.Errorf("%s stands in %s and in %s: in a language there is one of each", key, part, seen[key])
			}
			seen[key] = part
		}
	}
}

// What is said in the scripts by name is there to be said: in the script's own words, or those of f5.js or steps.js.
func TestEverySentenceThatIsSaidIsThere(t *testing.T) {
	english := sentences(t, "en")
	said := regexp.MustCompile(`\b(?:say|failure|knows)\('([^']+)'[,)]|'(need\w+|long\w+|passkey[A-Z]\w+)'`)
	n := 0
	for name, script := range shipped() {
		part := strings.TrimSuffix(name, ".js")
		for _, m := range said.FindAllStringSubmatch(string(script), -1) {
			n++
			key := m[1] + m[2]
			if english[part][key] == "" && english["f5"][key] == "" && (part == "f5" || english["steps"][key] == "") {
				t.Errorf("%s says %q, which has no words", name, key)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d sentences were found: the search means nothing", n)
	}
	for _, m := range []sallyport.Method{
		sallyport.MethodPush, sallyport.MethodCode, sallyport.MethodSMS, sallyport.MethodOTP, sallyport.MethodExternal, sallyport.MethodPasskey, sallyport.MethodTemporary,
	} {
		if english["steps"]["use_"+string(m)] == "" {
			t.Errorf("there is no button for %s", m)
		}
	}
	for _, kind := range []string{"app", "phone", "passkey", "otp"} {
		if english["enrol"]["enrol_"+kind] == "" {
			t.Errorf("there is no button to enrol: %s", kind)
		}
	}
}

// speaks makes a tab's browser ask for languages.
func (p *tab) speaks(accept string) {
	p.t.Helper()
	agent := p.text(`navigator.userAgent`)
	call(p, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: accept})
}

// inLanguage opens a page in a browser that asks for languages, at an integration with a language of its own.
func inLanguage(t *testing.T, path, accept, own string) (*fakeCloud, *gateway, *tab) {
	t.Helper()
	c := newCloud(t)
	c.language = own
	g := newGateway(t, c)
	p := newTab(t)
	p.speaks(accept)
	p.open(g.url(path))
	return c, g, p
}

func TestLanguageIsTheBrowsersOrTheIntegrations(t *testing.T) {
	for _, tc := range []struct{ accept, own, want string }{
		{"de-AT,de,en", "", "de"}, {"es", "fr", "es"}, {"fr-CA", "", "fr"}, {"tr", "", "tr"}, {"ar-EG", "", "ar"},
		{"en-GB,de", "tr", "en"}, {"fi,sv", "de", "de"}, {"fi", "", "en"}, {"fi", "xx", "en"}, {"fi,es", "de", "es"},
	} {
		for _, path := range []string{"/", "/modern"} {
			t.Run(tc.accept+" "+tc.own+path, func(t *testing.T) {
				c, _, p := inLanguage(t, path, tc.accept, tc.own)
				p.untilScreen("signin")
				want := sentences(t, tc.want)
				if got := p.text(`$('submit').textContent`); got != want["f5"]["signIn"] {
					t.Errorf("button %q, want %q", got, want["f5"]["signIn"])
				}
				dir := map[bool]string{true: "rtl", false: "ltr"}[tc.want == "ar"]
				if got := p.text(`host.lang + host.dir`); got != tc.want+dir {
					t.Errorf("language and direction %q, want %q", got, tc.want+dir)
				}
				p.signIn("alice", password)
				l := c.next()
				if l.language != tc.want || !slices.Equal(l.shows, []string{"choose", "passkey", "enrol"}) {
					t.Errorf("the appliance was told language %q and screens %v", l.language, l.shows)
				}
				l.push()
				p.untilScreen("push")
				if got := p.text(`$('title').textContent`); got != want["steps"]["pushTitle"] {
					t.Errorf("title %q, want %q", got, want["steps"]["pushTitle"])
				}
			})
		}
	}
}

func TestLanguageThatDoesNotComeIsEnglish(t *testing.T) {
	for name, bad := range map[string]func(n int, w http.ResponseWriter, r *http.Request) bool{
		"never": func(_ int, w http.ResponseWriter, _ *http.Request) bool { return cut(w) },
		"late": func(_ int, _ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		},
		"other words": func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"signIn": "Slipped in"}`))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.language = "fr"
			g := newGateway(t, c)
			f, _ := asked(t, "fr.json", bad)
			c.intercept(f)
			p := newTab(t)
			p.speaks("fi")
			must(t, navigate(p, g.url("/")))
			p.signIn("alice", password)
			l := c.next()
			if got := p.text(`host.lang + ' ' + $('title').textContent`); got != "en Sign in" || l.language != "en" {
				t.Errorf("%q, and the appliance was told %q", got, l.language)
			}
			l.push()
			p.untilScreen("push")
			if got := p.text(`$('title').textContent`); got != "Check your phone" {
				t.Errorf("title %q", got)
			}
		})
	}
}

func TestLanguageThatComesAtTheSecondTry(t *testing.T) {
	c := newCloud(t)
	g := newGateway(t, c)
	f, times := asked(t, "tr.json", func(n int, w http.ResponseWriter, _ *http.Request) bool { return n == 1 && badGateway(w) })
	c.intercept(f)
	p := newTab(t)
	p.speaks("tr")
	p.open(g.url("/"))
	p.untilScreen("signin")
	if got := p.text(`host.lang`); got != "tr" || times() != 2 {
		t.Errorf("language %q after %d tries", got, times())
	}
}

// The gateway's own form comes back in the person's language, too, from right to left where that is its way.
func TestOwnFormComesBackInTheLanguage(t *testing.T) {
	c := newCloud(t)
	g := newGateway(t, c)
	c.intercept(refusal("begin", 503, sallyport.CodeUnavailable))
	p := newTab(t)
	p.speaks("ar")
	p.open(g.url("/"))
	p.untilScreen("native")
	want := strings.Split(sentences(t, "ar")["f5"]["notice"], "{field}")
	if got := p.text(`host.dir + shadow.querySelector('[role=alert]').textContent`); got != "rtl"+want[0]+"\u2068Token\u2069"+want[1] {
		t.Errorf("notice %q", got)
	}
}
