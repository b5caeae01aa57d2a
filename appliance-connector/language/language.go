// Package language has the enterprise's choice of the language in which users are spoken to, for whatever writes to
// them: the script of a logon page, messages over RADIUS, SMS and e-mail. It translates nothing.
//
// What a browser asks for comes before all of it; then the integration's language, the enterprise's, and English.
package language

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport"
)

// Section is the name of the settings in the store.
const Section = "language"

// Settings are the enterprise's.
type Settings struct {
	// Default is one of sallyport.Languages; empty: none was chosen.
	Default string `json:"default"`
	// Version is that of what was read; it goes back with what is saved.
	Version int64 `json:"-"`
}

// Store has settings.
type Store interface {
	Section(ctx context.Context, name string) (value []byte, version int64, err error)
}

// ReadSettings returns the settings; those never set have no default.
func ReadSettings(ctx context.Context, db Store) (Settings, error) {
	text, version, err := db.Section(ctx, Section)
	if err != nil || version == 0 {
		return Settings{}, err
	}
	v := Settings{Version: version}
	if err := json.Unmarshal(text, &v); err != nil {
		return Settings{}, fmt.Errorf("read language settings: %w", err)
	}
	return v, nil
}

// At is the language chosen for the users of an integration, "" when neither it nor the enterprise has one: then
// nothing is preferred over what a browser asks for, and English is what is left.
func (s Settings) At(in sallyport.Integration) string { return cmp.Or(in.Language, s.Default) }

// ForMail is the language of a message to somebody of whom no other is known.
func (s Settings) ForMail() string { return cmp.Or(s.Default, sallyport.Languages()[0]) }
