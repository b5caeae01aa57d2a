package console

import (
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/language"
)

func (s *Server) languageRoutes() {
	s.page("/settings/languages", "LanguageSettings", (*request).languageSettings)
	s.act("/settings/languages", "SetLanguageSettings", (*request).setLanguageSettings)
}

// languageOptions are the languages that there are, behind none.
func languageOptions(chosen, none string) []Option {
	out := []Option{{Value: "", Label: none, Chosen: chosen == ""}}
	for _, tag := range sallyport.Languages() {
		out = append(out, Option{Value: tag, Label: sallyport.LanguageName(tag), Chosen: chosen == tag})
	}
	return out
}

func (r *request) languageForm(v language.Settings) Form {
	f := r.form("Save",
		Field{Kind: "select", Name: "default", Label: "Language of the enterprise", Options: languageOptions(v.Default, "None: English"),
			Help: "Of pages, messages and e-mails to users where nothing else says one. A browser that asks for a language that there is gets that one, and an integration may have its own."},
		Field{Kind: "hidden", Name: "version", Value: strconv.FormatInt(v.Version, 10)})
	f.Path = "/settings/languages"
	return f
}

func (r *request) languageSettings() error {
	v, err := r.s.admin.LanguageSettings(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	return r.showLanguages(http.StatusOK, v, r.languageForm(v))
}

func (r *request) showLanguages(status int, v language.Settings, f Form) error {
	c := Card{Title: "Languages", Text: "The same for all appliances of the enterprise. Logon pages have it in their script: take the script anew after a change, where a page is to follow it."}
	if r.May("SetLanguageSettings") {
		c.Form = &f
	} else {
		c.Facts = []Fact{fact("Language of the enterprise", languageWords(v.Default, "None: English"))}
	}
	return r.showAs(status, Page{Title: "Languages", Lead: "In which language users are spoken to. The console itself is in English.",
		Crumbs: []Link{{"Settings", "/settings"}}, Content: "cardpage", Data: CardPage{Tabs: r.settingTabs("languages"), Cards: []Card{c}}})
}

// languageWords names a language for people.
func languageWords(tag, none string) string {
	if name := sallyport.LanguageName(tag); name != "" {
		return name
	}
	return none
}

func (r *request) setLanguageSettings() error {
	ctx := r.Request().Context()
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	v := language.Settings{Default: r.FormValue("default"), Version: version}
	if err = r.s.admin.SetLanguageSettings(ctx, r.Actor(), v); err == nil {
		return r.done("/settings/languages", "Saved. It counts from now on, on every appliance.")
	}
	before, rerr := r.s.admin.LanguageSettings(ctx, r.Actor())
	f, ok := r.languageForm(v).with(err)
	if !ok || rerr != nil {
		return err
	}
	return r.showLanguages(http.StatusUnprocessableEntity, before, f)
}
