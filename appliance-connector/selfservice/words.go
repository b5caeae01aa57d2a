package selfservice

import (
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skip2/go-qrcode"
	"golang.org/x/text/language"

	"github.com/sallyport/sallyport"
)

//go:embed lang/*.json
var languageFiles embed.FS

// maxAccept bounds what is read of what a browser says of its languages, in octets.
const maxAccept = 512

// words are the sentences of one language, by key.
type words struct {
	language string
	all      map[string]string
}

func readWords() (map[string]words, error) {
	out := map[string]words{}
	for _, l := range sallyport.Languages() {
		text, err := languageFiles.ReadFile("lang/" + l + ".json")
		if err != nil {
			return nil, fmt.Errorf("read language: %w", err)
		}
		w := words{language: l}
		if err := json.Unmarshal(text, &w.all); err != nil {
			return nil, fmt.Errorf("read language %s: %w", l, err)
		}
		out[l] = w
	}
	return out, nil
}

func (w words) direction() string {
	if w.language == "ar" {
		return "rtl"
	}
	return "ltr"
}

var place = regexp.MustCompile(`\{\w+\}`)

// say gives a sentence, with values by the names of their places in it. What is put in keeps its own direction: a name or a number must not
// turn the sentence around it.
func (w words) say(key string, pairs ...string) string {
	return place.ReplaceAllStringFunc(w.all[key], func(name string) string {
		i := slices.Index(pairs, strings.Trim(name, "{}"))
		switch {
		case i < 0 || i+1 >= len(pairs):
			return name
		case w.direction() == "rtl":
			return "\u2068" + pairs[i+1] + "\u2069"
		}
		return pairs[i+1]
	})
}

// mustSay is say for templates, which are to be right.
func (w words) mustSay(key string, pairs ...string) (string, error) {
	if w.all[key] == "" {
		return "", fmt.Errorf("there are no words for %q", key)
	}
	return w.say(key, pairs...), nil
}

func (w words) date(t time.Time) string {
	t = t.UTC()
	months := strings.Fields(w.all["months"])
	// As one piece: of its parts none is to have a direction of its own.
	return strings.NewReplacer("{day}", strconv.Itoa(t.Day()), "{month}", months[t.Month()-1], "{year}", strconv.Itoa(t.Year())).Replace(w.all["date"])
}

// reason says why something did not work; "" when there is nothing to say.
func (w words) reason(why sallyport.Reason) string {
	if why == "" || why == sallyport.ReasonCancelled {
		return ""
	}
	if s := w.say("reason_" + string(why)); s != "" {
		return s
	}
	return w.say("reason_other")
}

// failure says what went wrong: in its own words what is told here, by its code whatever else.
func (w words) failure(err error) string {
	if key := toldKey(err); key != "" {
		return w.say(key)
	}
	if s := w.say("error_" + string(sallyport.ErrorCode(err))); s != "" {
		return s
	}
	return w.say("error_internal")
}

// asks says what code is asked for. The question of the external token server is its own, in whatever language.
func (w words) asks(p sallyport.Prompt) string {
	switch m := p.Methods[0]; m {
	case sallyport.MethodExternal:
		if p.Message != "" {
			return p.Message
		}
		return w.say("asks_external")
	case sallyport.MethodSMS:
		return w.say("asks_sms", "to", p.To)
	case sallyport.MethodOTP, sallyport.MethodTemporary:
		return w.say("asks_" + string(m))
	}
	return w.say("asks_code")
}

// choose takes the first language of the browser's that there is, then the enterprise's, then English.
func (s *Server) choose(ctx context.Context, h http.Header) words {
	accept := h.Get("Accept-Language")
	if len(accept) > maxAccept {
		accept = accept[:maxAccept]
		accept = accept[:max(strings.LastIndexByte(accept, ','), 0)]
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err == nil {
		for _, t := range tags {
			base, _ := t.Base()
			if w, ok := s.words[base.String()]; ok {
				return w
			}
		}
	}
	if s.cfg.Language != nil {
		if w, ok := s.words[s.cfg.Language(ctx)]; ok {
			return w
		}
	}
	return s.words["en"]
}

// picture draws a link as a QR code, for an image of the page itself.
func picture(link string) (template.URL, error) {
	code, err := qrcode.New(link, qrcode.Medium)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	png, err := code.PNG(400)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)), nil
}
