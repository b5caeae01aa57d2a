package store

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport"
)

const (
	maxUserWord  = 64  // octets of a word that is kept
	maxUserWords = 32  // words of one user
	maxSearch    = 8   // words of one search
	maxSortName  = 256 // octets of a folded name that are kept
	// wordsAfter, put after a beginning, is after all words that begin with it.
	wordsAfter = "\U0010FFFF"
)

// searchFold folds text the way people search: without case and without accents.
func searchFold(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	// Twice: decomposing makes capital letters (of ™), and folding makes accents (of İ).
	for range 2 {
		stripped, _, err := transform.String(transform.Chain(norm.NFKD, runes.Remove(runes.In(unicode.Mn))), s)
		if err == nil {
			s = stripped
		}
		s = fold(s)
	}
	return s
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// sortName is what users are listed by.
func sortName(u sallyport.User) string {
	return cut(searchFold(cmp.Or(u.DisplayName, ownName(u).User())), maxSortName)
}

// ownName is the account name of a user, also while another user has it: see parkedName.
func ownName(u sallyport.User) sallyport.AccountName {
	name, _, _ := strings.Cut(string(u.Account), "/")
	return sallyport.AccountName(name)
}

// userWords returns what a user is found by: names whole, as between spaces, and in their parts; of
// addresses the part before the @ as well.
func userWords(u sallyport.User) []string {
	var words []string
	add := func(text string) {
		if text = cut(text, maxUserWord); text != "" {
			words = append(words, text)
		}
	}
	whole := func(text string) {
		for _, word := range spaced(searchFold(text)) {
			add(word)
		}
	}
	parts := func(text string) {
		for _, word := range strings.FieldsFunc(searchFold(text), notOfWord) {
			add(word)
		}
	}
	whole(u.DisplayName)
	parts(u.DisplayName)
	account := ownName(u)
	for _, text := range []string{string(account), account.User(), u.UPN, u.Mail} {
		whole(text)
	}
	for _, text := range []string{account.User(), u.UPN, u.Mail} {
		before, _, _ := strings.Cut(text, "@")
		parts(before)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	return words[:min(len(words), maxUserWords)]
}

// searchWords returns the words of a search, each of which has to begin a word of a user.
func searchWords(text string) ([]string, error) {
	if len(text) > maxSearch*maxUserWord {
		return nil, invalidf("This is too much text to search for.")
	}
	words := spaced(searchFold(strings.ToValidUTF8(text, "\uFFFD")))
	if len(words) > maxSearch {
		return nil, invalidf("Search for at most %d words.", maxSearch)
	}
	for n := range words {
		words[n] = cut(words[n], maxUserWord)
	}
	return words, nil
}

// spaced splits at spaces and drops punctuation around the words.
func spaced(text string) (words []string) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		if word = strings.TrimFunc(word, notOfWord); word != "" {
			words = append(words, word)
		}
	}
	return words
}

func notOfWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }

// cut shortens text to most octets, between characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xc0 == 0x80 {
		most--
	}
	return s[:most]
}
