package admin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/language"
)

// LanguageSettings returns the language in which users are spoken to where nothing else says one.
func (s *Service) LanguageSettings(ctx context.Context, actor sallyport.Actor) (language.Settings, error) {
	db, err := s.as(actor, "LanguageSettings")
	if err != nil {
		return language.Settings{}, err
	}
	return language.ReadSettings(ctx, db)
}

// SetLanguageSettings changes them. Scripts that are pasted already keep the language that they were taken with.
func (s *Service) SetLanguageSettings(ctx context.Context, actor sallyport.Actor, v language.Settings) error {
	db, err := s.as(actor, "SetLanguageSettings")
	if err != nil {
		return err
	}
	f := FieldErrors{}
	f.check(v.Default == "" || sallyport.LanguageName(v.Default) != "", "default", "Choose one of the languages, or none.")
	if err := f.err(); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode language settings: %w", err)
	}
	return db.SetSection(ctx, language.Section, text, v.Version)
}
