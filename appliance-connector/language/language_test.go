package language

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport"
)

// kept has one value under every name.
type kept struct {
	text    string
	version int64
}

func (k kept) Section(context.Context, string) ([]byte, int64, error) {
	return []byte(k.text), k.version, nil
}

func TestTheIntegrationsLanguageComesBeforeTheEnterprises(t *testing.T) {
	t.Parallel()
	v, err := ReadSettings(t.Context(), kept{`{"default":"de"}`, 3})
	if err != nil || v.Version != 3 {
		t.Fatalf("%+v, %v", v, err)
	}
	none, err := ReadSettings(t.Context(), kept{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		settings Settings
		own      string
		at, mail string
	}{{v, "tr", "tr", "de"}, {v, "", "de", "de"}, {none, "fr", "fr", "en"}, {none, "", "", "en"}} {
		if at, mail := x.settings.At(sallyport.Integration{Language: x.own}), x.settings.ForMail(); at != x.at || mail != x.mail {
			t.Errorf("enterprise %q, integration %q: %q and %q for mail, want %q and %q", x.settings.Default, x.own, at, mail, x.at, x.mail)
		}
	}
	if _, err := ReadSettings(t.Context(), kept{`[]`, 1}); err == nil {
		t.Error("settings that are none were read")
	}
}

func TestEveryLanguageHasAName(t *testing.T) {
	t.Parallel()
	for _, tag := range sallyport.Languages() {
		if sallyport.LanguageName(tag) == "" {
			t.Errorf("%q has no name", tag)
		}
	}
	if sallyport.LanguageName("") != "" || sallyport.LanguageName("xx") != "" {
		t.Error("a language that there is not has a name")
	}
}
