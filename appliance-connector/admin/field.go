package admin

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
)

// FieldErrors says what is wrong with the fields of an input: words for people by the field's name. A form
// shows each beside its field, the API lists them.
type FieldErrors map[string]string

func (f FieldErrors) Error() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		out = append(out, name+": "+f[name])
	}
	return strings.Join(out, " ")
}

// check notes a problem with a field unless ok; the first one counts.
func (f FieldErrors) check(ok bool, field, words string) {
	if _, noted := f[field]; !ok && !noted {
		f[field] = words
	}
}

// err is nil when nothing was noted.
func (f FieldErrors) err() error {
	if len(f) == 0 {
		return nil
	}
	return sallyport.Errorf(sallyport.CodeInvalid, "Please look at the marked fields.", f)
}
