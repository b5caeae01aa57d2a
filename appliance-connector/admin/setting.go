package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
)

// ConsoleSettings are those of the console itself.
type ConsoleSettings struct {
	// Idle is how long a session lasts without a request: 1 minute to 8 hours.
	Idle time.Duration `json:"idle"`
	// Version is that of what was read; it goes back with what is saved.
	Version int64 `json:"-"`
}

const (
	consoleSetting = "console"
	defaultIdle    = 15 * time.Minute
	minIdle        = time.Minute
	maxIdle        = 8 * time.Hour
)

// ConsoleSettings returns the settings, those never set as the defaults.
func (s *Service) ConsoleSettings(ctx context.Context, actor sallyport.Actor) (ConsoleSettings, error) {
	if _, err := s.as(actor, "ConsoleSettings"); err != nil {
		return ConsoleSettings{}, err
	}
	return s.consoleSettings(ctx)
}

// SetConsoleSettings changes them, for sessions that begin from now on.
func (s *Service) SetConsoleSettings(ctx context.Context, actor sallyport.Actor, v ConsoleSettings) error {
	db, err := s.as(actor, "SetConsoleSettings")
	if err != nil {
		return err
	}
	f := FieldErrors{}
	f.check(v.Idle >= minIdle && v.Idle <= maxIdle, "idle", "Use 1 minute to 8 hours.")
	if err := f.err(); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode console settings: %w", err)
	}
	return db.SetSection(ctx, consoleSetting, text, v.Version)
}

func (s *Service) consoleSettings(ctx context.Context) (ConsoleSettings, error) {
	v := ConsoleSettings{Idle: defaultIdle}
	text, version, err := s.db.Section(ctx, consoleSetting)
	if err != nil || version == 0 {
		return v, err
	}
	v.Version = version
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("read console settings: %w", err)
	}
	return v, nil
}
