package sallyport

// Languages are those that pages, messages and e-mails are written in, by their tags (RFC 5646), English first.
func Languages() []string { return []string{"en", "es", "fr", "de", "ar", "tr"} }

// LanguageName names one of Languages in that language, for people to find their own; empty: it is none of them.
func LanguageName(tag string) string {
	switch tag {
	case "en":
		return "English"
	case "es":
		return "Español"
	case "fr":
		return "Français"
	case "de":
		return "Deutsch"
	case "ar":
		return "العربية"
	case "tr":
		return "Türkçe"
	}
	return ""
}
