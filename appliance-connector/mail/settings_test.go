package mail

import (
	"encoding/json"
	"testing"

	"github.com/sallyport/sallyport/appliance-connector/store"
)

// set replaces the settings of the store.
func set(t *testing.T, db *store.Store, v Server) {
	t.Helper()
	text, err := json.Marshal(Settings{Host: v.Host, Port: v.Port, Security: v.Security, User: v.User, From: v.From, Authority: v.Authority})
	if err != nil {
		t.Fatal(err)
	}
	_, version, err := db.Section(t.Context(), Section)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetSection(t.Context(), Section, text, version); err != nil {
		t.Fatal(err)
	}
	_, version, err = db.SealedSection(t.Context(), PasswordSection)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetSealedSection(t.Context(), PasswordSection, v.Password, version); err != nil {
		t.Fatal(err)
	}
}
